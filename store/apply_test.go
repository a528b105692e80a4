package store_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
)

func change(events ...busy.Event) busy.Page { return busy.Page{Change: busy.Change{Events: events}} }

func seen(keys ...string) map[string]struct{} {
	set := make(map[string]struct{})
	for _, k := range keys {
		set[k] = struct{}{}
	}
	return set
}

func expectTally(t *testing.T, got, want busy.Tally) {
	t.Helper()
	if got != want {
		t.Fatalf("tally %+v, want %+v", got, want)
	}
}

func TestApplyWritesEventsAndBlocks(t *testing.T) {
	r := begin(t)
	expectTally(t, r.events(meeting("a", 10), daily("b", 14, 2)), busy.Tally{Events: 2, Blocks: 3})
	r.expectBlocks("03-03 10:00-11:00 busy", "03-03 14:00-15:00 busy", "03-04 14:00-15:00 busy")
}

func TestApplyWritesTheDifferenceOnly(t *testing.T) {
	r := begin(t)
	r.events(meeting("a", 10), meeting("b", 12), daily("c", 14, 3))

	moved := meeting("a", 11)
	renamed := meeting("b", 12)
	renamed.Subject = "another"
	expectTally(t, r.events(moved, renamed, daily("c", 14, 3)), busy.Tally{Events: 2, Blocks: 2})
	r.expectBlocks("03-03 11:00-12:00 busy", "03-03 12:00-13:00 busy",
		"03-03 14:00-15:00 busy", "03-04 14:00-15:00 busy", "03-05 14:00-15:00 busy")

	r.expanded = 0
	expectTally(t, r.events(moved, renamed, daily("c", 14, 3)), busy.Tally{})
	if r.expanded != 0 {
		t.Fatalf("%d series were expanded though nothing changed", r.expanded)
	}
}

func TestApplyReplacesAKeyAsAWhole(t *testing.T) {
	r := begin(t)
	moved := exception("series", "series", 14, 1, 16)
	second := exception("series", "series", 14, 2, 17)
	r.events(daily("series", 14, 3), moved, second)
	r.expectBlocks("03-03 14:00-15:00 busy", "03-04 16:00-17:00 busy", "03-05 17:00-18:00 busy")

	// The first exception is withdrawn; the order of the object's parts changes.
	expectTally(t, r.events(second, daily("series", 14, 3)), busy.Tally{Events: 1, Blocks: 2})
	r.expectBlocks("03-03 14:00-15:00 busy", "03-04 14:00-15:00 busy", "03-05 17:00-18:00 busy")

	// The series becomes a single event.
	r.events(meeting("series", 14))
	r.expectBlocks("03-03 14:00-15:00 busy")
	if n := r.count("events"); n != 1 {
		t.Fatalf("%d events are left, want 1", n)
	}
}

func TestApplyTellsTwoExceptionsForOneOccurrenceApart(t *testing.T) {
	r := begin(t)
	first, second := exception("s", "s", 14, 1, 16), exception("s", "s", 14, 1, 17)
	second.Sequence = 1
	page := change(daily("s", 14, 2), first, second)
	r.apply(page)
	expectTally(t, r.apply(page), busy.Tally{})
	if n := r.count("events"); n != 3 {
		t.Fatalf("%d events, want 3", n)
	}
}

func TestApplyExpandsAnExceptionWithItsStoredSeries(t *testing.T) {
	r := begin(t)
	r.events(daily("master", 14, 3))
	r.events(exception("other", "master", 14, 1, 9))
	r.expectBlocks("03-03 14:00-15:00 busy", "03-04 09:00-10:00 busy", "03-05 14:00-15:00 busy")

	t.Run("its removal brings the occurrence back", func(t *testing.T) {
		r.apply(busy.Page{Change: busy.Change{Gone: []string{"other"}}})
		r.expectBlocks("03-03 14:00-15:00 busy", "03-04 14:00-15:00 busy", "03-05 14:00-15:00 busy")
	})
	t.Run("the master's removal takes it along", func(t *testing.T) {
		r.events(exception("other", "master", 14, 1, 9))
		expectTally(t, r.apply(busy.Page{Change: busy.Change{Gone: []string{"master"}}}), busy.Tally{Events: 2, Blocks: 3})
		r.expectBlocks()
		if n := r.count("events") + r.count("blocks"); n != 0 {
			t.Fatalf("%d rows are left", n)
		}
	})
}

func TestApplyMovesAnEventToAnotherSeries(t *testing.T) {
	r := begin(t)
	r.events(daily("one", 10, 2), daily("two", 14, 2), exception("x", "one", 10, 1, 11))
	r.expectBlocks("03-03 10:00-11:00 busy", "03-03 14:00-15:00 busy", "03-04 11:00-12:00 busy", "03-04 14:00-15:00 busy")
	r.events(exception("x", "two", 14, 1, 15))
	r.expectBlocks("03-03 10:00-11:00 busy", "03-03 14:00-15:00 busy", "03-04 10:00-11:00 busy", "03-04 15:00-16:00 busy")
}

func TestApplyRemovesWhatAListingDidNotSee(t *testing.T) {
	r := begin(t)
	r.events(meeting("a", 10), meeting("b", 11), daily("c", 14, 2))
	tally := r.apply(busy.Page{
		Change: busy.Change{
			Events:     []busy.Event{meeting("d", 12)},
			Unreadable: []busy.Unreadable{{Key: "c", Version: "v2", Problem: busy.ProblemUnreadable}},
		},
		Seen: seen("b"),
	})
	expectTally(t, tally, busy.Tally{Events: 2, Blocks: 2, Problems: 1})
	r.expectBlocks("03-03 11:00-12:00 busy", "03-03 12:00-13:00 busy", "03-03 14:00-15:00 busy", "03-04 14:00-15:00 busy")

	r.apply(busy.Page{Seen: seen()})
	r.expectBlocks()
}

func TestApplyWithoutSeenRemovesNothing(t *testing.T) {
	r := begin(t)
	r.events(meeting("a", 10))
	r.apply(busy.Page{})
	r.expectBlocks("03-03 10:00-11:00 busy")
}

func TestApplyPrefersAnEventThatThePageAlsoCallsGone(t *testing.T) {
	r := begin(t)
	r.apply(busy.Page{Change: busy.Change{Events: []busy.Event{meeting("a", 10)}, Gone: []string{"a", "never seen"}}})
	r.expectBlocks("03-03 10:00-11:00 busy")
}

func TestApplyKeepsWhatBecomesUnreadable(t *testing.T) {
	r := begin(t)
	r.events(meeting("a", 10))
	bad := busy.Page{Change: busy.Change{Unreadable: []busy.Unreadable{
		{Key: "a", Version: "v2", Problem: busy.ProblemUnreadable}, {Key: "new", Version: "v1", Problem: busy.ProblemTooLarge},
	}}}
	expectTally(t, r.apply(bad), busy.Tally{Events: 1, Problems: 2})
	r.expectBlocks("03-03 10:00-11:00 busy")
	expectTally(t, r.apply(bad), busy.Tally{Problems: 2})

	t.Run("and is read again later", func(t *testing.T) {
		expectTally(t, r.events(meeting("a", 11), meeting("new", 12)), busy.Tally{Events: 2, Blocks: 3})
		r.expectBlocks("03-03 11:00-12:00 busy", "03-03 12:00-13:00 busy")
	})
	t.Run("or goes", func(t *testing.T) {
		r.apply(bad)
		expectTally(t, r.apply(busy.Page{Change: busy.Change{Gone: []string{"a", "new"}}}), busy.Tally{Events: 2, Blocks: 2})
	})
}

func TestApplyNotesAProblemOnEventsOfTheSamePage(t *testing.T) {
	r := begin(t)
	p := change(meeting("a", 10))
	p.Unreadable = []busy.Unreadable{{Key: "a", Version: "v1", Problem: busy.ProblemZone}}
	expectTally(t, r.apply(p), busy.Tally{Events: 1, Blocks: 1, Problems: 1})
	expectTally(t, r.apply(p), busy.Tally{Problems: 1})
	expectTally(t, r.events(meeting("a", 10)), busy.Tally{})
}

func TestApplyNeverFreesTimeForABudget(t *testing.T) {
	r := begin(t)
	for name, failure := range map[string]error{"budget": busy.ErrBudget, "rule": busy.ErrRule} {
		t.Run(name, func(t *testing.T) {
			key := name
			r.events(daily(key, 14, 3), exception(key, key, 14, 2, 16))
			changed := daily(key, 15, 2)
			changed.Recurrence = append(changed.Recurrence, "")
			r.failure[changed.Recurrence[0]] = fmt.Errorf("wrapped: %w", failure)
			tally := r.events(changed)
			if tally.Problems == 0 {
				t.Fatal("a series that was not expanded completely has no problem")
			}
			r.expectBlocks(
				"03-03 14:00-15:00 busy", "03-03 15:00-16:00 busy", "03-04 14:00-15:00 busy", "03-04 15:00-16:00 busy",
				"03-05 16:00-17:00 busy") // the exception is gone, its time is not
			if n := r.orphans(); n != 0 {
				t.Fatalf("%d orphans", n)
			}
			delete(r.failure, changed.Recurrence[0])
			expectTally(t, r.apply(busy.Page{Reexpand: true}), busy.Tally{Blocks: 3})
			r.apply(busy.Page{Seen: seen()})
		})
	}
}

func TestApplyStopsAtAnotherErrorOfExpand(t *testing.T) {
	r := begin(t)
	r.events(meeting("a", 10))
	broken := errors.New("broken")
	e := daily("b", 14, 3)
	r.failure[e.Recurrence[0]] = broken
	_, err := r.tryApply(change(meeting("a", 11), e))
	expect(t, err, broken)
	r.expectBlocks("03-03 10:00-11:00 busy")
}

func TestApplyReexpandsInANewWindow(t *testing.T) {
	r := begin(t)
	r.events(daily("a", 14, 5), meeting("b", 10), meeting("c", 12))
	later := busy.Span{Start: time.Date(2026, 3, 5, 14, 30, 0, 0, time.UTC), End: window.End.AddDate(0, 0, 2)}
	r.apply(busy.Page{Reexpand: true, Window: later, Zone: "Asia/Tokyo"})
	r.expectBlocks("03-05 14:30-15:00 busy", "03-06 14:00-15:00 busy", "03-07 14:00-15:00 busy")
	calendar, err := r.Store.Calendar(ctx, r.tenant.ID, r.calendar.ID)
	must(t, err)
	if calendar.Covered != later {
		t.Fatalf("covered %v, want %v", calendar.Covered, later)
	}
	r.take()
	if r.work.Expanded != "Asia/Tokyo" {
		t.Fatalf("expanded in %q", r.work.Expanded)
	}
}

func TestApplyCoversWhatBothWindowsHaveInCommon(t *testing.T) {
	r := begin(t)
	covered := func() busy.Span {
		calendar, err := r.Store.Calendar(ctx, r.tenant.ID, r.calendar.ID)
		must(t, err)
		return calendar.Covered
	}
	r.apply(busy.Page{})
	if got := covered(); got != window {
		t.Fatalf("after the first page %v, want %v", got, window)
	}
	later := busy.Span{Start: window.Start.AddDate(0, 0, 1), End: window.End.AddDate(0, 0, 1)}
	r.apply(busy.Page{Window: later})
	if got := covered(); got != window {
		t.Fatalf("after a page without changes %v, want %v", got, window)
	}
	r.apply(busy.Page{Change: busy.Change{Events: []busy.Event{meeting("a", 10)}}, Window: later})
	if got, want := covered(), later.Intersect(window); got != want {
		t.Fatalf("after a page with changes %v, want %v", got, want)
	}
	elsewhere := busy.Span{Start: window.End.AddDate(1, 0, 0), End: window.End.AddDate(2, 0, 0)}
	r.apply(busy.Page{Change: busy.Change{Gone: []string{"a"}}, Window: elsewhere})
	if got := covered(); !got.Empty() || got.Start.IsZero() {
		t.Fatalf("after a page in a window far away %v, want nothing", got)
	}
}

func TestApplySplitsLongBlocks(t *testing.T) {
	r := begin(t)
	trip := meeting("trip", 0)
	trip.Start, trip.End = busy.DateOf(2026, 3, 3), busy.DateOf(2026, 3, 6)
	trip.State = busy.OutOfOffice
	expectTally(t, r.events(trip), busy.Tally{Events: 1, Blocks: 3})
	r.expectBlocks("03-03 00:00-02:00 out_of_office all day", "03-04 02:00-04:00 out_of_office all day",
		"03-05 04:00-00:00 out_of_office all day")
	var longest time.Duration
	must(t, r.Owner(t).QueryRow(ctx, `select max(ends_at - starts_at) from blocks`).Scan(&longest))
	if longest > busy.MaxBlock {
		t.Fatalf("a block of %s", longest)
	}
}

func TestApplyKeepsOneOfTwoBlocksThatBeginTogether(t *testing.T) {
	r := begin(t)
	r.expandWith(func(events []busy.Event) []busy.Occurrence {
		start := events[0].Start.Wall
		return []busy.Occurrence{
			{Start: start, End: start.Add(time.Hour), State: busy.Busy},
			{Start: start, End: start.Add(2 * time.Hour), State: busy.Tentative},
			{Start: start, End: start.Add(2 * time.Hour), State: busy.Busy},
			{Start: start, End: start, State: busy.Busy},
			{Start: start.Add(5 * time.Hour), End: start.Add(6 * time.Hour), State: busy.Free},
		}
	}, change(meeting("a", 10)))
	r.expectBlocks("03-03 10:00-12:00 busy")
}

func TestApplyForgetsSubjectsOfThePast(t *testing.T) {
	r := begin(t)
	sealed := func() (n int) {
		must(t, r.Owner(t).QueryRow(ctx, `select count(subject_sealed) from events`).Scan(&n))
		return n
	}
	old := meeting("old", 10)
	old.Start, old.End = busy.DateOf(2025, 1, 1), busy.DateOf(2025, 1, 2)
	page := change(old, meeting("a", 10), daily("s", 14, 2))
	r.apply(page)
	if got := sealed(); got != 2 {
		t.Fatalf("%d subjects, want 2", got)
	}
	later := busy.Span{Start: window.Start.AddDate(0, 1, 0), End: window.End}
	r.apply(busy.Page{Reexpand: true, Window: later})
	if got := sealed(); got != 1 {
		t.Fatalf("%d subjects after the window moved on, want that of the series", got)
	}
	page.Window = later
	expectTally(t, r.apply(page), busy.Tally{})
}

func TestApplyKeepsCursorAndRowsTogether(t *testing.T) {
	r := begin(t)
	p := change(meeting("a", 10))
	p.Cursor = []byte("one")
	r.apply(p)
	bad := change(meeting("a", 11), daily("b", 14, 1))
	bad.Cursor = []byte("two")
	r.failure["RRULE:COUNT=1"] = errors.New("broken")
	if _, err := r.tryApply(bad); err == nil {
		t.Fatal("no error")
	}
	if r.take(); string(r.work.Cursor) != "one" {
		t.Fatalf("cursor %q", r.work.Cursor)
	}
	r.expectBlocks("03-03 10:00-11:00 busy")

	r.apply(busy.Page{Cursor: []byte("three")})
	if r.take(); string(r.work.Cursor) != "three" {
		t.Fatalf("cursor %q after a page with nothing else", r.work.Cursor)
	}
	r.apply(change(meeting("a", 12)))
	if r.take(); string(r.work.Cursor) != "three" {
		t.Fatalf("cursor %q after a page without one", r.work.Cursor)
	}
}

func TestApplyReadsBackEveryFieldOfAnEvent(t *testing.T) {
	r := begin(t)
	e := busy.Event{
		Key: "k", Series: "k", Version: "v", Subject: "s", State: busy.Tentative,
		Start:      busy.Moment{Wall: time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC), Zone: "Europe/Berlin"},
		Length:     busy.Length{Days: 1, Exact: 90 * time.Minute},
		Recurrence: []string{"RRULE:COUNT=2", "EXDATE:20260304T090000"},
		Sequence:   7, Stamp: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	x := busy.Event{
		Key: "k", Series: "k", Version: "v", Cancelled: true, AndFuture: true, Original: busy.DateOf(2026, 3, 4),
		Start: busy.Moment{Wall: time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)}, End: busy.DateOf(2026, 3, 5),
	}
	r.events(e, x)
	var got []busy.Event
	r.expandWith(func(events []busy.Event) []busy.Occurrence {
		got = events
		return nil
	}, busy.Page{Reexpand: true})
	want := []busy.Event{e, x}
	for i := range want { // what is kept under another name, or sealed
		want[i].Subject, want[i].Version = "", ""
		want[i].Key, want[i].Series = got[i].Key, got[i].Series
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	if len(got[0].Key) != 16 || got[0].Key != got[1].Series {
		t.Fatal("the series is not told by its hash")
	}
}

func TestApplyAcceptsTextThatADatabaseDoesNot(t *testing.T) {
	r := begin(t)
	e := meeting("a", 10)
	e.Version, e.Subject = "v\x00\xff", "s\x00\xff"
	page := change(e)
	r.apply(page)
	expectTally(t, r.apply(page), busy.Tally{})
	r.expectBlocks("03-03 10:00-11:00 busy")
}

func TestHeldAreThoseOfObjectsThatWereRead(t *testing.T) {
	r := begin(t)
	r.apply(busy.Page{Change: busy.Change{
		Events: []busy.Event{meeting("a", 10), daily("s", 14, 3), exception("s", "s", 14, 1, 15)},
		Unreadable: []busy.Unreadable{
			{Key: "u", Version: "v1", Problem: busy.ProblemUnreadable},
			{Key: "m", Version: "v1", Problem: busy.ProblemMissing},
			{Key: "l", Version: "v1", Problem: busy.ProblemTooLarge},
		},
	}})
	held, err := r.Store.Held(ctx, r.work.Lease)
	must(t, err)
	if held.Objects != 5 {
		t.Fatalf("%d objects, want 5", held.Objects)
	}
	got := make(map[string]string)
	for _, key := range []string{"a", "s", "u", "m", "l", "nothing"} {
		if v, held := held.Version(key); held {
			got[key] = v
		}
	}
	if want := map[string]string{"a": "v1", "s": "v1", "l": "v1"}; !maps.Equal(got, want) {
		t.Fatalf("versions %v, want %v", got, want)
	}
}

// An incremental history and one complete listing of its end must agree, in rows
// and blocks, whatever the history.
func TestApplyIncrementallyIsApplyingAtOnce(t *testing.T) {
	r := begin(t)
	other := beginIn(t, r.Env, "other")
	state := make(map[string][]busy.Event)
	keys := []string{"a", "b", "c", "d"}
	for step := range 60 {
		key := keys[(step*step+step/3)%len(keys)]
		p := busy.Page{}
		switch step % 5 {
		case 0:
			state[key] = []busy.Event{meeting(key, step%24)}
		case 1, 3:
			state[key] = []busy.Event{daily(key, step%24, step%7), exception(key, key, step%24, step%3, (step+5)%24)}
		case 2:
			delete(state, key)
			p.Gone = []string{key}
		case 4:
			state[key] = []busy.Event{exception(key, "a", 3, step%3, step%24)}
		}
		p.Events = state[key]
		r.apply(p)
		for k, events := range state { // what the contract says of a series that goes
			if k != key && events[0].Series == key && len(p.Gone) > 0 {
				delete(state, k)
			}
		}
		all := busy.Page{Seen: make(map[string]struct{})}
		for _, k := range slices.Sorted(maps.Keys(state)) {
			all.Events = append(all.Events, state[k]...)
		}
		other.apply(all)
		if diff := cmp.Diff(other.blocks(), r.blocks()); diff != "" {
			t.Fatalf("step %d (-at once +incrementally):\n%s", step, diff)
		}
		if n := r.orphans(); n != 0 {
			t.Fatalf("step %d: %d orphans", step, n)
		}
	}
}
