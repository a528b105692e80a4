package booking

import (
	"cmp"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// oracle answers a question from the minutes of all resources.
type oracle struct {
	q         Question
	begin     time.Time
	resources []busy.ResourceID
	minutes   []*minutes
	joins     map[int][]join // by the minute of their start
}

// join is a shared meeting with seats.
type join struct {
	id        busy.SessionID
	resources []int
	left      int
}

func (s scenario) oracle(w *world) *oracle {
	o := &oracle{q: s.query, joins: map[int][]join{}}
	for _, need := range s.query.Service.Needs {
		for _, id := range need.Resources {
			if !slices.Contains(o.resources, id) {
				o.resources = append(o.resources, id)
			}
		}
	}
	for _, id := range o.resources {
		for _, a := range s.agendas {
			if a.Resource.ID == id {
				o.minutes = append(o.minutes, w.minutes(s.query, a))
			}
		}
	}
	o.begin = o.minutes[0].begin
	o.findJoins()
	return o
}

// alone answers for one resource that serves alone.
func (o *oracle) alone(r int) *oracle {
	of := &oracle{q: o.q, begin: o.begin, resources: o.resources[r : r+1], minutes: o.minutes[r : r+1], joins: map[int][]join{}}
	of.q.Resources = nil
	of.q.Service.Needs = []busy.Need{{Count: 1, Resources: of.resources}}
	of.findJoins()
	return of
}

func (o *oracle) capacity() int { return max(1, o.q.Service.Capacity) }

func (o *oracle) findJoins() {
	type found struct {
		span      busy.Span
		resources []int
		seats     int
	}
	sessions := map[busy.SessionID]*found{}
	for r, m := range o.minutes {
		for _, c := range m.a.Claims {
			if c.Service != o.q.Service.ID || !counted(o.q, c) {
				continue
			}
			f := sessions[c.Session]
			if f == nil {
				f = &found{span: c.Span}
				sessions[c.Session] = f
			}
			if !slices.Contains(f.resources, r) {
				f.resources = append(f.resources, r)
			}
			if f.resources[0] == r {
				f.seats += c.Seats
			}
		}
	}
	for id, f := range sessions {
		left := o.capacity() - f.seats
		if o.capacity() == 1 || left < max(1, o.q.Seats) || f.span.End.Sub(f.span.Start) != o.q.Service.Duration ||
			f.span.Start.Before(o.q.Span.Start) || f.span.End.After(o.q.Span.End) {
			continue
		}
		i := o.minutes[0].index(f.span.Start)
		fits := slices.ContainsFunc(o.sets(f.resources), func(set []int) bool { return len(set) == len(f.resources) })
		for _, r := range f.resources {
			fits = fits && o.minutes[r].can(i, true, &id)
		}
		if fits {
			o.joins[i] = append(o.joins[i], join{id, f.resources, left})
		}
	}
}

// sets returns every set of the free resources, rising, that meets the needs and
// has those that are wished.
func (o *oracle) sets(free []int) [][]int {
	var sets [][]int
	var fill func(need, left, from int, taken []int)
	fill = func(need, left, from int, taken []int) {
		if left == 0 {
			if need++; need == len(o.q.Service.Needs) {
				set := slices.Sorted(slices.Values(taken))
				for _, id := range o.q.Resources {
					if !slices.Contains(set, slices.Index(o.resources, id)) {
						return
					}
				}
				sets = append(sets, set)
				return
			}
			fill(need, o.q.Service.Needs[need].Count, 0, taken)
			return
		}
		for k := from; k < len(free); k++ {
			r := free[k]
			if !slices.Contains(taken, r) && slices.Contains(o.q.Service.Needs[need].Resources, o.resources[r]) {
				fill(need, left-1, k+1, append(slices.Clone(taken), r))
			}
		}
	}
	fill(0, o.q.Service.Needs[0].Count, 0, nil)
	return sets
}

func (o *oracle) free(i int) []int {
	var free []int
	for r, m := range o.minutes {
		if m.can(i, true, nil) {
			free = append(free, r)
		}
	}
	return free
}

// slot is what can be had in a minute; no seats: nothing.
func (o *oracle) slot(i int, free []int) Slot {
	var s Slot
	if len(free) > 0 && len(o.sets(free)) > 0 {
		s.Resources, s.Seats = free, o.capacity()
	}
	for _, j := range o.joins[i] {
		s.Resources = slices.Compact(slices.Sorted(slices.Values(slices.Concat(s.Resources, j.resources))))
		s.Seats = max(s.Seats, j.left)
	}
	s.Start = o.begin.Add(time.Duration(i) * time.Minute)
	s.End = s.Start.Add(o.q.Service.Duration)
	return s
}

// slots tries each minute.
func (o *oracle) slots() []Slot {
	slots := []Slot{}
	if max(1, o.q.Seats) > o.capacity() {
		return slots
	}
	for i := range o.minutes[0].works {
		if s := o.slot(i, o.free(i)); s.Seats > 0 {
			slots = append(slots, s)
		}
	}
	return slots
}

func (o *oracle) apart() []Slot {
	slots := []Slot{}
	for _, s := range o.slots() {
		if last := len(slots) - 1; last < 0 || !s.Start.Add(-o.q.Service.Before).Before(slots[last].End.Add(o.q.Service.After)) {
			slots = append(slots, s)
		}
	}
	return slots
}

// periods walks from minute to minute, and goes on where somebody can be met at
// every instant between the two.
func (o *oracle) periods() []Slot {
	slots := []Slot{}
	if max(1, o.q.Seats) > o.capacity() {
		return slots
	}
	reach := make([][]int, len(o.minutes)) // which stretch each minute is in; 0: none
	for r, m := range o.minutes {
		reach[r] = m.reaches()
	}
	on := false
	for i := range o.minutes[0].works {
		var here, on2 []int
		for r := range reach {
			if reach[r][i] > 0 {
				here = append(here, r)
				if i+1 < len(reach[r]) && reach[r][i+1] == reach[r][i] {
					on2 = append(on2, r)
				}
			}
		}
		s := o.slot(i, here)
		if s.Seats == 0 {
			on = false
			continue
		}
		if !on {
			slots = append(slots, s)
		}
		last := &slots[len(slots)-1]
		last.End, last.Seats = s.End, max(last.Seats, s.Seats)
		last.Resources = slices.Compact(slices.Sorted(slices.Values(slices.Concat(last.Resources, s.Resources))))
		on = len(on2) > 0 && len(o.sets(on2)) > 0
	}
	return slots
}

// reaches numbers the stretches of minutes in which a meeting can begin but for
// the grid, each from its first to its last minute on the grid.
func (m *minutes) reaches() []int {
	numbers := make([]int, len(m.works))
	next := 0
	for i := 0; i < len(numbers); i++ {
		first, last := -1, -1
		for ; i < len(numbers) && m.can(i, false, nil); i++ {
			if m.starts[i] {
				last = i
				if first < 0 {
					first = i
				}
			}
		}
		if first >= 0 {
			next++
			for k := first; k <= last; k++ {
				numbers[k] = next
			}
		}
	}
	return numbers
}

// fairest returns the set whose members' turn it is: as many of the first in
// line as can be.
func (o *oracle) fairest(i int) []int {
	free := o.free(i)
	line := slices.Clone(free)
	slices.SortFunc(line, func(a, b int) int {
		ta, tb := o.minutes[a].turn(i), o.minutes[b].turn(i)
		return cmp.Or(ta.week-tb.week, ta.day-tb.day, ta.last.Compare(tb.last), a-b)
	})
	places := func(set []int) []int {
		var p []int
		for _, r := range set {
			wished := slices.Contains(o.q.Resources, o.resources[r])
			if !wished {
				p = append(p, slices.Index(line, r))
			}
		}
		slices.Sort(p)
		return p
	}
	sets := o.sets(free)
	if len(sets) == 0 {
		return nil
	}
	return slices.MinFunc(sets, func(a, b []int) int { return slices.Compare(places(a), places(b)) })
}

func (m *minutes) turn(i int) turn {
	var t turn
	today := m.own.date(m.time(i))
	seen := map[busy.SessionID]bool{}
	for _, c := range m.a.Claims {
		if !counted(m.q, c) {
			continue
		}
		if c.CreatedAt.After(t.last) {
			t.last = c.CreatedAt
		}
		date := m.own.date(c.Span.Start)
		if !seen[c.Session] && mondayOf(date).Equal(mondayOf(today)) {
			t.week++
			if date.Equal(today) {
				t.day++
			}
		}
		seen[c.Session] = true
	}
	return t
}
