package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/caldavreal"
)

// owner has a calendar at a real server, and knows when it makes busy.
type owner struct {
	t        testing.TB
	radicale *caldavreal.Server
	monday   time.Time   // of next week; no entry is before it
	owned    []busy.Span // when the owner is busy
	added    int         // entries beside those that never change
}

const calendarName = "work"

// newOwner puts the entries that never change.
func newOwner(t testing.TB, radicale *caldavreal.Server) *owner {
	t.Helper()
	radicale.MakeCalendar(t, calendarName)
	now := time.Now().UTC()
	o := &owner{t: t, radicale: radicale}
	o.monday = time.Date(now.Year(), now.Month(), now.Day()+7-(int(now.Weekday())+6)%7, 0, 0, 0, 0, time.UTC)
	o.putEntries()
	o.countEntries()
	return o
}

func (o *owner) put(name string, e providertest.Entry) {
	o.t.Helper()
	o.radicale.Put(o.t, calendarName, name+".ics", e.ICS(name, o.radicale.Username))
}

func (o *owner) putEntries() {
	o.t.Helper()
	wall := func(days, hour int) busy.Moment {
		return busy.Moment{Wall: o.monday.AddDate(0, 0, days).Add(time.Duration(hour) * time.Hour), Zone: "Europe/Berlin"}
	}
	date := func(days int) busy.Moment { return busy.Moment{Wall: o.monday.AddDate(0, 0, days), Date: true} }
	o.put("weekly", providertest.Entry{Subject: "Weekly", Start: wall(0, 9), End: wall(0, 10), Rule: "FREQ=WEEKLY;COUNT=50"})
	o.put("trip", providertest.Entry{Subject: "Trip", Start: date(1), End: date(4)})
	o.put("single", providertest.Entry{Subject: "Single", Start: wall(4, 11), End: wall(4, 13)})
	o.put("course", providertest.Entry{
		Subject: "Course", Start: wall(5, 10), End: wall(5, 11), Rule: "FREQ=WEEKLY;COUNT=8",
		Exceptions: []providertest.Exception{
			{Original: wall(19, 10), Start: wall(20, 15), End: wall(20, 17), Subject: "Course, moved"},
			{Original: wall(26, 10), Start: wall(26, 10), End: wall(26, 11), Subject: "Course", Cancelled: true},
		},
		Exclude: []busy.Moment{wall(33, 10)},
	})
}

// countEntries counts out when the same entries are. A week is an hour longer or
// shorter where clocks change.
func (o *owner) countEntries() {
	o.t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		o.t.Fatal(err)
	}
	at := func(days, hour int) time.Time {
		return time.Date(o.monday.Year(), o.monday.Month(), o.monday.Day()+days, hour, 0, 0, 0, berlin)
	}
	for week := range 50 {
		o.owned = append(o.owned, busy.Span{Start: at(7*week, 9), End: at(7*week, 10)})
	}
	o.owned = append(o.owned, busy.Span{Start: at(1, 0), End: at(4, 0)}, busy.Span{Start: at(4, 11), End: at(4, 13)})
	for week := range 8 {
		switch week {
		case 2: // moved to the day after
			o.owned = append(o.owned, busy.Span{Start: at(7*week+6, 15), End: at(7*week+6, 17)})
		case 3: // cancelled
		case 4: // excluded
		default:
			o.owned = append(o.owned, busy.Span{Start: at(7*week+5, 10), End: at(7*week+5, 11)})
		}
	}
}

// add puts another entry, two hours on a Friday.
func (o *owner) add() {
	o.t.Helper()
	start := o.monday.AddDate(0, 0, 7*o.added+4).Add(18 * time.Hour)
	another := busy.Span{Start: start, End: start.Add(2 * time.Hour)}
	o.put(fmt.Sprintf("added-%d", o.added), providertest.Entry{
		Subject: "Another", Start: busy.InstantOf(another.Start), End: busy.InstantOf(another.End),
	})
	o.owned = append(o.owned, another)
	o.added++
}

// truth is when the owner is busy within the span.
func (o *owner) truth(within busy.Span) []busy.Span { return united(o.owned, within) }

// united is the union of the spans within another.
func united(spans []busy.Span, within busy.Span) []busy.Span {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b busy.Span) int { return a.Start.Compare(b.Start) })
	union := []busy.Span{}
	for _, s := range spans {
		if s.Start.Before(within.Start) {
			s.Start = within.Start
		}
		if s.End.After(within.End) {
			s.End = within.End
		}
		if !s.Start.Before(s.End) {
			continue
		}
		if n := len(union); n > 0 && !s.Start.After(union[n-1].End) {
			if s.End.After(union[n-1].End) {
				union[n-1].End = s.End
			}
			continue
		}
		union = append(union, s)
	}
	return union
}

func same(a, b []busy.Span) bool {
	return slices.EqualFunc(a, b, func(a, b busy.Span) bool { return a.Start.Equal(b.Start) && a.End.Equal(b.End) })
}
