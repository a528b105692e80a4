-- +goose Up

-- A consent that came back is kept for a while, with how it ended, for whoever
-- waits for it.
alter table consents
  alter column verifier_sealed drop not null, -- null: the consent came back
  add column taken_at         timestamptz,
  add column ended            text check (ended in ('given', 'awaiting_admin', 'failed')), -- null: it has not
  add column ended_connection uuid, -- that was connected, or waits; it may be gone
  add column problem          text; -- as the owner was told

-- +goose Down
alter table consents no force row level security; -- its owner deletes, of all tenants
delete from consents where verifier_sealed is null;
alter table consents
  drop column taken_at, drop column ended, drop column ended_connection, drop column problem,
  alter column verifier_sealed set not null;
alter table consents force row level security;
