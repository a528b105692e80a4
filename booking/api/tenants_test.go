package api

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
)

// party is a tenant as a caller of the API knows it: keys, and the ids of one
// resource with one calendar. Its marks are all that must never be served to
// another.
type party struct {
	keys                           map[busy.Scope]string
	resource, connection, calendar string
	marks                          []string

	service, override, booking string
	hold, spare                string // holds, with their tokens
	token, spareToken          string
	endpoint                   string
}

func (h *house) party(i int) party {
	name := []string{"one", "two"}[i]
	ten := h.tenants[i]
	p := party{
		keys:     map[busy.Scope]string{busy.ScopeRead: readToken + "_" + name, busy.ScopeSync: syncToken + "_" + name, busy.ScopeBook: bookToken + "_" + name, busy.ScopeAdmin: adminToken + "_" + name},
		resource: ten.resources[0].ID.String(), connection: ten.connections[0].ID.String(), calendar: ten.calendars[0].ID.String(),
		service: ten.services[0].ID.String(), override: ten.resources[0].Overrides[0].ID.String(),
		booking: ten.bookings[1].ID.String(), hold: ten.bookings[2].ID.String(), spare: ten.bookings[3].ID.String(),
		token: ten.token, spareToken: ten.token,
		endpoint: ten.endpoints[0].ID.String(),
	}
	p.marks = append(p.marks, p.service, ten.services[0].Name, p.override, p.booking, p.hold, p.spare, p.token, ten.conflicts[0].ID.String(), "case of "+name, p.endpoint, ten.endpoints[0].URL, "number of "+name)
	for i := range ten.resources {
		p.marks = append(p.marks, ten.resources[i].ID.String(), ten.resources[i].Name, ten.connections[i].ID.String(), ten.calendars[i].ID.String(), ten.calendars[i].Name)
	}
	return p
}

// calls lists, by route, good calls with the party's ids. A route without one
// takes no id.
func (p party) calls() map[string][]specimen {
	return map[string][]specimen{
		"getBusy":         {{target: "/v1/busy?resource=" + p.resource + days}},
		"getAvailability": {{target: "/v1/availability?resource=" + p.resource + days + "&duration=30m"}},
		"resync":          {{target: "/v1/resync", body: `{"calendar":"` + p.calendar + `"}`}, {target: "/v1/resync", body: `{"connection":"` + p.connection + `"}`}},
		"listResources":   {{target: "/v1/resources"}},
		"listConnections": {{target: "/v1/connections"}},
		"listCalendars":   {{target: "/v1/calendars"}},
		"selectCalendar":  {{target: "/v1/calendars/" + p.calendar, body: `{"selected":false}`}},
		"connect":         {{target: "/v1/connections", body: `{"provider":"google","resource":"` + p.resource + `"}`}},
		"getTenant":       {{target: "/v1/tenant"}},
		"changeTenant":    {{target: "/v1/tenant", body: `{"downgraded":false}`}},
		"pauseConnection": {{target: "/v1/connections/" + p.connection, body: `{"paused":true}`}, {target: "/v1/connections/" + p.connection, body: `{"paused":false}`}},
		"listServices":    {{target: "/v1/services"}},
		"createService":   {{target: "/v1/services", body: serviceText("Another", p.resource)}},
		"getService":      {{target: "/v1/services/" + p.service}},
		"replaceService":  {{target: "/v1/services/" + p.service, body: serviceText("Visit", p.resource)}},
		"archiveService":  {{target: "/v1/services/" + p.service}},
		"changeResource":  {{target: "/v1/resources/" + p.resource, body: `{"zone":"Europe/Berlin"}`}},
		"listOverrides":   {{target: "/v1/resources/" + p.resource + "/overrides"}},
		"createOverride":  {{target: "/v1/resources/" + p.resource + "/overrides", body: `{"first":"2026-12-24","closed":true}`}},
		"deleteOverride":  {{target: "/v1/overrides/" + p.override}},
		"askAvailability": {
			{target: "/v1/availability", body: `{"services":["` + p.service + `"],"hold":"` + p.hold + `","from":"2026-03-06T08:00:00Z","to":"2026-03-06T16:00:00Z","explain":true}`, hold: p.token},
			{target: "/v1/availability", body: `{"rule":{"duration":"30m","needs":[{"resources":["` + p.resource + `"]}]},"from":"2026-03-06T08:00:00Z","to":"2026-03-06T16:00:00Z"}`},
		},
		"hold":                {{target: "/v1/holds", body: wantText(p.service, utc(6, 14, 0))}},
		"renewHold":           {{target: "/v1/holds/" + p.hold + "/renew", body: `{"ttl":"10m"}`, hold: p.token}},
		"releaseHold":         {{target: "/v1/holds/" + p.spare, hold: p.spareToken}},
		"book":                {{target: "/v1/bookings", body: wantText(p.service, utc(6, 15, 0))}, {target: "/v1/bookings", body: `{"hold":"` + p.hold + `"}`, hold: p.token}},
		"listBookings":        {{target: "/v1/bookings"}},
		"getBooking":          {{target: "/v1/bookings/" + p.booking}},
		"confirmBooking":      {{target: "/v1/bookings/" + p.booking + "/confirm"}},
		"rescheduleBooking":   {{target: "/v1/bookings/" + p.booking + "/reschedule", body: `{"start":"2026-03-06T13:00:00Z"}`}},
		"cancelBooking":       {{target: "/v1/bookings/" + p.booking + "/cancel"}},
		"getPersonalData":     {{target: "/v1/bookings/" + p.booking + "/personal-data"}},
		"erasePersonalData":   {{target: "/v1/bookings/" + p.booking + "/personal-data"}},
		"listConflicts":       {{target: "/v1/conflicts?all=true"}},
		"disconnect":          {{target: "/v1/connections/" + p.connection}},
		"listWebhooks":        {{target: "/v1/webhooks"}},
		"createWebhook":       {{target: "/v1/webhooks", body: `{"url":"https://example.com/"}`}},
		"deleteWebhook":       {{target: "/v1/webhooks/" + p.endpoint}},
		"rotateWebhookSecret": {{target: "/v1/webhooks/" + p.endpoint + "/rotate"}},
		"replayWebhook":       {{target: "/v1/webhooks/" + p.endpoint + "/replay", body: `{"since":"2026-03-01T00:00:00Z"}`}},
		"listen":              {{target: "/v1/events"}},
	}
}

// checkStrangers calls every route with one party's keys and the other's ids,
// and searches all answers, good ones too, for anything of the other's.
func checkStrangers(t *testing.T, handler http.Handler, mine, other party) {
	t.Helper()
	snapshot := func() (all string) {
		for _, target := range []string{"/v1/resources", "/v1/connections", "/v1/calendars", "/v1/busy?resource=" + other.resource + days, "/v1/services", "/v1/bookings", "/v1/conflicts", "/v1/resources/" + other.resource + "/overrides"} {
			all += serve(handler, "GET", target, other.keys[busy.ScopeRead], "").Body.String()
		}
		return all
	}
	before := snapshot()
	for _, r := range routes() {
		theirs, ok := other.calls()[r.id]
		if !ok {
			t.Errorf("%s is not tried with another tenant's ids", r.id)
		}
		key := mine.keys[r.scope]
		for _, c := range theirs {
			got := serve(handler, r.method, c.target, key, c.body, "Hold-Token", c.hold)
			refuse(t, r.id, got.Body.String(), other.marks)
			if !strings.Contains(c.target+c.body, "-") {
				continue // takes no id
			}
			p := readProblem(t, got, 404, "not_found")
			// To who asks, another's record is as absent as one that never was.
			for _, id := range []string{other.resource, other.connection, other.calendar, other.endpoint, other.service, other.override, other.booking, other.hold, other.spare} {
				c.target, c.body = strings.ReplaceAll(c.target, id, nowhere), strings.ReplaceAll(c.body, id, nowhere)
			}
			absent := readProblem(t, serve(handler, r.method, c.target, key, c.body, "Hold-Token", c.hold), 404, "not_found")
			p.Instance = absent.Instance
			if fmt.Sprint(p) != fmt.Sprint(absent) {
				t.Errorf("%s: another's is %v, nobody's is %v", r.id, p, absent)
			}
		}
	}
	for _, target := range []string{"/v1/busy?resource=" + mine.resource + "&resource=" + other.resource + days, "/v1/availability?duration=1h&resource=" + mine.resource + "&resource=" + other.resource + days} {
		w := serve(handler, "GET", target, mine.keys[busy.ScopeRead], "")
		readProblem(t, w, 404, "not_found")
		refuse(t, target, w.Body.String(), other.marks)
	}
	for target, want := range map[string]int{"/week": 200, "/week?resource=" + other.resource: 404} {
		w := serve(handler, "GET", target, mine.keys[busy.ScopeRead], "")
		if w.Code != want {
			t.Errorf("the page %s = %d, want %d", target, w.Code, want)
		}
		refuse(t, target, w.Body.String(), other.marks)
	}
	if after := snapshot(); after != before {
		t.Errorf("the other tenant was changed:\n%s\n%s", before, after)
	}
	// The same calls are good with keys of their own, or all this proves nothing.
	own := routes()
	slices.SortStableFunc(own, func(a, b route) int { // the one that destroys comes last
		return cmp.Compare(strings.Count(a.method, "DELETE"), strings.Count(b.method, "DELETE"))
	})
	for _, r := range own {
		for _, c := range mine.calls()[r.id] {
			w := serve(handler, r.method, c.target, mine.keys[r.scope], c.body, "Hold-Token", c.hold)
			if w.Code >= 300 {
				t.Errorf("%s with ids of its own = %d: %s", r.id, w.Code, w.Body)
			}
			refuse(t, r.id, w.Body.String(), other.marks)
		}
	}
}

// serve sends a request with the token as the API and as the page want it.
func serve(handler http.Handler, method, target, token, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Idempotency-Key", rand.Text())
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.AddCookie(&http.Cookie{Name: keyCookie, Value: token})
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func refuse(t *testing.T, what, body string, marks []string) {
	t.Helper()
	for _, mark := range marks {
		if strings.Contains(body, mark) {
			t.Errorf("%s serves %q of another tenant", what, mark)
		}
	}
}

func TestStrangers(t *testing.T) {
	h := newHouse(t)
	checkStrangers(t, h.handler, h.party(0), h.party(1))
	h = newHouse(t)
	checkStrangers(t, h.handler, h.party(1), h.party(0))
}

func TestAMissingAgendaIsNotFree(t *testing.T) {
	h := newHouse(t)
	a := &api{Config: Config{Store: h}}
	ids := []busy.ResourceID{h.tenants[0].resources[0].ID, h.tenants[1].resources[0].ID}
	h.tenants[0].resources = append(h.tenants[0].resources, h.tenants[0].resources[0])
	if _, err := a.agendas(t.Context(), h.tenants[0].id, ids, busy.Span{Start: moment, End: moment.AddDate(0, 0, 1)}); err == nil {
		t.Error("an agenda that the store left out goes unnoticed")
	}
}
