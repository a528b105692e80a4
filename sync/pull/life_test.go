package pull_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/store/storetest"
	"github.com/busyd/busyd/sync/pull"
	"github.com/busyd/busyd/sync/recur"
)

// moody answers as it is told to; an empty complete listing where that is nil.
type moody struct{ err error }

func (m *moody) Kind() busy.Kind { return busy.CalDAV }

func (m *moody) Open(context.Context, providers.Account) (providers.Session, error) { return m, nil }

func (m *moody) Calendars(context.Context) ([]providers.Calendar, error) { return nil, m.err }

func (m *moody) Changes(context.Context, providers.Query) (providers.Page, error) {
	return providers.Page{Full: true, Cursor: providers.Cursor("c")}, m.err
}

// TestHowRunsChangeAConnection: what a provider answers, and how often, decides
// about the connection; the network never ends one, and a refusal ends the asking.
func TestHowRunsChangeAConnection(t *testing.T) {
	fault := func(f providers.Fault) error { return &providers.Error{Fault: f, Code: "code"} }
	for name, test := range map[string]struct {
		err    error
		runs   int
		state  busy.ConnectionState
		reason string
		polled bool
	}{
		"well":                   {nil, busy.KeepsFailing, busy.ConnectionActive, "", true},
		"away for a while":       {fault(providers.Transient), busy.KeepsFailing - 1, busy.ConnectionActive, "", true},
		"away for long":          {fault(providers.Transient), busy.KeepsFailing, busy.ConnectionDegraded, "unreachable", true},
		"away for very long":     {fault(providers.Transient), 4 * busy.KeepsFailing, busy.ConnectionDegraded, "unreachable", true},
		"our own fault":          {errors.New("ours"), busy.KeepsFailing, busy.ConnectionDegraded, "failed", true},
		"throttled":              {fault(providers.Throttled), busy.KeepsFailing, busy.ConnectionDegraded, "throttled", true},
		"our registration":       {fault(providers.Operator), busy.KeepsFailing, busy.ConnectionDegraded, "operator", true},
		"our request":            {fault(providers.Rejected), busy.KeepsFailing, busy.ConnectionDegraded, "rejected", true},
		"the calendar is gone":   {fault(providers.CalendarGone), busy.KeepsFailing, busy.ConnectionDegraded, "calendar_gone", true},
		"put off":                {fault(providers.Deferred), 4 * busy.KeepsFailing, busy.ConnectionActive, "", true},
		"refused":                {fault(providers.Revoked), 1, busy.ConnectionNeedsReconnect, "code", false},
		"the administrator must": {fault(providers.AwaitingAdmin), 1, busy.ConnectionAwaitingAdmin, "code", false},
	} {
		t.Run(name, func(t *testing.T) {
			env := storetest.New(t)
			tenant, _, calendar := env.Calendar(t, "tenant")
			now, provider := storetest.Now, &moody{err: test.err}
			runner := pull.New(pull.Config{
				Store: env.Store, Providers: []providers.Provider{provider}, Expand: recur.New(),
				Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
				Lease: simLease, PollMin: time.Minute, PollMax: time.Hour, FullEvery: 24 * time.Hour, Horizon: simHorizon,
			})
			// run has the calendar read the next time that it is due.
			run := func() (ran bool) {
				t.Helper()
				c, err := env.Store.Calendar(t.Context(), tenant.ID, calendar.ID)
				must(t, err)
				now = c.DueAt
				due, err := env.Store.ClaimDue(t.Context(), now, 10, time.Minute)
				must(t, err)
				for _, task := range due {
					must(t, runner.Run(t.Context(), task))
				}
				return len(due) > 0
			}
			for range test.runs {
				run()
			}
			got, err := env.Store.Connection(t.Context(), tenant.ID, calendar.Connection)
			must(t, err)
			if got.State != test.state || got.Reason != test.reason {
				t.Fatalf("%s because of %q, want %s because of %q", got.State, got.Reason, test.state, test.reason)
			}
			provider.err = nil
			if ran := run(); ran != test.polled {
				t.Fatalf("is it read after that? %t", ran)
			}
			got, err = env.Store.Connection(t.Context(), tenant.ID, calendar.Connection)
			must(t, err)
			if test.polled && (got.State != busy.ConnectionActive || got.Reason != "") {
				t.Errorf("%s because of %q after a success", got.State, got.Reason)
			}
		})
	}
}
