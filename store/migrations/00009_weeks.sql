-- Blocks are kept by the week: one row for all that start in it, of one calendar.
-- A row for each block cost an import three times what COPY takes, most of it for
-- the index, and a reader a row on the wire for every meeting. The view blocks
-- shows them one by one, for people and for statements that are not in a hurry.

-- +goose Up
-- Nobody writes blocks while they move; a run that tries to fails, and its
-- calendar is read again.
lock table blocks in share row exclusive mode;
alter table blocks no force row level security; -- the owner moves what is everybody's

create table weeks (
  tenant_id   uuid          not null,
  resource_id uuid          not null,
  week        date          not null, -- its Monday, in UTC
  calendar_id uuid          not null,
  -- An entry a block, by start and then by event. No block is longer than
  -- busy.MaxBlock, so that a reader can bound the weeks from below.
  events      bigint[]      not null,
  starts      timestamptz[] not null,
  ends        timestamptz[] not null,
  all_day     boolean[]     not null,
  states      smallint[]    not null,
  primary key (tenant_id, resource_id, week, calendar_id),
  check (cardinality(events) > 0 and cardinality(starts) = cardinality(events) and cardinality(ends) = cardinality(events)
    and cardinality(all_day) = cardinality(events) and cardinality(states) = cardinality(events))
) with (
  -- A full week's row still lies in the table itself.
  toast_tuple_target = 8160
);
-- What is too long for that is not worth the time to compress it.
alter table weeks alter column events set storage external, alter column starts set storage external,
  alter column ends set storage external, alter column all_day set storage external, alter column states set storage external;

insert into weeks
select tenant_id, resource_id, date_trunc('week', starts_at at time zone 'UTC')::date, calendar_id,
  array_agg(event_id order by starts_at, event_id), array_agg(starts_at order by starts_at, event_id),
  array_agg(ends_at order by starts_at, event_id), array_agg(all_day order by starts_at, event_id),
  array_agg(state order by starts_at, event_id)
from blocks group by 1, 2, 3, 4;
drop table blocks;

alter table weeks enable row level security, force row level security;
create policy tenant on weeks to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
grant select, insert, update, delete on weeks to busyd_app;

create view blocks with (security_invoker = true) as
select w.tenant_id, w.resource_id, w.week, w.calendar_id, b.event_id, b.starts_at, b.ends_at, b.all_day, b.state
from weeks w, unnest(w.events, w.starts, w.ends, w.all_day, w.states) b (event_id, starts_at, ends_at, all_day, state);
grant select on blocks to busyd_app;

-- +goose Down
drop view blocks;
create table blocks (
  tenant_id   uuid        not null,
  resource_id uuid        not null,
  starts_at   timestamptz not null,
  event_id    bigint      not null,
  ends_at     timestamptz not null,
  calendar_id uuid        not null,
  all_day     boolean     not null,
  state       smallint    not null,
  primary key (tenant_id, resource_id, starts_at, event_id) include (ends_at, all_day, state),
  check (starts_at < ends_at)
);
alter table weeks no force row level security;
insert into blocks (tenant_id, resource_id, calendar_id, event_id, starts_at, ends_at, all_day, state)
select w.tenant_id, w.resource_id, w.calendar_id, b.* from weeks w, unnest(w.events, w.starts, w.ends, w.all_day, w.states) b;
drop table weeks;
alter table blocks enable row level security, force row level security;
create policy tenant on blocks to busyd_app
  using (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('busyd.tenant', true), '')::uuid));
grant select, insert, update, delete on blocks to busyd_app;
