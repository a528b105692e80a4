package ical

import (
	"strconv"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

const day = 24 * time.Hour // of readings, which are carried in UTC

// converter makes events of components.
type converter struct {
	feed     bool
	version  string
	zones    *zoneTable
	problems problems
	events   []busy.Event
	taken    int
	waiting  []*component
}

// take converts an event that has been read, so that not all of a file need be
// kept. An event in a zone that nothing has defined so far waits for the end of
// the file, and so do those after it, to stay in order.
func (c *converter) take(e *component, raw *components) {
	c.zones.learn(raw)
	if len(c.waiting) > 0 || !c.zones.cover(e) {
		c.waiting = append(c.waiting, e)
		return
	}
	c.convert(e)
}

// finish converts the events that wait for the end.
func (c *converter) finish(raw *components) {
	c.zones.learn(raw)
	for _, e := range c.waiting {
		c.convert(e)
	}
	ofEvents := c.problems.all
	c.problems.all = nil
	c.problems.add(raw.problems...)
	c.problems.all = append(c.problems.all, ofEvents...)
}

func (c *converter) convert(e *component) {
	ev, ok := c.event(e, c.taken)
	c.taken++
	if ok {
		c.events = append(c.events, ev)
	}
}

// problems collects what is wrong, each kind once an event. That an event of a
// file has no start is always told, for it may be all that is known of its UID.
type problems struct {
	feed bool
	key  string // of problems that belong to no event
	all  []Problem
}

func (p *problems) add(found ...Problem) {
	told := map[busy.Problem]bool{}
	for _, f := range found {
		full := len(p.all) >= maxProblems && (!p.feed || f.Code != busy.ProblemNoStart)
		if told[f.Code] || full {
			continue
		}
		told[f.Code] = true
		if f.Key == "" {
			f.Key = p.key
		}
		p.all = append(p.all, f)
	}
}

// event makes the event of a VEVENT, with its UID as Key and Series. It is false
// for one without a start, which is no event at all.
func (c *converter) event(e *component, index int) (busy.Event, bool) {
	ev, ok := c.read(e)
	uid := strings.TrimSpace(e.value("UID"))
	if uid == "" && c.feed {
		uid = "#" + strconv.Itoa(index) // lasts as long as the order of the file does
	}
	if ev.Original.IsZero() && e.get("RECURRENCE-ID") != nil {
		uid += "#" + strconv.Itoa(e.line) // not to be taken for the master
	}
	ev.Key, ev.Series, ev.Version = uid, uid, c.version
	for i := range e.problems {
		if c.feed {
			e.problems[i].Key = uid
		}
	}
	c.problems.add(e.problems...)
	return ev, ok
}

func (c *converter) read(e *component) (busy.Event, bool) {
	var ev busy.Event
	ev.State, ev.Why = stateOf(e)
	ev.Subject = subjectOf(e)
	ev.Sequence, ev.Stamp = revision(e)
	if id := e.get("RECURRENCE-ID"); id != nil {
		c.original(e, id, &ev)
	}
	if !c.start(e, &ev) {
		return ev, ev.Cancelled
	}
	c.end(e, &ev)
	if ev.Original.IsZero() {
		ev.Recurrence = c.recurrence(e, ev.Start)
	}
	return ev, true
}

// original reads a RECURRENCE-ID. One that cannot be read leaves a standalone
// event; what it replaces stays too.
func (c *converter) original(e *component, id *property, ev *busy.Event) {
	original, ok := c.moment(e, id, id.value)
	if !ok {
		e.flag(id.line, busy.ProblemUnreadable, "the RECURRENCE-ID cannot be read")
		return
	}
	ev.Original = original
	ev.AndFuture = upper(id.param("RANGE")) == "THISANDFUTURE"
	ev.Cancelled = ev.Why == busy.WhyCancelled
}

func (c *converter) start(e *component, ev *busy.Event) bool {
	p := e.get("DTSTART")
	if p != nil {
		start, ok := c.moment(e, p, p.value)
		if ok {
			ev.Start = start
			return true
		}
	}
	if ev.Cancelled || ev.State == busy.Free && ev.Original.IsZero() {
		return false // it blocks nothing, whenever it is
	}
	e.flag(e.line, busy.ProblemNoStart, "the event has no start that can be read")
	ev.Start = ev.Original // the best guess for an exception
	return !ev.Start.IsZero()
}

// end reads DTEND or, without one, DURATION. An end that cannot be read leaves
// the event with the length it has without any.
func (c *converter) end(e *component, ev *busy.Event) {
	if p := e.get("DTEND"); p != nil {
		end, ok := c.moment(e, p, p.value)
		if ok {
			ev.End = matching(ev.Start, end)
			return
		}
		e.flag(p.line, busy.ProblemUnreadable, "the DTEND cannot be read")
	}
	if p := e.get("DURATION"); p != nil {
		length, ok := parseDuration(p.value)
		if ok {
			ev.Length = whole(ev.Start, length)
			return
		}
		e.flag(p.line, busy.ProblemUnreadable, "the DURATION cannot be read")
	}
	if ev.Start.Date {
		ev.Length.Days = 1 // RFC 5545 §3.6.1
	}
}

// matching makes the end of the same type as the start, which RFC 5545 §3.8.2.2
// asks for: a date ends a timed event at its midnight, a time ends an all-day
// event with its day. An all-day event that ends on the day it starts, as some
// exporters write, lasts that day.
func matching(start, end busy.Moment) busy.Moment {
	was := end.Wall
	switch {
	case !start.Date && end.Date:
		return busy.Moment{Wall: end.Wall, Zone: start.Zone}
	case start.Date && !end.Date:
		end = busy.Moment{Wall: end.Wall.Truncate(day), Date: true}
		if end.Wall.Before(was) {
			end = next(end)
		}
	}
	if start.Date && end == start {
		return next(end)
	}
	return end
}

// next returns the date after, as far as dates can be written.
func next(date busy.Moment) busy.Moment {
	if after := date.Wall.Add(day); after.Year() <= 9999 {
		date.Wall = after
	}
	return date
}

// whole makes the length of an all-day event whole days.
func whole(start busy.Moment, l busy.Length) busy.Length {
	if !start.Date {
		return l
	}
	days := int(l.Exact / day)
	if l.Exact%day > 0 {
		days++
	}
	return busy.Length{Days: l.Days + days}
}

// moment reads a time of a property, in the zone that its TZID names.
func (c *converter) moment(e *component, p *property, value string) (busy.Moment, bool) {
	r, ok := parseReading(value)
	tzid := p.param("TZID")
	switch midnight := r.wall.Equal(r.wall.Truncate(day)); {
	case !ok || r.wall.IsZero(): // the first of January 1 is how some say "never"
		return busy.Moment{}, false
	case r.date, midnight && !r.utc && upper(p.param("VALUE")) == "DATE":
		return busy.Moment{Wall: r.wall, Date: true}, true
	case r.utc:
		return busy.InstantOf(r.wall), true
	case tzid == "":
		return busy.Moment{Wall: r.wall}, true
	}
	zone, found := c.zones.resolve(tzid)
	if !found {
		e.flag(p.line, busy.ProblemZone, "the time zone of the "+p.name+" is unknown; the calendar's was used")
	}
	return busy.Moment{Wall: r.wall, Zone: zone}, true
}

// revision reads SEQUENCE and DTSTAMP; what cannot be read is zero.
func revision(e *component) (int, time.Time) {
	sequence := 0
	if s := strings.TrimSpace(e.value("SEQUENCE")); len(s) < 10 {
		sequence = max(0, number(s))
	}
	stamp, ok := parseReading(e.value("DTSTAMP"))
	if !ok {
		return sequence, time.Time{}
	}
	return sequence, stamp.wall
}
