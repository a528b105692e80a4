package google

import (
	calendar "google.golang.org/api/calendar/v3"

	"github.com/busyd/busyd/busy"
)

// Reasons for a State that other providers do not have.
const (
	WhyPlace      busy.Why = "says where its owner works"
	WhyBirthday   busy.Why = "a birthday"
	WhyUnanswered busy.Why = "an invitation not yet answered"
)

// stateOf decides what an item does to its time. An item of a type that is not
// known blocks.
func stateOf(item *calendar.Event) (busy.State, busy.Why) {
	answer := answerOf(item)
	switch {
	case item.Status == cancelled:
		return busy.Free, busy.WhyCancelled
	case item.EventType == "workingLocation":
		return busy.Free, WhyPlace
	case item.EventType == "birthday":
		return busy.Free, WhyBirthday
	case answer == "declined":
		return busy.Free, busy.WhyDeclined
	case item.Transparency == "transparent":
		return busy.Free, busy.WhyTransparent
	case item.Status == "tentative" || answer == "tentative":
		return busy.Tentative, busy.WhyTentative
	case answer == "needsAction":
		return busy.Tentative, WhyUnanswered
	case item.EventType == "outOfOffice":
		return busy.OutOfOffice, busy.WhyOutOfOffice
	default:
		return busy.Busy, busy.WhyOpaque
	}
}

// answerOf is what the calendar's owner has answered; empty where it was not
// invited.
func answerOf(item *calendar.Event) string {
	for _, a := range item.Attendees {
		if a != nil && a.Self {
			return a.ResponseStatus
		}
	}
	return ""
}
