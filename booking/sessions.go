package booking

import (
	"cmp"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// session is a shared meeting that has seats left for the one who asks.
type session struct {
	id        busy.SessionID
	start     time.Duration // since the start of the question's span
	resources []int         // that serve it, rising
	left      int           // seats
}

// among returns the resources with those of the session, rising.
func (s session) among(free []int) []int {
	all := slices.Concat(free, s.resources)
	slices.Sort(all)
	return slices.Compact(all)
}

// joinable returns the meetings of the service in which there are seats, by start.
// A meeting keeps its time whatever became of the grid and the limits, but nothing
// else may be in its way.
func (s *scene) joinable(z zones) ([]session, error) {
	if s.q.capacity() == 1 {
		return nil, nil
	}
	var sessions []session
	known := map[busy.SessionID]bool{}
	for i, a := range s.agendas {
		for _, c := range a.Claims {
			if c.Service != s.q.Service.ID || !s.q.counts(c) || known[c.Session] || !s.fits(c) {
				continue
			}
			known[c.Session] = true
			one := session{id: c.Session, start: c.Span.Start.Sub(s.q.Span.Start), left: s.q.capacity() - seatsOf(a, c.Session, s.q)}
			one.resources = s.serving(i, c.Session)
			if one.left < s.q.seats() || len(one.resources) != s.team.size || !s.team.match(one.resources) {
				continue
			}
			open, err := s.undisturbed(z, one, c.Span.Start)
			if err != nil {
				return nil, err
			}
			if open {
				sessions = append(sessions, one)
			}
		}
	}
	slices.SortFunc(sessions, func(a, b session) int {
		return cmp.Or(cmp.Compare(a.start, b.start), slices.Compare(a.resources, b.resources), slices.Compare(a.id[:], b.id[:]))
	})
	return sessions, nil
}

// fits reports whether the claim's meeting is as long as the service's are now,
// and lies in the question's span.
func (s *scene) fits(c busy.Claim) bool {
	return c.Span.End.Sub(c.Span.Start) == s.q.Service.Duration && s.q.ahead().Contains(c.Span)
}

func seatsOf(a busy.Agenda, id busy.SessionID, q Question) int {
	seats := 0
	for _, c := range a.Claims {
		if c.Session == id && q.counts(c) {
			seats += c.Seats
		}
	}
	return seats
}

// serving returns the resources of a meeting, of which the first is known.
func (s *scene) serving(first int, id busy.SessionID) []int {
	resources := []int{first}
	for i := first + 1; i < len(s.agendas); i++ {
		if slices.ContainsFunc(s.agendas[i].Claims, func(c busy.Claim) bool { return c.Session == id && s.q.counts(c) }) {
			resources = append(resources, i)
		}
	}
	return resources
}

// undisturbed reports whether all who serve the meeting could do so, if they did
// not do it already.
func (s *scene) undisturbed(z zones, one session, start time.Time) (bool, error) {
	q := s.q.at(start).granted()
	for _, i := range one.resources {
		if !q.believes(s.standings[i]) {
			return false, nil
		}
		o, err := q.openings(z, without(s.agendas[i], one.id))
		if err != nil || len(o.starts) == 0 {
			return false, err
		}
	}
	return true, nil
}

// without returns the agenda without a meeting.
func without(a busy.Agenda, id busy.SessionID) busy.Agenda {
	a.Claims = slices.DeleteFunc(slices.Clone(a.Claims), func(c busy.Claim) bool { return c.Session == id })
	return a
}
