-- Every row of a tenant carries tenant_id, first in each key. Row-level security
-- is forced, so that not even the owner forgets the tenant. The setting reads as
-- '' after the transaction that set it, hence the nullif; the sub-select makes
-- the planner evaluate it once a statement and not once a row.
--
-- Roles: busyd_app reads and writes the records of the tenant that is set,
-- busyd_gate finds out whose an API key is, busyd_sweep sees the schedule.

-- +goose Up
create table tenants (
  id         uuid        not null primary key,
  name       text        not null unique,
  created_at timestamptz not null
);
alter table tenants enable row level security, force row level security;
create policy tenant on tenants to busyd_app
  using (id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
create policy gate on tenants for select to busyd_gate using (true);
grant select, insert, update, delete on tenants to busyd_app;
grant select on tenants to busyd_gate;

-- A tenant without its row here can read nothing that it sealed, ever.
create table tenant_keys (
  tenant_id uuid  not null primary key references tenants (id),
  dek_id    bytea not null check (octet_length(dek_id) = 8),
  kek_id    bytea not null check (octet_length(kek_id) = 8),
  wrapped   bytea not null
);
alter table tenant_keys enable row level security, force row level security;
create policy tenant on tenant_keys to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
create policy gate on tenant_keys for select to busyd_gate using (true);
grant select, insert, update, delete on tenant_keys to busyd_app;
grant select (kek_id) on tenant_keys to busyd_gate;

create table api_keys (
  tenant_id   uuid        not null references tenants (id),
  id          uuid        not null,
  name        text        not null,
  secret_hash bytea       not null check (octet_length(secret_hash) = 32),
  scopes      text[]      not null,
  created_at  timestamptz not null,
  expires_at  timestamptz,
  revoked_at  timestamptz,
  primary key (tenant_id, id)
);
-- A request brings the key's id and is looked up before its tenant is known.
create unique index api_keys_id on api_keys (id);
alter table api_keys enable row level security, force row level security;
create policy tenant on api_keys to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
create policy gate on api_keys for select to busyd_gate using (true);
grant select, insert, update, delete on api_keys to busyd_app;
grant select on api_keys to busyd_gate;

create table resources (
  tenant_id uuid not null references tenants (id),
  id        uuid not null,
  name      text not null,
  zone      text not null,
  hours     text not null,
  primary key (tenant_id, id),
  unique (tenant_id, name)
);
alter table resources enable row level security, force row level security;
create policy tenant on resources to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
grant select, insert, update, delete on resources to busyd_app;

-- +goose Down
drop table resources, api_keys, tenant_keys, tenants;
