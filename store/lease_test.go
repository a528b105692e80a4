package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
)

// at is when the run's lease was taken.
func (r *run) at() time.Time { return now.Add(time.Duration(r.work.Epoch-1) * time.Hour) }

func (r *run) release(change busy.Release) {
	r.t.Helper()
	must(r.t, r.Store.Release(ctx, r.work.Lease, change))
}

func (r *run) state() busy.Calendar {
	r.t.Helper()
	calendar, err := r.Store.Calendar(ctx, r.tenant.ID, r.calendar.ID)
	must(r.t, err)
	return calendar
}

// expectFenced checks that nothing can be written under the lease.
func (r *run) expectFenced() {
	r.t.Helper()
	before := dump(r.t, r.Owner(r.t))
	_, err := r.tryApply(change(meeting("late", 20)))
	expect(r.t, err, busy.ErrFenced)
	expect(r.t, r.Store.Renew(ctx, r.work.Lease, now, lease), busy.ErrFenced)
	expect(r.t, r.Store.Release(ctx, r.work.Lease, busy.Release{Outcome: busy.OutcomeChanged, DueAt: now}), busy.ErrFenced)
	expect(r.t, r.Store.Release(ctx, r.work.Lease,
		busy.Release{Outcome: busy.OutcomeUnauthorized, Connection: busy.ConnectionNeedsReconnect}), busy.ErrFenced)
	_, err = r.Store.Held(ctx, r.work.Lease)
	expect(r.t, err, busy.ErrFenced)
	if diff := cmp.Diff(before, dump(r.t, r.Owner(r.t))); diff != "" {
		r.t.Fatalf("a fenced run wrote:\n%s", diff)
	}
}

func TestTakeReturnsAllThatARunNeeds(t *testing.T) {
	r := begin(t)
	want := busy.Work{
		Lease:      busy.Lease{Tenant: r.tenant.ID, Calendar: r.calendar.ID, Epoch: 1},
		Resource:   r.resource.ID,
		Connection: r.calendar.Connection,
		Kind:       busy.CalDAV,
		Connected:  busy.ConnectionActive,
		Grant:      busy.Secret("grant of " + r.resource.ID.String()),
		Remote:     busy.Secret("/calendars/tenant/"),
		Zone:       "Europe/Berlin",
		Freshness:  busy.Freshness{DueAt: now.Add(lease), Running: true},
	}
	if diff := cmp.Diff(want, r.work); diff != "" || string(want.Grant) != string(r.work.Grant) ||
		string(want.Remote) != string(r.work.Remote) {
		t.Fatalf("work (-want +got):\n%s", diff)
	}
}

func TestTakeIsNotDue(t *testing.T) {
	r := begin(t)
	take := func(task busy.Task, at time.Time) error {
		_, err := r.Store.Take(ctx, task, at, lease)
		return err
	}
	expect(t, take(r.task(), r.at().Add(lease-time.Microsecond)), busy.ErrNotDue) // somebody holds it
	expect(t, take(r.taskAt(0), r.at().Add(lease)), busy.ErrNotDue)               // a run began since
	must(t, take(r.task(), r.at().Add(lease)))                                    // its holder is dead
	r.expectFenced()

	must(t, r.Store.Select(ctx, r.tenant.ID, r.calendar.ID, false, now))
	expect(t, take(r.taskAt(r.epoch()), now.AddDate(1, 0, 0)), busy.ErrNotDue)
	must(t, r.Store.Select(ctx, r.tenant.ID, r.calendar.ID, true, now))
	must(t, r.Store.Disconnect(ctx, r.tenant.ID, r.calendar.Connection, false, now))
	for epoch := range int64(9) {
		expect(t, take(r.taskAt(epoch), now.AddDate(1, 0, 0)), busy.ErrNotDue)
	}
}

func TestTakeIsWonByOne(t *testing.T) {
	r := begin(t)
	task, at := r.task(), now.AddDate(0, 0, 1)
	var wins sync.Map
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			if _, err := r.Store.Take(ctx, task, at, lease); err == nil {
				wins.Store(i, true)
			}
		})
	}
	group.Wait()
	n := 0
	wins.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Fatalf("%d of 8 took the calendar", n)
	}
}

func TestRenewHoldsTheCalendar(t *testing.T) {
	r := begin(t)
	later := r.at().Add(lease / 2)
	must(t, r.Store.Renew(ctx, r.work.Lease, later, lease))
	_, err := r.Store.Take(ctx, r.task(), r.at().Add(lease), lease)
	expect(t, err, busy.ErrNotDue)
	if got := r.state().DueAt; !got.Equal(later.Add(lease)) {
		t.Fatalf("due at %v", got)
	}
	r.apply(change(meeting("a", 10)))
}

func TestReleaseRecordsTheRun(t *testing.T) {
	r := begin(t)
	due, full := r.at().Add(time.Hour), r.at().Add(time.Second)
	r.release(busy.Release{Outcome: busy.OutcomeChanged, AsOf: r.at(), FullAt: full, DueAt: due, Suspicions: 2})
	want := busy.Freshness{AsOf: r.at(), ChangedAt: r.at(), Outcome: busy.OutcomeChanged, DueAt: due}
	if diff := cmp.Diff(want, r.state().Freshness); diff != "" {
		t.Fatal(diff)
	}
	r.expectFenced()

	r.take()
	if r.work.Suspicions != 2 || !r.work.FullAt.Equal(full) {
		t.Fatalf("suspicions %d, full at %v", r.work.Suspicions, r.work.FullAt)
	}
	for n := 1; n < 3; n++ {
		r.release(busy.Release{Outcome: busy.OutcomeThrottled, DueAt: due})
		state := r.state()
		if state.Failures != n || !state.AsOf.Equal(want.AsOf) {
			t.Fatalf("failure %d: %+v", n, state.Freshness)
		}
		r.take()
	}
	r.release(busy.Release{Outcome: busy.OutcomeUnchanged, DueAt: due})
	if got := r.state().Failures; got != 0 {
		t.Fatalf("%d failures after a success", got)
	}
}

func TestReleaseOfARefusedConnection(t *testing.T) {
	r := begin(t)
	connection, calendars := r.Connection(t, r.tenant.ID, r.resource.ID, "one", "two")
	r.calendar = calendars[0]
	r.take()
	other := *r
	other.calendar = calendars[1]
	other.take()
	r.apply(change(meeting("a", 10)))
	r.release(busy.Release{
		Outcome: busy.OutcomeUnauthorized, DueAt: now, Connection: busy.ConnectionNeedsReconnect, Reason: "unauthorized",
	})
	got, err := r.Store.Connection(ctx, r.tenant.ID, connection.ID)
	must(t, err)
	want := connection
	want.State, want.Reason, want.ChangedAt = busy.ConnectionNeedsReconnect, "unauthorized", r.at()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	other.expectFenced()
	for _, run := range []*run{r, &other} {
		if state := run.state(); !state.DueAt.IsZero() || state.Running || state.Connected != busy.ConnectionNeedsReconnect {
			t.Fatalf("%+v", state)
		}
		_, err := r.Store.Take(ctx, run.taskAt(run.epoch()), now.AddDate(1, 0, 0), lease)
		expect(t, err, busy.ErrNotDue)
	}
	r.expectBlocks("03-03 10:00-11:00 busy") // what was read stands

	t.Run("is undone by a new grant", func(t *testing.T) {
		must(t, r.Store.ReplaceGrant(ctx, r.tenant.ID, connection.ID, busy.Secret("new"), nil, now.Add(time.Hour)))
		if state := r.state(); !state.DueAt.Equal(now.Add(time.Hour)) || state.Connected != busy.ConnectionActive {
			t.Fatalf("%+v", state)
		}
		if r.take(); string(r.work.Grant) != "new" {
			t.Fatal("the run has the old grant")
		}
		must(t, r.Store.ReplaceGrant(ctx, r.tenant.ID, connection.ID, busy.Secret("newer"), nil, now))
		r.expectFenced()
	})
}

func TestDisconnectErasesAndFences(t *testing.T) {
	r := begin(t)
	r.apply(change(meeting("a", 10)))
	keep, calendars := r.Connection(t, r.tenant.ID, r.resource.ID, "other")
	other := *r
	other.calendar = calendars[0]
	other.take()
	other.apply(change(meeting("b", 12)))

	for range 2 { // twice is as good as once
		must(t, r.Store.Disconnect(ctx, r.tenant.ID, r.calendar.Connection, false, now.Add(time.Hour)))
	}
	r.expectFenced()
	r.expectBlocks("03-03 12:00-13:00 busy")
	if n := r.orphans(); n != 0 {
		t.Fatalf("%d orphans", n)
	}
	if n := r.count("events"); n != 1 {
		t.Fatalf("%d events are left", n)
	}
	var grants int
	must(t, r.Owner(t).QueryRow(ctx, `select count(grant_sealed) from connections`).Scan(&grants))
	if grants != 1 {
		t.Fatalf("%d grants are left", grants)
	}
	got, err := r.Store.Connections(ctx, r.tenant.ID)
	must(t, err)
	if len(got) != 2 || got[1].ID != keep.ID && got[0].ID != keep.ID {
		t.Fatalf("%+v", got)
	}
	_, err = r.Store.Calendar(ctx, r.tenant.ID, r.calendar.ID)
	expect(t, err, busy.ErrNotFound)
	expect(t, r.Store.Select(ctx, r.tenant.ID, r.calendar.ID, true, now), busy.ErrNotFound)
	expect(t, r.Store.ReplaceGrant(ctx, r.tenant.ID, r.calendar.Connection, busy.Secret("x"), nil, now), busy.ErrNotFound)
	other.apply(change(meeting("c", 14)))
}

func TestSelectErasesAndFences(t *testing.T) {
	r := begin(t)
	p := change(meeting("a", 10), daily("b", 12, 3))
	p.Cursor = []byte("cursor")
	r.apply(p)
	must(t, r.Store.Select(ctx, r.tenant.ID, r.calendar.ID, true, now.Add(time.Hour))) // it is: nothing happens
	r.apply(change(meeting("c", 14)))

	must(t, r.Store.Select(ctx, r.tenant.ID, r.calendar.ID, false, now))
	r.expectFenced()
	if n := r.count("events") + r.count("blocks"); n != 0 {
		t.Fatalf("%d rows are left", n)
	}
	want := r.calendar
	want.Selected, want.DueAt = false, time.Time{}
	if diff := cmp.Diff(want, r.state()); diff != "" {
		t.Fatal(diff)
	}

	must(t, r.Store.Select(ctx, r.tenant.ID, r.calendar.ID, true, now.Add(time.Hour)))
	if diff := cmp.Diff(r.calendar, r.state(), cmpopts.IgnoreFields(busy.Freshness{}, "DueAt")); diff != "" {
		t.Fatal(diff)
	}
	if r.take(); r.work.Cursor != nil || !r.work.Covered.Start.IsZero() || !r.work.FullAt.IsZero() {
		t.Fatalf("the calendar remembers: %+v", r.work)
	}
}

func TestWantMakesDue(t *testing.T) {
	r := begin(t)
	r.release(busy.Release{Outcome: busy.OutcomeUnchanged, AsOf: r.at(), FullAt: r.at(), DueAt: now.AddDate(0, 0, 1)})
	tasks, err := r.Store.Want(ctx, r.tenant.ID, store.WantScope{Full: true}, now.Add(time.Minute))
	must(t, err)
	want := []busy.Task{{Tenant: r.tenant.ID, Calendar: r.calendar.ID, Epoch: r.work.Epoch, Urgency: busy.UrgencyWaiting}}
	if diff := cmp.Diff(want, tasks); diff != "" {
		t.Fatal(diff)
	}
	if got := r.state().DueAt; !got.Equal(now.Add(time.Minute)) {
		t.Fatalf("due at %v", got)
	}
	claimed, err := r.Store.ClaimDue(ctx, now.Add(time.Minute), 10, time.Minute)
	must(t, err)
	if diff := cmp.Diff(want, claimed); diff != "" {
		t.Fatal(diff)
	}
	if r.take(); !r.work.WantFull || r.work.Wanted != 1 {
		t.Fatalf("%+v", r.work)
	}
	r.release(busy.Release{Outcome: busy.OutcomeFailed, DueAt: now})
	if r.take(); !r.work.WantFull {
		t.Fatal("a run that failed ended the wish for a full one")
	}
	r.release(busy.Release{Outcome: busy.OutcomeUnchanged, FullAt: r.at(), DueAt: now})
	if r.take(); r.work.WantFull {
		t.Fatal("a full run did not end the wish for one")
	}
}

func TestWantDuringARun(t *testing.T) {
	r := begin(t)
	wanted := r.at().Add(time.Second)
	_, err := r.Store.Want(ctx, r.tenant.ID, store.WantScope{Calendar: &r.calendar.ID, Full: true}, wanted)
	must(t, err)
	if got := r.state().DueAt; !got.Equal(r.at().Add(lease)) {
		t.Fatalf("due at %v, want the lease's end", got)
	}
	r.apply(change(meeting("a", 10)))
	r.release(busy.Release{Outcome: busy.OutcomeChanged, FullAt: r.at(), DueAt: now.AddDate(0, 0, 1)})
	if got := r.state().DueAt; !got.Equal(wanted) {
		t.Fatalf("due at %v, want when it was wanted", got)
	}
	if r.take(); !r.work.WantFull || r.work.Wanted != 1 {
		t.Fatalf("%+v", r.work)
	}
	r.release(busy.Release{Outcome: busy.OutcomeUnchanged, DueAt: now.AddDate(0, 0, 1)})
	if got := r.state().DueAt; !got.Equal(now.AddDate(0, 0, 1)) {
		t.Fatalf("due at %v though nothing was wanted", got)
	}
}

func TestWantIsScoped(t *testing.T) {
	r := begin(t)
	one, calendars := r.Connection(t, r.tenant.ID, r.resource.ID, "a", "b")
	must(t, r.Store.Select(ctx, r.tenant.ID, calendars[1].ID, false, now))
	for _, test := range []struct {
		name  string
		scope store.WantScope
		want  int
		err   error
	}{
		{"all", store.WantScope{}, 2, nil},
		{"a connection", store.WantScope{Connection: &one.ID}, 1, nil},
		{"a calendar", store.WantScope{Calendar: &calendars[0].ID}, 1, nil},
		{"one that is not selected", store.WantScope{Calendar: &calendars[1].ID}, 0, nil},
		{"no connection", store.WantScope{Connection: new(busy.ConnectionID)}, 0, busy.ErrNotFound},
		{"no calendar", store.WantScope{Calendar: new(busy.CalendarID)}, 0, busy.ErrNotFound},
		{"a calendar of another connection", store.WantScope{Connection: &one.ID, Calendar: &r.calendar.ID}, 0, busy.ErrNotFound},
	} {
		tasks, err := r.Store.Want(ctx, r.tenant.ID, test.scope, now)
		expect(t, err, test.err)
		if len(tasks) != test.want {
			t.Errorf("%s: %d tasks, want %d", test.name, len(tasks), test.want)
		}
	}
	r.release(busy.Release{Outcome: busy.OutcomeOperator, Connection: busy.ConnectionPaused})
	tasks, err := r.Store.Want(ctx, r.tenant.ID, store.WantScope{Connection: &r.calendar.Connection}, now)
	must(t, err)
	if len(tasks) != 0 {
		t.Fatal("a paused connection is synced")
	}
}
