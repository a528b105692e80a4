-- Roles belong to the cluster, not to the database: another database may have
-- made them, or may be making them at this moment.

-- +goose Up
-- +goose StatementBegin
do $$
declare
  role text;
begin
  foreach role in array array['busyd_app', 'busyd_sweep', 'busyd_gate'] loop
    if not exists (select from pg_roles where rolname = role) then
      begin
        execute format('create role %I nologin', role);
      exception
        when duplicate_object or unique_violation then null;
      end;
    end if;
  end loop;
end
$$;
-- +goose StatementEnd

-- Doctor and every start compare the schema's version with the program's.
grant select on goose_db_version to busyd_app, busyd_sweep, busyd_gate;

-- +goose Down
revoke select on goose_db_version from busyd_app, busyd_sweep, busyd_gate;
-- The roles stay: other databases of the cluster may use them.
