-- +goose Up
create table connections (
  tenant_id    uuid        not null,
  id           uuid        not null,
  resource_id  uuid        not null,
  kind         text        not null,
  state        text        not null check (state in ('active', 'needs_reconnect', 'paused', 'disconnected')),
  reason       text        not null default '',
  grant_sealed bytea, -- null once disconnected
  created_at   timestamptz not null,
  changed_at   timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, resource_id) references resources (tenant_id, id),
  check (state <> 'disconnected' or grant_sealed is null)
);
create index connections_resource on connections (tenant_id, resource_id);
alter table connections enable row level security, force row level security;
create policy tenant on connections to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
create policy sweep on connections for select to busyd_sweep using (true);
grant select, insert, update, delete on connections to busyd_app;
grant select (tenant_id, id, state) on connections to busyd_sweep;

create table calendars (
  tenant_id     uuid    not null,
  id            uuid    not null,
  connection_id uuid    not null,
  resource_id   uuid    not null,
  remote_hash   bytea   not null check (octet_length(remote_hash) = 16),
  remote_sealed bytea   not null,
  name_sealed   bytea   not null,
  zone          text    not null, -- the provider's; '': none
  selected      boolean not null,

  -- The schedule. due_at is when the sweep should look at the calendar again: it
  -- is not null for the selected calendars of active connections and for no
  -- others. Whoever takes the calendar raises the epoch and holds it until
  -- lease_until.
  due_at       timestamptz,
  lease_until  timestamptz, -- null: no run is under way
  taken_at     timestamptz, -- when the last run began
  epoch        bigint  not null default 0,
  urgency      text    not null default 'routine',
  wanted       bigint  not null default 0, -- requests for a sync so far
  wanted_taken bigint  not null default 0, -- of them, those before the last run began
  wanted_at    timestamptz,                -- the last of them
  want_full    boolean not null default false,

  -- The mirror: how far the calendar has been read.
  cursor_sealed bytea,
  as_of         timestamptz,
  changed_at    timestamptz, -- as_of of the last reading that found something new
  full_at       timestamptz,
  covered_from  timestamptz,
  covered_to    timestamptz,
  expanded_zone text    not null default '',
  outcome       text    not null default '',
  failures      integer not null default 0,
  suspicions    integer not null default 0,
  problems      integer not null default 0,

  primary key (tenant_id, id),
  unique (tenant_id, connection_id, remote_hash),
  foreign key (tenant_id, connection_id) references connections (tenant_id, id),
  foreign key (tenant_id, resource_id) references resources (tenant_id, id),
  check (selected or due_at is null)
);
create index calendars_resource on calendars (tenant_id, resource_id);
create index calendars_due on calendars (due_at) where due_at is not null;
create index calendars_tenant_due on calendars (tenant_id, due_at) where due_at is not null;
alter table calendars enable row level security, force row level security;
create policy tenant on calendars to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
create policy sweep_reads on calendars for select to busyd_sweep using (true);
create policy sweep_postpones on calendars for update to busyd_sweep using (true) with check (true);
grant select, insert, update, delete on calendars to busyd_app;
grant select (tenant_id, id, connection_id, selected, due_at, lease_until, epoch, urgency, as_of, problems)
  on calendars to busyd_sweep;
grant update (due_at) on calendars to busyd_sweep;

-- +goose Down
drop table calendars, connections;
