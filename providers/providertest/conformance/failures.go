package conformance

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/providertest"
)

// RunFaults tells the stories in which the server fails. The harness must make
// accounts that are [Breakable].
func RunFaults(t *testing.T, h Harness) {
	stories := map[string]func(*testing.T, *mirror){
		"cursor expired":  func(t *testing.T, m *mirror) { cursorExpired(t, m, breakable(t, m)) },
		"revoked":         failing(providertest.Locked, providers.Revoked, 0),
		"refused once":    func(t *testing.T, m *mirror) { refusedOnce(t, m, breakable(t, m)) },
		"throttled":       failing(providertest.Busy, providers.Throttled, 2*time.Minute),
		"down":            failing(providertest.Down, providers.Transient, 0),
		"empty answers":   failing(providertest.Empty, providers.Transient, 0),
		"cut-off answers": failing(providertest.CutOff, providers.Transient, 0),
		"foreign answers": failing(providertest.Foreign, providers.Transient, 0),
		"all missing":     failing(providertest.Missing, providers.Transient, 0),
		"calendar gone":   func(t *testing.T, m *mirror) { calendarGone(t, m, breakable(t, m)) },
		"unreadable":      func(t *testing.T, m *mirror) { unreadable(t, m, breakable(t, m)) },
		"dropped object":  func(t *testing.T, m *mirror) { droppedObject(t, m, breakable(t, m)) },
	}
	about := map[providertest.Failure]string{providertest.Forgetful: "cursor expired", providertest.Missing: "all missing", providertest.DropsObjects: "dropped object"}
	for _, f := range h.Cannot {
		name, optional := about[f]
		if !optional {
			t.Fatalf("every server can fail like this: %s", f)
		}
		delete(stories, name)
	}
	run(t, h, stories)
}

func breakable(t *testing.T, m *mirror) Breakable {
	t.Helper()
	b, ok := m.account.(Breakable)
	if !ok {
		t.Fatal("the harness's accounts are not Breakable")
	}
	return b
}

// failing breaks the server for a poll and for a complete listing. Both must
// fail in the way that the failure calls for, change nothing, and succeed
// afterwards.
func failing(f providertest.Failure, want providers.Fault, after time.Duration) func(*testing.T, *mirror) {
	return func(t *testing.T, m *mirror) {
		account := breakable(t, m)
		account.Put(t, "a", standup())
		account.Put(t, "b", standup())
		m.sync(t)
		m.sync(t)
		account.Remove(t, "b")
		for _, cursor := range []providers.Cursor{m.cursor, nil} {
			account.Break(t, f)
			err := m.from(t, cursor)
			account.Heal(t)
			if err == nil {
				t.Fatalf("%s, and a sync from cursor %t succeeded", f, cursor != nil)
			}
			if got := providers.FaultOf(err); got != want || providers.AfterOf(err) != after {
				t.Fatalf("%s: the fault is %v with a pause of %v, want %v and %v", f, got, providers.AfterOf(err), want, after)
			}
			noMarks(t, "error", err.Error())
			m.expect(t, standupBusy, standupBusy)
		}
		m.sync(t)
		m.expect(t, standupBusy)
	}
}

func cursorExpired(t *testing.T, m *mirror, account Breakable) {
	account.Put(t, "a", standup())
	account.Put(t, "b", standup())
	m.sync(t)
	m.sync(t)
	account.Remove(t, "a")
	account.Break(t, providertest.Forgetful)
	err := m.from(t, m.cursor)
	if providers.FaultOf(err) != providers.CursorExpired {
		t.Fatalf("%s: %v", providertest.Forgetful, err)
	}
	m.sync(t)
	m.expect(t, standupBusy)
	account.Heal(t)
	m.sync(t)
	m.expect(t, standupBusy)
	if _, err := account.Open(t).Changes(context.Background(), m.query(providers.Cursor("garbage"))); providers.FaultOf(err) != providers.CursorExpired {
		t.Fatalf("a cursor that cannot be read: %v", err)
	}
}

func refusedOnce(t *testing.T, m *mirror, account Breakable) {
	account.Put(t, "a", standup())
	m.sync(t)
	account.Break(t, providertest.LockedOnce)
	if err := m.try(t); err != nil && providers.FaultOf(err) != providers.Transient {
		t.Fatalf("%s: %v", providertest.LockedOnce, err)
	}
	m.sync(t)
	m.expect(t, standupBusy)
}

func calendarGone(t *testing.T, m *mirror, account Breakable) {
	account.Put(t, "a", standup())
	m.sync(t)
	account.RemoveCalendar(t)
	for _, cursor := range []providers.Cursor{m.cursor, nil} {
		if err := m.from(t, cursor); providers.FaultOf(err) != providers.CalendarGone {
			t.Fatalf("the calendar was removed, and a sync from cursor %t said: %v", cursor != nil, err)
		}
	}
	m.expect(t, standupBusy)
}

func unreadable(t *testing.T, m *mirror, account Breakable) {
	account.Put(t, "a", standup())
	account.Put(t, "b", standup())
	m.sync(t)
	account.PutUnreadable(t, "b")
	account.PutUnreadable(t, "c")
	account.Put(t, "d", standup())
	m.sync(t)
	if len(m.unreadable) != 2 {
		t.Fatalf("%d objects are reported, want 2", len(m.unreadable))
	}
	// What was known of b stays.
	m.expect(t, standupBusy, standupBusy, standupBusy)
	account.Remove(t, "c")
	account.Put(t, "b", standup())
	m.sync(t)
	m.expect(t, standupBusy, standupBusy, standupBusy)
	if len(m.unreadable) != 0 {
		t.Fatalf("%d objects are reported, want 0", len(m.unreadable))
	}
}

func droppedObject(t *testing.T, m *mirror, account Breakable) {
	for i := range 5 {
		account.Put(t, fmt.Sprintf("n%d", i), standup())
	}
	m.sync(t)
	account.Put(t, "n1", providertest.Entry{Subject: "Changed", Start: at(time.March, 2, 12, 0), End: at(time.March, 2, 13, 0)})
	account.Put(t, "n2", providertest.Entry{Subject: "Changed", Start: at(time.March, 3, 12, 0), End: at(time.March, 3, 13, 0)})
	account.Break(t, providertest.DropsObjects)
	if err := m.try(t); err == nil && len(m.unreadable) == 0 && len(m.busy(t)) != 5 {
		t.Fatal("an object that is listed was taken for removed")
	}
	for key, problem := range m.unreadable {
		if problem != busy.ProblemMissing {
			t.Fatalf("the problem of %d is %s", len(key), problem)
		}
	}
	account.Heal(t)
	m.sync(t)
	m.expect(t, standupBusy, standupBusy, standupBusy,
		"03-02T11:00Z 03-02T12:00Z busy Changed", "03-03T11:00Z 03-03T12:00Z busy Changed")
}
