package booking

import (
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// grid is where in a span the service's intervals begin: every one of them from
// an instant that is not after the span's start.
type grid struct {
	busy.Span
	from time.Time
}

// grids returns the grids of the periods, by Start.
func (q Question) grids(periods []period) []grid {
	grids := make([]grid, 0, len(periods))
	for _, p := range periods {
		switch q.Service.Align {
		case alignAsked:
			grids = append(grids, grid{q.Span, q.Span.Start})
		case busy.AlignClock:
			grids = p.readings(grids)
		default:
			grids = append(grids, grid{p.Span, p.Start})
		}
	}
	byStart := func(a, b grid) int { return a.Start.Compare(b.Start) }
	if !slices.IsSortedFunc(grids, byStart) {
		slices.SortFunc(grids, byStart)
	}
	return grids
}

// readings appends the grids of the period by what its clock shows. It is cut
// where a date ends and where the clock is set, so that within each grid the clock
// runs on from a midnight, which may be one that it did not show.
func (p period) readings(grids []grid) []grid {
	for t := p.Start; t.Before(p.End); {
		shift := offset(t, p.zone)
		date := Date(t, p.zone)
		end := date.AddDate(0, 0, 1).Add(-shift)
		if _, set := t.In(p.zone).ZoneBounds(); !set.IsZero() && set.Before(end) {
			end = set
		}
		if p.End.Before(end) {
			end = p.End
		}
		grids = append(grids, grid{busy.Span{Start: t, End: end}, date.Add(-shift)})
		t = end
	}
	return grids
}
