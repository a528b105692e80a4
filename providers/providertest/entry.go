package providertest

import (
	"fmt"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// Entry is a calendar entry in nobody's format.
type Entry struct {
	Subject    string
	Start, End busy.Moment
	Rule       string // RRULE's value; empty: a single event
	Exclude    []busy.Moment
	Exceptions []Exception
	Cancelled  bool
	Tentative  bool
	Free       bool // shown as free
	Declined   bool // by the calendar's owner
	Private    bool // not shown to all with whom the calendar is shared
}

// Exception replaces one occurrence of a series.
type Exception struct {
	Original   busy.Moment
	Start, End busy.Moment
	Subject    string
	Cancelled  bool
}

// ICS writes the entry as an iCalendar object, stuffed with marks. The owner is
// invited under the address self, the second of two attendees.
func (e Entry) ICS(uid, self string) string {
	w := &writer{}
	w.line("BEGIN:VCALENDAR")
	w.line("VERSION:2.0")
	w.line("PRODID:-//busyd//providertest//EN")
	w.zones(e)
	w.component(e, uid, self, func() {
		w.moment("DTSTART", e.Start)
		w.moment("DTEND", e.End)
		w.line("SUMMARY:" + text(e.Subject))
		if e.Rule != "" {
			w.line("RRULE:" + e.Rule)
		}
		for _, m := range e.Exclude {
			w.moment("EXDATE", m)
		}
		if e.Cancelled {
			w.line("STATUS:CANCELLED")
		}
	})
	for _, x := range e.Exceptions {
		w.component(e, uid, self, func() {
			w.moment("RECURRENCE-ID", x.Original)
			w.moment("DTSTART", x.Start)
			w.moment("DTEND", x.End)
			w.line("SUMMARY:" + text(x.Subject))
			if x.Cancelled {
				w.line("STATUS:CANCELLED")
			}
		})
	}
	w.line("END:VCALENDAR")
	return w.b.String()
}

// text escapes a TEXT value (RFC 5545 §3.3.11).
func text(s string) string {
	return strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\n", `\n`).Replace(s)
}

type writer struct{ b strings.Builder }

func (w *writer) line(s string) { w.b.WriteString(s + "\r\n") }

func (w *writer) component(e Entry, uid, self string, body func()) {
	w.line("BEGIN:VEVENT")
	w.line("UID:" + uid)
	w.line("DTSTAMP:20260101T000000Z")
	body()
	if e.Tentative {
		w.line("STATUS:TENTATIVE")
	}
	if e.Free {
		w.line("TRANSP:TRANSPARENT")
	}
	if e.Private {
		w.line("CLASS:PRIVATE")
	}
	answer := "ACCEPTED"
	if e.Declined {
		answer = "DECLINED"
	}
	w.line("DESCRIPTION:" + Mark + " description")
	w.line("LOCATION:" + Mark + " location")
	w.line("URL:https://" + strings.ToLower(Mark) + ".example.com/" + Mark)
	w.line("CATEGORIES:" + Mark)
	w.line("CONTACT:" + Mark)
	w.line("COMMENT:" + Mark)
	w.line("X-ALT-DESC;FMTTYPE=text/html:<p>" + Mark + "</p>")
	w.line("ORGANIZER;CN=" + Mark + ":mailto:" + Mark + "-organizer@example.com")
	w.line("ATTENDEE;CN=" + Mark + ";PARTSTAT=DECLINED:mailto:" + Mark + "-other@example.com")
	w.line("ATTENDEE;CN=" + Mark + ";PARTSTAT=" + answer + ":mailto:" + self)
	w.line("BEGIN:VALARM")
	w.line("ACTION:DISPLAY")
	w.line("TRIGGER:-PT15M")
	w.line("DESCRIPTION:" + Mark + " alarm")
	w.line("END:VALARM")
	w.line("END:VEVENT")
}

func (w *writer) moment(name string, m busy.Moment) {
	switch {
	case m.Date:
		w.line(name + ";VALUE=DATE:" + m.Wall.Format("20060102"))
	case m.Zone == busy.UTC:
		w.line(name + ":" + m.Wall.Format("20060102T150405Z"))
	case m.Zone == "":
		w.line(name + ":" + m.Wall.Format("20060102T150405"))
	default:
		w.line(name + ";TZID=" + m.Zone + ":" + m.Wall.Format("20060102T150405"))
	}
}

// zones writes a VTIMEZONE for the zone of the entry's start, as servers demand.
// Its rules are those of this year in Europe and North America; the names are
// IANA's, so that nobody needs the rules.
func (w *writer) zones(e Entry) {
	zone := e.Start.Zone
	if zone == "" || zone == busy.UTC {
		return
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		panic(fmt.Sprintf("a story uses the zone %q: %v", zone, err))
	}
	_, winter := time.Date(2026, 1, 1, 12, 0, 0, 0, location).Zone()
	_, summer := time.Date(2026, 7, 1, 12, 0, 0, 0, location).Zone()
	w.line("BEGIN:VTIMEZONE")
	w.line("TZID:" + zone)
	w.observance("STANDARD", "19701025T030000", "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU", summer, winter)
	w.observance("DAYLIGHT", "19700329T020000", "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU", winter, summer)
	w.line("END:VTIMEZONE")
}

func (w *writer) observance(name, start, rule string, from, to int) {
	w.line("BEGIN:" + name)
	w.line("DTSTART:" + start)
	w.line("RRULE:" + rule)
	w.line("TZOFFSETFROM:" + offset(from))
	w.line("TZOFFSETTO:" + offset(to))
	w.line("END:" + name)
}

func offset(seconds int) string {
	sign := '+'
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	return fmt.Sprintf("%c%02d%02d", sign, seconds/3600, seconds/60%60)
}
