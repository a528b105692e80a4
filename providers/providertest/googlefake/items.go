package googlefake

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/providertest"
)

// item is an event as Google keeps it: a single, a series or an exception. What
// was removed stays as a tombstone.
type item struct {
	id       string
	fields   map[string]any
	revision int
}

func (it *item) series() string {
	s, _ := it.fields["recurringEventId"].(string)
	return s
}

func (it *item) isCancelled() bool { return it.fields["status"] == "cancelled" }

// cancel leaves of an item what is documented to stay of a cancelled one.
func (it *item) cancel(revision int) {
	kept := map[string]any{"status": "cancelled"}
	for _, name := range []string{"recurringEventId", "originalStartTime"} {
		if v, ok := it.fields[name]; ok {
			kept[name] = v
		}
	}
	it.fields, it.revision = kept, revision
}

// shown is the item as an answer has it.
func (it *item) shown(role string) map[string]any {
	m := maps.Clone(it.fields)
	m["kind"] = "calendar#event"
	m["id"] = it.id
	m["etag"] = fmt.Sprintf(`"%d"`, 3181161784712000+it.revision)
	if role == "freeBusyReader" {
		for _, name := range []string{"summary", "description", "location", "attendees", "organizer", "creator", "htmlLink"} {
			delete(m, name)
		}
		m["visibility"] = "private"
	}
	return m
}

// order is Google's: unspecified, yet stable. Exceptions come before their series
// as often as not.
func (it *item) order() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(it.id))) }

// ends is when an item that takes place once is over, by its own time; false for
// series, and for what has no time that can be read.
func (it *item) ends() (time.Time, bool) {
	if _, is := it.fields["recurrence"]; is {
		return time.Time{}, false
	}
	at, ok := it.fields["end"].(map[string]any)
	if !ok {
		if at, ok = it.fields["originalStartTime"].(map[string]any); !ok {
			return time.Time{}, false
		}
	}
	if date, ok := at["date"].(string); ok {
		t, err := time.Parse(time.DateOnly, date)
		return t, err == nil
	}
	text, _ := at["dateTime"].(string)
	t, err := time.Parse(time.RFC3339, text)
	return t, err == nil
}

// itemsOf are a series and its exceptions, stuffed with marks.
func itemsOf(e providertest.Entry, id, zone string) []*item {
	if e.Cancelled {
		return []*item{{id: id, fields: map[string]any{"status": "cancelled"}}}
	}
	master := entryFields(e, e.Subject, e.Start, e.End, zone)
	if e.Rule != "" {
		master["recurrence"] = append([]string{"RRULE:" + e.Rule}, excluded(e.Exclude)...)
	}
	items := []*item{{id: id, fields: master}}
	for _, x := range e.Exceptions {
		fields := entryFields(e, x.Subject, x.Start, x.End, zone)
		fields["recurringEventId"] = id
		fields["originalStartTime"] = at(x.Original, zone)
		it := &item{id: id + "_" + suffix(x.Original, zone), fields: fields}
		if x.Cancelled {
			it.cancel(0)
		}
		items = append(items, it)
	}
	return items
}

// restore puts exceptions that the entry does not have back to the series: they
// take place as it says or, where it leaves them out, not at all.
func (s *Server) restore(c *calendar, id string, e providertest.Entry) {
	for _, it := range c.items {
		if it.series() != id || it.revision == s.revision {
			continue
		}
		original := it.fields["originalStartTime"].(map[string]any)
		it.revision = s.revision
		if slices.ContainsFunc(e.Exclude, func(m busy.Moment) bool { return it.id == id+"_"+suffix(m, c.zone) }) {
			it.cancel(s.revision)
			continue
		}
		it.fields = entryFields(e, e.Subject, e.Start, e.End, c.zone)
		it.fields["recurringEventId"], it.fields["originalStartTime"] = id, original
		it.fields["start"], it.fields["end"] = original, after(original, e.End.Wall.Sub(e.Start.Wall))
	}
}

func after(at map[string]any, length time.Duration) map[string]any {
	if date, ok := at["date"].(string); ok {
		t, err := time.Parse(time.DateOnly, date)
		if err != nil {
			panic(err)
		}
		return map[string]any{"date": t.Add(length).Format(time.DateOnly)}
	}
	t, err := time.Parse(time.RFC3339, at["dateTime"].(string))
	if err != nil {
		panic(err)
	}
	return map[string]any{"dateTime": t.Add(length).Format(time.RFC3339), "timeZone": at["timeZone"]}
}

func entryFields(e providertest.Entry, title string, start, end busy.Moment, zone string) map[string]any {
	const mark = providertest.Mark
	status := "confirmed"
	if e.Tentative {
		status = "tentative"
	}
	fields := map[string]any{
		"status": status, "summary": title, "start": at(start, zone), "end": at(end, zone), "eventType": "default",
		"description": mark, "location": mark, "htmlLink": "https://calendar.google.test/" + mark,
		"hangoutLink": "https://meet.google.test/" + mark, "iCalUID": mark + "@google.com",
		"creator":            map[string]any{"email": mark + "@example.com", "displayName": mark},
		"organizer":          map[string]any{"email": mark + "@example.com"},
		"conferenceData":     map[string]any{"notes": mark},
		"attachments":        []any{map[string]any{"fileUrl": mark, "title": mark}},
		"extendedProperties": map[string]any{"private": map[string]any{mark: mark}},
		"source":             map[string]any{"url": mark, "title": mark},
		"attendees": []any{
			attendee(mark+"-other@example.com", false, "declined"),
			attendee(mark+"-self@example.com", true, answered(e)),
		},
	}
	if e.Free {
		fields["transparency"] = "transparent"
	}
	if e.Private {
		fields["visibility"] = "private"
	}
	return fields
}

func answered(e providertest.Entry) string {
	if e.Declined {
		return "declined"
	}
	return "accepted"
}

func attendee(email string, self bool, answer string) map[string]any {
	a := map[string]any{"email": email, "displayName": providertest.Mark, "comment": providertest.Mark, "responseStatus": answer}
	if self {
		a["self"] = true
	}
	return a
}

func excluded(moments []busy.Moment) []string {
	var lines []string
	for _, m := range moments {
		switch {
		case m.Date:
			lines = append(lines, "EXDATE;VALUE=DATE:"+m.Wall.Format("20060102"))
		case m.Zone == busy.UTC:
			lines = append(lines, "EXDATE:"+m.Wall.Format("20060102T150405Z"))
		default:
			lines = append(lines, "EXDATE;TZID="+m.Zone+":"+m.Wall.Format("20060102T150405"))
		}
	}
	return lines
}

// at writes a moment. The offset is that of the calendar's zone, whatever zone the
// moment is in.
func at(m busy.Moment, zone string) map[string]any {
	if m.Date {
		return map[string]any{"date": m.Wall.Format(time.DateOnly)}
	}
	name := m.Zone
	if name == "" {
		name = zone
	}
	return map[string]any{"dateTime": instant(m, zone).In(location(zone)).Format(time.RFC3339), "timeZone": name}
}

func suffix(m busy.Moment, zone string) string {
	if m.Date {
		return m.Wall.Format("20060102")
	}
	return instant(m, zone).Format("20060102T150405Z")
}

func instant(m busy.Moment, zone string) time.Time {
	if m.Zone != "" {
		zone = m.Zone
	}
	w := m.Wall
	return time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), 0, location(zone)).UTC()
}

func location(zone string) *time.Location {
	l, err := time.LoadLocation(zone)
	if err != nil {
		panic(err)
	}
	return l
}

// listed are the items of a calendar in Google's order.
func (c *calendar) listed() []*item {
	return slices.SortedFunc(maps.Values(c.items), func(a, b *item) int { return strings.Compare(a.order(), b.order()) })
}
