package store_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/store/storetest"
)

// The blocks of a database that is in use move into weeks, of all tenants, though
// the owner of the tables is no superuser and row-level security is forced.
func TestBlocksMoveIntoWeeks(t *testing.T) {
	env := storetest.New(t)
	for _, name := range []string{"one", "two"} {
		r := beginIn(t, env, name)
		r.events(seriesOf(20, 60)...)
	}
	conn := env.Owner(t)
	_, err := conn.Exec(ctx, `
		do $$ begin if exists (select from pg_roles where rolname = current_user and (rolsuper or rolbypassrls)) then
			if not exists (select from pg_roles where rolname = 'mover') then create role mover; end if;
			execute 'grant all on schema public to mover; alter view blocks owner to mover; alter table weeks owner to mover;
				grant busyd_app to mover with admin option; set role mover';
		end if; end $$`)
	must(t, err)
	before := storedBlocks(t, env)
	text, err := os.ReadFile("migrations/00009_weeks.sql")
	must(t, err)
	up, down, _ := strings.Cut(string(text), "-- +goose Down")
	for _, part := range []string{down, up} {
		tx, err := conn.Begin(ctx)
		must(t, err)
		_, err = tx.Exec(ctx, part)
		must(t, err)
		must(t, tx.Commit(ctx))
		after := storedBlocks(t, env)
		if diff := cmp.Diff(before, after); diff != "" || len(after) != 2*20*60 {
			t.Fatalf("%d blocks, (-before +after):\n%s", len(after), diff)
		}
	}
}

func storedBlocks(t *testing.T, env *storetest.Env) []string {
	t.Helper()
	rows, err := env.Owner(t).Query(ctx, `
		select concat_ws(' ', tenant_id, resource_id, calendar_id, event_id, starts_at, ends_at, all_day, state)
		from blocks order by tenant_id, starts_at, event_id`)
	must(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return lines
}
