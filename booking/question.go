package booking

import (
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
	// MaxOffers bounds the sum of the slots' resources; 0: no bound.
	MaxOffers int
}

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
