package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/subject"
	"github.com/busyd/busyd/providers/zones"
)

// event is an event as Graph shows it with the fields that are asked for.
type event struct {
	ID          string    `json:"id"`
	Type        string    `json:"type"`
	Subject     string    `json:"subject"`
	Sensitivity string    `json:"sensitivity"`
	Start       *dateTime `json:"start"`
	End         *dateTime `json:"end"`
	AllDay      bool      `json:"isAllDay"`
	Cancelled   bool      `json:"isCancelled"`
	ShowAs      string    `json:"showAs"`
	Response    struct {
		Response string `json:"response"`
	} `json:"responseStatus"`
	Zone string `json:"originalStartTimeZone"`
}

// dateTime is a clock reading, with a fraction of seven digits, in a zone that
// Windows or IANA names.
type dateTime struct {
	Wall string `json:"dateTime"`
	Zone string `json:"timeZone"`
}

// item is what became of an event.
type item struct {
	event   busy.Event
	problem busy.Problem // why its time is a guess or, without a start, unknown
}

func (i item) unreadable() busy.Unreadable {
	return busy.Unreadable{Key: i.event.Key, Version: i.event.Version, Problem: i.problem}
}

// read converts the event; home is the calendar's zone. Each is a single event:
// Graph has expanded the series.
func (e event) read(home string) item {
	i := item{event: busy.Event{Key: e.ID, Series: e.ID, Subject: e.subject()}}
	i.event.State, i.event.Why = e.state()
	i.event.Start, i.event.End, i.problem = e.times(home)
	i.event.Version = i.version()
	return i
}

// version changes with whatever is kept of the event, and with nothing else. The
// key is in it so that nobody can find a subject by trying.
func (i item) version() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		i.event.Key, i.event.Subject, i.event.State.String(),
		i.event.Start.String(), i.event.End.String(), string(i.problem),
	}, "\x00")))
	return hex.EncodeToString(sum[:12])
}

func (e event) subject() string {
	return subject.Unless(e.Sensitivity == "private" || e.Sensitivity == "confidential", e.Subject)
}

// state is what the event does to its time. What Graph does not know, or says in
// a word that is not known here, is busy.
func (e event) state() (busy.State, busy.Why) {
	switch {
	case e.Cancelled:
		return busy.Free, busy.WhyCancelled
	case e.Response.Response == "declined":
		return busy.Free, busy.WhyDeclined
	}
	switch e.ShowAs {
	case "free":
		return busy.Free, busy.WhyShownFree
	case "workingElsewhere":
		return busy.Free, busy.WhyElsewhere
	case "tentative":
		return busy.Tentative, busy.WhyTentative
	case "oof":
		return busy.OutOfOffice, busy.WhyOutOfOffice
	default:
		return busy.Busy, busy.WhyOpaque
	}
}

func (e event) times(home string) (start, end busy.Moment, problem busy.Problem) {
	if e.Start == nil && e.End == nil {
		return start, end, busy.ProblemMissing // named, and not shown
	}
	if e.Start == nil || e.End == nil {
		return start, end, busy.ProblemNoStart
	}
	start, guessed, err := e.Start.moment(home)
	if err != nil {
		return busy.Moment{}, busy.Moment{}, busy.ProblemUnreadable
	}
	end, guessedToo, err := e.End.moment(home)
	if err != nil {
		return busy.Moment{}, busy.Moment{}, busy.ProblemUnreadable
	}
	if e.AllDay {
		start, end = e.days(start, end, home)
		return start, end, busy.ProblemNone
	}
	if guessed || guessedToo {
		problem = busy.ProblemZone
	}
	return start, end, problem
}

// moment reads the time. It is UTC's, as every request asks for; should Graph
// answer in a zone all the same, it is that zone's and, if nobody knows it, home's.
func (d dateTime) moment(home string) (m busy.Moment, guessed bool, err error) {
	wall, err := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(d.Wall, "Z"))
	if err != nil {
		return busy.Moment{}, false, err
	}
	wall = wall.Truncate(time.Second)
	zone, known := zones.Resolve(d.Zone)
	if d.Zone == "" || strings.HasSuffix(d.Wall, "Z") {
		zone, known = busy.UTC, true
	}
	if !known {
		zone = home
	}
	return busy.Moment{Wall: wall, Zone: zone}, !known, nil
}

// days are the dates of an all-day event. Graph shows it from midnight to midnight
// whatever zone is asked for. Should it show other hours, they are midnight in the
// zone that the event was made in, or in the calendar's where that has no name.
func (e event) days(start, end busy.Moment, home string) (first, last busy.Moment) {
	if !isMidnight(start.Wall) || !isMidnight(end.Wall) {
		if in := e.madeIn(home); in != nil {
			start.Wall, end.Wall = reading(start, in), reading(end, in)
		}
	}
	first = dateOf(start.Wall)
	last = dateOf(end.Wall)
	if !isMidnight(end.Wall) || !last.Wall.After(first.Wall) {
		last = dateOf(last.Wall.AddDate(0, 0, 1)) // rather a day too much than one too few
	}
	return first, last
}

// madeIn is the zone that the event was made in, "tzone://Microsoft/Custom" for
// one without a name.
func (e event) madeIn(home string) *time.Location {
	name, known := zones.Resolve(e.Zone)
	if !known {
		name = home
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return location
}

// reading is what a clock in the zone shows at the moment.
func reading(m busy.Moment, in *time.Location) time.Time {
	of, err := time.LoadLocation(m.Zone)
	if err != nil {
		return m.Wall
	}
	w := m.Wall
	t := time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), 0, of).In(in)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

func isMidnight(wall time.Time) bool { return wall.Equal(dateOf(wall).Wall) }

func dateOf(wall time.Time) busy.Moment {
	return busy.DateOf(wall.Year(), wall.Month(), wall.Day())
}
