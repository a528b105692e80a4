-- +goose Up

-- Where tenants want their messages. Who sends takes the endpoint, by raising its
-- epoch, until due_at; addresses can carry secrets of their own.
create table endpoints (
  tenant_id       uuid        not null references tenants (id),
  id              uuid        not null,
  url_sealed      bytea       not null,
  secret_sealed   bytea       not null,
  previous_sealed bytea, -- the secret before it, which signs along
  previous_until  timestamptz,
  types           text[]      not null, -- empty: all
  created_at      timestamptz not null,
  due_at          timestamptz not null, -- nothing is sent before
  epoch           bigint      not null default 0,
  failures        integer     not null default 0, -- rounds since one in which a message arrived
  failing_since   timestamptz,
  code            text        not null default '', -- how the last of them failed
  disabled_at     timestamptz,
  reason          text        not null default '',
  primary key (tenant_id, id)
);
alter table endpoints enable row level security, force row level security;
create policy tenant on endpoints to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
create policy sweep_reads on endpoints for select to busyd_sweep using (true);
create policy sweep_postpones on endpoints for update to busyd_sweep using (true) with check (true);
grant select, insert, update, delete on endpoints to busyd_app;
grant select (tenant_id, id, due_at, epoch, disabled_at) on endpoints to busyd_sweep;
grant update (due_at) on endpoints to busyd_sweep;

-- Messages that have not arrived. A row is written with its message and goes when
-- the endpoint has answered, or with the message. There is no foreign key to the
-- endpoint: a booking must neither wait nor fail because one is removed.
create table deliveries (
  tenant_id   uuid        not null,
  seq         bigint      not null,
  endpoint_id uuid        not null,
  created_at  timestamptz not null, -- when the message was
  due_at      timestamptz, -- null: it was given up
  attempts    integer     not null default 0, -- that failed
  primary key (tenant_id, seq, endpoint_id),
  foreign key (tenant_id, seq) references messages (tenant_id, seq) on delete cascade
) with (
  -- Rows come and go, and the sweep looks at the ends of the index each second.
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 500
);
create index deliveries_due on deliveries (tenant_id, endpoint_id, due_at) where due_at is not null;
alter table deliveries enable row level security, force row level security;
create policy tenant on deliveries to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
create policy sweep_reads on deliveries for select to busyd_sweep using (true);
grant select, insert, update, delete on deliveries to busyd_app;
grant select (tenant_id, endpoint_id, created_at, due_at) on deliveries to busyd_sweep;

-- A message is read by listeners after its transaction and then by its number: what
-- is written by transactions before the oldest that still runs is complete.
create index messages_marks on messages (tenant_id, transaction, seq);

-- +goose Down
drop index messages_marks;
drop table deliveries, endpoints;
