package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
)

// seedBlocks writes blocks of half an hour, each resource's spread over a year,
// for a tenant's resources, past the store.
func seedBlocks(t testing.TB, env *storetest.Env, tenant busy.TenantID, resources []busy.ResourceID, each int) {
	t.Helper()
	conn := env.Owner(t)
	ids := make([]string, len(resources))
	for i, id := range resources {
		ids[i] = id.String()
	}
	_, err := conn.Exec(ctx, `
		insert into weeks (tenant_id, resource_id, calendar_id, week, events, starts, ends, all_day, states)
		select $1::uuid, r.id, r.id, date_trunc('week', s at time zone 'UTC'), array_agg(r.i * $4::bigint + n order by n), array_agg(s order by n),
			array_agg(s + interval '30 minutes' order by n), array_agg(false), array_agg(1::smallint)
		from unnest($2::uuid[]) with ordinality r (id, i), generate_series(0, $4::int - 1) n,
			lateral (select $3::timestamptz + n * (interval '1 year' / $4::int) as s) x
		group by 1, 2, 3, 4`, tenant.String(), ids, now, each)
	must(t, err)
	_, err = conn.Exec(ctx, `vacuum analyze weeks`)
	must(t, err)
}

// node is what EXPLAIN says of one step of a plan.
type node struct {
	Type      string  `json:"Node Type"`
	Subplan   string  `json:"Subplan Name"`
	Relation  string  `json:"Relation Name"`
	Index     string  `json:"Index Name"`
	IndexCond string  `json:"Index Cond"`
	Filter    string  `json:"Filter"`
	Removed   float64 `json:"Rows Removed by Filter"`
	Fetches   float64 `json:"Heap Fetches"`
	Loops     float64 `json:"Actual Loops"`
	Plans     []node  `json:"Plans"`
}

func (n node) walk(visit func(node)) {
	visit(n)
	for _, p := range n.Plans {
		p.walk(visit)
	}
}

// explain runs a statement of the store as the application does, and returns how.
func explain(t testing.TB, env *storetest.Env, tenant busy.TenantID, query string, args ...any) (node, string) {
	t.Helper()
	var plan node
	var text string
	must(t, env.Store.In(ctx, tenant, func(tx *store.Tx) error {
		var raw []byte
		if err := tx.QueryRow(ctx, `explain (analyze, format json) `+query, args...).Scan(&raw); err != nil {
			return err
		}
		var plans []struct{ Plan node }
		if err := json.Unmarshal(raw, &plans); err != nil {
			return err
		}
		plan, text = plans[0].Plan, string(raw)
		return nil
	}))
	return plan, text
}

func TestAgendasReadOneRangeOfTheIndexAResource(t *testing.T) {
	env := storetest.New(t)
	tenant, other := env.Tenant(t, "one"), env.Tenant(t, "two")
	var mine, theirs []busy.ResourceID
	for i := range 20 {
		mine = append(mine, env.Resource(t, tenant.ID, fmt.Sprint("r", i)).ID)
		theirs = append(theirs, env.Resource(t, other.ID, fmt.Sprint("r", i)).ID)
	}
	seedBlocks(t, env, tenant.ID, mine, 1000)
	seedBlocks(t, env, other.ID, theirs, 1000)
	ids := make([][16]byte, 10)
	for i := range ids {
		ids[i] = mine[i]
	}
	start := now.AddDate(0, 3, 0)
	first, last := store.WeeksOf(busy.Span{Start: start, End: start.AddDate(0, 0, 30)})
	plan, text := explain(t, env, tenant.ID, store.AgendaWeeks, [16]byte(tenant.ID), ids, first, last)
	scans := 0
	plan.walk(func(n node) {
		if n.Type == "Seq Scan" || strings.Contains(n.Type, "Bitmap") {
			t.Errorf("a %s of %s", n.Type, n.Relation)
		}
		if n.Relation != "weeks" {
			return
		}
		scans++
		for _, column := range []string{"tenant_id =", "resource_id =", "week >=", "week <="} {
			if !strings.Contains(n.IndexCond, column) {
				t.Errorf("%q is not an index condition: %s", column, n.IndexCond)
			}
		}
		if n.Type != "Index Scan" || n.Index != "weeks_pkey" || n.Loops != 10 || n.Removed != 0 {
			t.Errorf("%s of %s, %v times, %v rows for nothing", n.Type, n.Index, n.Loops, n.Removed)
		}
	})
	if scans != 1 || t.Failed() {
		t.Fatalf("%d scans of weeks:\n%s", scans, text)
	}
}
