package booking

import (
	"fmt"
	"time"

	"github.com/busyd/busyd/busy"
)

// Question asks when a service can be had.
type Question struct {
	Service busy.Service
	Span    busy.Span // meetings lie inside it; their buffers need not
	Now     time.Time // no meeting begins before it
	// StaleAfter is the daemon's; a service's own goes first. See
	// [busy.Calendar.StateFor].
	StaleAfter time.Duration
	Form       Form
	// Resources must serve the meeting, all of them; none: whoever is free.
	Resources []busy.ResourceID
	Seats     int // that are wanted of one meeting; 0 is 1
	// Ignore are bookings whose time is free to the one who asks: it is theirs.
	Ignore []busy.BookingID
	// MaxOffers bounds the sum of the starts of all resources; 0: no bound.
	MaxOffers int
}

// AnyOf is the service of a simple question: a meeting with one of the resources.
func AnyOf(resources []busy.ResourceID, duration, interval time.Duration, policy busy.Policy) busy.Service {
	return busy.Service{
		Duration: duration, Interval: interval, Align: busy.AlignPeriod, Capacity: 1, Policy: policy,
		Needs: []busy.Need{{Count: 1, Resources: resources}},
	}
}

// Reads is the span of which the question's agendas are read: a meeting's buffers
// reach out of Span.
func (q Question) Reads() busy.Span {
	return busy.Span{Start: q.Span.Start.Add(-q.Service.Before), End: q.Span.End.Add(q.Service.After)}
}

// seats is how many are wanted.
func (q Question) seats() int { return max(1, q.Seats) }

// capacity is how many seats a meeting has.
func (q Question) capacity() int { return max(1, q.Service.Capacity) }

// ahead is the part of the span that is not over.
func (q Question) ahead() busy.Span {
	if q.Now.After(q.Span.Start) {
		return busy.Span{Start: q.Now, End: q.Span.End}
	}
	return q.Span
}

// at is the question for the one meeting that begins at start.
func (q Question) at(start time.Time) Question {
	q.Span = busy.Span{Start: start, End: start.Add(q.Service.Duration)}
	return q
}

// granted is the question for a meeting that was granted before: neither the grid
// nor the limits stand against what is there already.
func (q Question) granted() Question {
	q.Service.Align = alignAsked
	q.Service.MaxPerDay, q.Service.MaxPerWeek = 0, 0
	return q
}

// Standings tells how the agendas of the service's resources stand, in the order of
// its Resources, as an [Offering] does.
func Standings(agendas []busy.Agenda, q Question) ([]Standing, error) {
	agendas, _, err := q.inOrder(agendas)
	if err != nil {
		return nil, err
	}
	return q.judge(agendas)
}

// judge tells how every agenda stands. Under [busy.Reject] all must be fresh.
func (q Question) judge(agendas []busy.Agenda) ([]Standing, error) {
	standings := make([]Standing, len(agendas))
	var notFresh []Standing
	for i, a := range agendas {
		standings[i] = q.standing(a)
		if standings[i].State != busy.StateFresh {
			notFresh = append(notFresh, standings[i])
		}
	}
	if q.Service.Policy == busy.Reject && len(notFresh) > 0 {
		return nil, &NotFresh{notFresh}
	}
	return standings, nil
}

func (q Question) standing(a busy.Agenda) Standing {
	asked := q.ahead()
	if asked.Empty() {
		asked = q.Span
	}
	return Judge(a, asked, q.Now, q.staleAfter())
}

func (q Question) staleAfter() time.Duration {
	if q.Service.StaleAfter > 0 {
		return q.Service.StaleAfter
	}
	return q.StaleAfter
}

// believes reports whether the policy lets anything be offered of a resource.
func (q Question) believes(s Standing) bool {
	return s.KnownState == busy.StateFresh || q.Service.Policy == busy.ServeStale
}

// inOrder returns the agendas in the order of the service's Resources.
func (q Question) inOrder(agendas []busy.Agenda) ([]busy.Agenda, []busy.ResourceID, error) {
	resources := q.Service.Resources()
	ordered := make([]busy.Agenda, len(resources))
	for i, id := range resources {
		if i < len(agendas) && agendas[i].Resource.ID == id {
			ordered[i] = agendas[i]
			continue
		}
		a, ok := find(agendas, id)
		if !ok {
			return nil, nil, fmt.Errorf("the agenda of resource %s is not there", id)
		}
		ordered[i] = a
	}
	return ordered, resources, nil
}

func find(agendas []busy.Agenda, id busy.ResourceID) (busy.Agenda, bool) {
	for _, a := range agendas {
		if a.Resource.ID == id {
			return a, true
		}
	}
	return busy.Agenda{}, false
}
