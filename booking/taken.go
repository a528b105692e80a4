package booking

import (
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// Taken returns when the agenda's blocks, and its claims as of now, take the
// resource's time within the span, merged and clipped to it. Tentative time is
// taken, and so are the buffers of bookings.
func Taken(a busy.Agenda, span busy.Span, now time.Time) []busy.Span {
	return taken(a, span, Question{Now: now})
}

// Free returns the working time within the standing's known time that nothing
// takes. The agenda holds the blocks and claims of that time.
func Free(a busy.Agenda, s Standing, now time.Time) ([]busy.Span, error) {
	open, err := WorkingPeriods(a.Resource, s.Known)
	if err != nil {
		return nil, err
	}
	for i, p := range open {
		open[i] = p.Intersect(s.Known)
	}
	return busy.Subtract(busy.Merge(open), Taken(a, s.Known, now)), nil
}

// taken returns where within the span no meeting of the question may lie, merged
// and clipped: on blocks and claims, and so near that its buffers would.
func taken(a busy.Agenda, span busy.Span, q Question) []busy.Span {
	spans := make([]busy.Span, 0, len(a.Blocks)+len(a.Claims))
	take := func(s busy.Span) {
		if s.Empty() {
			return
		}
		s.Start, s.End = s.Start.Add(-q.Service.After), s.End.Add(q.Service.Before)
		if s = s.Intersect(span); !s.Empty() {
			spans = append(spans, s)
		}
	}
	for _, b := range a.Blocks {
		if b.State != busy.Free {
			take(busy.Span{Start: b.Start, End: b.End})
		}
	}
	for _, c := range a.Claims {
		if q.counts(c) {
			take(c.Blocked)
		}
	}
	return busy.Merge(spans)
}

// counts reports whether a claim takes time from the one who asks.
func (q Question) counts(c busy.Claim) bool {
	return c.Live(q.Now) && !slices.Contains(q.Ignore, c.Booking)
}
