package api

import (
	"fmt"
	"time"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

// words says in a sentence how fresh a calendar is, and what to do if it is not.
func words(c busy.Calendar, state busy.CalendarState, now time.Time, zone *time.Location) string {
	read := ago(now.Sub(c.AsOf))
	switch state {
	case busy.StateFresh:
		return "Fresh, read " + read + "." + failing(c)
	case busy.StateStale:
		return "Stale: last read " + read + "." + failing(c) + next(c, now)
	case busy.StateDegraded:
		return fmt.Sprintf("%s not be understood, so their time is not fully known. Read %s.", count(c.Problems, "event could", "events could"), read)
	case busy.StateUncovered:
		return fmt.Sprintf("Kept from %s to %s only. Read %s.",
			c.Covered.Start.In(zone).Format("2 January 2006"), c.Covered.End.In(zone).Format("2 January 2006"), read)
	case busy.StateNeedsReconnect:
		return refused(c) + " Last read " + read + "."
	case busy.StatePaused:
		return "Paused: nothing is read until somebody resumes it. Last read " + read + "."
	default:
		if !c.Connected.Polled() {
			return refused(c) + " Never read."
		}
		return "Waiting to be read for the first time." + next(c, now)
	}
}

// refused says why nothing of the calendar is read.
func refused(c busy.Calendar) string {
	switch c.Connected {
	case busy.ConnectionAwaitingAdmin:
		return "Waits for the organisation's administrator, who must allow it."
	case busy.ConnectionPaused:
		return "Paused: nothing is read until somebody resumes it."
	default:
		return "Needs reconnect: the provider refuses the credential."
	}
}

// failing says so of a calendar that keeps failing.
func failing(c busy.Calendar) string {
	if c.Failures < busy.KeepsFailing {
		return ""
	}
	return fmt.Sprintf(" The last %d attempts failed.", c.Failures)
}

func next(c busy.Calendar, now time.Time) string {
	switch {
	case c.Running:
		return " It is being read now."
	case c.DueAt.IsZero():
		return ""
	case c.DueAt.After(now):
		return " The next attempt is in " + span(c.DueAt.Sub(now)) + "."
	default:
		return " The next attempt is due."
	}
}

// summary says how fresh a resource is.
func summary(calendars []busy.Calendar, s booking.Standing) string {
	if s.State == busy.StateDisconnected {
		return "All calendars are disconnected: nothing is known but bookings."
	}
	if len(calendars) == 0 {
		return "No calendar is selected: working hours alone decide."
	}
	wrong := 0
	for _, c := range s.Calendars {
		if c.State != busy.StateFresh {
			wrong++
		}
	}
	switch {
	case wrong == 0 && len(calendars) == 1:
		return "The calendar is fresh."
	case wrong == 0 && len(calendars) == 2:
		return "Both calendars are fresh."
	case wrong == 0:
		return fmt.Sprintf("All %d calendars are fresh.", len(calendars))
	case len(calendars) == 1:
		return "The calendar is not fresh."
	default:
		return fmt.Sprintf("%d of %d calendars are not fresh.", wrong, len(calendars))
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func ago(d time.Duration) string {
	if d < 5*time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// span writes a length in the one unit that fits it.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d/time.Hour))
	default:
		return fmt.Sprintf("%d days", int(d/(24*time.Hour)))
	}
}
