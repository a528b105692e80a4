package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
)

// life is a connection with two calendars, of whose states somebody keeps a record.
type life struct {
	*run
	calendars []busy.Calendar
	mu        sync.Mutex
	passed    []string // "from to"
}

func beginLife(t *testing.T) *life {
	l := &life{run: begin(t)}
	watched, err := store.Open(ctx, store.Config{URL: l.AppURL, Keys: l.Keys, Observe: func(kind busy.Kind, from, to busy.ConnectionState) {
		if kind != busy.CalDAV {
			t.Errorf("%s went from %s to %s", kind, from, to)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.passed = append(l.passed, fmt.Sprint(from, " ", to))
	}})
	must(t, err)
	t.Cleanup(watched.Close)
	l.Store = watched
	var connection busy.Connection
	connection, l.calendars = l.Connection(t, l.tenant.ID, l.resource.ID, "one", "two")
	l.calendar = l.calendars[0]
	if want := []string{" active"}; !slices.Equal(l.passed, want) || connection.State != busy.ConnectionActive {
		t.Errorf("made as %s, %q", connection.State, l.passed)
	}
	l.passed = nil
	return l
}

func (l *life) connection() busy.Connection {
	l.t.Helper()
	c, err := l.Store.Connection(ctx, l.tenant.ID, l.calendar.Connection)
	must(l.t, err)
	return c
}

// ends has a run of a calendar end in the release. It fails if nothing is read.
func (l *life) ends(calendar busy.Calendar, r busy.Release) error {
	var epoch int64
	err := l.Owner(l.t).QueryRow(ctx, `select epoch from calendars where id = $1`, calendar.ID.String()).Scan(&epoch)
	if err != nil {
		return busy.ErrNotDue // the calendar is gone
	}
	work, err := l.Store.Take(ctx, busy.Task{Tenant: l.tenant.ID, Calendar: calendar.ID, Epoch: epoch}, now.AddDate(1, 0, 0), lease)
	if err != nil {
		return err
	}
	r.DueAt = now
	return l.Store.Release(ctx, work.Lease, r)
}

var (
	wellAgain = busy.Release{Outcome: busy.OutcomeUnchanged, Connection: busy.ConnectionActive}
	failing   = busy.Release{Outcome: busy.OutcomeUnreachable}
	oneMore   = busy.Release{Outcome: busy.OutcomeUnreachable, Connection: busy.ConnectionDegraded}
	refused   = busy.Release{Outcome: busy.OutcomeUnauthorized, Connection: busy.ConnectionNeedsReconnect, Reason: "invalid_grant"}
	forbidden = busy.Release{Outcome: busy.OutcomeUnauthorized, Connection: busy.ConnectionAwaitingAdmin, Reason: "domainPolicy"}
)

// keepsFailing has the calendar fail so often that its connection is degraded.
func (l *life) keepsFailing(calendar busy.Calendar) error {
	for range busy.KeepsFailing - 1 {
		if err := l.ends(calendar, failing); err != nil {
			return err
		}
	}
	return l.ends(calendar, oneMore)
}

// deeds are all that can befall a connection.
func (l *life) deeds() map[string]func() error {
	tenant, id := l.tenant.ID, l.calendar.Connection
	return map[string]func() error{
		"fails":      func() error { return l.keepsFailing(l.calendar) },
		"succeeds":   func() error { return l.ends(l.calendar, wellAgain) },
		"is refused": func() error { return l.ends(l.calendar, refused) },
		"forbidden":  func() error { return l.ends(l.calendar, forbidden) },
		"pauses":     func() error { return l.Store.Pause(ctx, tenant, id, now) },
		"resumes":    func() error { return l.Store.Resume(ctx, tenant, id, now) },
		"reconnects": func() error { return l.Store.ReplaceGrant(ctx, tenant, id, busy.Secret("new"), nil, now) },
		"must wait": func() error {
			_, err := l.Store.Await(ctx, tenant, busy.Consent{Connection: id}, "consent_required", now)
			return err
		},
		"disconnects": func() error { return l.Store.Disconnect(ctx, tenant, id, true, now) },
	}
}

// TestLife tries every deed in every state. What is not listed changes nothing.
func TestLife(t *testing.T) {
	reach := map[busy.ConnectionState]string{
		busy.ConnectionActive: "succeeds", busy.ConnectionDegraded: "fails", busy.ConnectionNeedsReconnect: "is refused",
		busy.ConnectionAwaitingAdmin: "forbidden", busy.ConnectionPaused: "pauses", busy.ConnectionDisconnected: "disconnects",
	}
	leads := map[busy.ConnectionState]map[string]busy.ConnectionState{
		busy.ConnectionActive: {
			"fails": busy.ConnectionDegraded, "is refused": busy.ConnectionNeedsReconnect, "forbidden": busy.ConnectionAwaitingAdmin,
			"pauses": busy.ConnectionPaused, "disconnects": busy.ConnectionDisconnected,
		},
		busy.ConnectionDegraded: {
			"succeeds": busy.ConnectionActive, "is refused": busy.ConnectionNeedsReconnect, "forbidden": busy.ConnectionAwaitingAdmin,
			"pauses": busy.ConnectionPaused, "reconnects": busy.ConnectionActive, "disconnects": busy.ConnectionDisconnected,
		},
		busy.ConnectionNeedsReconnect: {
			"reconnects": busy.ConnectionActive, "must wait": busy.ConnectionAwaitingAdmin, "disconnects": busy.ConnectionDisconnected,
		},
		busy.ConnectionAwaitingAdmin: {"reconnects": busy.ConnectionActive, "disconnects": busy.ConnectionDisconnected},
		busy.ConnectionPaused: {
			"resumes": busy.ConnectionActive, "reconnects": busy.ConnectionActive, "disconnects": busy.ConnectionDisconnected,
		},
	}
	for _, state := range busy.ConnectionStates() {
		for deed := range (&life{run: &run{}}).deeds() {
			t.Run(string(state)+" "+deed, func(t *testing.T) {
				l := beginLife(t)
				before := l.calendars
				must(t, l.deeds()[reach[state]]())
				if got := l.connection().State; got != state {
					t.Fatalf("began as %s", got)
				}
				l.passed = nil

				err := l.deeds()[deed]()
				want, moves := leads[state][deed]
				if !moves {
					want = state
				}
				got := l.connection()
				if got.State != want {
					t.Fatalf("is %s, want %s; %v", got.State, want, err)
				}
				if moves && (err != nil || !slices.Equal(l.passed, []string{string(state) + " " + string(want)}) || !state.May(want)) {
					t.Errorf("went %q, %v", l.passed, err)
				}
				if !moves && len(l.passed) > 0 {
					t.Errorf("went %q", l.passed)
				}
				if (got.Explain() == "") != (want == busy.ConnectionActive) {
					t.Errorf("a person is told %q", got.Explain())
				}
				l.expectSchedule(before, want)
			})
		}
	}
}

// expectSchedule wants the calendars that there were, due if they are read.
func (l *life) expectSchedule(before []busy.Calendar, state busy.ConnectionState) {
	l.t.Helper()
	for _, c := range before {
		found, err := l.Store.Calendar(ctx, l.tenant.ID, c.ID)
		if state == busy.ConnectionDisconnected {
			expect(l.t, err, busy.ErrNotFound)
			continue
		}
		must(l.t, err)
		if found.DueAt.IsZero() == state.Polled() || found.Running || found.Connected != state {
			l.t.Errorf("%s, due %v, running %t", found.Connected, found.DueAt, found.Running)
		}
	}
}

// One of two calendars that fail is enough for degraded, and both must be well,
// or not wanted, for active.
func TestDegradedAsLongAsOneFails(t *testing.T) {
	l := beginLife(t)
	one, two := l.calendars[0], l.calendars[1]
	expectState := func(want busy.ConnectionState) {
		t.Helper()
		if c := l.connection(); c.State != want {
			t.Fatalf("is %s, want %s", c.State, want)
		}
	}
	for range busy.KeepsFailing - 1 {
		must(t, l.ends(one, failing))
	}
	must(t, l.ends(two, oneMore)) // judged too early
	expectState(busy.ConnectionActive)
	must(t, l.ends(one, oneMore))
	expectState(busy.ConnectionDegraded)
	if c := l.connection(); c.Reason != string(busy.OutcomeUnreachable) {
		t.Errorf("because of %q", c.Reason)
	}
	must(t, l.keepsFailing(two))
	must(t, l.ends(one, wellAgain))
	expectState(busy.ConnectionDegraded)
	must(t, l.Store.Select(ctx, l.tenant.ID, two.ID, false, now))
	expectState(busy.ConnectionActive)
	if want := []string{"active degraded", "degraded active"}; !slices.Equal(l.passed, want) {
		t.Errorf("went %q", l.passed)
	}
}

// A connection that waits for its first consent has no secret and no calendars,
// and becomes the connection that the consent makes.
func TestWaitingForTheFirstConsent(t *testing.T) {
	l := beginLife(t)
	wait := func(number int) busy.Connection {
		t.Helper()
		awaitAdmin(t, l.Store, l.tenant.ID, busy.Consent{Resource: l.resource.ID, Kind: busy.CalDAV}, "aadsts_90094", now)
		all, err := l.Store.Connections(ctx, l.tenant.ID)
		must(t, err)
		i := slices.IndexFunc(all, func(c busy.Connection) bool { return c.State == busy.ConnectionAwaitingAdmin })
		if i < 0 || len(all) != number {
			t.Fatalf("%d connections, waiting: %d", len(all), i)
		}
		return all[i]
	}
	waiting := wait(3) // beside the two that there are
	if again := wait(3); again.ID != waiting.ID {
		t.Error("a second attempt waits apart")
	}
	made, calendars, err := l.Store.CreateConnection(ctx, l.tenant.ID, busy.NewConnection{
		Resource: l.resource.ID, Kind: busy.CalDAV, Grant: busy.Secret("grant"), Account: busy.Secret("ada"),
		Calendars: []busy.NewCalendar{{Remote: busy.Secret("a"), Name: "A", Selected: true}},
	}, now.Add(time.Hour))
	must(t, err)
	if made.ID != waiting.ID || made.State != busy.ConnectionActive || !made.CreatedAt.Equal(waiting.CreatedAt) {
		t.Errorf("made %+v", made)
	}
	must(t, l.ends(calendars[0], wellAgain))
	if want := []string{" awaiting_admin", "awaiting_admin active"}; !slices.Equal(l.passed, want) {
		t.Errorf("went %q", l.passed)
	}

	other := wait(4)
	must(t, l.Store.Disconnect(ctx, l.tenant.ID, other.ID, true, now))
	if left, err := l.Store.Farewells(ctx, l.tenant.ID); err != nil || len(left) != 0 {
		t.Errorf("a provider is to be told of %v, %v", left, err)
	}
}

// An account is connected to a resource once, whatever the order.
func TestAnAccountIsConnectedOnce(t *testing.T) {
	r := begin(t)
	other := r.Resource(t, r.tenant.ID, "other")
	connect := func(resource busy.Resource, account string) (busy.Connection, error) {
		c, _, err := r.Store.CreateConnection(ctx, r.tenant.ID, busy.NewConnection{
			Resource: resource.ID, Kind: busy.Google, Grant: busy.Secret("grant"), Account: busy.Secret(account),
		}, now)
		return c, err
	}
	first, err := connect(r.resource, "ada")
	must(t, err)
	_, err = connect(r.resource, "ada")
	var wrong *busy.Violation
	if !errors.As(err, &wrong) || wrong.Field != "account" || !strings.Contains(wrong.Detail, first.ID.String()) {
		t.Errorf("the second time: %v", err)
	}
	for _, err := range []error{second(connect(r.resource, "bo")), second(connect(other, "ada")), second(connect(r.resource, ""))} {
		must(t, err)
	}
	must(t, r.Store.Disconnect(ctx, r.tenant.ID, first.ID, false, now))
	must(t, second(connect(r.resource, "ada")))

	// At the same time, too.
	errs := make(chan error)
	for range 4 {
		go func() { errs <- second(connect(r.resource, "cy")) }()
	}
	made := 0
	for range 4 {
		if err := <-errs; err == nil {
			made++
		} else if !errors.Is(err, busy.ErrInvalid) {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("connected %d times", made)
	}
}

func second[T any](_ T, err error) error { return err }

// What did not commit is not told.
func TestAPassageThatIsRolledBackIsNotTold(t *testing.T) {
	l := beginLife(t)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := l.Store.Pause(cancelled, l.tenant.ID, l.calendar.Connection, now); err == nil {
		t.Error("paused")
	}
	expect(t, l.Store.Pause(ctx, l.tenant.ID, newID[busy.Connection](t), now), busy.ErrNotFound)
	if len(l.passed) > 0 {
		t.Errorf("went %q", l.passed)
	}
}

// Who consents and who gives the waiting up, at once: both lock the connection
// before its resource.
func TestConsentAndDisconnectionAtOnce(t *testing.T) {
	l := beginLife(t)
	for range 30 {
		awaitAdmin(t, l.Store, l.tenant.ID, busy.Consent{Resource: l.resource.ID, Kind: busy.CalDAV}, "aadsts_90094", now)
		all, err := l.Store.Connections(ctx, l.tenant.ID)
		must(t, err)
		i := slices.IndexFunc(all, func(c busy.Connection) bool { return c.State == busy.ConnectionAwaitingAdmin })
		var both sync.WaitGroup
		both.Go(func() {
			made, _, err := l.Store.CreateConnection(ctx, l.tenant.ID, busy.NewConnection{
				Resource: l.resource.ID, Kind: busy.CalDAV, Grant: busy.Secret("grant"),
			}, now)
			if err != nil {
				t.Error(err)
				return
			}
			if err := l.Store.Disconnect(ctx, l.tenant.ID, made.ID, false, now); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			if err := l.Store.Disconnect(ctx, l.tenant.ID, all[i].ID, false, now); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
	}
	if n := query(t, l.Owner(t), `select deadlocks::text from pg_stat_database where datname = current_database()`)[0]; n != "0" {
		t.Errorf("%s deadlocks", n)
	}
}
