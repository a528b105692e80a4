package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/queue/redistest"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
	"github.com/busyd/busyd/sync/pull"
	"github.com/busyd/busyd/sync/recur"
)

// The servers of the tests of fairness: one answers, one takes every request and
// says nothing.
const (
	prompt = "https://prompt.test/"
	mute   = "https://mute.test/"
)

// wire leads to the servers.
type wire struct{}

func (wire) RoundTrip(r *http.Request) (*http.Response, error) {
	after := 30 * time.Millisecond
	if r.URL.String() == mute {
		after = providers.RequestTimeout
	}
	select {
	case <-time.After(after):
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// empties is a provider of empty calendars: a poll is one request to the server
// that the grant names.
type empties struct{ http http.RoundTripper }

func (e empties) Kind() busy.Kind { return busy.CalDAV }

func (e empties) Open(_ context.Context, a providers.Account) (providers.Session, error) {
	return emptySession{e, string(a.Grant)}, nil
}

type emptySession struct {
	empties
	server string
}

func (s emptySession) Calendars(context.Context) ([]providers.Calendar, error) { return nil, nil }

func (s emptySession) Changes(ctx context.Context, _ providers.Query) (providers.Page, error) {
	r, err := http.NewRequestWithContext(ctx, "REPORT", s.server, nil)
	if err != nil {
		return providers.Page{}, err
	}
	resp, err := s.http.RoundTrip(r)
	if err != nil {
		return providers.Page{}, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return providers.Page{Cursor: providers.Cursor("here"), Full: true}, errors.Join(err, resp.Body.Close())
}

// town is a database and a Redis, with tenants whose calendars are polled every
// two seconds.
type town struct {
	t     *testing.T
	store *store.Store
	redis queue.Redis

	mu    sync.Mutex
	due   map[busy.CalendarID]time.Time
	ended map[busy.TenantID]map[busy.Outcome]int
	lags  map[busy.TenantID][]time.Duration // of readings
}

func newTown(t *testing.T) *town {
	t.Helper()
	name := fmt.Sprintf("town_%d", time.Now().UnixNano())
	must(t, postgres.CreateDatabase(t.Context(), name, ""))
	_, err := store.Migrate(t.Context(), postgres.URL(name))
	must(t, err)
	r, err := queue.Open(redistest.Start(t).URL())
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return &town{
		t: t, store: storetest.Use(t, postgres.URL(name), postgres.AppURL(name)).Store, redis: r,
		due: map[busy.CalendarID]time.Time{}, ended: map[busy.TenantID]map[busy.Outcome]int{},
		lags: map[busy.TenantID][]time.Duration{},
	}
}

// settle gives a tenant accounts with calendars that are due now.
func (w *town) settle(name, server string, accounts, calendars int) busy.TenantID {
	w.t.Helper()
	tenant, err := w.store.CreateTenant(w.t.Context(), name, time.Now())
	must(w.t, err)
	resource, err := w.store.CreateResource(w.t.Context(), tenant.ID, busy.Resource{Name: name, Zone: "UTC"})
	must(w.t, err)
	for account := range accounts {
		c := busy.NewConnection{Resource: resource.ID, Kind: busy.CalDAV, Grant: busy.Secret(server)}
		for i := range calendars {
			c.Calendars = append(c.Calendars, busy.NewCalendar{Remote: busy.Secret(fmt.Sprint(account, "/", i)), Name: name, Selected: true})
		}
		now := time.Now()
		_, made, err := w.store.CreateConnection(w.t.Context(), tenant.ID, c, now)
		must(w.t, err)
		w.mu.Lock()
		for _, c := range made {
			w.due[c.ID] = now
		}
		w.mu.Unlock()
	}
	return tenant.ID
}

// watching is the store, and notes how late each calendar is read.
type watching struct {
	*store.Store
	town *town
}

func (s watching) Release(ctx context.Context, l busy.Lease, r busy.Release) error {
	s.town.note(l, r)
	return s.Store.Release(ctx, l, r)
}

func (w *town) note(l busy.Lease, r busy.Release) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended[l.Tenant] == nil {
		w.ended[l.Tenant] = map[busy.Outcome]int{}
	}
	w.ended[l.Tenant][r.Outcome]++
	if r.Outcome == busy.OutcomeChanged || r.Outcome == busy.OutcomeUnchanged {
		w.lags[l.Tenant] = append(w.lags[l.Tenant], time.Since(w.due[l.Calendar]))
	}
	if r.Outcome != busy.OutcomeDeferred {
		w.due[l.Calendar] = r.DueAt
	}
}

func (w *town) readings(t busy.TenantID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.lags[t])
}

const townWorkers = 16

// live runs a daemon's sweep and workers until the tenant's calendars were read so
// many times, and returns the lags of those readings.
func (w *town) live(of busy.TenantID, readings int) (lags []time.Duration) {
	w.t.Helper()
	silent := slog.New(slog.DiscardHandler)
	gate := transport.NewGate(queue.NewLimits(w.redis, time.Now), townWorkers)
	runner := pull.New(pull.Config{
		Store: watching{w.store, w}, Gate: gate, Expand: recur.New(), Now: time.Now, Log: silent,
		Providers: []providers.Provider{empties{behind(gate, busy.CalDAV, wire{})}},
		Lease:     25 * time.Second, PollMin: 2 * time.Second, PollMax: 2 * time.Second, FullEvery: time.Hour, Horizon: 24 * time.Hour,
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	parts.Go(func() {
		sweep := queue.Sweep[busy.Task]{
			Claim: w.store.ClaimDue, Queue: queue.NewClient(w.redis, time.Now), Interval: time.Second, Batch: queue.Batch,
			Now: time.Now, Random: rand.Float64, Log: silent,
		}
		sweep.Run(ctx)
	})
	parts.Go(func() {
		server := queue.NewServer(w.redis, queue.ServerConfig{Concurrency: townWorkers, Drain: 10 * time.Millisecond, Log: silent}, runner.Run)
		if err := server.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	before := w.readings(of)
	end := time.After(time.Minute)
	for w.readings(of) < before+readings {
		select {
		case <-end:
			w.t.Fatalf("%d of %d readings in a minute", w.readings(of)-before, readings)
		case <-time.After(20 * time.Millisecond):
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(slices.Values(w.lags[of][before : before+readings]))
}

// One tenant with 10,000 calendars that are always due, and a server that hangs,
// leave another tenant's lag nearly as it was, on the same server and workers.
func TestFairness(t *testing.T) {
	for name, accounts := range map[string]int{"one account": 1, "a hundred accounts": 100} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			small := w.settle("small", prompt, 1, 5)
			w.live(small, 5) // first readings
			before := w.live(small, 15)
			great := w.settle("great", prompt, accounts, 10_000/accounts)
			lost := w.settle("lost", mute, 20, 10)
			after := w.live(small, 15)
			t.Logf("lag alone: median %v, greatest %v; beside 10,000 calendars and a server that hangs: median %v, greatest %v",
				before[7], before[14], after[7], after[14])
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Logf("the great tenant's runs: %v; the lost one's: %v", w.ended[great], w.ended[lost])
			if read := len(w.lags[great]); read < 20 || len(w.ended[lost]) == 0 {
				t.Errorf("the other tenants were no burden: %d of the great one's readings, and of the lost one %v", read, w.ended[lost])
			}
			// The server that hangs may take all workers, and is found out after five
			// seconds. The rest of the bound is for machines that are busy.
			if slower := after[14] - before[14]; slower > 15*time.Second {
				t.Errorf("the greatest lag grew by %s", slower)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
