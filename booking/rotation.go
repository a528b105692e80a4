package booking

import (
	"cmp"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// turn is what decides whose turn it is.
type turn struct {
	resource  int
	week, day int // meetings in the week and on the date of the slot
	last      time.Time
}

// rotate orders free resources by whose turn it is: of fewest meetings in the week
// of the start, then on its date, both by the resource's own clock; then the one
// who was taken longest ago; then by the order of the needs.
func (s *scene) rotate(free []int, start time.Time) ([]int, error) {
	z := zones{}
	turns := make([]turn, len(free))
	for i, r := range free {
		own, err := z.load(s.agendas[r].Resource, s.agendas[r].Resource.Zone)
		if err != nil {
			return nil, err
		}
		turns[i] = s.turn(r, start, own)
	}
	slices.SortFunc(turns, func(a, b turn) int {
		return cmp.Or(a.week-b.week, a.day-b.day, a.last.Compare(b.last), a.resource-b.resource)
	})
	order := make([]int, len(free))
	for i, t := range turns {
		order[i] = t.resource
	}
	return order, nil
}

func (s *scene) turn(r int, start time.Time, own *time.Location) turn {
	t := turn{resource: r}
	inWeek, onDate := week(weekAt(start, own), own), Day(dateAt(start, own), own)
	seen := map[busy.SessionID]bool{}
	for _, c := range s.agendas[r].Claims {
		if !s.q.counts(c) {
			continue
		}
		if c.CreatedAt.After(t.last) {
			t.last = c.CreatedAt
		}
		if seen[c.Session] {
			continue
		}
		seen[c.Session] = true
		if holds(inWeek, c.Span.Start) {
			t.week++
		}
		if holds(onDate, c.Span.Start) {
			t.day++
		}
	}
	return t
}

func holds(s busy.Span, t time.Time) bool { return !t.Before(s.Start) && t.Before(s.End) }
