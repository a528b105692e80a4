package ical

import (
	"errors"
	"io"
	"strings"

	"github.com/busyd/busyd/busy"
)

// components are the parts of a calendar that matter, as their lines say. Its
// events are handed on one by one, for a file may hold many.
type components struct {
	name      string      // X-WR-CALNAME or NAME
	zone      string      // X-WR-TIMEZONE
	zones     []component // VTIMEZONE
	truncated bool        // the input ended within the calendar
	problems  []Problem   // that belong to no event
}

// component is a VEVENT, a VTIMEZONE or an observance of one.
type component struct {
	name     string
	line     int
	props    []property  // each name once: the first counts
	listed   []property  // of the names that may repeat
	parts    []component // of a VTIMEZONE: STANDARD and DAYLIGHT
	problems []Problem   // found while reading its lines
}

// get returns the property; nil if there is none.
func (c *component) get(name string) *property {
	for i := range c.props {
		if c.props[i].name == name {
			return &c.props[i]
		}
	}
	return nil
}

// value returns the property's value; empty if there is none.
func (c *component) value(name string) string {
	if p := c.get(name); p != nil {
		return p.value
	}
	return ""
}

func (c *component) flag(line int, code busy.Problem, detail string) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, Problem{Line: line, Code: code, Detail: detail})
	}
}

// wanted are the properties of each component that leave the reader. ATTENDEE
// does as the owner's own answer only.
var wanted = map[string]map[string]bool{
	"VCALENDAR": set("VERSION", "X-WR-TIMEZONE", "X-WR-CALNAME", "NAME"),
	"VEVENT": set("UID", "SUMMARY", "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE",
		"RECURRENCE-ID", "STATUS", "CLASS", "TRANSP", "SEQUENCE", "DTSTAMP", "ATTENDEE", "X-MICROSOFT-CDO-BUSYSTATUS"),
	"VTIMEZONE": set("TZID", "X-LIC-LOCATION"),
	"STANDARD":  set("DTSTART", "TZOFFSETFROM", "TZOFFSETTO", "RRULE", "RDATE"),
	"DAYLIGHT":  set("DTSTART", "TZOFFSETFROM", "TZOFFSETTO", "RRULE", "RDATE"),
}

// repeats are the names that may stand more than once in a component.
var repeats = set("RRULE", "RDATE", "EXDATE", "EXRULE", "ATTENDEE")

// malformed are the codes for properties whose loss leaves an event's time
// uncertain.
var malformed = map[string]busy.Problem{
	"DTSTART": busy.ProblemNoStart,
	"RRULE":   busy.ProblemBadRule, "RDATE": busy.ProblemBadRule,
	"EXDATE": busy.ProblemBadRule, "EXRULE": busy.ProblemBadRule,
	"DTEND": busy.ProblemUnreadable, "DURATION": busy.ProblemUnreadable,
	"RECURRENCE-ID": busy.ProblemUnreadable,
	"STATUS":        busy.ProblemUnreadable, "TRANSP": busy.ProblemUnreadable,
}

// outer are components that stand in a VCALENDAR only: where one begins,
// whatever was open has ended.
var outer = set("VEVENT", "VTIMEZONE", "VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY")

// maxDepth bounds the nesting that is followed. Nothing of interest is nested
// deeper than three.
const maxDepth = 16

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// reader assembles components from content lines.
type reader struct {
	components
	self   self
	each   func(*component) // takes each VEVENT that has ended
	events int              // that began
	open   []string         // the names of the open components, outermost first
	seen   bool             // a VCALENDAR began
	cur    *component       // the open VEVENT or VTIMEZONE
	part   *component       // the open observance of cur
}

// read reads to the end of the input. When an event is handed on, the zones that
// were defined before it are known.
func (r *reader) read(l *lines) error {
	for {
		next, err := l.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := r.line(next); err != nil {
			return err
		}
	}
	if !r.seen {
		return ErrUnreadable
	}
	if len(r.open) > 0 {
		r.truncated = true
		r.abandon(l.number)
		r.problems = append(r.problems, Problem{
			Line: l.number, Code: busy.ProblemUnreadable,
			Detail: "the calendar has no end; some of it may be missing",
		})
	}
	return nil
}

func (r *reader) line(l line) error {
	switch name := nameOf(l.text); name {
	case "":
		return nil // the rest of a value that was not folded, or rubbish
	case "BEGIN":
		return r.begin(l)
	case "END":
		r.end(argument(l))
		return nil
	default:
		return r.property(l, name)
	}
}

// argument returns the component's name of a BEGIN or an END.
func argument(l line) string {
	if len(l.text) > 100 {
		return ""
	}
	_, name, _ := strings.Cut(text(l.text), ":")
	return strings.ToUpper(strings.TrimSpace(name))
}

func (r *reader) begin(l line) error {
	name := argument(l)
	switch {
	case name == "VCALENDAR":
		r.abandon(l.number)
		r.seen, r.open = true, append(r.open[:0], name)
		return nil
	case !r.seen:
		return ErrUnreadable // a vCard, or a component without a calendar
	case outer[name]:
		r.abandon(l.number)
		r.open = append(r.open[:0], "VCALENDAR")
	case len(r.open) >= maxDepth:
		return nil
	}
	r.open = append(r.open, name)
	switch {
	case name == "VEVENT":
		if r.events++; r.events > MaxEvents {
			return ErrTooLarge
		}
		r.cur = &component{name: name, line: l.number}
	case name == "VTIMEZONE" && len(r.zones) < maxZones:
		r.zones = append(r.zones, component{name: name, line: l.number})
		r.cur = &r.zones[len(r.zones)-1]
	case r.inZone() && (name == "STANDARD" || name == "DAYLIGHT"):
		r.cur.parts = append(r.cur.parts, component{name: name, line: l.number})
		r.part = &r.cur.parts[len(r.cur.parts)-1]
	}
	return nil
}

// inZone reports whether the component that just began stands in a VTIMEZONE
// that has room for it. A definition with one observance too many is not used.
func (r *reader) inZone() bool {
	return r.cur != nil && r.cur.name == "VTIMEZONE" && len(r.open) == 3 && len(r.cur.parts) <= maxObservances
}

// end closes the innermost component of that name and what is open in it. An
// END without its BEGIN is passed over.
func (r *reader) end(name string) {
	at := len(r.open) - 1
	for at >= 0 && r.open[at] != name {
		at--
	}
	if at < 0 {
		return
	}
	if at == 0 {
		r.abandon(0)
	}
	r.open = r.open[:at]
	if len(r.open) < 2 {
		r.close()
	}
}

// abandon leaves the open component, and notes it if that is an event: what
// would have followed in it is not known.
func (r *reader) abandon(line int) {
	if r.cur != nil && r.cur.name == "VEVENT" {
		if line == 0 {
			line = r.cur.line
		}
		r.cur.flag(line, busy.ProblemUnreadable, "this event has no end; some of it may be missing")
	}
	r.close()
}

// close leaves the open component, and hands it on if that is an event.
func (r *reader) close() {
	done := r.cur
	r.cur, r.part = nil, nil
	if done != nil && done.name == "VEVENT" {
		r.each(done)
	}
}

func (r *reader) property(l line, name string) error {
	if len(r.open) == 0 {
		return nil
	}
	inner := r.open[len(r.open)-1]
	if !wanted[inner][name] {
		return nil
	}
	p, ok := parseProperty(l, name)
	if inner == "VCALENDAR" {
		return r.calendar(p)
	}
	into := r.cur
	if into != nil && into.name == "VTIMEZONE" && inner != "VTIMEZONE" {
		into = r.part
	}
	if into == nil || into.name != inner {
		return nil
	}
	if code := malformed[name]; code != "" && (!ok || l.cut) {
		into.flag(l.number, code, "the property "+name+" cannot be read")
	}
	if ok {
		r.keep(into, p)
	}
	return nil
}

// calendar reads a property of the calendar itself.
func (r *reader) calendar(p property) error {
	switch {
	case p.name == "VERSION" && strings.HasPrefix(p.value, "1."):
		return ErrUnreadable // vCalendar has other rules and other escapes
	case p.name == "X-WR-TIMEZONE" && r.zone == "":
		r.zone = p.value
	case p.name != "VERSION" && p.name != "X-WR-TIMEZONE" && r.name == "":
		r.name = unescape(p.value)
	}
	return nil
}

func (r *reader) keep(into *component, p property) {
	switch {
	case p.name == "ATTENDEE":
		if !r.self.is(p) {
			return
		}
		p = property{name: p.name, value: p.param("PARTSTAT"), line: p.line}
	case !repeats[p.name]:
		if into.get(p.name) == nil {
			into.props = append(into.props, p)
		}
		return
	}
	if len(into.listed) >= maxListed {
		into.flag(p.line, busy.ProblemTooLarge, "the event has too many recurrence properties; some were left out")
		return
	}
	into.listed = append(into.listed, p)
}
