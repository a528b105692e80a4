package store_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
	conn := mover(t, env, "blocks", "weeks")
	before := storedBlocks(t, env)
	up, down := migration(t, "00009_weeks.sql")
	for _, part := range []string{down, up} {
		migrate(t, conn, part)
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

// What an older schema cannot hold goes when it comes back, of all tenants, and
// nothing else does: a consent that came back, and that a connection is degraded.
func TestStatesAndConsentsMoveBack(t *testing.T) {
	env := storetest.New(t)
	var asked []string
	for _, name := range []string{"one", "two"} {
		r := beginIn(t, env, name)
		asked = append(asked, r.consent())
		_, err := env.Store.TakeConsent(ctx, r.consent(), now)
		must(t, err)
		for _, state := range []string{"degraded", "needs_reconnect", "awaiting_admin", "paused"} {
			c, _ := r.Connection(t, r.tenant.ID, r.resource.ID, state)
			_, err := env.Owner(t).Exec(ctx, `
				update connections set state = $2, reason = 'some', listener = id, listened_until = created_at where id = $1`,
				c.ID.String(), state)
			must(t, err)
		}
	}
	kept := func() []string {
		return query(t, env.Owner(t), `
			select (to_jsonb(c) - array['listener', 'listened_until']
				|| case when state = 'degraded' then '{"state": "active", "reason": ""}' else '{}' end::jsonb)::text
			from connections c
			union all select (to_jsonb(c) - array['taken_at', 'ended', 'ended_connection', 'problem'])::text
			from consents c where verifier_sealed is not null order by 1`)
	}
	refuses := func(code, statement string) {
		t.Helper()
		_, err := env.Owner(t).Exec(ctx, statement)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("%s: %v, want %s", statement, err, code)
		}
	}
	conn, before := mover(t, env, "connections", "consents"), kept()
	if len(before) != 2*(5+1) {
		t.Fatalf("%d rows", len(before))
	}
	upLives, downLives := migration(t, "00006_lives.sql")
	upEnds, downEnds := migration(t, "00012_consent_ends.sql")
	isWhole := func() {
		t.Helper()
		if diff := cmp.Diff(before, kept()); diff != "" {
			t.Errorf("rows (-before +after):\n%s", diff)
		}
		forced := query(t, env.Owner(t), `
			select relname::text from pg_class where relname in ('connections', 'consents') and relforcerowsecurity order by 1`)
		if diff := cmp.Diff([]string{"connections", "consents"}, forced); diff != "" {
			t.Errorf("row-level security is forced on (-want +got):\n%s", diff)
		}
		refuses("23514", `update connections set state = 'unheard of'`)
	}
	migrate(t, conn, downEnds)
	migrate(t, conn, downLives)
	isWhole()
	refuses("23514", `update connections set state = 'degraded'`)
	refuses("23502", `update consents set verifier_sealed = null`)
	migrate(t, conn, upLives)
	migrate(t, conn, upEnds)
	isWhole()
	refuses("23514", `update consents set ended = 'unheard of'`)
	for _, state := range asked {
		_, err := env.Store.TakeConsent(ctx, state, now)
		must(t, err)
	}
}

// mover connects as the owner of the relations, who is no superuser.
func mover(t *testing.T, env *storetest.Env, relations ...string) *pgx.Conn {
	t.Helper()
	conn := env.Owner(t)
	_, err := conn.Exec(ctx, `
		do $$ declare relation text; begin if exists (select from pg_roles where rolname = current_user and (rolsuper or rolbypassrls)) then
			if not exists (select from pg_roles where rolname = 'mover') then create role mover; end if;
			grant all on schema public to mover;
			grant busyd_app to mover with admin option;
			foreach relation in array array['`+strings.Join(relations, `', '`)+`'] loop
				execute format('alter table %I owner to mover', relation);
			end loop;
			set role mover;
		end if; end $$`)
	must(t, err)
	return conn
}

// migration returns what a file says of the way there, and back.
func migration(t *testing.T, name string) (up, down string) {
	t.Helper()
	text, err := os.ReadFile("migrations/" + name)
	must(t, err)
	up, down, _ = strings.Cut(string(text), "-- +goose Down")
	return up, down
}

func migrate(t *testing.T, conn *pgx.Conn, part string) {
	t.Helper()
	tx, err := conn.Begin(ctx)
	must(t, err)
	_, err = tx.Exec(ctx, part)
	must(t, err)
	must(t, tx.Commit(ctx))
}
