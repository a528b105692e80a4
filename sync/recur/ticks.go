package recur

// tick appends a period shorter than a day to list, if the limits let it pass.
// If they do not, next is the period of the next reading that they might.
func (p *pattern) tick(period int64, list []int64) (_ []int64, next int64) {
	number := floorDiv(period*p.unit, day)
	tomorrow := (number + 1) * day / p.unit
	if !p.everyDay && !p.matches(dateOf(number)) {
		return list, tomorrow
	}
	reading := mod(period*p.unit, day)
	switch allowed, ok := p.allowed(reading); {
	case !ok:
		return list, tomorrow
	case allowed != reading:
		return list, (number*day + allowed) / p.unit
	default:
		return append(list, period*p.unit), period + 1
	}
}

// allowed is the first reading of a day, from one on, at which a period begins
// that BYHOUR, BYMINUTE and BYSECOND let pass. The parts that expand do not count.
func (p *pattern) allowed(reading int64) (int64, bool) {
	h, m, s := int(reading/hour), int(reading%hour/minute), int(reading%minute)
	minutes, seconds := p.minutes, p.seconds
	if p.freq == hourly {
		minutes = 0
	}
	if p.freq > secondly {
		seconds = 0
	}
	for {
		at := p.hours.from(h, 24)
		if at == 24 {
			return 0, false
		}
		if at != h {
			h, m, s = at, 0, 0
		}
		if at = minutes.from(m, 60); at == 60 {
			h, m, s = h+1, 0, 0
			continue
		}
		if at != m {
			m, s = at, 0
		}
		if at = seconds.from(s, 60); at == 60 {
			m, s = m+1, 0
			continue
		}
		return int64(h)*hour + int64(m)*minute + int64(at), true
	}
}

// reachable reports whether steps of the interval ever begin at an allowed
// reading of some day.
func (p *pattern) reachable(b *budget) bool {
	if p.hours == 0 && (p.minutes == 0 || p.freq == hourly) && (p.seconds == 0 || p.freq > secondly) {
		return true
	}
	cycle := gcd(p.interval, day/p.unit)
	want := mod(p.first, cycle)
	for at, ok := p.allowed(0); ok && b.step(1); at, ok = p.allowed(at + p.unit) {
		if at/p.unit%cycle == want {
			return true
		}
	}
	return false
}
