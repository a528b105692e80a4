package googlefake

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/busyd/busyd/providers/providertest"
)

// mark is what sync and page tokens hold.
type mark struct {
	Calendar string
	Epoch    int
	Revision int    // of what was read already; of a page, when its round began
	Since    int    // of a page: what the round goes on from
	Params   string // which the other requests must repeat
	After    string // of a page: the last item
	Hollow   bool   // of a page: a page without entries was given out
	Poll     int    // makes each sync token another
}

func (m mark) write() string {
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func readMark(text string) (m mark, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	return m, err == nil && json.Unmarshal(raw, &m) == nil
}

// params of a request that must be the same with its sync token.
func params(q url.Values) string {
	q = cloned(q)
	for _, name := range []string{"syncToken", "pageToken", "timeMin", "quotaUser"} {
		q.Del(name)
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(q.Encode())))[:12]
}

func cloned(q url.Values) url.Values {
	c := url.Values{}
	for name, values := range q {
		c[name] = slices.Clone(values)
	}
	return c
}

// withSyncToken are the parameters that Google forbids beside a sync token.
var withSyncToken = []string{
	"iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "timeMin", "timeMax", "updatedMin",
}

// events answers events.list, for busyd's way of asking: masters, no deleted ones.
func (s *Server) events(id string, q url.Values) (map[string]any, *reason) {
	if refused := checked(q, append([]string{
		"syncToken", "pageToken", "maxResults", "maxAttendees", "singleEvents", "showDeleted", "timeZone", "eventTypes",
	}, withSyncToken...)...); refused != nil {
		return nil, refused
	}
	size, refused := pageSize(q, 2500)
	if refused != nil {
		return nil, refused
	}
	if q.Get("singleEvents") == "true" {
		return nil, bad("the fake does not expand")
	}
	if id == "primary" {
		id = s.o.Email
	}
	c := s.calendars[id]
	if c == nil {
		return nil, notFound
	}
	from, refused := s.begin(c, q)
	if refused != nil {
		return nil, refused
	}
	items, next := s.page(c, from, q, s.capped(size))
	body := map[string]any{
		"kind": "calendar#events", "etag": `"p33"`, "summary": providertest.Mark, "description": providertest.Mark,
		"updated": "2026-01-01T00:00:00.000Z", "timeZone": c.zone, "accessRole": c.role, "items": items,
	}
	if next != nil {
		body["nextPageToken"] = next.write()
	} else {
		s.polls++
		body["nextSyncToken"] = mark{Calendar: id, Epoch: s.epoch, Revision: from.Revision, Params: params(q), Poll: s.polls}.write()
	}
	return s.masked(q.Get("fields"), eventsResource(), body)
}

// begin checks the tokens and returns where the page starts.
func (s *Server) begin(c *calendar, q url.Values) (mark, *reason) {
	from := mark{Calendar: c.id, Epoch: s.epoch, Revision: s.revision, Params: params(q)}
	if q.Has("syncToken") {
		for _, name := range withSyncToken {
			if q.Has(name) {
				return mark{}, bad("Sync token cannot be used with " + name)
			}
		}
		if q.Get("showDeleted") == "false" {
			return mark{}, bad("showDeleted cannot be false with a sync token")
		}
		since, ok := readMark(q.Get("syncToken"))
		switch {
		case !ok || since.Calendar != c.id:
			return mark{}, &reason{http.StatusBadRequest, "invalid", "Invalid sync token value."}
		case since.Epoch != s.epoch:
			return mark{}, tokenExpired
		case since.Params != from.Params:
			return mark{}, bad("parameters differ from those of the initial request")
		}
		from.Since = since.Revision
	}
	if low := q.Get("timeMin"); low != "" {
		if _, err := time.Parse(time.RFC3339, low); err != nil {
			return mark{}, bad("Invalid timeMin")
		}
	}
	if q.Has("pageToken") {
		at, ok := readMark(q.Get("pageToken"))
		if !ok || at.Calendar != c.id || at.Epoch != s.epoch || at.Params != from.Params || at.Since != from.Since {
			return mark{}, &reason{http.StatusBadRequest, "invalid", "Invalid page token value."}
		}
		return at, nil
	}
	return from, nil
}

// page returns the items of a page and, if more follow, where.
func (s *Server) page(c *calendar, from mark, q url.Values, size int) ([]any, *mark) {
	items := []any{}
	for _, it := range c.listed() {
		if it.order() <= from.After || !isListed(it, from, q) {
			continue
		}
		if s.o.Hollow && !from.Hollow {
			from.Hollow = true
			return items, &from
		}
		if len(items) == size {
			from.Hollow = false
			return items, &from
		}
		from.After = it.order()
		if s.failure == providertest.DropsObjects && it.id == ID("n1") {
			items = append(items, map[string]any{})
			continue
		}
		items = append(items, s.attended(it.shown(c.role), q.Get("maxAttendees")))
	}
	return items, nil
}

// isListed decides as Google does. A complete listing leaves out what was removed,
// unless it is an occurrence of a series.
func isListed(it *item, from mark, q url.Values) bool {
	if q.Has("syncToken") {
		return it.revision > from.Since
	}
	if it.isCancelled() && it.series() == "" && q.Get("showDeleted") != "true" {
		return false
	}
	end, ok := it.ends()
	low, err := time.Parse(time.RFC3339, q.Get("timeMin"))
	return !ok || err != nil || end.After(low)
}

// attended leaves of the attendees the account itself, if there are more than
// were asked for.
func (s *Server) attended(m map[string]any, most string) map[string]any {
	list, _ := m["attendees"].([]any)
	limit, err := strconv.Atoi(most)
	if err != nil || len(list) <= limit || s.o.Leaky {
		return m
	}
	m["attendeesOmitted"] = true
	m["attendees"] = slices.DeleteFunc(slices.Clone(list), func(a any) bool { return a.(map[string]any)["self"] != true })
	return m
}

func pageSize(q url.Values, most int) (int, *reason) {
	size := min(most, 250)
	if text := q.Get("maxResults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return 0, bad("Invalid maxResults")
		}
		size = n
	}
	return size, nil
}

// calendarList answers calendarList.list.
func (s *Server) calendarList(q url.Values) (map[string]any, *reason) {
	if refused := checked(q, "maxResults", "minAccessRole", "pageToken", "showDeleted", "showHidden", "syncToken"); refused != nil {
		return nil, refused
	}
	size, refused := pageSize(q, 250)
	if refused != nil {
		return nil, refused
	}
	start, _ := strconv.Atoi(q.Get("pageToken"))
	items, last := []any{}, start
	for ; last < len(s.order) && len(items) < s.capped(size); last++ {
		if c := s.calendars[s.order[last]]; !c.hidden || q.Get("showHidden") == "true" {
			items = append(items, c.shown())
		}
	}
	body := map[string]any{"kind": "calendar#calendarList", "etag": `"p33"`, "items": items}
	if last < len(s.order) {
		body["nextPageToken"] = strconv.Itoa(last)
	} else {
		body["nextSyncToken"] = "calendars-" + strconv.Itoa(s.revision)
	}
	return s.masked(q.Get("fields"), calendarsResource(), body)
}

func (s *Server) calendarEntry(id string, q url.Values) (map[string]any, *reason) {
	if id == "primary" {
		id = s.o.Email
	}
	c := s.calendars[id]
	if c == nil {
		return nil, notFound
	}
	return s.masked(q.Get("fields"), calendarEntryResource(), c.shown())
}

func (c *calendar) shown() map[string]any {
	m := map[string]any{
		"kind": "calendar#calendarListEntry", "etag": `"1"`, "id": c.id, "summary": c.title, "description": providertest.Mark,
		"location": providertest.Mark, "timeZone": c.zone, "colorId": "1", "selected": true, "accessRole": c.role,
	}
	if c.primary {
		m["primary"] = true
	}
	if c.hidden {
		m["hidden"] = true
	}
	return m
}

func (s *Server) capped(size int) int {
	if s.o.MaxPage > 0 {
		return min(size, s.o.MaxPage)
	}
	return size
}
