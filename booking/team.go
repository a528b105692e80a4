package booking

import (
	"slices"

	"github.com/busyd/busyd/busy"
)

// team matches resources to needs. Resources are numbers in the order of the
// service's Resources.
type team struct {
	counts []int   // of each need
	serves [][]int // of each resource: the needs that it is among
	wish   []int   // resources that must be taken
	size   int     // the sum of counts
	taken  [][]int // of each need, while it is matched
	tried  []bool  // needs, in one search
}

// newTeam returns the team of the question; false if a wish is none of its
// resources.
func newTeam(q Question, resources []busy.ResourceID) (*team, bool) {
	t := &team{
		serves: make([][]int, len(resources)), counts: make([]int, len(q.Service.Needs)),
		taken: make([][]int, len(q.Service.Needs)), tried: make([]bool, len(q.Service.Needs)),
	}
	number := make(map[busy.ResourceID]int, len(resources))
	for i, id := range resources {
		number[id] = i
	}
	for n, need := range q.Service.Needs {
		t.counts[n] = need.Count
		t.size += need.Count
		for _, id := range need.Resources {
			if r := number[id]; !slices.Contains(t.serves[r], n) {
				t.serves[r] = append(t.serves[r], n)
			}
		}
	}
	for _, id := range q.Resources {
		i, ok := number[id]
		if !ok {
			return nil, false
		}
		if !slices.Contains(t.wish, i) {
			t.wish = append(t.wish, i)
		}
	}
	return t, true
}

// met reports whether the free resources meet all needs together.
func (t *team) met(free []int) bool {
	if len(t.counts) == 1 && len(t.wish) == 0 {
		return len(free) >= t.size
	}
	return t.match(free)
}

// pick returns the resources that meet all needs together, in the order of the
// needs, taking those that stand first in free where it has the choice; false if
// the needs cannot be met.
func (t *team) pick(free []int) ([]int, bool) {
	if !t.match(free) {
		return nil, false
	}
	picked := make([]int, 0, t.size)
	for _, of := range t.taken {
		slices.Sort(of)
		picked = append(picked, of...)
	}
	return picked, true
}

// match takes the wished resources and then the free ones in their order, each if
// others can make room for it. Who is taken stays taken, if for another need, so
// that the first come are the ones taken, and as many as can be.
func (t *team) match(free []int) bool {
	for n := range t.taken {
		t.taken[n] = t.taken[n][:0]
	}
	left := t.size
	for _, r := range t.wish {
		if !slices.Contains(free, r) || !t.place(r) {
			return false
		}
		left--
	}
	for _, r := range free {
		if left == 0 {
			break
		}
		if !slices.Contains(t.wish, r) && t.place(r) {
			left--
		}
	}
	return left == 0
}

// place finds a need for the resource, moving others on if it must.
func (t *team) place(r int) bool {
	clear(t.tried)
	return t.move(r)
}

func (t *team) move(r int) bool {
	for _, n := range t.serves[r] {
		if t.tried[n] {
			continue
		}
		t.tried[n] = true
		if len(t.taken[n]) < t.counts[n] {
			t.taken[n] = append(t.taken[n], r)
			return true
		}
		for i, other := range t.taken[n] {
			if t.move(other) {
				t.taken[n][i] = r
				return true
			}
		}
	}
	return false
}
