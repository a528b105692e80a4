-- +goose Up

-- Calendars are for tenants whose plan includes them: a downgraded one keeps its
-- resources and has no connections.
alter table tenants add column downgraded_at timestamptz;

-- Which account at the provider a connection reads, known as such across tenants
-- without being readable across them: withdrawing one grant may withdraw all that
-- the account has given. The hash is keyed with the master key.
alter table connections
  add column account_sealed bytea,
  add column account_hash bytea check (octet_length(account_hash) = 16),
  drop constraint connections_state_check,
  add constraint connections_state_check
    check (state in ('active', 'needs_reconnect', 'awaiting_admin', 'paused', 'disconnected')) not valid;
alter table connections validate constraint connections_state_check;
create index connections_account on connections (account_hash) where account_hash is not null;
create policy gate on connections for select to busyd_gate using (true);
grant select (tenant_id, id, account_hash) on connections to busyd_gate;

-- Owners on their way to a provider's consent page and back.
create table consents (
  tenant_id       uuid        not null references tenants (id),
  state_hash      bytea       not null check (octet_length(state_hash) = 32),
  kind            text        not null,
  resource_id     uuid        not null,
  connection_id   uuid, -- null: a new connection
  verifier_sealed bytea       not null,
  push            boolean     not null,
  expires_at      timestamptz not null,
  primary key (tenant_id, state_hash),
  foreign key (tenant_id, resource_id) references resources (tenant_id, id),
  foreign key (tenant_id, connection_id) references connections (tenant_id, id)
);
alter table consents enable row level security, force row level security;
create policy tenant on consents to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
grant select, insert, update, delete on consents to busyd_app;

-- Providers' promises to call back when something has changed.
create table watches (
  tenant_id     uuid        not null,
  id            uuid        not null,
  connection_id uuid        not null,
  calendar_id   uuid, -- null: all calendars of the connection
  handle_sealed bytea       not null,
  token_hash    bytea       not null check (octet_length(token_hash) = 32),
  expires_at    timestamptz not null,
  ended         boolean     not null default false, -- the provider says so
  primary key (tenant_id, id),
  foreign key (tenant_id, connection_id) references connections (tenant_id, id),
  foreign key (tenant_id, calendar_id) references calendars (tenant_id, id)
);
create unique index watches_of on watches (tenant_id, connection_id, calendar_id);
create index watches_calendar on watches (tenant_id, calendar_id);
alter table watches enable row level security, force row level security;
create policy tenant on watches to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
grant select, insert, update, delete on watches to busyd_app;

-- What a provider still has to be told of connections that are no more: end the
-- watches, withdraw the grant. A row is all that is left of the secret, and goes
-- as soon as the provider has answered.
create table farewells (
  tenant_id     uuid        not null,
  id            uuid        not null,
  connection_id uuid        not null,
  kind          text        not null,
  sealed        bytea       not null,
  attempts      integer     not null default 0,
  due_at        timestamptz not null,
  created_at    timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, connection_id) references connections (tenant_id, id)
);
create index farewells_connection on farewells (tenant_id, connection_id);
create index farewells_due on farewells (due_at);
alter table farewells enable row level security, force row level security;
create policy tenant on farewells to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
create policy sweep_reads on farewells for select to busyd_sweep using (true);
create policy sweep_postpones on farewells for update to busyd_sweep using (true) with check (true);
grant select, insert, update, delete on farewells to busyd_app;
grant select (tenant_id, id, due_at) on farewells to busyd_sweep;
grant update (due_at) on farewells to busyd_sweep;

-- +goose Down
drop table farewells, watches, consents;
drop policy gate on connections;
revoke select (tenant_id, id, account_hash) on connections from busyd_gate;
alter table connections drop column account_hash, drop column account_sealed,
  drop constraint connections_state_check,
  add constraint connections_state_check
    check (state in ('active', 'needs_reconnect', 'paused', 'disconnected'));
alter table tenants drop column downgraded_at;
