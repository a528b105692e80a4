package booking

import (
	"cmp"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// Form is how an answer is cut.
type Form string

// The forms.
const (
	// OverlappingSlots are all the starts on the service's grid. It is the default.
	OverlappingSlots Form = "overlapping_slots"
	// Slots are of those the first, and then each that begins when the one before
	// is over, with the buffers of both.
	Slots Form = "slots"
	// Periods are the longest spans in which nothing but the grid decides when a
	// meeting begins: from the first start in them to the end of the last meeting.
	// Their Resources serve a meeting somewhere in it.
	Periods Form = "periods"
)

// Forms lists every form, the default first.
func Forms() []Form { return []Form{OverlappingSlots, Slots, Periods} }

// apart keeps the slots of which each could be had after the one before.
func (q Question) apart(slots []Slot) []Slot {
	kept := slots[:0]
	var over time.Time
	for _, s := range slots {
		if len(kept) == 0 || !s.Start.Before(over) {
			kept = append(kept, s)
			over = s.End.Add(q.Service.After + q.Service.Before)
		}
	}
	return kept
}

// reach is a closed interval of starts: nothing but the grid keeps a meeting from
// beginning at any instant from the first to the last.
type reach struct{ first, last time.Duration }

// reaches returns an opening's, each from a start on the grid to another.
func (s *scene) reaches(o openings) []reach {
	var all []reach
	starts := o.starts
	for _, span := range o.any {
		end := span.End.Sub(s.q.Span.Start)
		n, _ := slices.BinarySearch(starts, end)
		if n > 0 {
			all = append(all, reach{starts[0], starts[n-1]})
		}
		starts = starts[n:]
	}
	return all
}

// periods sweeps over all the instants at which somebody's reach begins or ends,
// and over the time between each two.
func (s *scene) periods() []Slot {
	reaches := make([][]reach, len(s.openings))
	var marks []time.Duration
	for i, o := range s.openings {
		reaches[i] = s.reaches(o)
		for _, r := range reaches[i] {
			marks = append(marks, r.first, r.last)
		}
	}
	for _, one := range s.sessions {
		marks = append(marks, one.start)
	}
	slices.Sort(marks)
	marks = slices.Compact(marks)

	var slots []Slot
	growing := false
	for m, mark := range marks {
		at := s.freeFor(reaches, reach{mark, mark})
		if at.Seats == 0 {
			continue // growing is false: nobody reaches on to where nobody can be met
		}
		start := s.q.Span.Start.Add(mark)
		if !growing {
			slots = append(slots, Slot{Span: busy.Span{Start: start}})
		}
		last := &slots[len(slots)-1]
		last.add(at, start.Add(s.q.Service.Duration))
		growing = false
		if m+1 < len(marks) {
			between := s.freeFor(reaches, reach{mark, marks[m+1]})
			growing = between.Seats > 0
		}
	}
	return slots
}

// add lets a period reach on to where it also has what is free at a later start.
func (p *Slot) add(at Slot, end time.Time) {
	p.End = end
	p.Seats = max(p.Seats, at.Seats)
	p.Resources = session{resources: at.Resources}.among(p.Resources)
}

// freeFor tells who can be met at all the starts in r, and with how many seats; 0:
// the needs are not met.
func (s *scene) freeFor(reaches [][]reach, r reach) Slot {
	var slot Slot
	for i, of := range reaches {
		n, _ := slices.BinarySearchFunc(of, r.last, func(a reach, last time.Duration) int { return cmp.Compare(a.last, last) })
		if n < len(of) && of[n].first <= r.first {
			slot.Resources = append(slot.Resources, i)
		}
	}
	if s.team.met(slot.Resources) {
		slot.Seats = s.q.capacity()
	} else {
		slot.Resources = nil
	}
	for _, one := range s.sessions {
		if one.start == r.first && one.start == r.last {
			slot.Resources, slot.Seats = one.among(slot.Resources), max(slot.Seats, one.left)
		}
	}
	return slot
}
