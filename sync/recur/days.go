package recur

// bases appends the bases of a period to list. next is the earliest period after
// it that may have some.
func (p *pattern) bases(period int64, list []int64) (_ []int64, next int64) {
	switch p.freq {
	case yearly:
		number := dayNumber(int(period), 1, 1)
		for m := 1; m <= 12; m++ {
			if p.months == 0 || p.months.has(m) {
				list = p.daysOfMonth(number, list)
			}
			number += int64(monthLen(int(period), m))
		}
	case monthly:
		if m := int(mod(period, 12)) + 1; p.months == 0 || p.months.has(m) {
			list = p.daysOfMonth(dayNumber(int(floorDiv(period, 12)), m, 1), list)
		}
	case weekly:
		number := period*7 + p.weekOffset()
		for i := range int64(7) {
			list = p.day(number+i, list)
		}
	case daily:
		list = p.day(period, list)
	default:
		return p.tick(period, list)
	}
	return list, period + 1
}

// daysOfMonth appends the days that match of the month that starts on a day.
func (p *pattern) daysOfMonth(first int64, list []int64) []int64 {
	d := dateOf(first)
	for range d.monthLen {
		if p.matches(d) {
			list = append(list, d.number*day)
		}
		d = d.next()
	}
	return list
}

func (p *pattern) day(number int64, list []int64) []int64 {
	if p.everyDay || p.matches(dateOf(number)) {
		return append(list, number*day)
	}
	return list
}

// matches reports whether every BY part about days lets the day pass.
func (p *pattern) matches(d date) bool {
	switch {
	case p.months != 0 && !p.months.has(d.month),
		p.monthDays.any && !p.monthDays.has(d.monthDay, d.monthLen),
		p.yearDays.any && !p.yearDays.has(d.yearDay, d.yearLen):
		return false
	}
	if p.weeks.any && !p.weeks.has(d.week(p.weekStart)) {
		return false
	}
	if p.weekdays == 0 && len(p.nth) == 0 || p.weekdays.has(int(d.weekday)) {
		return true
	}
	of, size := d.monthDay, d.monthLen
	if p.inYear {
		of, size = d.yearDay, d.yearLen
	}
	for _, n := range p.nth {
		if n.weekday == d.weekday && (n.n == (of-1)/7+1 || n.n == -((size-of)/7+1)) {
			return true
		}
	}
	return false
}
