package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
)

// conflicts are the open ones, or all, as what is blocked and whether that is over.
func (o office) conflicts(open bool) []string {
	o.t.Helper()
	all, err := o.Store.Conflicts(ctx, o.tenant, open, busy.ConflictID{}, 0)
	must(o.t, err)
	var text []string
	for _, c := range all {
		line := c.Span.Start.Format("01-02 15:04") + c.Span.End.Format("-15:04")
		if !c.ResolvedAt.IsZero() {
			line += " resolved"
		}
		text = append(text, line)
	}
	return text
}

func (o office) expectConflicts(want ...string) {
	o.t.Helper()
	if diff := cmp.Diff(want, o.conflicts(true)); diff != "" {
		o.t.Fatalf("open conflicts (-want +got):\n%s", diff)
	}
}

// page applies events at a time.
func (r *run) page(at time.Time, events ...busy.Event) {
	r.t.Helper()
	r.apply(busy.Page{Change: busy.Change{Events: events}, At: at})
}

func TestABlockThatLandsOnABookingIsAConflict(t *testing.T) {
	o := openOffice(t, 2)
	r := o.calendarOf(o.resources[0])
	b := o.booking(at(10), o.resources...)
	b.Blocked = busy.Span{Start: b.Span.Start.Add(-10 * time.Minute), End: b.Span.End}
	b = o.book(b)
	held := o.hold(at(14), now.Add(time.Hour), o.resources[0])

	r.page(now, meeting("touches", 11), meeting("elsewhere", 18))
	o.expectConflicts()
	r.page(now, meeting("a", 9), meeting("b", 14)) // the buffer, and a hold
	all, err := o.Store.Conflicts(ctx, o.tenant, true, busy.ConflictID{}, 0)
	must(t, err)
	if len(all) != 2 {
		t.Fatalf("%d conflicts", len(all))
	}
	for _, c := range all {
		want := busy.Conflict{ID: c.ID, Booking: held.ID, Resource: o.resources[0], Span: at(14), DetectedAt: now}
		if c.Booking == b.ID {
			want.Booking, want.Span = b.ID, busy.Span{Start: b.Blocked.Start, End: b.Span.Start}
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Errorf("conflict (-want +got):\n%s", diff)
		}
	}
	told := query(t, o.Owner(t), `select count(*)::text from messages where type = 'booking.conflict_detected' and resource_id = $1`, o.resources[0].String())
	if told[0] != "2" {
		t.Errorf("%s conflicts were told of", told[0])
	}
	r.page(now, meeting("c", 10)) // is in conflict already
	if n := len(o.conflicts(false)); n != 2 {
		t.Errorf("%d conflicts after another block on the same booking", n)
	}
	first, err := o.Store.Conflicts(ctx, o.tenant, true, busy.ConflictID{}, 1)
	must(t, err)
	second, err := o.Store.Conflicts(ctx, o.tenant, true, first[0].ID, 1)
	must(t, err)
	if diff := cmp.Diff(all, append(first, second...)); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

// A conflict ends when the block or the booking is gone from there, and not before.
func TestConflictsAreResolved(t *testing.T) {
	for name, resolve := range map[string]func(o office, r *run, b busy.Booking){
		"the block is gone": func(o office, r *run, _ busy.Booking) {
			r.apply(busy.Page{Change: busy.Change{Gone: []string{"a"}}, At: now})
		},
		"the block is moved": func(o office, r *run, _ busy.Booking) { r.page(now, meeting("a", 18)) },
		"the block is moved past the meeting's end": func(o office, r *run, _ busy.Booking) {
			r.page(now.AddDate(0, 0, 5), meeting("a", 18))
		},
		"the calendar is deselected": func(o office, r *run, _ busy.Booking) {
			must(o.t, o.Store.Select(ctx, o.tenant, r.calendar.ID, false, now))
		},
		"the calendar is disconnected": func(o office, r *run, _ busy.Booking) {
			must(o.t, o.Store.Disconnect(ctx, o.tenant, r.calendar.Connection, false, now))
		},
		"the booking is moved": func(o office, _ *run, b busy.Booking) {
			b.Span, b.Blocked = at(15), at(15)
			o.book(b)
		},
		"the booking goes to somebody else": func(o office, _ *run, b busy.Booking) {
			b.Resources = o.resources[1:]
			o.book(b)
		},
		"the booking is cancelled": func(o office, _ *run, b busy.Booking) {
			b.State = busy.BookingCancelled
			must(o.t, o.Store.Propose(ctx, o.tenant, busy.Proposal{Booking: b, Was: b.Version}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t, 2)
			r := o.calendarOf(o.resources[0])
			b := o.book(o.booking(at(10), o.resources[0]))
			r.page(now, meeting("a", 10))
			o.expectConflicts("03-03 10:00-11:00")
			r.page(now, meeting("b", 12)) // changes nothing here
			b.Seats = 2                   // nor does this
			b = o.book(b)
			o.expectConflicts("03-03 10:00-11:00")
			resolve(o, r, b)
			o.expectConflicts()
			if diff := cmp.Diff([]string{"03-03 10:00-11:00 resolved"}, o.conflicts(false)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// What is over, cancelled or expired is in nobody's way.
func TestWhatTakesNoTimeHasNoConflict(t *testing.T) {
	o := openOffice(t, 1)
	r := o.calendarOf(o.resources[0])
	b := o.book(o.booking(at(10), o.resources[0]))
	cancelled := o.book(o.booking(at(12), o.resources[0]))
	cancelled.State = busy.BookingCancelled
	must(t, o.Store.Propose(ctx, o.tenant, busy.Proposal{Booking: cancelled, Was: cancelled.Version}))
	o.hold(at(14), now.Add(time.Minute), o.resources[0])
	r.page(b.Span.End, meeting("a", 10), meeting("b", 12), meeting("c", 14))
	o.expectConflicts()
	r.page(b.Span.End.Add(-time.Microsecond), meeting("d", 10))
	o.expectConflicts("03-03 10:00-11:00")
}

// A hold that expires takes its conflicts along.
func TestConflictsOfAHoldThatExpires(t *testing.T) {
	o := openOffice(t, 1)
	r := o.calendarOf(o.resources[0])
	o.hold(at(10), now.Add(time.Minute), o.resources[0])
	r.page(now, meeting("a", 10))
	o.expectConflicts("03-03 10:00-11:00")
	_, err := o.Store.ExpireHolds(ctx, now.Add(time.Minute), 10)
	must(t, err)
	o.expectConflicts()
}

// A page that began before a hold of two resources expired is committed after one of
// them was booked anew: its conflict goes when the other is noted.
func TestConflictsOfAHoldThatIsExpiredInPart(t *testing.T) {
	o := openOffice(t, 2)
	r := o.calendarOf(o.resources[1])
	o.hold(at(10), now.Add(time.Minute), o.resources...)
	late := o.booking(at(10), o.resources[0])
	late.ChangedAt = now.Add(time.Minute)
	o.book(late)
	r.page(now, meeting("a", 10))
	_, err := o.Store.ExpireHolds(ctx, now.Add(time.Minute), 10)
	must(t, err)
	o.expectConflicts()
}

// Blocks that start before a booking's week, or long after, on the edges of weeks.
func TestConflictsAreFoundAcrossWeeks(t *testing.T) {
	o := openOffice(t, 1)
	r := o.calendarOf(o.resources[0])
	monday := time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC)
	span := busy.Span{Start: monday.Add(time.Hour), End: monday.Add(2 * time.Hour)}
	o.book(o.booking(span, o.resources[0]))
	long := o.booking(busy.Span{Start: monday.Add(3 * time.Hour), End: monday.Add(busy.MaxBooking)}, o.resources[0])
	o.book(long)
	night := meeting("night", 0)
	night.Start, night.End = busy.InstantOf(monday.Add(-24*time.Hour)), busy.InstantOf(monday.Add(90*time.Minute))
	last := meeting("last", 0)
	last.Start, last.End = busy.InstantOf(long.Span.End.Add(-time.Minute)), busy.InstantOf(long.Span.End.Add(time.Hour))
	r.page(now, night, last)
	want := map[string]bool{"03-09 01:00-01:30": true, "03-15 23:59-00:00": true}
	got := o.conflicts(true)
	if len(got) != 2 || !want[got[0]] || !want[got[1]] || got[0] == got[1] {
		t.Fatalf("conflicts %v", got)
	}
}

// Whichever is committed first, the other one knows: a page flags the booking, or
// the booking is refused. Nothing is between them.
func TestAPageAndABookingAtTheSameMoment(t *testing.T) {
	o := openOffice(t, 1)
	r := o.calendarOf(o.resources[0])
	refused, flagged := 0, 0
	for n := 0; refused < 5 || flagged < 5; n++ {
		if n == 400 {
			t.Fatalf("%d refused and %d flagged of %d", refused, flagged, n)
		}
		day := n % 60
		span := busy.Span{Start: at(10).Start.AddDate(0, 0, day), End: at(10).End.AddDate(0, 0, day)}
		e := meeting(fmt.Sprint("e", n), 10)
		e.Start, e.End = busy.InstantOf(span.Start), busy.InstantOf(span.End)
		p := o.proposal(o.booking(span, o.resources[0]))
		written := make(chan error, 1)
		begin := sync.OnceFunc(func() { go func() { written <- o.Store.Propose(ctx, o.tenant, p) }() })
		if n%2 == 0 {
			begin()
		}
		_, err := r.Store.Apply(ctx, r.work.Lease, busy.Page{
			Change: busy.Change{Events: []busy.Event{e}}, Window: window, Zone: "UTC", At: now,
		}, func(_ context.Context, events []busy.Event) ([]busy.Occurrence, error) {
			begin()
			return r.expand(ctx, events)
		})
		must(t, err)
		err = <-written
		open := o.conflicts(true)
		switch {
		case err == nil && len(open) == 1:
			flagged++
			b := o.stored(p.Booking.ID)
			b.State = busy.BookingCancelled
			must(t, o.Store.Propose(ctx, o.tenant, busy.Proposal{Booking: b, Was: b.Version}))
		case err != nil && len(open) == 0:
			expect(t, err, busy.ErrChanged)
			refused++
		default:
			t.Fatalf("proposal: %v, open conflicts: %v", err, open)
		}
		r.apply(busy.Page{Change: busy.Change{Gone: []string{e.Key}}, At: now})
	}
}

func TestAPageTellsWhatItChanged(t *testing.T) {
	o := openOffice(t, 1)
	r := o.calendarOf(o.resources[0])
	span := func() string {
		return query(t, o.Owner(t), `
			select coalesce((select to_char(starts_at, 'DD HH24:MI') || to_char(ends_at, '-DD HH24:MI') || ' of ' || count(*) over ()
			from messages where type = 'availability.changed' and resource_id = $1 order by seq desc limit 1), '')`,
			o.resources[0].String())[0]
	}
	for _, step := range []struct {
		events []busy.Event
		want   string
	}{
		{nil, ""},
		{[]busy.Event{meeting("a", 10), daily("d", 14, 10)}, "03 10:00-12 15:00 of 1"},
		{[]busy.Event{meeting("a", 10)}, "03 10:00-12 15:00 of 1"},
		{[]busy.Event{meeting("a", 8)}, "03 08:00-03 11:00 of 2"},
	} {
		r.page(now, step.events...)
		if got := span(); got != step.want {
			t.Fatalf("told %q, want %q", got, step.want)
		}
	}
}
