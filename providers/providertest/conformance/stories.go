package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/providertest"
)

// Run tells every story that needs no failing server.
func Run(t *testing.T, h Harness) {
	stories := map[string]func(*testing.T, *mirror){
		"calendars":       calendars,
		"empty":           empty,
		"single":          single,
		"all-day":         allDay,
		"series":          series,
		"not busy":        notBusy,
		"private":         private,
		"moved":           moved,
		"removed":         removed,
		"many":            many,
		"nothing changed": nothingChanged,
		"replayed":        replayed,
		"lost page":       lostPage,
		"any edits":       anyEdits,
	}
	run(t, h, stories)
}

func run(t *testing.T, h Harness, stories map[string]func(*testing.T, *mirror)) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, newMirror(h, h.New(t)))
		})
	}
}

func standup() providertest.Entry {
	return providertest.Entry{Subject: "Standup", Start: at(time.March, 2, 9, 0), End: at(time.March, 2, 9, 30)}
}

const standupBusy = "03-02T08:00Z 03-02T08:30Z busy Standup"

func calendars(t *testing.T, m *mirror) {
	found, err := m.account.Open(t).Calendars(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found {
		if string(c.Remote) == string(m.account.Remote()) {
			return
		}
	}
	t.Fatalf("the calendar is not among the %d listed", len(found))
}

func empty(t *testing.T, m *mirror) {
	m.sync(t)
	m.expect(t)
}

func single(t *testing.T, m *mirror) {
	m.account.Put(t, "a", standup())
	m.sync(t)
	m.expect(t, standupBusy)

	changed := standup()
	changed.Subject, changed.End = "Long standup", at(time.March, 2, 10, 0)
	m.account.Put(t, "a", changed)
	m.sync(t)
	m.expect(t, "03-02T08:00Z 03-02T09:00Z busy Long standup")
}

func allDay(t *testing.T, m *mirror) {
	m.account.Put(t, "trip", providertest.Entry{Subject: "Trip", Start: on(time.March, 28), End: on(time.March, 31)})
	m.sync(t)
	// Summer time begins within: the block is an hour short of three days.
	m.expect(t, "03-27T23:00Z 03-30T22:00Z all day busy Trip")
}

func series(t *testing.T, m *mirror) {
	weekly := providertest.Entry{
		Subject: "Weekly", Start: at(time.March, 16, 9, 0), End: at(time.March, 16, 10, 0),
		Rule:    "FREQ=WEEKLY;COUNT=5",
		Exclude: []busy.Moment{at(time.March, 23, 9, 0)},
		Exceptions: []providertest.Exception{{
			Original: at(time.April, 6, 9, 0),
			Start:    at(time.April, 7, 14, 0), End: at(time.April, 7, 15, 0), Subject: "Weekly, moved",
		}, {
			Original: at(time.April, 13, 9, 0),
			Start:    at(time.April, 13, 9, 0), End: at(time.April, 13, 10, 0), Subject: "Weekly", Cancelled: true,
		}},
	}
	m.account.Put(t, "w", weekly)
	m.sync(t)
	m.expect(t,
		"03-16T08:00Z 03-16T09:00Z busy Weekly",
		"03-30T07:00Z 03-30T08:00Z busy Weekly",
		"04-07T12:00Z 04-07T13:00Z busy Weekly, moved")

	weekly.Exceptions = nil
	m.account.Put(t, "w", weekly)
	m.sync(t)
	m.expect(t,
		"03-16T08:00Z 03-16T09:00Z busy Weekly",
		"03-30T07:00Z 03-30T08:00Z busy Weekly",
		"04-06T07:00Z 04-06T08:00Z busy Weekly",
		"04-13T07:00Z 04-13T08:00Z busy Weekly")
}

func notBusy(t *testing.T, m *mirror) {
	for name, change := range map[string]func(*providertest.Entry){
		"cancelled": func(e *providertest.Entry) { e.Cancelled = true },
		"free":      func(e *providertest.Entry) { e.Free = true },
		"declined":  func(e *providertest.Entry) { e.Declined = true },
		"tentative": func(e *providertest.Entry) { e.Tentative = true },
	} {
		e := standup()
		change(&e)
		m.account.Put(t, name, e)
	}
	m.sync(t)
	m.expect(t, "03-02T08:00Z 03-02T08:30Z tentative Standup")
}

// The title of what is private is not kept; that of what is so no longer is.
func private(t *testing.T, m *mirror) {
	e := standup()
	e.Private = true
	m.account.Put(t, "a", e)
	m.sync(t)
	m.expect(t, "03-02T08:00Z 03-02T08:30Z busy Busy")
	e.Private = false
	m.account.Put(t, "a", e)
	m.sync(t)
	m.expect(t, standupBusy)
}

func moved(t *testing.T, m *mirror) {
	m.account.Put(t, "a", standup())
	m.sync(t)
	e := standup()
	e.Start, e.End = at(time.May, 4, 11, 0), at(time.May, 4, 11, 30)
	m.account.Put(t, "a", e)
	m.sync(t)
	m.expect(t, "05-04T09:00Z 05-04T09:30Z busy Standup")
}

func removed(t *testing.T, m *mirror) {
	daily := standup()
	daily.Rule, daily.Subject = "FREQ=DAILY;COUNT=30", "Daily"
	daily.Exceptions = []providertest.Exception{{
		Original: at(time.March, 3, 9, 0),
		Start:    at(time.March, 3, 12, 0), End: at(time.March, 3, 13, 0), Subject: "Moved",
	}}
	m.account.Put(t, "a", standup())
	m.account.Put(t, "d", daily)
	m.sync(t)
	m.account.Remove(t, "d")
	m.sync(t)
	m.expect(t, standupBusy)
	m.account.Remove(t, "a")
	m.sync(t)
	m.expect(t)
}

// manyEntries are more than a page of any harness: a harness sets its provider's
// page size to less.
const manyEntries = 45

func many(t *testing.T, m *mirror) {
	want := make([]string, 0, manyEntries)
	for i := range manyEntries {
		e := standup()
		e.Subject = fmt.Sprintf("Number %d", i)
		m.account.Put(t, fmt.Sprintf("n%d", i), e)
		want = append(want, fmt.Sprintf("03-02T08:00Z 03-02T08:30Z busy Number %d", i))
	}
	m.sync(t)
	m.expect(t, want...)
	if m.pages < 2 {
		t.Fatalf("%d objects came in %d page: the story needs more than one", manyEntries, m.pages)
	}

	m.account.Remove(t, "n7")
	m.cursor = nil
	m.sync(t)
	m.expect(t, slices.Delete(want, 7, 8)...)
	if m.fetched > 0 {
		t.Errorf("a complete listing fetched %d events that are held", m.fetched)
	}
}

// nothingChanged: the first poll may exchange the cursor for a better one.
func nothingChanged(t *testing.T, m *mirror) {
	m.account.Put(t, "a", standup())
	m.sync(t)
	for poll := range 3 {
		before, cursor := m.account.Requests(), string(m.cursor)
		m.sync(t)
		if sent := m.account.Requests() - before; sent != 1 {
			t.Errorf("a poll that finds nothing new sent %d requests, want 1", sent)
		}
		if poll > 0 && string(m.cursor) != cursor {
			t.Error("a poll that finds nothing new returned another cursor")
		}
	}
	m.expect(t, standupBusy)
}

// replayed: a caller that crashed before it saved a cursor asks again.
func replayed(t *testing.T, m *mirror) {
	m.account.Put(t, "a", standup())
	m.account.Put(t, "b", standup())
	m.sync(t)
	m.sync(t)
	old := m.cursor
	m.account.Remove(t, "a")
	m.sync(t)
	m.expect(t, standupBusy)
	m.cursor = old
	m.sync(t)
	m.expect(t, standupBusy)
}

// lostPage: another session must not go on in the middle of a complete listing,
// nor end one that it has not begun.
func lostPage(t *testing.T, m *mirror) {
	for i := range manyEntries {
		m.account.Put(t, fmt.Sprintf("n%d", i), standup())
	}
	first, err := m.account.Open(t).Changes(context.Background(), m.query(nil))
	if err != nil || !first.Full || !first.More {
		t.Fatalf("first page: full %v, more %v, %v", first.Full, first.More, err)
	}
	page, err := m.account.Open(t).Changes(context.Background(), m.query(first.Cursor))
	if err == nil && page.Full && !page.More {
		t.Fatal("a session ended a listing that another had begun")
	}
	if err != nil && providers.FaultOf(err) != providers.CursorExpired {
		t.Fatalf("a lost listing is an error of kind %v", providers.FaultOf(err))
	}
}

// anyEdits: whatever the owner does, incremental equals complete.
func anyEdits(t *testing.T, m *mirror) {
	random := rand.New(rand.NewPCG(1, 2))
	held := map[string]bool{}
	for range 12 {
		for range 1 + random.IntN(4) {
			name := fmt.Sprintf("e%d", random.IntN(12))
			if held[name] && random.IntN(3) == 0 {
				m.account.Remove(t, name)
				delete(held, name)
				continue
			}
			m.account.Put(t, name, anyEntry(random, name))
			held[name] = true
		}
		m.sync(t)
		complete := newMirror(Harness{Expand: m.expand}, m.account)
		complete.sync(t)
		m.expect(t, complete.busy(t)...)
		// A server may show each occurrence of a series as an object of its own.
		if len(m.events) != len(complete.events) || len(m.events) < len(held) {
			t.Fatalf("%d objects are mirrored, a complete listing has %d, %d entries exist", len(m.events), len(complete.events), len(held))
		}
	}
}

func anyEntry(random *rand.Rand, name string) providertest.Entry {
	day, hour := 1+random.IntN(28), 8+random.IntN(8)
	e := providertest.Entry{Subject: name, Start: at(time.April, day, hour, 0), End: at(time.April, day, hour+1, 0)}
	if random.IntN(2) == 0 {
		e.Rule = "FREQ=DAILY;COUNT=4"
	}
	e.Free = random.IntN(4) == 0
	return e
}

// at is a clock reading in Zone.
func at(month time.Month, day, hour, minute int) busy.Moment {
	return busy.Moment{Wall: time.Date(2026, month, day, hour, minute, 0, 0, time.UTC), Zone: providertest.Zone}
}

func on(month time.Month, day int) busy.Moment { return busy.DateOf(2026, month, day) }
