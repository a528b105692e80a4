package booking

import (
	"errors"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// Refusal is the error of a request that cannot be granted as it is.
type Refusal struct {
	Cause Cause
	// Alternatives are the nearest slots that can be had, by start: a few before
	// and a few after.
	Alternatives []Slot
	// Standings are those of the service's resources, to which the Resources of the
	// alternatives are indexes.
	Standings []Standing
}

func (r *Refusal) Error() string { return "refused: " + string(r.Cause) }

// What else a desk answers.
var (
	// ErrVersion: the booking is not the version that the caller has seen.
	ErrVersion = errors.New("the booking has changed")
	// ErrToken: the token is not that of the hold.
	ErrToken = errors.New("the token is not that of the hold")
	// ErrOver: the booking is cancelled, or the hold has expired.
	ErrOver = errors.New("the booking is over")
)

// refuse says why nobody serves the meeting that begins at start.
func (s *scene) refuse(start time.Time) error {
	if s.q.seats() > s.q.capacity() {
		return busy.Invalid("seats", "must be at most the service's capacity")
	}
	for _, id := range s.q.Resources {
		if !slices.Contains(s.resources, id) {
			return &Refusal{Cause: CauseForeign, Standings: s.standings}
		}
	}
	cause, err := s.cause(start, func(id busy.ResourceID) bool { return slices.Contains(s.q.Resources, id) })
	if err == nil && cause == CauseNeeds {
		cause, err = s.cause(start, func(busy.ResourceID) bool { return true })
	}
	if err != nil {
		return err
	}
	return &Refusal{Cause: cause, Standings: s.standings}
}

// cause returns what is in the way of those who are nearest to be free: of each
// resource its first cause, and of those the last.
func (s *scene) cause(start time.Time, of func(busy.ResourceID) bool) (Cause, error) {
	order, nearest := Causes(), -1
	for i, a := range s.agendas {
		if !of(s.resources[i]) {
			continue
		}
		reasons, err := Explain(a, s.q, start)
		if err != nil {
			return "", err
		}
		first := len(order)
		for _, r := range reasons {
			first = min(first, slices.Index(order, r.Cause))
		}
		if first < len(order) {
			nearest = max(nearest, first)
		}
	}
	if nearest < 0 {
		return CauseNeeds, nil
	}
	return order[nearest], nil
}

// How far alternatives are from the start that was asked for, and how many there
// are on each side of it.
const (
	nearby = 7 * 24 * time.Hour
	aFew   = 3
)

// around is the question for alternatives to a start.
func (q Question) around(start time.Time) Question {
	q.Span = busy.Span{Start: start.Add(-nearby), End: start.Add(q.Service.Duration + nearby)}
	q.Form = OverlappingSlots
	return q
}

// nearest returns a few slots on each side of start.
func nearest(slots []Slot, start time.Time) []Slot {
	i, _ := slices.BinarySearchFunc(slots, start, func(s Slot, t time.Time) int { return s.Start.Compare(t) })
	return slots[max(0, i-aFew):min(len(slots), i+aFew)]
}
