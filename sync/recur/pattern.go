package recur

import (
	"math"
	"slices"
)

// pattern is a rule bound to the start of a series: what the rule leaves out is
// taken from there. It is computed on a wall clock, knows no zone, and finds its
// way to any time without walking there.
//
// Time is divided into periods of the rule's frequency, numbered through; those
// that count are first, first+interval, and so on. A period's instances are its
// bases, days or the period itself, each at the given times.
type pattern struct {
	rule
	start int64 // the reading at which the series starts
	first int64 // the period of start
	unit  int64 // the length of a period, if it is less than a day
	times []int64
	// ordinal weekdays count in the year, not in the month.
	inYear   bool
	everyDay bool // no BY part limits the days
	never    bool // no period can have an instance

	// last bounds the readings, and until the instants: an UNTIL in UTC needs the
	// series' zone to be compared.
	last, until int64

	// steady: each period but the first has size instances. opening is how many
	// count in the first, lead of them being a start that is off the pattern.
	steady        bool
	size, opening int64
	lead          int64

	cost int // of looking at a period, in steps
}

// bind leaves UNTIL to its caller.
func bind(r *rule, start int64, date bool, b *budget) *pattern {
	p := &pattern{rule: *r, start: start, last: math.MaxInt64, until: math.MaxInt64}
	if date {
		p.seconds, p.minutes, p.hours = 0, 0, 0
	}
	p.fillIn(dateOf(floorDiv(start, day)))
	p.unit = []int64{1, minute, hour, 0, 0, 0, 0}[p.freq]
	p.first = p.period(start)
	p.times = p.timesOfPeriod()
	p.everyDay = p.months == 0 && p.weekdays == 0 && len(p.nth) == 0 &&
		!p.monthDays.any && !p.yearDays.any && !p.weeks.any
	p.never = p.unit > 0 && !p.reachable(b)
	p.size, p.steady = p.sizeOfPeriod()
	p.cost = p.costOfPeriod()
	b.step(20 + len(p.times))
	return p
}

// costOfPeriod is how many days a period has to look at, and how closely.
func (p *pattern) costOfPeriod() int {
	days := []int{weekly: 7, monthly: 31, yearly: 31 * 12}[p.freq]
	if p.freq == yearly && p.months != 0 {
		days = 31 * p.months.len()
	}
	return 1 + days*(1+len(p.nth)/16) + len(p.setPos)
}

// fillIn takes the days that the rule does not name from those of its start.
func (p *pattern) fillIn(start date) {
	if p.weeks.any || p.freq < monthly {
		// No number may stand before a weekday here.
		for _, n := range p.nth {
			p.weekdays |= 1 << n.weekday
		}
		p.nth = nil
	}
	p.inYear = p.freq == yearly && p.months == 0
	if p.freq < weekly || p.weekdays != 0 || len(p.nth) > 0 || p.monthDays.any || p.yearDays.any {
		return
	}
	if p.freq == weekly || p.weeks.any {
		p.weekdays = 1 << start.weekday
		return
	}
	p.monthDays.add(start.monthDay)
	if p.inYear {
		p.months = 1 << start.month
	}
}

// timesOfPeriod are the offsets from a base at which instances are.
func (p *pattern) timesOfPeriod() []int64 {
	start := mod(p.start, day)
	hours := expand(p.hours, start/hour, p.freq > hourly)
	minutes := expand(p.minutes, start%hour/minute, p.freq > minutely)
	seconds := expand(p.seconds, start%minute, p.freq > secondly)
	times := make([]int64, 0, len(hours)*len(minutes)*len(seconds))
	for _, h := range hours {
		for _, m := range minutes {
			for _, s := range seconds {
				times = append(times, h*hour+m*minute+s)
			}
		}
	}
	return times
}

// expand is the numbers of a BY part, or if it has none, that of the start. A
// part that only limits the periods adds nothing to their bases.
func expand(s numbers, start int64, expands bool) []int64 {
	if !expands {
		return []int64{0}
	}
	if s == 0 {
		return []int64{start}
	}
	all := make([]int64, 0, s.len())
	for n := s.from(0, 64); n < 64; n = s.from(n+1, 64) {
		all = append(all, int64(n))
	}
	return all
}

// sizeOfPeriod is how many instances each full period has, if that is known.
func (p *pattern) sizeOfPeriod() (size int64, known bool) {
	days := int64(1)
	switch {
	case p.unit > 0:
		known = p.everyDay && p.hours == 0 && (p.freq == hourly || p.minutes == 0) && (p.freq != secondly || p.seconds == 0)
	case p.freq == daily:
		known = p.everyDay
	case p.freq == weekly:
		known = p.months == 0 && !p.monthDays.any && !p.yearDays.any && !p.weeks.any
		days = int64(p.weekdays.len())
	default:
		days, known = p.daysOfMonths()
	}
	if !known {
		return 0, false
	}
	size = days * int64(len(p.times))
	if p.setPos != nil {
		size = int64(len(p.positions(int(size))))
	}
	return size, size > 0
}

// daysOfMonths is how many days each period of a rule has that names its days by
// numbers that every month has.
func (p *pattern) daysOfMonths() (days int64, known bool) {
	switch {
	case p.weeks.any, p.yearDays.any, p.weekdays != 0,
		p.freq == monthly && p.months != 0, p.inYear && len(p.nth) > 0:
		return 0, false
	}
	months := int64(1)
	switch {
	case p.freq == yearly && p.months == 0:
		months = 12
	case p.freq == yearly:
		months = int64(p.months.len())
	}
	if !p.monthDays.any {
		if slices.ContainsFunc(p.nth, func(n nth) bool { return n.n < 1 || n.n > 4 }) {
			return 0, false
		}
		return months * int64(len(p.nth)), true
	}
	front := numbers(p.monthDays.front[0])
	if len(p.nth) > 0 || p.monthDays.back != [6]uint64{} || front>>(p.shortest()+1) != 0 {
		return 0, false
	}
	return months * int64(front.len()), true
}

// shortest is the length of the shortest month that the rule names.
func (p *pattern) shortest() int {
	shortest := 31
	for m := 1; m <= 12; m++ {
		if p.months == 0 || p.months.has(m) {
			shortest = min(shortest, monthLen(1, m))
		}
	}
	return shortest
}

// positions are the indexes of a set of so many that BYSETPOS selects.
func (p *pattern) positions(size int) []int {
	all := make([]int, 0, len(p.setPos))
	for _, n := range p.setPos {
		if n < 0 {
			n += size + 1
		}
		if n >= 1 && n <= size {
			all = append(all, n-1)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// period is the number of the period that a reading is in.
func (p *pattern) period(wall int64) int64 {
	switch p.freq {
	case yearly:
		return int64(dateOf(floorDiv(wall, day)).year)
	case monthly:
		d := dateOf(floorDiv(wall, day))
		return int64(d.year)*12 + int64(d.month-1)
	case weekly:
		return floorDiv(floorDiv(wall, day)-p.weekOffset(), 7)
	case daily:
		return floorDiv(wall, day)
	default:
		return floorDiv(wall, p.unit)
	}
}

// begin is the reading at which a period begins.
func (p *pattern) begin(period int64) int64 {
	switch p.freq {
	case yearly:
		return dayNumber(int(period), 1, 1) * day
	case monthly:
		return dayNumber(int(floorDiv(period, 12)), int(mod(period, 12))+1, 1) * day
	case weekly:
		return (period*7 + p.weekOffset()) * day
	case daily:
		return period * day
	default:
		return period * p.unit
	}
}

// weekOffset is the first day since 1970-01-01, a Thursday, that begins a week.
func (p *pattern) weekOffset() int64 { return int64(p.weekStart+3) % 7 }
