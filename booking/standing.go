package booking

import (
	"time"

	"github.com/busyd/busyd/busy"
)

// Standing is how well a resource's blocks mirror its calendars, for an answer
// about a span.
type Standing struct {
	Resource  busy.ResourceID
	State     busy.CalendarState // the worst of Calendars, or that there are none any more
	AsOf      time.Time          // the oldest of Calendars; zero: one was never read, or they are gone
	Calendars []CalendarStanding

	// Known is the part of the span that every calendar mirrors; it may be
	// empty. Known time without a block is free as far as the calendars tell, which
	// is nothing where KnownState is disconnected.
	Known busy.Span
	// KnownState is State for an answer about Known alone, in which nothing is
	// uncovered.
	KnownState busy.CalendarState
}

// CalendarStanding is the part of one calendar in a [Standing].
type CalendarStanding struct {
	Calendar busy.CalendarID
	State    busy.CalendarState
	AsOf     time.Time // zero: never
}

// Judge tells how well the agenda answers a question about the span at now. A
// resource without a selected calendar has nothing to mirror: it is fresh, as of
// now, unless that is because its accounts are disconnected.
func Judge(a busy.Agenda, span busy.Span, now time.Time, staleAfter time.Duration) Standing {
	s := Standing{
		Resource: a.Resource.ID, State: busy.StateFresh, AsOf: now,
		Known: Known(a, span), KnownState: busy.StateFresh,
	}
	if a.Disconnected {
		s.State, s.KnownState, s.AsOf = busy.StateDisconnected, busy.StateDisconnected, time.Time{}
	}
	for _, c := range a.Calendars {
		state := c.StateFor(span, now, staleAfter)
		s.Calendars = append(s.Calendars, CalendarStanding{Calendar: c.ID, State: state, AsOf: c.AsOf})
		s.State = s.State.Worse(state)
		s.KnownState = s.KnownState.Worse(c.StateFor(c.Covered, now, staleAfter))
		if c.AsOf.Before(s.AsOf) {
			s.AsOf = c.AsOf
		}
	}
	return s
}

// Known returns the part of the span that all of the agenda's calendars mirror;
// it may be empty. Without a calendar it is the span, of which a policy that serves
// the disconnected offers the working hours.
func Known(a busy.Agenda, span busy.Span) busy.Span {
	for _, c := range a.Calendars {
		if c.AsOf.IsZero() {
			return busy.Span{}
		}
		span = span.Intersect(c.Covered)
	}
	return span
}
