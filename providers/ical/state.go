package ical

import (
	"strings"

	"github.com/busyd/busyd/busy"
)

// WhyUnanswered is the reason for the state of an invitation that the calendar's
// owner has not answered.
const WhyUnanswered busy.Why = "an invitation not yet answered"

// stateOf decides what the event does to its time. The sources are asked in the
// order STATUS, the owner's own PARTSTAT, TRANSP, X-MICROSOFT-CDO-BUSYSTATUS;
// the first that frees the time decides, then the first that makes it tentative.
//
// CDO's status refines what TRANSP cannot say. Where the two contradict, TRANSP
// counts: clients that change it carry CDO's along unchanged. The like-named
// INTENDEDSTATUS is what an organizer proposes and is not read.
func stateOf(e *component) (busy.State, busy.Why) {
	status := upper(e.value("STATUS"))
	answer := answerOf(e)
	transp := upper(e.value("TRANSP"))
	cdo := upper(e.value("X-MICROSOFT-CDO-BUSYSTATUS"))
	switch {
	case status == "CANCELLED" || status == "CANCELED":
		return busy.Free, busy.WhyCancelled
	case answer == "DECLINED":
		return busy.Free, busy.WhyDeclined
	case transp == "TRANSPARENT":
		return busy.Free, busy.WhyTransparent
	case cdo == "FREE" && transp == "":
		return busy.Free, busy.WhyShownFree
	case cdo == "WORKINGELSEWHERE":
		return busy.Free, busy.WhyElsewhere
	case status == "TENTATIVE" || answer == "TENTATIVE":
		return busy.Tentative, busy.WhyTentative
	case answer == "NEEDS-ACTION":
		return busy.Tentative, WhyUnanswered
	case cdo == "OOF":
		return busy.OutOfOffice, busy.WhyOutOfOffice
	case cdo == "TENTATIVE" && answer != "ACCEPTED":
		return busy.Tentative, busy.WhyTentative
	default:
		return busy.Busy, busy.WhyOpaque
	}
}

// answers ranks participation statuses for an owner who is invited under several
// addresses: yes counts before maybe, any answer before none.
var answers = map[string]int{"NEEDS-ACTION": 1, "DECLINED": 2, "TENTATIVE": 3, "ACCEPTED": 4}

// answerOf returns the owner's own participation status; empty if the event
// does not state one.
func answerOf(e *component) string {
	best := ""
	for _, p := range e.listed {
		if p.name != "ATTENDEE" {
			continue
		}
		if a := upper(p.value); answers[a] > answers[best] {
			best = a
		}
	}
	return best
}

func upper(s string) string { return strings.ToUpper(strings.TrimSpace(s)) }
