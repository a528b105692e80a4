package booking

import (
	"time"

	"github.com/busyd/busyd/busy"
)

// Decision is how a meeting is served.
type Decision struct {
	Span      busy.Span
	Blocked   busy.Span
	Resources []busy.ResourceID    // in the order of the needs
	Session   busy.SessionID       // the meeting that is joined; zero: it is a new one
	Seen      []busy.AgendaVersion // of Resources
}

// Decide decides who serves the meeting that begins at start. It accepts what
// Offers offers to the same question, and nothing else. The error is a *[Refusal]
// without alternatives, or a *[NotFresh].
func Decide(agendas []busy.Agenda, q Question, start time.Time) (Decision, error) {
	s, err := q.at(start).see(agendas)
	if err != nil {
		return Decision{}, err
	}
	picked, id, err := s.choose(start)
	if err != nil {
		return Decision{}, err
	}
	if picked == nil {
		return Decision{}, s.refuse(start)
	}
	span := s.q.Span
	d := Decision{
		Span: span, Session: id,
		Blocked: busy.Span{Start: span.Start.Add(-q.Service.Before), End: span.End.Add(q.Service.After)},
	}
	for _, i := range picked {
		d.Resources = append(d.Resources, s.resources[i])
		d.Seen = append(d.Seen, busy.AgendaVersion{Resource: s.resources[i], Version: s.agendas[i].Version})
	}
	return d, nil
}

// choose returns who serves the meeting; nobody if it cannot be. A shared meeting
// that has the seats goes before a new one.
func (s *scene) choose(start time.Time) ([]int, busy.SessionID, error) {
	if s.team == nil {
		return nil, busy.SessionID{}, nil
	}
	for _, one := range s.sessions {
		if picked, ok := s.team.pick(one.resources); ok {
			return picked, one.id, nil
		}
	}
	var free []int
	for i, o := range s.openings {
		if len(o.starts) > 0 && o.starts[0] == 0 {
			free = append(free, i)
		}
	}
	free, err := s.rotate(free, start)
	if err != nil {
		return nil, busy.SessionID{}, err
	}
	picked, _ := s.team.pick(free)
	return picked, busy.SessionID{}, nil
}
