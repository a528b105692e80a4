package store_test

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
)

// durations are what one of several alternating ways took.
type durations []time.Duration

func (d *durations) time(f func()) {
	start := time.Now()
	f()
	*d = append(*d, time.Since(start))
}

func (d durations) median() float64 {
	slices.Sort(d)
	return float64(d[len(d)/2])
}

// newID draws an id past the store.
func newID[Of any](t testing.TB) busy.ID[Of] {
	t.Helper()
	id, err := busy.NewID[Of](rand.Reader)
	must(t, err)
	return id
}

// seedResources makes resources past the store.
func seedResources(t testing.TB, env *storetest.Env, tenant busy.TenantID, n int) []busy.ResourceID {
	t.Helper()
	resources := make([]busy.ResourceID, n)
	batch := &pgx.Batch{}
	for i := range resources {
		resources[i] = newID[busy.Resource](t)
		batch.Queue(`insert into resources (tenant_id, id, name, zone, hours) values ($1, $2, $3, 'UTC', 'always')`,
			tenant.String(), resources[i].String(), fmt.Sprint(i))
	}
	must(t, env.Owner(t).SendBatch(ctx, batch).Close())
	return resources
}

// BenchmarkAgendas reads the busy time of 30 days, merged, out of 1M blocks, and,
// in turn and on the same connection, as many rows of the same shape that
// generate_series makes up, one for each block. times-series is the ratio of the medians; times-open
// is that of the query for blocks alone to the same one on a copy of the table
// without row-level security.
func BenchmarkAgendas(b *testing.B) {
	env := storetest.New(b)
	tenant := env.Tenant(b, "tenant")
	resources := seedResources(b, env, tenant.ID, 1000)
	seedBlocks(b, env, tenant.ID, resources, 1000)
	s, err := store.Open(ctx, store.Config{URL: env.AppURL, Keys: env.Keys, MaxConns: 1})
	must(b, err)
	defer s.Close()
	openWeeks := withoutSecurity(b, env)
	span := busy.Span{Start: now.AddDate(0, 3, 0), End: now.AddDate(0, 4, 0)}
	for _, n := range []int{10, 50} {
		b.Run(fmt.Sprint(n, " resources"), func(b *testing.B) {
			some := resources[:n]
			ids := make([][16]byte, n)
			for i := range some {
				ids[i] = some[i]
			}
			first, last := store.WeeksOf(span)
			args := []any{[16]byte(tenant.ID), ids, first, last}
			rows := 0
			var ours, series, secured, open durations
			fetch := func(query string, took *durations) {
				took.time(func() {
					_, err := store.FetchWeeks(ctx, s, tenant.ID, n, span, query, args...)
					must(b, err)
				})
			}
			for i := 0; b.Loop(); i++ {
				ours.time(func() {
					agendas, err := s.Agendas(ctx, tenant.ID, some, span)
					must(b, err)
					rows = merged(agendas)
				})
				series.time(func() {
					_, err := store.FetchRows(ctx, s, n, `
						select 1 + g % $1::bigint, $2::timestamptz + g * interval '10 seconds',
							$2::timestamptz + g * interval '20 seconds', false, 1::smallint
						from generate_series(0, $3::bigint - 1) g`, n, span.Start, rows)
					must(b, err)
				})
				if i%2 == 0 { // who comes second finds the caches warm
					fetch(store.AgendaWeeks, &secured)
					fetch(openWeeks, &open)
				} else {
					fetch(openWeeks, &open)
					fetch(store.AgendaWeeks, &secured)
				}
			}
			b.ReportMetric(float64(rows), "rows")
			b.ReportMetric(ours.median()/1e3, "p50-µs")
			b.ReportMetric(ours.median()/series.median(), "times-series")
			b.ReportMetric(secured.median()/open.median(), "times-open")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// withoutSecurity copies weeks to a table that anybody may read, and returns the
// query of that one.
func withoutSecurity(t testing.TB, env *storetest.Env) string {
	t.Helper()
	conn := env.Owner(t)
	for _, statement := range []string{
		`create table open_weeks (like weeks including all)`,
		`insert into open_weeks select * from weeks`,
		`grant select on open_weeks to public`,
		`vacuum analyze open_weeks`,
	} {
		_, err := conn.Exec(ctx, statement)
		must(t, err)
	}
	return strings.Replace(store.AgendaWeeks, "from weeks b", "from open_weeks b", 1)
}

func merged(agendas []busy.Agenda) (rows int) {
	for _, a := range agendas {
		rows += len(a.Blocks)
		spans := make([]busy.Span, len(a.Blocks))
		for i, block := range a.Blocks {
			spans[i] = busy.Span{Start: block.Start, End: block.End}
		}
		busy.Merge(spans)
	}
	return rows
}

// BenchmarkImport applies 10,000 occurrences to an empty calendar and, in turn,
// copies the events and blocks that this made, a row each and already sealed,
// with COPY into tables without indexes and row-level security. times-copy is the
// ratio of rows per second.
func BenchmarkImport(b *testing.B) {
	for _, shape := range []struct {
		name   string
		events []busy.Event
	}{
		{"10000 single events", singles(10_000)},
		{"200 series of 50", seriesOf(200, 50)},
	} {
		b.Run(shape.name, func(b *testing.B) {
			env := storetest.New(b)
			owner := env.Owner(b)
			var ours, raw durations
			rows := 0
			for i := 0; b.Loop(); i++ {
				r := beginIn(b, env, fmt.Sprint("tenant ", i))
				ours.time(func() { r.events(shape.events...) })
				tables := readRows(b, owner, r.tenant.ID)
				rows = len(tables["events"].rows) + len(tables["blocks"].rows)
				raw.time(func() { copyInto(b, owner, tables) })
				_, err := env.Store.DeleteTenant(ctx, r.tenant.ID)
				must(b, err)
			}
			b.ReportMetric(float64(rows)/ours.median()*1e9, "rows/s")
			b.ReportMetric(raw.median()/ours.median(), "times-copy")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func singles(n int) []busy.Event {
	events := make([]busy.Event, n)
	for i := range events {
		events[i] = meeting(fmt.Sprintf("/calendars/somebody@example.org/%08d.ics", i), 9)
		events[i].Start.Wall = window.Start.Add(time.Duration(i) * 12 * time.Minute).Truncate(time.Second)
		events[i].End.Wall = events[i].Start.Wall.Add(time.Hour)
	}
	return events
}

func seriesOf(n, count int) []busy.Event {
	events := singles(n)
	for i := range events {
		events[i].Recurrence = []string{fmt.Sprintf("RRULE:COUNT=%d", count)}
	}
	return events
}

// copied are a table's rows.
type copied struct {
	columns []string
	rows    [][]any
}

// readRows reads what a tenant has, and makes empty tables to copy it to.
func readRows(t testing.TB, conn *pgx.Conn, tenant busy.TenantID) map[string]copied {
	t.Helper()
	tables := make(map[string]copied)
	for table, columns := range map[string]string{
		"events": "*",
		"blocks": "tenant_id, resource_id, calendar_id, event_id, starts_at, ends_at, all_day, state",
	} {
		_, err := conn.Exec(ctx, fmt.Sprintf(`
			create schema if not exists bare; drop table if exists bare.%[1]s;
			create table bare.%[1]s as select %[2]s from %[1]s limit 0`, table, columns))
		must(t, err)
		rows, err := conn.Query(ctx, `select `+columns+` from `+table+` where tenant_id = $1`, tenant.String())
		must(t, err)
		c := copied{}
		for _, field := range rows.FieldDescriptions() {
			c.columns = append(c.columns, field.Name)
		}
		for rows.Next() {
			values, err := rows.Values()
			must(t, err)
			c.rows = append(c.rows, values)
		}
		must(t, rows.Err())
		tables[table] = c
	}
	return tables
}

func copyInto(t testing.TB, conn *pgx.Conn, tables map[string]copied) {
	t.Helper()
	for name, table := range tables {
		_, err := conn.CopyFrom(ctx, pgx.Identifier{"bare", name}, table.columns, pgx.CopyFromRows(table.rows))
		must(t, err)
	}
}

// BenchmarkUnchanged applies a complete listing of 10,000 events that all are held.
func BenchmarkUnchanged(b *testing.B) {
	r := begin(b)
	page := busy.Page{Change: busy.Change{Events: singles(10_000)}, Seen: make(map[string]struct{})}
	r.apply(page)
	page.Change = busy.Change{Events: page.Events}
	for _, e := range page.Events {
		page.Seen[e.Key] = struct{}{}
	}
	for b.Loop() {
		r.apply(page)
	}
}

// BenchmarkPoll takes and releases a calendar of which nothing new is known.
func BenchmarkPoll(b *testing.B) {
	r := begin(b)
	at := now.Add(time.Hour)
	for b.Loop() {
		work, err := r.Store.Take(ctx, r.task(), at, lease)
		must(b, err)
		must(b, r.Store.Release(ctx, work.Lease, busy.Release{Outcome: busy.OutcomeUnchanged, AsOf: at, DueAt: at}))
		r.work = work
	}
}

// BenchmarkClaimDue claims batches of 1,000 out of 1M calendars that are due, of
// 1,000 tenants, one of which has half of them.
func BenchmarkClaimDue(b *testing.B) {
	env := storetest.New(b)
	seedCalendars(b, env, 1000, 1_000_000)
	claimed := 0
	at := now
	for b.Loop() {
		tasks, err := env.Store.ClaimDue(ctx, at, 1000, 24*time.Hour)
		must(b, err)
		claimed += len(tasks)
	}
	b.ReportMetric(float64(claimed)/b.Elapsed().Seconds(), "calendars/s")
}

// seedCalendars makes due calendars past the store; the first tenant has half.
func seedCalendars(t testing.TB, env *storetest.Env, tenants, calendars int) {
	t.Helper()
	conn := env.Owner(t)
	_, err := conn.Exec(ctx, `
		create temp table t as select gen_random_uuid() as id, n from generate_series(0, $1::int - 1) n`, tenants)
	must(t, err)
	for _, insert := range []string{
		`insert into tenants (id, name, created_at) select id, n::text, now() from t`,
		`insert into resources (tenant_id, id, name, zone, hours) select id, id, 'r', 'UTC', 'always' from t`,
		`insert into connections (tenant_id, id, resource_id, kind, state, created_at, changed_at)
			select id, id, id, 'caldav', 'active', now(), now() from t`,
	} {
		_, err := conn.Exec(ctx, insert)
		must(t, err)
	}
	_, err = conn.Exec(ctx, `
		insert into calendars (tenant_id, id, connection_id, resource_id, remote_hash, remote_sealed, name_sealed, zone, selected,
			due_at)
		select t.id, gen_random_uuid(), t.id, t.id, decode(md5(i::text), 'hex'), '\x00', '\x00', '', true,
			$2::timestamptz - interval '1 hour' + i * interval '3 milliseconds'
		from generate_series(1, $1::int) i join t on t.n = case when i % 2 = 0 then 0 else i / 2 % $3::int end`,
		calendars, now, tenants)
	must(t, err)
	_, err = conn.Exec(ctx, `vacuum analyze calendars`)
	must(t, err)
}
