package pull_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/store/storetest"
	"github.com/busyd/busyd/sync/pull"
	"github.com/busyd/busyd/sync/recur"
)

// sentry is a gate that says one thing.
type sentry struct {
	refuse error
	ctx    context.Context // of the run that was admitted last
	pauses map[busy.ConnectionID]time.Duration
}

type admitted struct{}

func (s *sentry) Admit(ctx context.Context, _ busy.Work) (context.Context, error) {
	if s.refuse != nil {
		return nil, s.refuse
	}
	s.ctx = ctx
	return context.WithValue(ctx, admitted{}, true), nil
}

func (s *sentry) Pause(_ context.Context, w busy.Work, d time.Duration) { s.pauses[w.Connection] = d }

// answers is a provider whose every poll ends in the same way.
type answers struct {
	t     *testing.T
	err   error
	polls int
}

func (a *answers) Kind() busy.Kind { return busy.CalDAV }

func (a *answers) Open(ctx context.Context, _ providers.Account) (providers.Session, error) {
	if ctx.Value(admitted{}) == nil {
		a.t.Error("the session is opened without the gate's context")
	}
	return a, nil
}

func (a *answers) Calendars(context.Context) ([]providers.Calendar, error) { return nil, nil }

func (a *answers) Changes(ctx context.Context, _ providers.Query) (providers.Page, error) {
	a.polls++
	if ctx.Value(admitted{}) == nil {
		a.t.Error("a request does not carry the gate's context")
	}
	return providers.Page{Full: true}, a.err
}

func TestGate(t *testing.T) {
	env := storetest.New(t)
	tenant, _, calendar := env.Calendar(t, "owner")
	gate := &sentry{pauses: map[busy.ConnectionID]time.Duration{}}
	provider := &answers{t: t}
	now := storetest.Now
	var last pull.Report
	runner := pull.New(pull.Config{
		Store: env.Store, Providers: []providers.Provider{provider}, Gate: gate, Expand: recur.New(),
		Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Observe: func(r pull.Report) { last = r },
		Lease:   time.Minute, PollMin: time.Minute, PollMax: time.Hour, FullEvery: time.Hour, Horizon: 24 * time.Hour,
	})
	// run lets the calendar be read once it is due.
	run := func() busy.Calendar {
		t.Helper()
		now = now.Add(7 * time.Hour)
		tasks, err := env.Store.ClaimDue(t.Context(), now, 1, time.Minute)
		must(t, err)
		if len(tasks) != 1 {
			t.Fatal("the calendar is not due")
		}
		must(t, runner.Run(t.Context(), tasks[0]))
		calendars, err := env.Store.Calendars(t.Context(), tenant.ID)
		must(t, err)
		return calendars[0]
	}

	read := run()
	if read.Outcome == "" || read.Failures != 0 || provider.polls != 1 {
		t.Fatalf("the first run: %+v", read)
	}
	if gate.ctx.Err() == nil {
		t.Error("the run is over, and the gate is not told")
	}
	provider.err = &providers.Error{Code: "broken"}
	before := run()
	if before.Failures != 1 {
		t.Fatalf("%d failures after one", before.Failures)
	}

	gate.refuse = &providers.Error{Fault: providers.Deferred, Code: "later", After: 8 * time.Second}
	deferred := run()
	if provider.polls != 2 || last.Outcome != busy.OutcomeDeferred {
		t.Errorf("the provider was asked %d times; the run ended %q", provider.polls, last.Outcome)
	}
	if deferred.Outcome != before.Outcome || deferred.Failures != 1 || deferred.Running || !deferred.AsOf.Equal(read.AsOf) {
		t.Errorf("a run that was put off left its mark: %+v", deferred.Freshness)
	}
	if in := deferred.DueAt.Sub(now); in < 6*time.Second || in > 10*time.Second {
		t.Errorf("put off by 8 s, it is due in %s", in)
	}
	if len(gate.pauses) != 0 {
		t.Error("busyd's own restraint made a pause")
	}

	gate.refuse = nil
	provider.err = &providers.Error{Fault: providers.Throttled, Code: "server_busy", After: 20 * time.Minute}
	throttled := run()
	if d := gate.pauses[calendar.Connection]; d != 20*time.Minute || len(gate.pauses) != 1 {
		t.Errorf("paused: %v", gate.pauses)
	}
	if throttled.Outcome != busy.OutcomeThrottled || throttled.DueAt.Before(now.Add(20*time.Minute)) {
		t.Errorf("throttled for 20 minutes: %+v", throttled.Freshness)
	}
	provider.err = &providers.Error{Fault: providers.Throttled, Code: "busy", After: 48 * time.Hour}
	run()
	if d := gate.pauses[calendar.Connection]; d != 6*time.Hour {
		t.Errorf("a pause of two days became one of %s", d)
	}
	clear(gate.pauses)
	provider.err = &providers.Error{Fault: providers.Throttled, Code: "busy"}
	run()
	if len(gate.pauses) != 0 {
		t.Error("a pause without a length was passed on")
	}
}
