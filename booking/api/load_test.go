package api

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
)

// BenchmarkAvailability asks the API over HTTP when any of 10, or of 50,
// resources is free in 30 days, out of 1M blocks, and, in turn, a handler that
// does SELECT 1 on a pool of the same size. times-select is the ratio of the
// medians at one client; at 16 clients it is how many times more requests a
// second the handler answers.
func BenchmarkAvailability(b *testing.B) {
	l := newLoad(b)
	for _, n := range []int{10, 50} {
		ask := l.question(n)
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("resources=%d/clients=%d", n, clients), func(b *testing.B) { l.compare(b, ask, clients) })
		}
	}
}

// load is the API on 1M blocks, and the handler that it is compared to.
type load struct {
	ours, plain *httptest.Server
	client      *http.Client
	token       string
	resources   []string
	from        time.Time
}

const loadResources = 1000

func newLoad(b *testing.B) *load {
	b.Helper()
	ctx := b.Context()
	env := storetest.New(b)
	tenant := env.Tenant(b, "load")
	_, token, err := env.Store.CreateKey(ctx, tenant.ID, "load", []busy.Scope{busy.ScopeRead}, time.Time{}, storetest.Now)
	if err != nil {
		b.Fatal(err)
	}
	l := &load{token: token, from: time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 1, 0), client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	l.seed(b, env, tenant.ID)
	const connections = 16
	s, err := store.Open(ctx, store.Config{URL: env.AppURL, Keys: env.Keys, MaxConns: connections})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	handler, err := New(Config{
		Store: s, Syncer: syncs{s}, Accounts: newAccounts(s), StaleAfter: 24 * time.Hour, Version: "test", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	l.ours = httptest.NewServer(handler)
	b.Cleanup(l.ours.Close)
	config, err := pgxpool.ParseConfig(env.AppURL)
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	l.plain = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var one int
		if err := pool.QueryRow(r.Context(), `select 1`).Scan(&one); err != nil {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintf(w, `{"answer":%d}`, one)
	}))
	b.Cleanup(l.plain.Close)
	return l
}

// seed makes resources with a fresh calendar and a thousand blocks a year each,
// past the store.
func (l *load) seed(b *testing.B, env *storetest.Env, tenant busy.TenantID) {
	b.Helper()
	conn := env.Owner(b)
	for _, statement := range []string{
		`create temp table r as select $1::uuid as tenant, gen_random_uuid() as id, n, $2::timestamptz as start from generate_series(1, $3::int) n`,
		`insert into resources (tenant_id, id, name, zone, hours) select tenant, id, n::text, 'Europe/Berlin', 'mon-fri 09:00-17:00' from r`,
		`insert into connections (tenant_id, id, resource_id, kind, state, created_at, changed_at)
			select tenant, id, id, 'caldav', 'active', now(), now() from r`,
		`insert into calendars (tenant_id, id, connection_id, resource_id, remote_hash, remote_sealed, name_sealed, zone, selected,
				as_of, covered_from, covered_to)
			select tenant, id, id, id, decode(md5(n::text), 'hex'), '\x00', '\x00', '', true, now(), start - interval '60 days', start + interval '1 year' from r`,
		`insert into weeks (tenant_id, resource_id, calendar_id, week, events, starts, ends, all_day, states)
			select tenant, id, id, date_trunc('week', s at time zone 'UTC'), array_agg(r.n * 1000 + k order by k), array_agg(s order by k),
				array_agg(s + interval '30 minutes' order by k), array_agg(false), array_agg(1::smallint)
			from r, generate_series(0, 999) k, lateral (select date_trunc('hour', start) + k * (interval '1 year' / 1000) as s) x
			group by 1, 2, 3, 4`,
		`vacuum analyze`,
	} {
		var args []any
		if len(statement) > 20 && statement[:11] == "create temp" {
			args = []any{tenant.String(), l.from, loadResources}
		}
		if _, err := conn.Exec(b.Context(), statement, args...); err != nil {
			b.Fatal(err)
		}
	}
	rows, err := conn.Query(b.Context(), `select id::text from r order by n`)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			b.Fatal(err)
		}
		l.resources = append(l.resources, id)
	}
}

// question returns what makes the i-th request for n resources: there are as many
// different ones as sets of resources.
func (l *load) question(n int) func(i int) *http.Request {
	sets := slices.Collect(slices.Chunk(l.resources, n))
	return func(i int) *http.Request {
		q := url.Values{
			"resource": sets[i%len(sets)], "duration": {"30m"},
			"from": {l.from.Format(time.RFC3339)}, "to": {l.from.AddDate(0, 0, 30).Format(time.RFC3339)},
		}
		r, err := http.NewRequest(http.MethodGet, l.ours.URL+"/v1/availability?"+q.Encode(), nil)
		if err != nil {
			panic(err)
		}
		r.Header.Set("Authorization", "Bearer "+l.token)
		return r
	}
}

func (l *load) plainly(int) *http.Request {
	r, err := http.NewRequest(http.MethodGet, l.plain.URL, nil)
	if err != nil {
		panic(err)
	}
	return r
}

// compare alternates short rounds of both.
func (l *load) compare(b *testing.B, ask func(int) *http.Request, clients int) {
	const round = 64
	var ours, plain []time.Duration
	var oursTotal, plainTotal time.Duration
	var size int64
	n := 0
	for b.Loop() {
		took, total, bytes := l.round(b, ask, clients, n, round)
		ours, oursTotal, size = append(ours, took...), oursTotal+total, bytes
		took, total, _ = l.round(b, l.plainly, clients, n, round)
		plain, plainTotal = append(plain, took...), plainTotal+total
		n += round
	}
	slices.Sort(ours)
	slices.Sort(plain)
	median := func(d []time.Duration) float64 { return float64(d[len(d)/2]) }
	b.ReportMetric(median(ours)/1e3, "p50-µs")
	b.ReportMetric(float64(len(ours))/oursTotal.Seconds(), "requests/s")
	b.ReportMetric(float64(size)/1024, "KB")
	if clients == 1 {
		b.ReportMetric(median(ours)/median(plain), "times-select")
	} else {
		b.ReportMetric(oursTotal.Seconds()/plainTotal.Seconds(), "times-select")
	}
	b.ReportMetric(0, "ns/op")
}

func (l *load) round(b *testing.B, ask func(int) *http.Request, clients, first, count int) ([]time.Duration, time.Duration, int64) {
	took := make([]time.Duration, count)
	var size int64
	var all sync.WaitGroup
	begin := time.Now()
	for c := range clients {
		all.Go(func() {
			for i := c; i < count; i += clients {
				start := time.Now()
				answer, err := l.client.Do(ask(first + i))
				if err != nil {
					b.Error(err)
					return
				}
				n, err := io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
				if err != nil || answer.StatusCode != http.StatusOK || n < 10 {
					b.Errorf("%d, %d bytes, %v", answer.StatusCode, n, err)
					return
				}
				took[i] = time.Since(start)
				if i == 0 {
					size = n
				}
			}
		})
	}
	all.Wait()
	return took, time.Since(begin), size
}
