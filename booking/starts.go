package booking

import (
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// alignAsked measures the interval from the start of the question's span. It is
// for a meeting that has its time already: other hours do not make that wrong.
const alignAsked busy.Align = "asked"

// openings are when meetings can begin on one resource.
type openings struct {
	any    []busy.Span     // at any instant in these, but for the grid
	starts []time.Duration // those on the grid, since the start of the question's span
}

// openings finds where nothing is in the way of a meeting: inside working hours,
// within the time that is known, free with its buffers, soon and late enough, and
// on no day that is full. Working hours that touch are one: a meeting may lie
// across midnight.
func (q Question) openings(z zones, a busy.Agenda) (openings, error) {
	own, err := z.load(a.Resource, a.Resource.Zone)
	if err != nil {
		return openings{}, err
	}
	span := q.within(a)
	periods, err := z.periods(a.Resource, span)
	if err != nil {
		return openings{}, err
	}
	open := make([]busy.Span, len(periods))
	for i, p := range periods {
		open[i] = p.Intersect(span)
	}
	free := busy.Subtract(busy.Merge(open), taken(a, span, q))
	o := openings{any: q.beginnings(free, q.full(a, own))}
	o.starts = q.onGrid(q.grids(periods), o.any)
	return o, nil
}

// within is the part of the question's span in which a meeting may lie: not begun,
// and known of the resource with its buffers.
func (q Question) within(a busy.Agenda) busy.Span {
	before, after := q.Service.Before, q.Service.After
	span := q.ahead()
	known := Known(a, busy.Span{Start: span.Start.Add(-before), End: span.End.Add(after)})
	known = busy.Span{Start: known.Start.Add(before), End: known.End.Add(-after)}
	if soonest := q.Now.Add(q.Service.Notice); soonest.After(known.Start) {
		known.Start = soonest
	}
	return known
}

// beginnings turns free time into when a meeting that fits into it can begin.
func (q Question) beginnings(free, full []busy.Span) []busy.Span {
	spans := make([]busy.Span, 0, len(free))
	for _, f := range free {
		// A span is open at its end, and a meeting may end when the free time does.
		f.End = f.End.Add(1 - q.Service.Duration)
		if latest := q.Now.Add(q.Service.Horizon); q.Service.Horizon > 0 && f.End.After(latest) {
			f.End = latest.Add(1)
		}
		if !f.Empty() {
			spans = append(spans, f)
		}
	}
	if len(full) == 0 {
		return spans
	}
	return busy.Subtract(spans, full)
}

// onGrid returns the starts of the grids, which are by Start, that lie in the
// spans.
func (q Question) onGrid(grids []grid, spans []busy.Span) []time.Duration {
	starts := make([]time.Duration, 0, q.most(spans))
	since := func(t time.Time) time.Duration { return t.Sub(q.Span.Start) }
	next := 0
	for _, g := range grids {
		for next < len(spans) && !spans[next].End.After(g.Start) {
			next++
		}
		from, opens, closes := since(g.from), since(g.Start), since(g.End)
		for _, s := range spans[next:] {
			first, end := max(opens, since(s.Start)), min(closes, since(s.End))
			if first >= closes {
				break
			}
			start := from + (first-from+q.Service.Interval-1)/q.Service.Interval*q.Service.Interval
			for ; start < end; start += q.Service.Interval {
				starts = append(starts, start)
			}
		}
	}
	if !slices.IsSorted(starts) { // periods overlap
		slices.Sort(starts)
	}
	return slices.Compact(starts)
}

// most is how many starts there are in the spans, if grids do not overlap.
func (q Question) most(spans []busy.Span) int {
	most := 0
	for _, s := range spans {
		most += int(s.End.Sub(s.Start)/q.Service.Interval) + 1
	}
	return most
}
