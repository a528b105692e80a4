-- +goose Up

-- A connection is degraded while one of its calendars keeps failing.
alter table connections
  drop constraint connections_state_check,
  add constraint connections_state_check
    check (state in ('active', 'degraded', 'needs_reconnect', 'awaiting_admin', 'paused', 'disconnected')) not valid;
alter table connections validate constraint connections_state_check;

-- Who listens to what an Exchange Server tells of the connection's calendars, and
-- until when that holds without a sign of life.
alter table connections
  add column listener uuid,
  add column listened_until timestamptz;
create index connections_listened on connections (listened_until) where kind = 'ews';
create policy sweep_listens on connections for update to busyd_sweep using (true) with check (true);
grant select (kind, listener, listened_until) on connections to busyd_sweep;
grant update (listener, listened_until) on connections to busyd_sweep;

-- +goose Down
revoke select (kind, listener, listened_until), update (listener, listened_until) on connections from busyd_sweep;
drop policy sweep_listens on connections;
drop index connections_listened;
alter table connections
  drop column listener,
  drop column listened_until,
  drop constraint connections_state_check,
  no force row level security; -- its owner updates, of all tenants
update connections set state = 'active', reason = '' where state = 'degraded';
alter table connections
  add constraint connections_state_check
    check (state in ('active', 'needs_reconnect', 'awaiting_admin', 'paused', 'disconnected')),
  force row level security;
