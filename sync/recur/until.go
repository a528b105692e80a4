package recur

import (
	"context"
	"time"

	"github.com/busyd/busyd/busy"
)

// Until returns an instant after which no occurrence of the series ends. It is
// not always the earliest such instant. ok is false if there is none, or if
// finding one takes more than the budget. A series without any occurrence has the
// zero time.
func (x *Expander) Until(series []busy.Event, zone *time.Location) (until time.Time, ok bool) {
	e := x.begin(context.Background(), series, zone)
	var latest bound
	for i := range series {
		event := &series[i]
		switch {
		case event.Start.IsZero():
		case !event.Original.IsZero():
			if blocks(event) {
				latest.add(e.ends(event))
			}
		case !e.untilMaster(i, &latest):
			return time.Time{}, false
		}
	}
	if !latest.set {
		return time.Time{}, true
	}
	return time.Unix(latest.at, 0).UTC(), true
}

// bound is the greatest of the instants added.
type bound struct {
	at  int64
	set bool
}

func (b *bound) add(at int64) {
	if !b.set || at > b.at {
		b.at, b.set = at, true
	}
}

// ends is when an event's own occurrence is over.
func (x *expansion) ends(e *busy.Event) int64 {
	t, wall := x.timing(e), wallOf(e.Start)
	return t.end(t.begin(wall), wall)
}

func (x *expansion) untilMaster(index int, latest *bound) (ok bool) {
	m := x.master(&x.series[index])
	_, future := x.exceptions(m)
	regimes := x.regimes(index, m, future)
	anyBlocks := false
	for _, r := range regimes {
		anyBlocks = anyBlocks || r.blocks
	}
	if !anyBlocks {
		return true
	}
	last, ok := x.lastReading(m, latest)
	if !ok {
		return false
	}
	for _, r := range regimes {
		if r.blocks {
			start := r.begin(last + r.delta)
			latest.add(max(start, r.end(start, last+r.delta)) + 2*day)
		}
	}
	return true
}

// lastReading is a reading after which no instance of the set starts. Periods add
// their own ends to latest.
func (x *expansion) lastReading(m *master, latest *bound) (last int64, ok bool) {
	last = m.start
	for _, p := range m.rules {
		wall, bounded := p.final(x.budget)
		if !bounded {
			return 0, false
		}
		last = max(last, wall)
	}
	x.window = span{minWall - 2*day, maxWall + 2*day}
	for _, d := range m.rdates {
		i, in := x.rdate(m, d, nil)
		if !in {
			continue
		}
		last = max(last, i.wall)
		if i.period {
			latest.add(i.end)
		}
	}
	return last, x.budget.err == nil
}
