-- Booking: what can be booked, who has booked it, and what has to be told of it.
--
-- resources.version is an agenda's: every writer of blocks, claims, overrides or
-- hours raises it before it changes anything else. That locks the row until the
-- writer has committed, and whoever decided on an older version learns of it.
-- Locks are taken in one order: connection, calendar, resources by id, bookings.

-- +goose Up
create extension if not exists btree_gist;

alter table resources
  add column version bigint not null default 1,
  set (fillfactor = 50); -- versions change often, beside the old ones

alter table calendars
  add column ignore_tentative boolean not null default false,
  add column ignore_all_day boolean not null default false;

-- Ends a transaction whose premise is no longer true, and with it what was sent
-- along: a proposal is one message of several statements.
create function expect_unchanged(premise boolean) returns void language plpgsql as
'begin if premise is not true then raise exception ''changed meanwhile'' using errcode = ''serialization_failure''; end if; end';

create table services (
  tenant_id      uuid    not null references tenants (id),
  id             uuid    not null,
  name           text    not null,
  -- Lengths of time are in seconds.
  duration       bigint  not null check (duration > 0),
  buffer_before  bigint  not null,
  buffer_after   bigint  not null,
  notice         bigint  not null,
  horizon        bigint  not null,
  slot_interval  bigint  not null,
  align          text    not null,
  max_per_day    integer not null,
  max_per_week   integer not null,
  capacity       integer not null check (capacity > 0),
  policy         text    not null,
  stale_after    bigint  not null,
  archived       boolean not null default false,
  primary key (tenant_id, id)
);
create unique index services_name on services (tenant_id, name) where not archived;
alter table services enable row level security, force row level security;
create policy tenant on services to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
grant select, insert, update, delete on services to busyd_app;

-- Who serves: count of the resources of each need.
create table needs (
  tenant_id   uuid    not null,
  service_id  uuid    not null,
  need        integer not null, -- the order of the needs
  n           integer not null, -- and of the resources of one
  count       integer not null,
  resource_id uuid    not null,
  primary key (tenant_id, service_id, need, n),
  unique (tenant_id, service_id, need, resource_id),
  foreign key (tenant_id, service_id) references services (tenant_id, id),
  foreign key (tenant_id, resource_id) references resources (tenant_id, id)
);
alter table needs enable row level security, force row level security;
create policy tenant on needs to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
grant select, insert, update, delete on needs to busyd_app;

create table overrides (
  tenant_id   uuid    not null,
  id          uuid    not null,
  resource_id uuid    not null,
  first_date  date    not null,
  last_date   date    not null check (last_date >= first_date),
  closed      boolean not null,
  hours       text    not null, -- of each date, as a weekday's; '': the weekly ones
  zone        text    not null, -- '': the resource's own
  primary key (tenant_id, id),
  foreign key (tenant_id, resource_id) references resources (tenant_id, id)
);
create index overrides_resource on overrides (tenant_id, resource_id, last_date);
alter table overrides enable row level security, force row level security;
create policy tenant on overrides to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
grant select, insert, update, delete on overrides to busyd_app;

create table bookings (
  tenant_id      uuid        not null,
  id             uuid        not null,
  service_id     uuid        not null,
  starts_at      timestamptz not null,
  ends_at        timestamptz not null,
  blocked_from   timestamptz not null, -- with buffers
  blocked_to     timestamptz not null,
  seats          integer     not null check (seats > 0),
  session_id     uuid        not null,
  state          text        not null check (state in ('held', 'pending', 'confirmed', 'cancelled', 'expired')),
  expires_at     timestamptz,
  owner          bytea       check (octet_length(owner) = 32),
  details_sealed bytea, -- null: none, or erased
  version        bigint      not null,
  created_at     timestamptz not null,
  changed_at     timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, service_id) references services (tenant_id, id),
  check ((state = 'held') = (expires_at is not null)),
  check (starts_at < ends_at and blocked_from <= starts_at and ends_at <= blocked_to)
);
alter table bookings enable row level security, force row level security;
create policy tenant on bookings to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
grant select, insert, update, delete on bookings to busyd_app;

-- The resources of bookings, with all that an agenda tells of one. A claim is
-- live while it takes the resource's time, or until somebody notices that it is a
-- hold that has expired. Only who has locked the resource writes it.
create table claims (
  tenant_id    uuid        not null,
  booking_id   uuid        not null,
  resource_id  uuid        not null,
  n            integer     not null, -- the order of a booking's resources
  service_id   uuid        not null,
  session_id   uuid        not null,
  starts_at    timestamptz not null,
  ends_at      timestamptz not null,
  blocked_from timestamptz not null,
  blocked_to   timestamptz not null,
  seats        integer     not null,
  expires_at   timestamptz, -- null: it does not
  created_at   timestamptz not null,
  live         boolean     not null,
  primary key (tenant_id, booking_id, resource_id),
  foreign key (tenant_id, booking_id) references bookings (tenant_id, id),
  foreign key (tenant_id, resource_id) references resources (tenant_id, id),
  -- For the day on which the code is wrong.
  constraint claims_overlap exclude using gist (
    tenant_id with =, resource_id with =, tstzrange(blocked_from, blocked_to) with &&, session_id with <>) where (live)
);
create index claims_resource on claims (tenant_id, resource_id, blocked_from) where live;
create index claims_expiring on claims (tenant_id, resource_id, expires_at) where live and expires_at is not null;
create index claims_expired on claims (expires_at) where live and expires_at is not null;
alter table claims enable row level security, force row level security;
create policy tenant on claims to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
create policy sweep on claims for select to busyd_sweep using (true);
grant select, insert, update, delete on claims to busyd_app;
grant select (tenant_id, resource_id, expires_at, live) on claims to busyd_sweep;

create table conflicts (
  tenant_id   uuid        not null,
  id          uuid        not null,
  booking_id  uuid        not null,
  resource_id uuid        not null,
  starts_at   timestamptz not null,
  ends_at     timestamptz not null,
  detected_at timestamptz not null,
  resolved_at timestamptz, -- null: open
  primary key (tenant_id, id),
  foreign key (tenant_id, booking_id) references bookings (tenant_id, id),
  foreign key (tenant_id, resource_id) references resources (tenant_id, id)
);
create unique index conflicts_open on conflicts (tenant_id, resource_id, booking_id) where resolved_at is null;
alter table conflicts enable row level security, force row level security;
create policy tenant on conflicts to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
grant select, insert, update, delete on conflicts to busyd_app;

-- What happened, written by the transaction in which it did. A transaction that
-- drew a lower seq may commit later; none that is older than all that are under
-- way will. No foreign keys: messages outlive what they tell of.
create table messages (
  tenant_id     uuid        not null,
  seq           bigint      not null generated always as identity,
  transaction   xid8        not null default pg_current_xact_id(),
  id            uuid        not null,
  type          text        not null,
  at            timestamptz not null,
  booking_id    uuid,
  resource_id   uuid,
  connection_id uuid,
  starts_at     timestamptz,
  ends_at       timestamptz,
  primary key (tenant_id, seq)
);
alter table messages enable row level security, force row level security;
create policy tenant on messages to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
grant select, insert, update, delete on messages to busyd_app;

-- Requests that must not be carried out twice. The key is a keyed hash: nobody
-- knows what a client puts into it.
create table requests (
  tenant_id     uuid        not null references tenants (id),
  key           bytea       not null check (octet_length(key) = 16),
  request       bytea       not null check (octet_length(request) = 32),
  taken         bigint      not null, -- tells one attempt from another
  taken_at      timestamptz not null,
  answer_sealed bytea, -- null: an attempt is under way, or was given up
  booking_id    uuid,  -- that the answer tells of
  primary key (tenant_id, key)
);
alter table requests enable row level security, force row level security;
create policy tenant on requests to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
grant select, insert, update, delete on requests to busyd_app;

-- +goose Down
drop table requests, messages, conflicts, claims, bookings, overrides, needs, services;
drop function expect_unchanged;
alter table calendars drop column ignore_tentative, drop column ignore_all_day;
alter table resources drop column version, reset (fillfactor);
