package booking

import (
	"time"

	"github.com/busyd/busyd/busy"
)

// Cause is why a meeting cannot be; a stable code.
type Cause string

// The causes.
const (
	CauseBlock    Cause = "block"        // a calendar's event
	CauseBooking  Cause = "booking"      // another booking, or the seats of its meeting
	CauseHours    Cause = "hours"        // outside of working hours
	CauseOverride Cause = "override"     // outside of the hours of such a date, or closed
	CauseBegun    Cause = "begun"        // it would begin in the past
	CauseNotice   Cause = "notice"       // too short notice
	CauseHorizon  Cause = "horizon"      // too far ahead
	CauseDay      Cause = "day_limit"    // the day has as many as it may
	CauseWeek     Cause = "week_limit"   // the week has
	CauseGrid     Cause = "interval"     // between two starts of the service's interval
	CauseUnknown  Cause = "unknown"      // nothing is known of that time
	CausePolicy   Cause = "policy"       // a calendar is not fresh, and the policy minds
	CauseTogether Cause = "needs"        // some are free, but not all that are needed
	CauseForeign  Cause = "not_a_server" // the resource does not serve the service
)

// Reason is one cause with what can be shown of it. There are no subjects in it.
type Reason struct {
	Cause Cause
	// Span of the block, of the booking with its buffers, of the closed or limited
	// date or week, or of what is known; empty for the other causes.
	Span     busy.Span
	State    busy.State         // of a block
	Booking  busy.BookingID     // of a booking
	Override busy.OverrideID    // of an override
	Calendar busy.CalendarID    // of a calendar that the policy minds
	Standing busy.CalendarState // of that calendar
}

// Explain returns everything because of which the agenda's resource cannot serve
// a meeting of the service that begins at the time; nothing if it can. What others
// are needed for the meeting is not looked at.
func Explain(a busy.Agenda, q Question, at time.Time) ([]Reason, error) {
	return nil, errUnbuilt
}
