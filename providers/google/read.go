package google

import (
	"time"

	calendar "google.golang.org/api/calendar/v3"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/subject"
	"github.com/busyd/busyd/providers/zones"
)

// reader turns the items of one answer into a change.
type reader struct {
	q    providers.Query
	zone string // the calendar's
	role string // the account's, on the calendar
	// loaded are the zones met so far, for loading one reads a file. nil: no such.
	loaded map[string]*time.Location
}

func newReader(q providers.Query, answer *calendar.Events) reader {
	return reader{q: q, zone: answer.TimeZone, role: answer.AccessRole, loaded: make(map[string]*time.Location)}
}

const cancelled = "cancelled"

// change returns what the items say. An item that cannot be told from another is
// an error: left out, it would count as removed.
func (r reader) change(items []*calendar.Event) (busy.Change, error) {
	var c busy.Change
	gone := make(map[string]bool)
	last := make(map[string]int, len(items))
	for i, item := range items {
		if item == nil || item.Id == "" {
			return busy.Change{}, &providers.Error{Code: codeUnreadable}
		}
		last[item.Id] = i
		gone[item.Id] = item.Status == cancelled && item.RecurringEventId == ""
	}
	for i, item := range items {
		switch {
		case last[item.Id] != i:
		case gone[item.Id]:
			c.Gone = append(c.Gone, item.Id)
		case gone[item.RecurringEventId]: // removed with its series
		default:
			r.add(&c, item)
		}
	}
	return c, nil
}

func (r reader) add(c *busy.Change, item *calendar.Event) {
	e, problem := r.event(item)
	switch {
	case problem != busy.ProblemNone:
		c.Unreadable = append(c.Unreadable, busy.Unreadable{Key: item.Id, Version: r.version(item), Problem: problem})
	case r.isPast(e):
		c.Gone = append(c.Gone, e.Key)
	default:
		c.Events = append(c.Events, e)
	}
}

// version is under which an item is held. What is shown of an item depends on the
// account's role too, which the tag need not tell.
func (r reader) version(item *calendar.Event) string {
	if item.Etag == "" {
		return ""
	}
	return item.Etag + " " + r.role
}

// event reads an item. Every item but a single stands for a series: masters have
// recurrence lines, exceptions name their master.
func (r reader) event(item *calendar.Event) (busy.Event, busy.Problem) {
	e := busy.Event{Key: item.Id, Version: r.version(item), Series: item.Id}
	if item.RecurringEventId != "" {
		var ok bool
		if e.Series = item.RecurringEventId; item.OriginalStartTime == nil {
			return busy.Event{}, busy.ProblemNoStart
		}
		if e.Original, ok = moment(item.OriginalStartTime, nil); !ok {
			return busy.Event{}, busy.ProblemUnreadable
		}
		if item.Status == cancelled {
			e.Cancelled = true
			return e, busy.ProblemNone
		}
	}
	e.State, e.Why = stateOf(item)
	private := item.Visibility == "private" || item.Visibility == "confidential"
	if e.Subject = subject.Unless(private, item.Summary); e.Subject == "" {
		e.Subject = untitled
	}
	if item.Start == nil {
		return busy.Event{}, busy.ProblemNoStart
	}
	zone, known := r.zoneOf(item)
	ok := r.times(&e, item, zone)
	if !ok {
		return busy.Event{}, busy.ProblemUnreadable
	}
	if len(item.Recurrence) > 0 {
		e.Recurrence = recurrence(item.Recurrence, e.Start)
		if !known && !e.Start.Date {
			e.Recurrence = append(e.Recurrence, unreadableRule)
		}
	}
	return e, busy.ProblemNone
}

// untitled is the subject of an event whose title the account may not see, or
// that has none.
const untitled = "Busy"

// times reads start and end. Without an end, a date lasts a day and a time none
// (RFC 5545 §3.6.1).
func (r reader) times(e *busy.Event, item *calendar.Event, zone *time.Location) (ok bool) {
	if e.Start, ok = moment(item.Start, zone); !ok {
		return false
	}
	if item.End == nil {
		if e.Start.Date {
			e.Length = busy.Length{Days: 1}
		}
		return true
	}
	e.End, ok = moment(item.End, zone)
	return ok && e.End.Date == e.Start.Date
}

// zoneOf is the zone in which the occurrences of a series are computed; nil for
// what is no series. It is false where nothing tells the zone, and the calendar's
// was taken. The offset that a time is written with does not tell: it is that of
// the calendar's zone, whatever the event's is.
func (r reader) zoneOf(item *calendar.Event) (zone *time.Location, known bool) {
	if len(item.Recurrence) == 0 {
		return nil, true
	}
	for i, name := range []string{item.Start.TimeZone, r.zone, r.q.Zone} {
		if zone := r.load(name); zone != nil {
			return zone, i == 0
		}
	}
	return time.UTC, false
}

// load returns the zone of a name; nil if there is none.
func (r reader) load(name string) *time.Location {
	zone, known := r.loaded[name]
	if known {
		return zone
	}
	if iana, ok := zones.Resolve(name); ok {
		zone, _ = time.LoadLocation(iana) // nil with its error
	}
	r.loaded[name] = zone
	return zone
}

// moment reads a date, or a time as an instant; with a zone, as the reading of
// the clock there.
func moment(at *calendar.EventDateTime, zone *time.Location) (busy.Moment, bool) {
	if at.Date != "" {
		m, err := busy.ParseMoment(at.Date)
		return m, err == nil && m.Date
	}
	t, err := time.Parse(time.RFC3339, at.DateTime)
	if err != nil {
		return busy.Moment{}, false
	}
	if zone == nil || zone.String() == busy.UTC {
		return busy.InstantOf(t), true
	}
	_, offset := t.In(zone).Zone()
	reading := busy.InstantOf(t.Add(time.Duration(offset) * time.Second))
	return busy.Moment{Wall: reading.Wall, Zone: zone.String()}, true
}

// isPast reports whether an event is so long over that a listing would leave it
// out. Only those are judged that take place once.
func (r reader) isPast(e busy.Event) bool {
	if r.q.Window.Start.IsZero() || len(e.Recurrence) > 0 {
		return false
	}
	// No clock is as far from UTC as a day.
	from := r.q.Window.Start.Add(-before - 24*time.Hour)
	end := e.End
	if end.IsZero() {
		end = e.Start
	}
	return !end.Wall.After(from) && e.Original.Wall.Before(from)
}
