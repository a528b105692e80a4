package recur

import "math"

// walk calls yield with the pattern's readings in [from, to], in order, until it
// returns false. An off-pattern start is not among them. A rule with a COUNT whose
// periods are uneven is counted from its start; any other is entered at from.
func (p *pattern) walk(from, to int64, b *budget, yield func(wall int64) bool) {
	from, to = max(from, p.start), min(to, p.last, maxWall)
	if p.never || from > to {
		return
	}
	k, seen := p.enter(from)
	var bases []int64
	for {
		period := p.first + k*p.interval
		if p.begin(period) > to || p.count > 0 && seen >= p.count || !b.step(p.cost) {
			return
		}
		var next int64
		bases, next = p.bases(period, bases[:0])
		members := p.members(bases)
		if p.count > 0 && k > 0 && members.size > 0 && members.at(members.size-1) < from {
			seen += int64(members.size)
			members.size = 0
		}
		for i := range members.size {
			wall := members.at(i)
			if wall < p.start {
				continue
			}
			if seen++; wall > to || p.count > 0 && seen > p.count {
				return
			}
			if wall >= from && !yield(wall) || !b.step(1) {
				return
			}
		}
		k = max(k+1, ceilDiv(next-p.first, p.interval))
	}
}

// enter is the first step whose period may reach from, and how many instances
// come before it. Uneven periods have to be counted from the start.
func (p *pattern) enter(from int64) (k, seen int64) {
	k = max(0, ceilDiv(p.period(from)-p.first, p.interval))
	switch {
	case p.count > 0 && !p.steady, k == 0:
		return 0, p.lead
	case p.count > 0:
		return k, p.opening + (k-1)*p.size
	default:
		return k, 0
	}
}

// members is the set of a period's instances, after BYSETPOS.
type members struct {
	bases, times []int64
	positions    []int // nil: all
	size         int
}

func (p *pattern) members(bases []int64) members {
	m := members{bases: bases, times: p.times, size: len(bases) * len(p.times)}
	if p.setPos != nil {
		m.positions = p.positions(m.size)
		m.size = len(m.positions)
	}
	return m
}

func (m members) at(i int) int64 {
	if m.positions != nil {
		i = m.positions[i]
	}
	return m.bases[i/len(m.times)] + m.times[i%len(m.times)]
}

// countStart makes the start of the series count: it is the first instance even
// if it is off the pattern.
func (p *pattern) countStart() {
	bases, _ := p.bases(p.first, nil)
	m := p.members(bases)
	p.lead = 1
	for i := range m.size {
		switch wall := m.at(i); {
		case wall == p.start:
			p.lead = 0
			p.opening++
		case wall > p.start:
			p.opening++
		}
	}
	p.opening += p.lead
}

// final is a reading after which the pattern has no instance. It is false if
// there is none, or if finding it takes more than the budget.
func (p *pattern) final(b *budget) (wall int64, ok bool) {
	switch {
	case p.never:
		return p.start, true
	case p.count == 0:
		return p.last, p.last < math.MaxInt64
	case p.steady:
		k := max(0, ceilDiv(p.count-p.opening, p.size))
		if k > (p.period(maxWall)-p.first)/p.interval {
			return min(p.last, maxWall), true
		}
		return min(p.last, p.begin(p.first+k*p.interval+1)-1), true
	}
	wall = p.start
	p.walk(p.start, maxWall, b, func(w int64) bool {
		wall = w
		return true
	})
	return wall, b.err == nil
}
