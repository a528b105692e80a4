package ical

import (
	"strings"

	"github.com/busyd/busyd/providers/zones"
)

// Bounds of the zones that a calendar brings. One beyond them is unknown.
const (
	maxZones       = 256
	maxObservances = 200
	maxDefinition  = 16 << 10 // bytes of the stripped definition
)

// Zone returns the IANA name of the zone that a VTIMEZONE, alone or in a
// VCALENDAR, defines: the calendar-timezone of a CalDAV calendar. It is empty
// where the zone has no such name.
func Zone(vtimezone string) string {
	if nameOf([]byte(vtimezone)) == "BEGIN" && !strings.Contains(strings.ToUpper(vtimezone), "BEGIN:VCALENDAR") {
		vtimezone = "BEGIN:VCALENDAR\n" + vtimezone + "\nEND:VCALENDAR\n"
	}
	raw := reader{each: func(*component) {}}
	if err := raw.read(newLines(strings.NewReader(vtimezone), 1<<20)); err != nil {
		return ""
	}
	for i := range raw.zones {
		if name, ok := named(&raw.zones[i]); ok {
			return name
		}
	}
	return ""
}

// named returns the IANA name of a VTIMEZONE, by its own name or by the one that
// libical and Google put beside it.
func named(z *component) (string, bool) {
	if name, ok := zones.Resolve(z.value("TZID")); ok {
		return name, true
	}
	return zones.Resolve(z.value("X-LIC-LOCATION"))
}

// zoneTable resolves the TZIDs of one calendar.
type zoneTable struct {
	calendar string // the zone that the calendar names itself
	fallback string // reads times in unknown zones; empty: they are floating
	named    string // the calendar's zone as the calendar writes it
	defined  map[string]*component
	learnt   int // zones of the calendar that are in defined
	known    map[string]zoneEntry
}

type zoneEntry struct {
	zone  string
	found bool
}

func newZones(zone string) *zoneTable {
	return &zoneTable{fallback: zone, defined: map[string]*component{}, known: map[string]zoneEntry{}}
}

// learn adds what has been read of the calendar since. No zone of it is open.
func (t *zoneTable) learn(raw *components) {
	if t.named != raw.zone {
		t.named = raw.zone
		if name, ok := zones.Resolve(raw.zone); ok {
			t.calendar, t.fallback = name, name
		}
	}
	for ; t.learnt < len(raw.zones); t.learnt++ {
		z := &raw.zones[t.learnt]
		id := zoneID(z.value("TZID"))
		if _, twice := t.defined[id]; !twice {
			t.defined[id] = z
		}
	}
}

// cover reports whether all zones of an event are known.
func (t *zoneTable) cover(e *component) bool {
	for _, list := range [][]property{e.props, e.listed} {
		for i := range list {
			if tzid := list[i].param("TZID"); tzid != "" && !t.knows(tzid) {
				return false
			}
		}
	}
	return true
}

func (t *zoneTable) knows(tzid string) bool {
	id := zoneID(tzid)
	if e, ok := t.known[id]; ok {
		return e.found
	}
	e := t.find(tzid, id)
	if e.found && len(t.known) < maxZones {
		t.known[id] = e
	}
	return e.found
}

func zoneID(tzid string) string { return strings.ToLower(strings.Trim(strings.TrimSpace(tzid), `"`)) }

// resolve returns what busy.Moment calls the zone of a TZID: by its name, or by
// the VTIMEZONE that defines it. A name that IANA has is trusted, whatever the
// calendar's definition says: those are often out of date, the names are not.
//
// It is false where nothing defines the zone; the calendar's applies then.
func (t *zoneTable) resolve(tzid string) (zone string, found bool) {
	id := zoneID(tzid)
	if e, ok := t.known[id]; ok {
		return e.zone, e.found
	}
	if len(t.known) >= maxZones {
		return t.fallback, false
	}
	e := t.find(tzid, id)
	t.known[id] = e
	return e.zone, e.found
}

func (t *zoneTable) find(tzid, id string) zoneEntry {
	if name, ok := zones.Resolve(tzid); ok {
		return zoneEntry{name, true}
	}
	if z := t.defined[id]; z != nil {
		if name, ok := named(z); ok {
			return zoneEntry{name, true}
		}
		if text, ok := definition(z); ok {
			return zoneEntry{text, true}
		}
	}
	return zoneEntry{zone: t.fallback}
}

// definition strips a VTIMEZONE to what computing needs, in one spelling, so
// that equal definitions are equal strings. It is false for one that does not
// define anything.
func definition(z *component) (string, bool) {
	if len(z.parts) == 0 || len(z.parts) > maxObservances {
		return "", false
	}
	lines := []string{"BEGIN:VTIMEZONE"}
	for i := range z.parts {
		observance, ok := observance(&z.parts[i])
		if !ok {
			return "", false
		}
		lines = append(lines, observance...)
	}
	text := strings.Join(append(lines, "END:VTIMEZONE"), "\n")
	return text, len(text) <= maxDefinition
}

// observance strips a STANDARD or DAYLIGHT part. Half a definition would shift
// times for half of the year, so one part that cannot be read spoils the whole.
func observance(o *component) ([]string, bool) {
	start, ok := parseReading(o.value("DTSTART"))
	from, to := upper(o.value("TZOFFSETFROM")), upper(o.value("TZOFFSETTO"))
	if from == "" {
		from = to
	}
	if !ok || !isOffset(from) || !isOffset(to) || len(o.problems) > 0 {
		return nil, false
	}
	lines := []string{
		"BEGIN:" + o.name,
		"DTSTART:" + start.wall.Format(wallForm),
		"TZOFFSETFROM:" + from,
		"TZOFFSETTO:" + to,
	}
	for _, p := range o.listed {
		switch p.name {
		case "RRULE":
			rule, ok := ruleOf(p.value)
			if !ok {
				return nil, false
			}
			lines = append(lines, "RRULE:"+rule)
		case "RDATE":
			dates, ok := onsets(p.value)
			if !ok {
				return nil, false
			}
			lines = append(lines, "RDATE:"+dates)
		}
	}
	return append(lines, "END:"+o.name), true
}

func onsets(list string) (string, bool) {
	var dates []string
	for value := range strings.SplitSeq(list, ",") {
		r, ok := parseReading(value)
		if !ok {
			return "", false
		}
		dates = append(dates, r.wall.Format(wallForm))
	}
	return strings.Join(dates, ","), true
}

// isOffset reports whether s is a UTC-OFFSET (RFC 5545 §3.3.14).
func isOffset(s string) bool {
	if len(s) != 5 && len(s) != 7 || s[0] != '+' && s[0] != '-' {
		return false
	}
	hour, minute := number(s[1:3]), number(s[3:5])
	second := number(s[5:])
	return hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 && second <= 59
}
