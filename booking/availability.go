// Package booking decides when somebody can be met. It is a pure function of
// busy blocks, working hours and rules: it reads no clock and no database.
package booking

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// Query asks for slots.
type Query struct {
	Span     busy.Span     // slots lie inside it
	Duration time.Duration // of a slot; positive
	// Interval is the time between the starts of slots, measured from the start
	// of each period of working hours; positive.
	Interval   time.Duration
	Now        time.Time     // no slot begins before it
	StaleAfter time.Duration // see [busy.Calendar.StateFor]
	Policy     busy.Policy
	// MaxOffers bounds the sum of the slots' resources; 0: no bound.
	MaxOffers int
}

// Slot is a time at which Resources, in the order of the question, can be met.
type Slot struct {
	busy.Span
	Resources []int // indexes into the Standings, rising
	Seats     int   // the most that one meeting then still has
}

// Answer has the slots by Start, and how every resource stands, in the order of
// the question. What is said of freshness is about the part of the span that is
// not over, for no slot lies in the rest.
type Answer struct {
	Slots     []Slot
	Standings []Standing
}

// ErrTooMany: there are more offers than Query.MaxOffers.
var ErrTooMany = errors.New("too many slots")

// NotFresh is the error of a question under [busy.Reject].
type NotFresh struct {
	Standings []Standing // those that are not fresh
}

func (e *NotFresh) Error() string {
	return fmt.Sprintf("%d of the resources are not fresh", len(e.Standings))
}

// Availability returns the slots of the agendas, which hold the blocks of q.Span.
// A slot is [Start, Start+Duration): inside working hours, free of blocks, not
// begun, and within the time that is known of its resource. Working hours that
// touch are one: a slot may lie across midnight.
func Availability(agendas []busy.Agenda, q Query) (Answer, error) {
	ahead := q.ahead()
	answer := Answer{Standings: make([]Standing, len(agendas))}
	var notFresh []Standing
	for i, a := range agendas {
		asked := ahead
		if ahead.Empty() {
			asked = q.Span
		}
		answer.Standings[i] = Judge(a, asked, q.Now, q.StaleAfter)
		if answer.Standings[i].State != busy.StateFresh {
			notFresh = append(notFresh, answer.Standings[i])
		}
	}
	if q.Policy == busy.Reject && len(notFresh) > 0 {
		return Answer{}, &NotFresh{notFresh}
	}
	if ahead.Empty() {
		return answer, nil
	}

	known := zones{}
	starts := make([][]time.Duration, len(agendas))
	offers := 0
	for i, a := range agendas {
		s := answer.Standings[i]
		if s.KnownState != busy.StateFresh && q.Policy != busy.ServeStale {
			continue
		}
		zone, err := known.load(a.Resource)
		if err != nil {
			return Answer{}, err
		}
		periods := WorkingPeriods(a.Resource.Hours, zone, s.Known)
		starts[i] = q.starts(periods, free(a, periods, s.Known))
		if offers += len(starts[i]); q.MaxOffers > 0 && offers > q.MaxOffers {
			return Answer{}, ErrTooMany
		}
	}
	answer.Slots = q.gather(starts, offers)
	return answer, nil
}

// ahead is the part of the span that is not over.
func (q Query) ahead() busy.Span {
	if q.Now.After(q.Span.Start) {
		return busy.Span{Start: q.Now, End: q.Span.End}
	}
	return q.Span
}

// Free returns the working time within the standing's known time that no block
// takes. The agenda holds the blocks of that time.
func Free(a busy.Agenda, s Standing) ([]busy.Span, error) {
	zone, err := zones{}.load(a.Resource)
	if err != nil {
		return nil, err
	}
	return free(a, WorkingPeriods(a.Resource.Hours, zone, s.Known), s.Known), nil
}

func free(a busy.Agenda, periods []busy.Span, known busy.Span) []busy.Span {
	open := make([]busy.Span, len(periods))
	for i, p := range periods {
		open[i] = p.Intersect(known)
	}
	return busy.Subtract(busy.Merge(open), Taken(a, known))
}

// starts returns when slots of one resource can begin, as time since the span's
// start. Both arguments are by Start, and free is disjoint.
func (q Query) starts(periods, free []busy.Span) []time.Duration {
	var starts []time.Duration
	since := func(t time.Time) time.Duration { return t.Sub(q.Span.Start) }
	next := 0
	for _, p := range periods {
		for next < len(free) && !free[next].End.After(p.Start) {
			next++
		}
		opens, closes := since(p.Start), since(p.End)
		for _, f := range free[next:] {
			start, last := opens, since(f.End)-q.Duration
			if wait := since(f.Start) - opens; wait > 0 {
				start += (wait + q.Interval - 1) / q.Interval * q.Interval
			}
			if start >= closes {
				break
			}
			for ; start < closes && start <= last; start += q.Interval {
				starts = append(starts, start)
			}
		}
	}
	if !slices.IsSorted(starts) { // periods overlap
		slices.Sort(starts)
	}
	return slices.Compact(starts)
}

// gather makes one slot of all the starts at the same time.
func (q Query) gather(starts [][]time.Duration, offers int) []Slot {
	resources := make([]int, 0, offers) // what all slots share, cut in pieces
	slots := make([]Slot, 0, longest(starts))
	for {
		first, any := earliest(starts)
		if !any {
			return slots
		}
		from := len(resources)
		for i, s := range starts {
			if len(s) > 0 && s[0] == first {
				resources = append(resources, i)
				starts[i] = s[1:]
			}
		}
		start := q.Span.Start.Add(first)
		slots = append(slots, Slot{
			Span:      busy.Span{Start: start, End: start.Add(q.Duration)},
			Resources: resources[from:len(resources):len(resources)],
		})
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

func longest(starts [][]time.Duration) int {
	most := 0
	for _, s := range starts {
		most = max(most, len(s))
	}
	return most
}
