// Package booking decides when somebody can be met, and takes bookings. What is
// offered and what is accepted is decided by one pure function of busy blocks,
// bookings, working hours and rules: it reads no clock and no database.
package booking

import (
	"errors"
	"fmt"
	"time"

	"github.com/busyd/busyd/busy"
)

// Offering has the slots by Start, and how every resource of the service stands,
// in the order of its Resources. What is said of freshness is about the part of the
// span that is not over, for no slot lies in the rest.
type Offering struct {
	Slots     []Slot
	Standings []Standing
}

// Slot is a time at which the service's needs can be met together.
type Slot struct {
	busy.Span
	Resources []int // those who are free: indexes into the Standings, rising
	Seats     int   // the most that one meeting then still has
}

// ErrTooMany: there are more offers than Question.MaxOffers.
var ErrTooMany = errors.New("too many slots")

// NotFresh is the error of a question under [busy.Reject].
type NotFresh struct {
	Standings []Standing // those that are not fresh
}

func (e *NotFresh) Error() string {
	return fmt.Sprintf("%d of the resources are not fresh", len(e.Standings))
}

// Offers returns when the service can be had. The agendas are those of the
// service's resources, in any order, and hold what is in q.Reads.
func Offers(agendas []busy.Agenda, q Question) (Offering, error) {
	s, err := q.see(agendas)
	if err != nil {
		return Offering{}, err
	}
	answer := Offering{Standings: s.standings}
	switch {
	case s.team == nil:
	case q.Form == Periods:
		answer.Slots = s.periods()
	case q.Form == Slots:
		answer.Slots = q.apart(s.slots())
	default:
		answer.Slots = s.slots()
	}
	return answer, nil
}

// scene is everything on which a question is decided.
type scene struct {
	q         Question
	agendas   []busy.Agenda
	resources []busy.ResourceID // of the agendas
	standings []Standing
	team      *team // nil: nothing can be offered
	openings  []openings
	sessions  []session // that can be joined, by start
	offers    int       // the sum of the openings' starts
}

func (q Question) see(agendas []busy.Agenda) (*scene, error) {
	agendas, resources, err := q.inOrder(agendas)
	if err != nil {
		return nil, err
	}
	s := &scene{q: q, agendas: agendas, resources: resources}
	if s.standings, err = q.judge(agendas); err != nil {
		return nil, err
	}
	team, ok := newTeam(q, resources)
	if !ok || q.ahead().Empty() || q.seats() > q.capacity() {
		return s, nil
	}
	s.team = team
	z := zones{}
	s.openings = make([]openings, len(agendas))
	for i, a := range agendas {
		if !q.believes(s.standings[i]) {
			continue
		}
		if s.openings[i], err = q.openings(z, a); err != nil {
			return nil, err
		}
		if s.offers += len(s.openings[i].starts); q.MaxOffers > 0 && s.offers > q.MaxOffers {
			return nil, ErrTooMany
		}
	}
	s.sessions, err = s.joinable(z)
	return s, err
}

// slots makes one slot of all the starts at the same time.
func (s *scene) slots() []Slot {
	starts := make([][]time.Duration, len(s.openings))
	longest := len(s.sessions)
	for i, o := range s.openings {
		starts[i] = o.starts
		longest = max(longest, len(o.starts))
	}
	resources := make([]int, 0, s.offers) // what all slots share, cut in pieces
	slots := make([]Slot, 0, longest)
	sessions, duration, capacity := s.sessions, s.q.Service.Duration, s.q.capacity()
	for {
		first, any := earliest(starts)
		if len(sessions) > 0 && (!any || sessions[0].start <= first) {
			first, any = sessions[0].start, true
		}
		if !any {
			return slots
		}
		from := len(resources)
		for i, of := range starts {
			if len(of) > 0 && of[0] == first {
				resources = append(resources, i)
				starts[i] = of[1:]
			}
		}
		free, seats := resources[from:len(resources):len(resources)], 0
		if s.team.met(free) {
			seats = capacity
		} else {
			free = nil
		}
		for len(sessions) > 0 && sessions[0].start == first {
			free, seats = sessions[0].among(free), max(seats, sessions[0].left)
			sessions = sessions[1:]
		}
		if seats == 0 {
			resources = resources[:from]
			continue
		}
		start := s.q.Span.Start.Add(first)
		slots = append(slots, Slot{busy.Span{Start: start, End: start.Add(duration)}, free, seats})
	}
}

func earliest(starts [][]time.Duration) (first time.Duration, any bool) {
	for _, s := range starts {
		if len(s) > 0 && (!any || s[0] < first) {
			first, any = s[0], true
		}
	}
	return first, any
}
