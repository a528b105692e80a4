package busy

import "time"

// MaxBooking bounds a meeting with its buffers, so that a reader can bound the
// starts of those that overlap a span from below.
const MaxBooking = 7 * 24 * time.Hour

// Service is something that can be booked: a kind of meeting, with its rules and
// those who serve it.
type Service struct {
	ID   ServiceID
	Name string

	// Duration of a meeting; positive, and with the buffers at most MaxBooking. All
	// lengths of time are whole seconds.
	Duration time.Duration
	// Before and After are buffers: time around the meeting that is taken with it,
	// on every resource. They may lie outside of working hours.
	Before, After time.Duration
	// Notice is the least time between the moment of booking and the meeting's start.
	Notice time.Duration
	// Horizon is the greatest time between them; 0: no bound but what is mirrored.
	Horizon time.Duration
	// Interval is the time between the starts of meetings that are offered.
	Interval time.Duration
	Align    Align
	// MaxPerDay and MaxPerWeek bound the bookings of this service on a resource that
	// start on one date, or in one week from Monday, in the resource's own zone; 0:
	// no bound.
	MaxPerDay, MaxPerWeek int
	// Capacity is how many seats one meeting has, at least 1. With more than one,
	// bookings of the same start share the meeting until its seats are taken.
	Capacity int

	Policy Policy
	// StaleAfter is the age at which a calendar is stale for this service; 0: the
	// daemon's.
	StaleAfter time.Duration

	// Public services have a page on which whoever has its link books.
	Public bool

	// Needs are the groups that serve a meeting, all of them together.
	Needs []Need
}

// Need is Count different resources out of a group. One named resource is one of
// one; "any of them" is one of several; "two of these three" is two of three.
// A resource serves one need of a meeting only.
type Need struct {
	Count     int
	Resources []ResourceID
}

// Resources returns every resource of the needs once, in the order of the needs.
func (s Service) Resources() []ResourceID {
	var all []ResourceID
	seen := make(map[ResourceID]bool)
	for _, n := range s.Needs {
		for _, id := range n.Resources {
			if !seen[id] {
				seen[id] = true
				all = append(all, id)
			}
		}
	}
	return all
}

// Align says from where a service's Interval is measured.
type Align string

// The alignments.
const (
	AlignPeriod Align = "period" // from the start of each period of working hours
	AlignClock  Align = "clock"  // from midnight on the clock of the resource's zone
)

// Policy is what becomes of a resource whose calendars are not all fresh.
type Policy string

// The policies.
const (
	// TreatAsBusy offers none of its time.
	TreatAsBusy Policy = "treat_as_busy"
	// Reject refuses the whole question.
	Reject Policy = "reject"
	// ServeStale offers what is free as far as was last known. Time of which
	// nothing is known is busy even so.
	ServeStale Policy = "serve_stale"
)

// Policies lists every policy, the default first.
func Policies() []Policy { return []Policy{TreatAsBusy, Reject, ServeStale} }

// Override makes a resource's hours on some dates others than the weekly ones.
// Where several name one date, a closed one wins, and else the zone and the hours
// are each those of the last of them, by First and then by ID, that has any.
type Override struct {
	ID       OverrideID
	Resource ResourceID
	// First and Last are dates, both included: midnights carried in UTC.
	First, Last time.Time
	// Closed: the resource does not work on these dates.
	Closed bool
	// Hours are the ranges of each of the dates; none: the weekly hours.
	Hours []Range
	// Zone is where the resource is on these dates: its hours are read on that
	// clock; empty: its own.
	Zone string
}
