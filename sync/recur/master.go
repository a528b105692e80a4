package recur

import (
	"cmp"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// maxExtent bounds the length of an occurrence: what the years 1 to 9999 hold.
const maxExtent = 9999 * 366

// extent is the length of an event: days on the wall clock, then seconds.
type extent struct {
	days, seconds int64
}

// longest bounds the elapsed time; a day on the clock may be long.
func (x extent) longest() int64 {
	if x.days == 0 {
		return x.seconds
	}
	return (x.days+1)*day + x.seconds
}

// timing is how an event reads its times.
type timing struct {
	clock *clock
	date  bool
	extent
}

// begin is the instant of a start.
func (t timing) begin(wall int64) int64 {
	if t.date {
		return t.clock.startOfDay(floorDiv(wall, day))
	}
	return t.clock.instant(wall)
}

// end is the end of an occurrence that starts at an instant, which reads wall.
func (t timing) end(start, wall int64) int64 {
	if t.days == 0 {
		return start + t.seconds
	}
	return t.begin(wall+t.days*day) + t.seconds
}

// timing of an event. Its start must be set.
func (x *expansion) timing(e *busy.Event) timing {
	t := timing{clock: x.clock(e.Start.Zone), date: e.Start.Date}
	switch {
	case e.End.IsZero() && e.Length == busy.Length{} && t.date:
		t.days = 1
	case e.End.IsZero():
		t.days = min(max(int64(e.Length.Days), -maxExtent), maxExtent)
		t.seconds = int64(e.Length.Exact / time.Second)
	case e.End.Date && t.date:
		t.days = floorDiv(wallOf(e.End), day) - floorDiv(wallOf(e.Start), day)
	default:
		t.seconds = x.instant(e.End) - t.begin(wallOf(e.Start))
	}
	return t
}

// wallOf is the reading of a moment, within the years computed with.
func wallOf(m busy.Moment) int64 { return min(max(m.Wall.Unix(), minWall), maxWall) }

// instant is when a moment is.
func (x *expansion) instant(m busy.Moment) int64 {
	if m.Date {
		return x.home.startOfDay(floorDiv(wallOf(m), day))
	}
	return x.clock(m.Zone).instant(wallOf(m))
}

// dateOf is the date that a moment names where only dates count. Those who write
// a date as the first or last second of a day in UTC mean that day; any other
// instant is on the date that the calendar's zone has then.
func (x *expansion) dateOf(m busy.Moment) int64 {
	wall := wallOf(m)
	if m.Zone == busy.UTC && mod(wall, day) != 0 && mod(wall, day) != day-1 {
		wall = x.home.wall(wall)
	}
	return floorDiv(wall, day)
}

// master is an event that is not an exception, with its recurrence set.
type master struct {
	timing
	start    int64 // a reading
	zone     string
	rules    []*pattern
	exrules  []*pattern
	rdates   []rdate
	excluded []busy.Moment
}

func (x *expansion) master(e *busy.Event) *master {
	m := &master{timing: x.timing(e), start: wallOf(e.Start), zone: e.Start.Zone}
	if m.date {
		m.start -= mod(m.start, day)
	}
	if len(e.Recurrence) == 0 {
		return m
	}
	lines, err := parseLines(e.Recurrence, e.Start.Zone)
	x.fail(err)
	m.rdates, m.excluded = lines.rdates, lines.excluded
	for _, r := range lines.rules {
		p := x.bind(m, r)
		if x.budget.err != nil {
			return m
		}
		if p.count > 0 {
			p.countStart()
		}
		m.rules = append(m.rules, p)
	}
	for _, r := range lines.exrules {
		m.exrules = append(m.exrules, x.bind(m, r))
	}
	return m
}

// bind binds a rule to the master. An UNTIL is inclusive; a date is its whole day
// on the clock of the series.
func (x *expansion) bind(m *master, r *rule) *pattern {
	p := bind(r, m.start, m.date, x.budget)
	switch {
	case r.until.IsZero():
	case m.date:
		p.last = x.dateOf(r.until)*day + day - 1
	case r.until.Date:
		p.last = wallOf(r.until) + day - 1
	case r.until.Zone == busy.UTC:
		p.until = wallOf(r.until)
		p.last = p.until + day
	default:
		p.last = wallOf(r.until)
	}
	return p
}

// instance is a member of a recurrence set, before exceptions.
type instance struct {
	at     int64 // the instant
	wall   int64 // the reading on the clock of the series
	end    int64 // of a period; else unset
	period bool
	gone   bool // excluded, or replaced by an exception
}

func (i instance) day() int64 { return floorDiv(i.wall, day) }

// bounds are the instants from and to, both included.
type bounds struct{ from, to int64 }

func (b bounds) holds(at int64) bool { return b.from <= at && at <= b.to }

// instances are the members of the recurrence set that start within any of the
// ranges, and the periods that overlap the window, in order. Those that EXDATE or
// EXRULE exclude are there, marked as gone. The ranges must be disjoint.
func (x *expansion) instances(m *master, ranges []bounds) []instance {
	var list []instance
	keep := func(i instance) bool {
		if !i.period && !slices.ContainsFunc(ranges, func(r bounds) bool { return r.holds(i.at) }) {
			return true
		}
		if !x.budget.instance() {
			return false
		}
		list = append(list, i)
		return true
	}
	keep(instance{at: m.begin(m.start), wall: m.start})
	for _, d := range m.rdates {
		if i, ok := x.rdate(m, d, ranges); ok && !keep(i) {
			break
		}
	}
	for _, r := range ranges {
		for _, p := range m.rules {
			x.walk(m, p, r, keep)
		}
	}
	list = inOrder(list, m.date)
	x.exclude(m, list, ranges)
	return list
}

// walk calls keep with a pattern's instances, at least those within r.
func (x *expansion) walk(m *master, p *pattern, r bounds, keep func(instance) bool) {
	p.walk(r.from-day, r.to+day, x.budget, func(wall int64) bool {
		if m.date {
			wall -= mod(wall, day)
		}
		at := m.begin(wall)
		return at > p.until || keep(instance{at: at, wall: wall})
	})
}

// rdate is the instance of an RDATE. In a series of times, a date means the
// series' time on that date; in one of dates, a time means its date.
func (x *expansion) rdate(m *master, d rdate, ranges []bounds) (i instance, ok bool) {
	if !x.budget.step(1) {
		return i, false
	}
	switch {
	case d.period:
		t := x.timing(&busy.Event{Start: d.start, End: d.end, Length: d.length})
		at, wall := x.instant(d.start), wallOf(d.start)
		i = instance{at: at, wall: m.clock.wall(at), end: t.end(at, wall), period: true}
		inRange := slices.ContainsFunc(ranges, func(r bounds) bool { return r.holds(at) })
		return i, inRange || x.window.overlaps(at, i.end)
	case m.date:
		wall := x.dateOf(d.start) * day
		return instance{at: m.begin(wall), wall: wall}, true
	case d.start.Date:
		wall := wallOf(d.start) + mod(m.start, day)
		return instance{at: m.begin(wall), wall: wall}, true
	case d.start.Zone == m.zone:
		return instance{at: x.instant(d.start), wall: wallOf(d.start)}, true
	default:
		at := x.instant(d.start)
		return instance{at: at, wall: m.clock.wall(at)}, true
	}
}

// inOrder sorts instances, and lets those that are the same be one: the one that
// brings a period of its own if there is one.
func inOrder(list []instance, date bool) []instance {
	compare := func(a, b instance) int {
		switch {
		case a.at != b.at:
			return cmp.Compare(a.at, b.at)
		case date && a.wall != b.wall:
			// A date that the zone skips begins where the next one does.
			return cmp.Compare(a.wall, b.wall)
		default:
			return 0
		}
	}
	if !slices.IsSortedFunc(list, compare) {
		slices.SortStableFunc(list, compare)
	}
	kept := list[:0]
	for _, i := range list {
		last := len(kept) - 1
		switch {
		case last < 0 || compare(kept[last], i) != 0:
			kept = append(kept, i)
		case i.period && (!kept[last].period || kept[last].end < i.end):
			kept[last] = i
		}
	}
	return kept
}

// exclude marks what EXDATE and EXRULE take out.
func (x *expansion) exclude(m *master, list []instance, ranges []bounds) {
	for _, e := range m.excluded {
		switch {
		case !x.budget.step(1):
			return
		case m.date || e.Date:
			d := x.dateOf(e)
			markDay(list, d)
		default:
			mark(list, x.instant(e))
		}
	}
	for _, r := range ranges {
		for _, p := range m.exrules {
			x.walk(m, p, r, func(i instance) bool {
				if m.date {
					markDay(list, i.day())
				} else {
					mark(list, i.at)
				}
				return true
			})
		}
	}
}

// search is the index of the first instance that is not before an instant.
func search(list []instance, at int64) int {
	i, _ := slices.BinarySearchFunc(list, at, func(i instance, at int64) int { return cmp.Compare(i.at, at) })
	return i
}

func mark(list []instance, at int64) {
	for i := search(list, at); i < len(list) && list[i].at == at; i++ {
		list[i].gone = true
	}
}

// markDay relies on no reading being more than a day from its instant, give or
// take another for one that was skipped.
func markDay(list []instance, number int64) {
	for i := search(list, (number-2)*day); i < len(list) && list[i].at < (number+3)*day; i++ {
		if list[i].day() == number {
			list[i].gone = true
		}
	}
}
