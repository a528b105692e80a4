package store_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/embedded"
	"github.com/busyd/busyd/store/storetest"
)

// Tables that are not a tenant's. A new one needs a reason.
var notTenants = []string{
	"goose_db_version", // the schema's
}

const door = "NULLIF(current_setting('busyd.tenant'::text, true), ''::text))::uuid"

// query returns the rows of a query as lines of columns.
func query(t testing.TB, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, err := conn.Query(ctx, sql, args...)
	must(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return lines
}

func tables(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	all := query(t, conn, `
		select relname::text from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace order by 1`)
	return slices.DeleteFunc(all, func(table string) bool { return slices.Contains(notTenants, table) })
}

func TestEveryTableBelongsToTenants(t *testing.T) {
	conn := storetest.New(t).Owner(t)
	all := tables(t, conn)
	if len(all) < 8 {
		t.Fatalf("tables %v", all)
	}
	for _, table := range all {
		column := "tenant_id"
		if table == "tenants" {
			column = "id"
		}
		first := query(t, conn, `
			select a.attname || ' ' || a.attnotnull || ' ' || format_type(a.atttypid, a.atttypmod)
			from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
			where i.indisprimary and i.indrelid = $1::text::regclass`, table)
		if want := []string{column + " true uuid"}; !slices.Equal(first, want) {
			t.Errorf("%s: its primary key begins with %v, want %v", table, first, want)
		}
		secured := query(t, conn, `
			select relrowsecurity || ' ' || relforcerowsecurity from pg_class where oid = $1::text::regclass`, table)
		if !slices.Equal(secured, []string{"true true"}) {
			t.Errorf("%s: row-level security enabled and forced: %v", table, secured)
		}
		expectPolicies(t, conn, table, column)
	}
}

// expectPolicies checks that the door is the only way in for the application and
// that the other roles' policies are for reading, or for postponing a calendar.
func expectPolicies(t *testing.T, conn *pgx.Conn, table, column string) {
	t.Helper()
	policies := query(t, conn, `
		select p.polname || ' ' || p.polpermissive || ' ' || p.polcmd::text || ' ' || array_to_string(array(
				select rolname from pg_roles where oid = any(p.polroles) order by 1), ',') ||
			E'\n' || coalesce(pg_get_expr(p.polqual, p.polrelid), '') ||
			E'\n' || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')
		from pg_policy p where p.polrelid = $1::text::regclass order by 1`, table)
	app := 0
	for _, policy := range policies {
		parts := strings.SplitN(policy, "\n", 2)
		switch parts[0] {
		case "tenant true * busyd_app":
			app++
			expr := "(" + column + " = ( SELECT (" + door + " AS \"nullif\"))"
			compact := func(s string) string { return strings.Join(strings.Fields(s), "") }
			if compact(parts[1]) != compact(expr+expr) {
				t.Errorf("%s: the policy is %s, want USING and WITH CHECK %s", table, parts[1], expr)
			}
		case "gate true r busyd_gate", "sweep true r busyd_sweep", "sweep_reads true r busyd_sweep":
		case "sweep_postpones true w busyd_sweep", "sweep_listens true w busyd_sweep":
		default:
			t.Errorf("%s: an unknown policy %q", table, parts[0])
		}
	}
	if app != 1 {
		t.Errorf("%s: %d policies for busyd_app: %v", table, app, policies)
	}
}

func TestForeignKeysCarryTheTenant(t *testing.T) {
	conn := storetest.New(t).Owner(t)
	keys := query(t, conn, `
		select c.conrelid::regclass || ' ' || (select attname from pg_attribute where attrelid = c.conrelid and attnum = c.conkey[1])
			|| ' -> ' || c.confrelid::regclass || ' ' ||
			(select attname from pg_attribute where attrelid = c.confrelid and attnum = c.confkey[1])
		from pg_constraint c where c.contype = 'f' and c.connamespace = 'public'::regnamespace order by 1`)
	if len(keys) < 6 {
		t.Fatalf("foreign keys %v", keys)
	}
	for _, key := range keys {
		from, to, _ := strings.Cut(key, " -> ")
		if !strings.HasSuffix(from, " tenant_id") || to != "tenants id" && !strings.HasSuffix(to, " tenant_id") {
			t.Errorf("%s does not begin with the tenant", key)
		}
	}
}

func TestIndexesBeginWithTheTenant(t *testing.T) {
	conn := storetest.New(t).Owner(t)
	allowed := []string{
		"api_keys_id id",                      // a request's key is looked up before its tenant is known
		"calendars_due due_at",                // the sweep's
		"farewells_due due_at",                // the sweep's
		"claims_expired expires_at",           // the sweep's
		"claims_expired expires_at",           // the sweep's
		"connections_listened listened_until", // the sweep's
		"connections_account account_hash",    // two tenants may have connected one account
		"tenants_name_key name",               // a tenant is a tenant's name
		"tenants_pkey id",                     // and its id
		"goose_db_version_pkey id",
	}
	for _, index := range query(t, conn, `
		select i.indexrelid::regclass || ' ' || a.attname
		from pg_index i join pg_class c on c.oid = i.indrelid and c.relnamespace = 'public'::regnamespace
		join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]`) {
		if !strings.HasSuffix(index, " tenant_id") && !slices.Contains(allowed, index) {
			t.Errorf("an index that does not begin with the tenant: %s", index)
		}
	}
}

func TestRolesHaveNoMoreThanTheirGrants(t *testing.T) {
	conn := storetest.New(t).Owner(t)
	for _, role := range append(store.Roles(), embedded.Login) {
		attributes := query(t, conn, `
			select concat(rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication) from pg_roles where rolname = $1`, role)
		if !slices.Equal(attributes, []string{"fffff"}) {
			t.Errorf("%s: superuser, bypassrls, createrole, createdb, replication: %v", role, attributes)
		}
		if owned := query(t, conn, `
			select relname::text from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname = $1`, role); len(owned) > 0 {
			t.Errorf("%s owns %v", role, owned)
		}
	}
	if loose := query(t, conn, `
		select table_name || ' ' || privilege_type from information_schema.role_table_grants
		where grantee = 'PUBLIC' and table_schema = 'public'`); len(loose) > 0 {
		t.Errorf("everybody may %v", loose)
	}
	columns := func(role string) []string {
		return query(t, conn, `
			select table_name || '.' || column_name || ' ' || privilege_type from information_schema.column_privileges
			where grantee = $1 and table_schema = 'public' order by 1`, role)
	}
	sweep := []string{
		"calendars.as_of SELECT", "calendars.connection_id SELECT", "calendars.due_at SELECT", "calendars.due_at UPDATE",
		"calendars.epoch SELECT", "calendars.id SELECT", "calendars.lease_until SELECT", "calendars.problems SELECT",
		"calendars.selected SELECT", "calendars.tenant_id SELECT", "calendars.urgency SELECT",
		"claims.expires_at SELECT", "claims.live SELECT", "claims.resource_id SELECT", "claims.tenant_id SELECT",
		"connections.id SELECT", "connections.kind SELECT", "connections.listened_until SELECT", "connections.listened_until UPDATE",
		"connections.listener SELECT", "connections.listener UPDATE", "connections.state SELECT", "connections.tenant_id SELECT",
		"deliveries.created_at SELECT", "deliveries.due_at SELECT", "deliveries.endpoint_id SELECT", "deliveries.tenant_id SELECT",
		"endpoints.disabled_at SELECT", "endpoints.due_at SELECT", "endpoints.due_at UPDATE", "endpoints.epoch SELECT",
		"endpoints.id SELECT", "endpoints.tenant_id SELECT",
		"farewells.due_at SELECT", "farewells.due_at UPDATE", "farewells.id SELECT", "farewells.tenant_id SELECT",
		"goose_db_version.id SELECT", "goose_db_version.is_applied SELECT", "goose_db_version.tstamp SELECT",
		"goose_db_version.version_id SELECT",
	}
	if diff := cmp.Diff(sweep, columns("busyd_sweep")); diff != "" {
		t.Errorf("busyd_sweep (-want +got):\n%s", diff)
	}
	gate := []string{
		"api_keys.created_at SELECT", "api_keys.expires_at SELECT", "api_keys.id SELECT", "api_keys.name SELECT",
		"api_keys.revoked_at SELECT", "api_keys.scopes SELECT", "api_keys.secret_hash SELECT", "api_keys.tenant_id SELECT",
		"connections.account_hash SELECT", "connections.id SELECT", "connections.tenant_id SELECT",
		"goose_db_version.id SELECT", "goose_db_version.is_applied SELECT", "goose_db_version.tstamp SELECT",
		"goose_db_version.version_id SELECT", "tenant_keys.kek_id SELECT",
		"tenants.created_at SELECT", "tenants.downgraded_at SELECT", "tenants.id SELECT", "tenants.name SELECT",
	}
	if diff := cmp.Diff(gate, columns("busyd_gate")); diff != "" {
		t.Errorf("busyd_gate (-want +got):\n%s", diff)
	}
}

func TestEveryTenantTableIsErased(t *testing.T) {
	conn := storetest.New(t).Owner(t)
	want := append(store.TenantTables(), "tenants")
	slices.Sort(want)
	if diff := cmp.Diff(tables(t, conn), want); diff != "" {
		t.Errorf("tables (-there +erased):\n%s", diff)
	}
}

func TestRolesAreThoseOfTheEmbeddedServer(t *testing.T) {
	if diff := cmp.Diff(store.Roles(), embedded.Roles()); diff != "" {
		t.Fatal(diff)
	}
}
