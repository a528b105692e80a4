package ews

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/subject"
)

// lacks reports whether something is missing that GetItem may have: not all
// versions of Exchange show all of it in a view.
func (i item) lacks() bool {
	return i.Start == "" || i.End == "" || i.AllDay == "" || i.Status == "" || i.Response == "" ||
		isTrue(i.AllDay) && i.Zone == nil
}

// version changes with whatever the event is computed from. The id is in it so
// that nobody can find a subject by trying.
func (i item) version(home string) string {
	parts := []string{
		i.Self.ID, i.Subject, i.Start, i.End, i.AllDay, i.Status, i.Canceled, i.Response, i.Secrecy,
		fmt.Sprint(i.Zone.names()), home,
	}
	if i.lacks() {
		parts = append(parts, i.Self.ChangeKey)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:12])
}

// event converts an item. The problem, if any, is why it cannot be, or why its
// time is a guess.
func (i item) event(version, home string) (busy.Event, busy.Problem) {
	start, end, problem := i.times(home)
	if start.IsZero() {
		return busy.Event{}, problem
	}
	state, why := i.state()
	return busy.Event{
		Key: i.Self.ID, Series: i.Self.ID, Version: version,
		Subject: subject.Unless(i.Secrecy == "Private" || i.Secrecy == "Confidential", i.Subject), State: state, Why: why,
		Start: start, End: end,
	}, problem
}

func (i item) times(home string) (start, end busy.Moment, problem busy.Problem) {
	if i.Start == "" || i.End == "" {
		return busy.Moment{}, busy.Moment{}, busy.ProblemNoStart
	}
	from, err := parseTime(i.Start)
	if err != nil {
		return busy.Moment{}, busy.Moment{}, busy.ProblemUnreadable
	}
	to, err := parseTime(i.End)
	if err != nil {
		return busy.Moment{}, busy.Moment{}, busy.ProblemUnreadable
	}
	if isTrue(i.AllDay) {
		return i.Zone.days(from, to, home)
	}
	return busy.InstantOf(from), busy.InstantOf(to), busy.ProblemNone
}

// parseTime reads an xs:dateTime. One without a zone is UTC's, as the request's
// TimeZoneContext says.
func parseTime(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	return time.Parse("2006-01-02T15:04:05", s)
}

// state is what the event does to its time. NoData, which is what Exchange says
// of time that it knows nothing of, is busy, and so is what has no name here.
func (i item) state() (busy.State, busy.Why) {
	switch {
	case isTrue(i.Canceled):
		return busy.Free, busy.WhyCancelled
	case i.Response == "Decline":
		return busy.Free, busy.WhyDeclined
	}
	switch i.Status {
	case "Free":
		return busy.Free, busy.WhyShownFree
	case "WorkingElsewhere":
		return busy.Free, busy.WhyElsewhere
	case "Tentative":
		return busy.Tentative, busy.WhyTentative
	case "OOF":
		return busy.OutOfOffice, busy.WhyOutOfOffice
	default:
		return busy.Busy, busy.WhyOpaque
	}
}
