package graphfake

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/providertest"
)

const mark = providertest.Mark

// selectable are the fields of an event that may be asked for.
var selectable = []string{
	"id", "type", "subject", "sensitivity", "start", "end", "isAllDay", "isCancelled", "showAs", "responseStatus",
	"originalStartTimeZone", "originalEndTimeZone", "seriesMasterId", "changeKey", "iCalUId", "importance",
	"body", "bodyPreview", "attendees", "organizer", "location", "locations", "categories", "webLink",
}

// longestView is the span that Graph shows at most.
const longestView = 1825 * 24 * time.Hour

func (c *call) view(granted access) {
	k, span, ok := c.window()
	if !ok {
		return
	}
	for name := range c.form {
		if !slices.Contains([]string{"startDateTime", "endDateTime", "$top", "$skip", "$select"}, name) {
			c.refuse(http.StatusBadRequest, "RequestBroker--ParseUri", "a view is not asked for "+name)
			return
		}
	}
	wanted := strings.Split(c.form.Get("$select"), ",")
	for _, field := range wanted {
		if !slices.Contains(selectable, field) {
			c.refuse(http.StatusBadRequest, "RequestBroker--ParseUri", "the field cannot be selected: "+field)
			return
		}
		if slices.Contains([]string{"body", "bodyPreview", "attendees", "organizer", "location", "locations", "webLink"}, field) {
			c.refuse(http.StatusBadRequest, "BadRequest", "the field is nobody's business: "+field)
			return
		}
	}
	top := number(c.form.Get("$top"))
	if top < 1 || top > 1000 {
		c.refuse(http.StatusBadRequest, "ErrorInvalidParameter", "a page has between 1 and 1000 entries")
		return
	}
	if c.PageEvents > 0 {
		top = min(top, c.PageEvents)
	}
	all := c.shown(k, span)
	skip := number(c.form.Get("$skip"))
	page := all[min(skip, len(all)):min(skip+top, len(all))]
	value := make([]map[string]any, 0, len(page))
	for _, o := range page {
		value = append(value, selected(c.event(o, granted), wanted))
	}
	answer := map[string]any{"@odata.context": c.base() + "/$metadata#users('me')/calendars('x')/calendarView", "value": value}
	if skip+len(page) < len(all) {
		q := url.Values{
			"startDateTime": {c.form.Get("startDateTime")}, "endDateTime": {c.form.Get("endDateTime")},
			"$top": {c.form.Get("$top")}, "$select": {c.form.Get("$select")}, "$skip": {text(skip + len(page))},
		}
		answer["@odata.nextLink"] = c.base() + "/me/calendars/" + k.id + "/calendarView?" + q.Encode()
	}
	c.json(http.StatusOK, answer)
}

// window reads which calendar, and which span of it, is asked for.
func (c *call) window() (*calendar, busy.Span, bool) {
	k := c.asked()
	if k == nil {
		c.fail(http.StatusNotFound, "ErrorItemNotFound")
		return nil, busy.Span{}, false
	}
	from, err := time.Parse(time.RFC3339, c.form.Get("startDateTime"))
	to, err2 := time.Parse(time.RFC3339, c.form.Get("endDateTime"))
	span := busy.Span{Start: from.UTC(), End: to.UTC()}
	if err != nil || err2 != nil || span.Empty() || to.Sub(from) > longestView {
		c.refuse(http.StatusBadRequest, "ErrorInvalidParameter", "the span is not one, or its ends have no offset")
		return nil, busy.Span{}, false
	}
	return k, span, true
}

// asked is the calendar that the path names.
func (c *call) asked() *calendar {
	path, _ := strings.CutPrefix(c.r.URL.Path, "/v1.0/me/")
	if strings.HasPrefix(path, "calendarView") || strings.HasPrefix(path, "calendar/calendarView") {
		return c.named(Primary)
	}
	id, _ := strings.CutPrefix(path, "calendars/")
	id, _, _ = strings.Cut(id, "/")
	return c.byID(id)
}

// occurrence is one line of a view.
type occurrence struct {
	item       *item
	id         string
	kind       string
	subject    string
	start, end time.Time
}

// ownersZone is where the person lives.
const ownersZone = providertest.Zone

// shown computes what a calendar shows in a span, by time.
func (s *Server) shown(k *calendar, span busy.Span) []occurrence {
	var all []occurrence
	for _, name := range slices.Sorted(maps.Keys(k.items)) {
		i := k.items[name]
		if i.unreadable {
			all = append(all, occurrence{item: i, id: i.id, kind: "singleInstance"})
			continue
		}
		all = append(all, s.expand(i, span)...)
	}
	slices.SortStableFunc(all, func(a, b occurrence) int { return a.start.Compare(b.start) })
	return all
}

func (s *Server) expand(i *item, span busy.Span) []occurrence {
	series, originals := i.entry.Series()
	found, err := s.Expand.Expand(context.Background(), series, span, s.zone)
	if err != nil {
		panic(err)
	}
	all := make([]occurrence, 0, len(found))
	for _, o := range found {
		x := occurrence{item: i, id: i.id, kind: "singleInstance", subject: series[o.Event].Subject, start: o.Start, end: o.End}
		if i.entry.Rule != "" {
			x.kind = "occurrence"
			original := o.Start.Format(time.RFC3339)
			if o.Event > 0 {
				x.kind, original = "exception", originals[o.Event-1]
			}
			x.id = base64.URLEncoding.EncodeToString([]byte(i.id + "|" + original))
		}
		all = append(all, x)
	}
	return all
}

func sensitivity(e providertest.Entry) string {
	if e.Private {
		return "private"
	}
	return "normal"
}

// event is all that Graph shows of an occurrence, with marks in what busyd must
// not let through. The narrow permission withholds the body alone.
func (c *call) event(o occurrence, granted access) map[string]any {
	e := o.item.entry
	shown := map[string]any{
		"@odata.etag": `W/"` + text(o.item.revision) + `"`,
		"id":          o.id, "type": o.kind, "changeKey": text(o.item.revision), "subject": o.subject,
		"sensitivity": sensitivity(e), "importance": "normal", "iCalUId": mark + "-uid",
		"isAllDay": e.Start.Date, "isCancelled": e.Cancelled, "showAs": showAs(e),
		"responseStatus":        map[string]any{"response": response(e), "time": "0001-01-01T00:00:00Z"},
		"originalStartTimeZone": windows(e.Start.Zone), "originalEndTimeZone": windows(e.End.Zone),
		"start": c.reading(o, o.start), "end": c.reading(o, o.end),
		"location":  map[string]any{"displayName": mark + " room"},
		"organizer": map[string]any{"emailAddress": map[string]any{"name": mark, "address": mark + "@fake.test"}},
		"attendees": []any{map[string]any{
			"type": "required", "status": map[string]any{"response": "declined"},
			"emailAddress": map[string]any{"name": mark, "address": mark + "-other@fake.test"},
		}},
		"categories": []string{mark}, "webLink": "https://outlook.fake.test/" + mark,
	}
	if o.kind != "singleInstance" {
		shown["seriesMasterId"] = o.item.id
	}
	if granted.has("Calendars.Read") {
		shown["bodyPreview"] = mark + " preview"
		shown["body"] = map[string]any{"contentType": "html", "content": "<p>" + mark + "</p>"}
	}
	if o.item.unreadable {
		shown["start"] = map[string]any{"dateTime": "when " + mark + " has time", "timeZone": "UTC"}
		shown["subject"] = mark
		return shown
	}
	o.item.edit(shown)
	return shown
}

// reading is a time as Graph writes it: an all-day event's is midnight, whatever
// the zone.
func (c *call) reading(o occurrence, t time.Time) map[string]any {
	if o.item.entry.Start.Date {
		t = t.In(c.zone)
		t = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	}
	return map[string]any{"dateTime": t.UTC().Format("2006-01-02T15:04:05.0000000"), "timeZone": "UTC"}
}

func showAs(e providertest.Entry) string {
	switch {
	case e.Free:
		return "free"
	case e.Tentative:
		return "tentative"
	default:
		return "busy"
	}
}

func response(e providertest.Entry) string {
	if e.Declined {
		return "declined"
	}
	return "organizer"
}

// windows is the name that Windows has for a zone.
func windows(iana string) string {
	switch iana {
	case "Europe/Berlin", "":
		return "W. Europe Standard Time"
	case "America/New_York":
		return "Eastern Standard Time"
	case "Asia/Tokyo":
		return "Tokyo Standard Time"
	default:
		return iana
	}
}

// selected keeps the fields that were asked for, and those that nobody can leave
// out.
func selected(shown map[string]any, wanted []string) map[string]any {
	kept := map[string]any{}
	for name, value := range shown {
		if name == "id" || strings.HasPrefix(name, "@") || slices.Contains(wanted, name) {
			kept[name] = value
		}
	}
	return kept
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func text(n int) string { return strconv.Itoa(n) }
