package booking

import (
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// Cause is why a meeting cannot be; a stable code.
type Cause string

// The causes.
const (
	CauseState    Cause = "state"        // the booking is not in the state for what is asked
	CauseForeign  Cause = "not_a_server" // the resource does not serve the service
	CauseBegun    Cause = "begun"        // it would begin in the past
	CauseNotice   Cause = "notice"       // too short notice
	CauseHorizon  Cause = "horizon"      // too far ahead
	CauseHours    Cause = "hours"        // outside of the weekly working hours
	CauseOverride Cause = "override"     // outside of working hours, by an override of its date
	CausePolicy   Cause = "policy"       // a calendar is not fresh, or all are disconnected, and the policy minds
	CauseUnknown  Cause = "unknown"      // nothing is known of that time
	CauseInterval Cause = "interval"     // between two starts of the service's interval
	CauseDay      Cause = "day_limit"    // the day has as many meetings as it may
	CauseWeek     Cause = "week_limit"   // the week has
	CauseBlock    Cause = "block"        // a calendar's event
	CauseBooking  Cause = "booking"      // another booking, or the seats of its meeting
	CauseNeeds    Cause = "needs"        // those who are free cannot meet all needs together
)

// Causes lists every cause. Where several are in the way, the first is the one to
// name: what comes later may change by itself.
func Causes() []Cause {
	return []Cause{
		CauseState, CauseForeign, CauseBegun, CauseNotice, CauseHorizon, CauseHours, CauseOverride, CausePolicy, CauseUnknown,
		CauseInterval, CauseDay, CauseWeek, CauseBlock, CauseBooking, CauseNeeds,
	}
}

// Reason is one cause with what can be shown of it. There are no subjects in it.
type Reason struct {
	Cause Cause
	// Span of the block, of the booking with its buffers, of the override's date, or
	// of the day or week that is full; empty for the other causes.
	Span     busy.Span
	State    busy.State         // of a block
	Booking  busy.BookingID     // of a booking
	Override busy.OverrideID    // of an override
	Calendar busy.CalendarID    // of a calendar that the policy minds; zero: it minds that there is none any more
	Standing busy.CalendarState // of that calendar, or disconnected
}

// Explain returns everything because of which the agenda's resource cannot serve
// a meeting of the service that begins at the time, in the order of [Causes];
// nothing if it can. What others are needed for the meeting is not looked at.
func Explain(a busy.Agenda, q Question, at time.Time) ([]Reason, error) {
	q = q.at(at)
	reasons, err := q.against(a)
	if err != nil || len(reasons) == 0 || q.capacity() == 1 {
		return reasons, err
	}
	for _, c := range a.Claims { // a seat in a shared meeting would do as well
		if c.Service != q.Service.ID || !q.counts(c) || c.Span.Start.Compare(at) != 0 || !c.Span.End.Equal(q.Span.End) ||
			q.capacity()-seatsOf(a, c.Session, q) < q.seats() {
			continue
		}
		others, err := q.granted().against(without(a, c.Session))
		if err != nil || len(others) == 0 {
			return nil, err
		}
	}
	return reasons, nil
}

// against collects the reasons against a new meeting in the question's span.
func (q Question) against(a busy.Agenda) ([]Reason, error) {
	z := zones{}
	own, err := z.load(a.Resource, a.Resource.Zone)
	if err != nil {
		return nil, err
	}
	reasons := q.tooSoonOrFar(a)
	hours, err := q.againstHours(z, a, own)
	if err != nil {
		return nil, err
	}
	return slices.Concat(reasons, hours, q.againstStanding(a), q.againstLimits(a, own), q.againstTaken(a)), nil
}

func (q Question) tooSoonOrFar(a busy.Agenda) []Reason {
	var reasons []Reason
	ahead := q.Span.Start.Sub(q.Now)
	if !slices.Contains(q.Service.Resources(), a.Resource.ID) {
		reasons = append(reasons, Reason{Cause: CauseForeign})
	}
	switch {
	case ahead < 0:
		reasons = append(reasons, Reason{Cause: CauseBegun})
	case ahead < q.Service.Notice:
		reasons = append(reasons, Reason{Cause: CauseNotice})
	}
	if q.Service.Horizon > 0 && ahead > q.Service.Horizon {
		reasons = append(reasons, Reason{Cause: CauseHorizon})
	}
	return reasons
}

func (q Question) againstHours(z zones, a busy.Agenda, own *time.Location) ([]Reason, error) {
	periods, err := z.periods(a.Resource, q.Span)
	if err != nil {
		return nil, err
	}
	open := make([]busy.Span, len(periods))
	for i, p := range periods {
		open[i] = p.Span
	}
	open = busy.Merge(open)
	if !slices.ContainsFunc(open, func(s busy.Span) bool { return s.Contains(q.Span) }) {
		return []Reason{outside(a.Resource, q.Span, own)}, nil
	}
	if len(q.onGrid(q.grids(periods), []busy.Span{{Start: q.Span.Start, End: q.Span.Start.Add(1)}})) == 0 {
		return []Reason{{Cause: CauseInterval}}, nil
	}
	return nil, nil
}

// outside tells whether it is an override that makes the hours of the span's dates.
func outside(r busy.Resource, span busy.Span, own *time.Location) Reason {
	last := dateAt(span.End.Add(-1), own)
	for date := dateAt(span.Start, own); !date.After(last); date = date.AddDate(0, 0, 1) {
		if by := ruleOf(r, date).by; !by.IsZero() {
			return Reason{Cause: CauseOverride, Span: Day(date, own), Override: by}
		}
	}
	return Reason{Cause: CauseHours}
}

func (q Question) againstStanding(a busy.Agenda) []Reason {
	var reasons []Reason
	standing := q.standing(a)
	if a.Disconnected && q.Service.Policy != busy.ServeStale {
		reasons = append(reasons, Reason{Cause: CausePolicy, Standing: busy.StateDisconnected})
	}
	for i, c := range a.Calendars {
		state := c.StateFor(c.Covered, q.Now, q.staleAfter())
		if q.Service.Policy == busy.Reject {
			state = standing.Calendars[i].State
		}
		if state != busy.StateFresh && q.Service.Policy != busy.ServeStale {
			reasons = append(reasons, Reason{Cause: CausePolicy, Calendar: c.ID, Standing: state})
		}
	}
	if with := q.Reads(); Known(a, with) != with {
		reasons = append(reasons, Reason{Cause: CauseUnknown})
	}
	return reasons
}

func (q Question) againstLimits(a busy.Agenda, own *time.Location) []Reason {
	var reasons []Reason
	one := q
	one.Service.MaxPerWeek = 0
	for _, s := range one.full(a, own) {
		if holds(s, q.Span.Start) {
			reasons = append(reasons, Reason{Cause: CauseDay, Span: Day(dateAt(q.Span.Start, own), own)})
		}
	}
	one = q
	one.Service.MaxPerDay = 0
	for _, s := range one.full(a, own) {
		if holds(s, q.Span.Start) {
			reasons = append(reasons, Reason{Cause: CauseWeek, Span: week(weekAt(q.Span.Start, own), own)})
		}
	}
	return reasons
}

func (q Question) againstTaken(a busy.Agenda) []Reason {
	var reasons []Reason
	with := q.Reads()
	for _, b := range a.Blocks {
		s := busy.Span{Start: b.Start, End: b.End}
		if b.State != busy.Free && !s.Empty() && s.Overlaps(with) {
			reasons = append(reasons, Reason{Cause: CauseBlock, Span: s, State: b.State})
		}
	}
	for _, c := range a.Claims {
		if q.counts(c) && !c.Blocked.Empty() && c.Blocked.Overlaps(with) {
			reasons = append(reasons, Reason{Cause: CauseBooking, Span: c.Blocked, Booking: c.Booking})
		}
	}
	return reasons
}
