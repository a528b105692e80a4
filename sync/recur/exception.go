package recur

import (
	"cmp"
	"slices"

	"github.com/busyd/busyd/busy"
)

// exception is an event that replaces an occurrence of its series.
type exception struct {
	*busy.Event
	index int
	// at is the instant it names; where byDay is set it named a date only, or the
	// series has dates only, and at is where that date begins.
	at    int64
	byDay bool
	wall  int64 // at, on the clock of the series
}

func (e exception) day() int64 { return floorDiv(e.wall, day) }

// exceptions are those of a series: one at most for each occurrence, and one at
// most that extends to the occurrences after it. Of two, the one with the higher
// Sequence, then the later Stamp, counts. m is nil for a series without a master.
func (x *expansion) exceptions(m *master) (own, future []exception) {
	var ownAt, futureAt map[place]int
	for i := range x.series {
		event := &x.series[i]
		if event.Original.IsZero() || !x.budget.step(1) {
			continue
		}
		if event.Start.IsZero() && blocks(event) {
			x.fail(malformed("an exception has no start"))
			continue
		}
		if ownAt == nil {
			ownAt, futureAt = make(map[place]int), make(map[place]int)
		}
		e := x.exception(i, m)
		own = newest(own, ownAt, e)
		if event.AndFuture {
			future = newest(future, futureAt, e)
		}
	}
	return own, future
}

// place is which occurrence an exception replaces.
type place struct {
	at    int64
	byDay bool
}

// newest adds an exception to a list unless the list has a newer one for the
// same place; index tells where the list has which.
func newest(list []exception, index map[place]int, e exception) []exception {
	p := place{e.at, e.byDay}
	switch i, twice := index[p]; {
	case !twice:
		index[p] = len(list)
		list = append(list, e)
	case newer(e.Event, list[i].Event):
		list[i] = e
	}
	return list
}

func (x *expansion) exception(i int, m *master) exception {
	e := exception{Event: &x.series[i], index: i}
	clock := x.clock(e.Original.Zone)
	switch {
	case m != nil && m.date:
		e.byDay = true
		e.wall = x.dateOf(e.Original) * day
		e.at = m.begin(e.wall)
	case e.Original.Date && m != nil:
		e.byDay = true
		e.wall = wallOf(e.Original)
		e.at = m.clock.startOfDay(e.day())
	case e.Original.Date:
		e.byDay = true
		e.wall = wallOf(e.Original)
		e.at = x.home.startOfDay(e.day())
	case m != nil:
		if e.Original.Zone == "" {
			clock = m.clock
		}
		e.at = clock.instant(wallOf(e.Original))
		e.wall = m.clock.wall(e.at)
	default:
		e.wall = wallOf(e.Original)
		e.at = clock.instant(e.wall)
	}
	return e
}

func blocks(e *busy.Event) bool { return e.State != busy.Free && !e.Cancelled }

func newer(a, b *busy.Event) bool {
	if a.Sequence != b.Sequence {
		return a.Sequence > b.Sequence
	}
	return a.Stamp.After(b.Stamp)
}

// replace marks the instances that exceptions replace: those at the very instant,
// then for an exception without one, the nearest left on the same date.
func replace(list []instance, exceptions []exception) {
	var rest []exception
	for _, e := range exceptions {
		if i := search(list, e.at); !e.byDay && i < len(list) && list[i].at == e.at {
			list[i].gone = true
			continue
		}
		rest = append(rest, e)
	}
	for _, e := range rest {
		best := -1
		for i := search(list, e.at-3*day); i < len(list) && list[i].at < e.at+3*day; i++ {
			if list[i].day() != e.day() || list[i].gone {
				continue
			}
			if best < 0 || distance(list[i].wall, e.wall) < distance(list[best].wall, e.wall) {
				best = i
			}
		}
		if best >= 0 {
			list[best].gone = true
		}
	}
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// regime is how the instances from an instant on take place: as the master says,
// or as the latest exception says that extends to those after it.
type regime struct {
	timing
	event   int
	blocks  bool
	from    int64
	shifted bool
	delta   int64 // of readings
}

// regimes are in order of time, the master's first.
func (x *expansion) regimes(index int, m *master, future []exception) []regime {
	list := []regime{{timing: m.timing, event: index, blocks: blocks(&x.series[index]), from: minWall - 2*day}}
	for _, e := range future {
		list = append(list, x.regime(e, m))
	}
	slices.SortStableFunc(list, func(a, b regime) int { return cmp.Compare(a.from, b.from) })
	return list
}

// regime moves later occurrences as far on the wall clock as the exception moved
// its own (RFC 5545 §3.2.13), in the exception's zone.
func (x *expansion) regime(e exception, m *master) regime {
	r := regime{event: e.index, blocks: blocks(e.Event), from: e.at, shifted: true}
	if !r.blocks {
		return r
	}
	r.timing = x.timing(e.Event)
	wall := wallOf(e.Start)
	if e.Start.Zone == busy.UTC && m.zone != busy.UTC && !m.date {
		// An instant says nothing of the zone that the series goes on in.
		r.clock, wall = m.clock, m.clock.wall(wall)
	}
	original := e.wall
	if e.byDay && !m.date {
		original += mod(m.start, day)
	}
	if r.date {
		original -= mod(original, day)
	}
	r.delta = wall - original
	return r
}

// needs is where instances start that may touch the window under a regime, which
// ends at to.
func (r regime) needs(window span, to int64) (b bounds, ok bool) {
	if !r.blocks {
		return b, false
	}
	b = bounds{window.from - max(0, r.longest()), window.to}
	if r.shifted {
		// The two zones may read up to two days apart.
		b.from -= r.delta + 2*day
		b.to -= r.delta - 2*day
	}
	b.from, b.to = max(b.from, r.from), min(b.to, to)
	return b, b.from <= b.to
}

// occurrence of an instance under a regime.
func (r regime) occurrence(i instance) (start, end int64, allDay bool) {
	switch {
	case r.shifted:
		wall := i.wall + r.delta
		start = r.begin(wall)
		return start, r.end(start, wall), r.date
	case i.period:
		return i.at, i.end, false
	default:
		return i.at, r.end(i.at, i.wall), r.date
	}
}
