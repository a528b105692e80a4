package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
)

const (
	one     = readToken + "_one"
	days    = "&from=2026-03-04T00:00:00Z&to=2026-03-06T00:00:00Z"
	nowhere = "00000000-0000-4000-8000-000000000000"
)

func (h *house) resource(i int) string { return h.tenants[0].resources[i].ID.String() }

func TestBusy(t *testing.T) {
	h := newHouse(t)
	ten := h.tenants[0]
	ada, bo := ten.resources[0].ID, ten.resources[1].ID
	ten.blocks[ada] = []busy.Block{
		{Start: moment.Add(time.Hour), End: moment.Add(2 * time.Hour), State: busy.Tentative},
		{Start: moment.Add(-48 * time.Hour), End: moment.Add(-9 * time.Hour), State: busy.Busy},
		{Start: moment.Add(2 * time.Hour), End: moment.Add(3 * time.Hour), State: busy.OutOfOffice},
		{Start: moment.Add(5 * time.Hour), End: moment.Add(6 * time.Hour), State: busy.Free},
	}
	ten.calendars[1].Selected = false
	got := h.call("GET", "/v1/busy?resource="+bo.String()+"&resource="+ada.String()+"&from=2026-03-04T01:00:00%2B01:00&to=2026-03-06T00:00:00Z", one, "")
	want := fmt.Sprintf(`{"from":"2026-03-04T00:00:00Z","to":"2026-03-06T00:00:00Z","resources":[`+
		`{"id":"%s","as_of":"2026-03-04T09:20:00Z","state":"fresh","calendars":[],"busy":[{"start":"2026-03-05T15:00:00Z","end":"2026-03-05T16:00:00Z"}]},`+
		`{"id":"%s","as_of":"2026-03-04T09:19:20Z","state":"fresh","calendars":[{"id":"%s","state":"fresh","as_of":"2026-03-04T09:19:20Z"}],`+
		`"busy":[{"start":"2026-03-04T00:00:00Z","end":"2026-03-04T00:20:00Z"},{"start":"2026-03-04T10:20:00Z","end":"2026-03-04T12:20:00Z"}]}]}`+"\n",
		bo, ada, ten.calendars[0].ID)
	if diff := cmp.Diff(want, got.Body.String()); diff != "" {
		t.Errorf("expected (-), got (+):\n%s", diff)
	}
	if cache := got.Header().Get("Cache-Control"); cache != "no-store" {
		t.Errorf("Cache-Control = %q", cache)
	}
}

func TestAvailability(t *testing.T) {
	h := newHouse(t)
	ada, bo := h.resource(0), h.resource(1)
	target := "/v1/availability?resource=" + ada + "&resource=" + bo + "&from=2026-03-05T08:30:00Z&to=2026-03-05T14:00:00Z&duration=PT1H"
	got := read[availabilityAnswer](h, "GET", target+"&interval=60m", one, "")
	want := availabilityAnswer{
		Slots: []slot{
			// Ada's meeting is from 09:00 to 10:00, her working day ends at 16:00; Bo's begins at 13:30.
			{utc(5, 10, 0), utc(5, 11, 0), []string{ada}, nil},
			{utc(5, 11, 0), utc(5, 12, 0), []string{ada}, nil},
			{utc(5, 12, 0), utc(5, 13, 0), []string{ada}, nil},
			{utc(5, 13, 0), utc(5, 14, 0), []string{ada}, nil},
		},
		Resources: []resourceSummary{{ada, ptr(moment.Add(-40 * time.Second)), "fresh"}, {bo, ptr(moment.Add(-40 * time.Second)), "fresh"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("expected (-), got (+):\n%s", diff)
	}
	quarters := read[availabilityAnswer](h, "GET", target, one, "")
	if len(quarters.Slots) != 13 {
		t.Errorf("without an interval there are %d slots, want one each quarter of an hour: 13", len(quarters.Slots))
	}
}

func utc(day, hour, minute int) time.Time {
	return time.Date(2026, 3, day, hour, minute, 0, 0, time.UTC)
}

func TestWhatIsNotFreshIsNotFree(t *testing.T) {
	h := newHouse(t)
	h.tenants[0].calendars[0].AsOf = moment.Add(-31 * time.Minute)
	ada := h.resource(0)
	target := "/v1/availability?resource=" + ada + days + "&duration=1h"
	for _, query := range []string{"", "&stale=treat_as_busy"} {
		if got := read[availabilityAnswer](h, "GET", target+query, one, ""); len(got.Slots) > 0 || got.Resources[0].State != busy.StateStale {
			t.Errorf("%s: %+v", query, got)
		}
	}
	if got := read[availabilityAnswer](h, "GET", target+"&stale=serve_stale", one, ""); len(got.Slots) == 0 || got.Resources[0].State != busy.StateStale {
		t.Errorf("serve_stale: %+v", got)
	}
	p := h.problem("GET", target+"&stale=reject", one, "", 409, "not_fresh")
	want := []resourceSummary{{ada, ptr(moment.Add(-31 * time.Minute)), busy.StateStale}}
	if diff := cmp.Diff(want, p.Resources); diff != "" {
		t.Errorf("reject names (+), want (-):\n%s", diff)
	}
}

// TestViolations sends what is wrong, and expects the field and the cure.
func TestViolations(t *testing.T) {
	h := newHouse(t)
	ada := h.resource(0)
	many := ""
	for i := range MaxResources + 1 {
		many += fmt.Sprintf("&resource=00000000-0000-4000-8000-%012d", i)
	}
	for _, c := range []struct {
		target string
		want   violations
	}{
		{"/v1/busy", violations{{"resource", "is required"}, {"from", "is required"}, {"to", "is required"}}},
		{"/v1/busy?resource=" + ada + days + "&timezone=UTC&a=1", violations{{"a", "is not a parameter of this route"}, {"timezone", "is not a parameter of this route"}}},
		{"/v1/busy?resource=" + ada + days + "&from=2026-03-04T00:00:00Z", violations{{"from", "must be given once"}}},
		{"/v1/busy?resource=" + ada + "&resource=" + ada + days, violations{{"resource", "must not name the same one twice"}}},
		{"/v1/busy?resource=7" + days, violations{{"resource", uuidForm}}},
		{"/v1/busy?" + many[1:] + days, violations{{"resource", "must be given at most 50 times"}}},
		{"/v1/busy?resource=" + ada + "&from=2026-03-04&to=tomorrow", violations{
			{"from", "must be an RFC 3339 time with an offset, such as 2026-03-02T09:00:00Z"}, {"to", "must be an RFC 3339 time with an offset, such as 2026-03-02T09:00:00Z"},
		}},
		{"/v1/busy?resource=" + ada + "&from=2026-03-04T00:00:00Z&to=2026-03-04T00:00:00Z", violations{{"to", "must be after from"}}},
		{"/v1/busy?resource=" + ada + "&from=2026-03-04T00:00:00Z&to=2026-06-04T00:00:01Z", violations{{"to", "must be at most 92 days after from"}}},
		{"/v1/busy?resource=" + ada + "&from=1999-03-04T00:00:00Z&to=9999-06-04T00:00:01Z", violations{{"from", "must be in the years 2000 to 2199"}, {"to", "must be in the years 2000 to 2199"}}},
		{"/v1/busy?resource=" + ada + days + "&%zz=1", violations{{"query", "must be name=value pairs joined by &, percent-encoded"}}},
		{"/v1/busy?resource=" + ada + ";from=1", violations{{"query", "must be name=value pairs joined by &, percent-encoded"}}},
		{"/v1/availability?resource=" + ada + days + "&duration=30", violations{{"duration", "must be a duration such as 30m, 1h30m or PT30M"}}},
		{"/v1/availability?resource=" + ada + days + "&duration=-30m", violations{{"duration", "must be a duration such as 30m, 1h30m or PT30M"}}},
		{"/v1/availability?resource=" + ada + days + "&duration=P1D", violations{{"duration", "must be a duration such as 30m, 1h30m or PT30M"}}},
		{"/v1/availability?resource=" + ada + days + "&duration=25h", violations{{"duration", "must be from 1m to 24h"}}},
		{"/v1/availability?resource=" + ada + days + "&duration=90s", violations{{"duration", "must be in whole minutes"}}},
		{"/v1/availability?resource=" + ada + days + "&duration=1m&interval=1m", violations{{"interval", "must be from 5m to 24h"}}},
		{"/v1/availability?resource=" + ada + days + "&duration=1m&stale=ok", violations{{"stale", "must be treat_as_busy, reject or serve_stale"}}},
		{"/v1/resources?limit=0", violations{{"limit", "must be a number from 1 to 200"}}},
		{"/v1/calendars?limit=201", violations{{"limit", "must be a number from 1 to 200"}}},
		{"/v1/connections?cursor=zzz", violations{{"cursor", "must be the next of the page before"}}},
	} {
		p := h.problem("GET", c.target, one, "", 400, "invalid_request")
		if diff := cmp.Diff(c.want, violations(p.Violations)); diff != "" {
			t.Errorf("%.90s: expected (-), got (+):\n%s", c.target, diff)
		}
	}
}

func TestBodies(t *testing.T) {
	h := newHouse(t)
	calendar, connection := h.tenants[0].calendars[0].ID.String(), h.tenants[0].connections[0].ID.String()
	for _, c := range []struct {
		method, target, body string
		want                 violation
	}{
		{"POST", "/v1/resync", `{"calendars":"x"}`, violation{"calendars", "is not a field of this request"}},
		{"POST", "/v1/resync", `{"calendar":"x"}`, violation{"calendar", uuidForm}},
		{"POST", "/v1/resync", `{"connection":7}`, violation{"connection", "must be a string"}},
		{"POST", "/v1/resync", `{"full":"yes"}`, violation{"full", "must be a boolean"}},
		{"POST", "/v1/resync", `{"connection":"` + connection + `","calendar":"` + calendar + `"}`, violation{"calendar", "must not be given together with connection"}},
		{"POST", "/v1/resync", `[]`, violation{"body", "must be one JSON object"}},
		{"POST", "/v1/resync", `{} {}`, violation{"body", "must be one JSON object"}},
		{"POST", "/v1/resync", `{`, violation{"body", "must be one JSON object"}},
		{"PATCH", "/v1/calendars/" + calendar, `{}`, violation{"selected", "is required: true or false"}},
		{"PATCH", "/v1/calendars/" + calendar, `{"selected":null}`, violation{"selected", "is required: true or false"}},
		{"PATCH", "/v1/calendars/x", `{"selected":true}`, violation{"id", uuidForm}},
		{"DELETE", "/v1/connections/x", ``, violation{"id", uuidForm}},
	} {
		p := h.problem(c.method, c.target, adminToken+"_one", c.body, 400, "invalid_request")
		if diff := cmp.Diff([]violation{c.want}, p.Violations); diff != "" {
			t.Errorf("%s: expected (-), got (+):\n%s", c.body, diff)
		}
	}
	h.problem("POST", "/v1/resync", adminToken+"_one", `{"full":`+strings.Repeat(" ", MaxBody)+`true}`, 413, "body_too_large")

	form := httptest.NewRequest("POST", "/v1/resync", strings.NewReader("full=true"))
	form.Header.Set("Authorization", "Bearer "+adminToken+"_one")
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, form)
	readProblem(t, w, 415, "unsupported_media_type")

	if len(h.tenants[0].resynced) > 0 || !h.tenants[0].calendars[0].Selected {
		t.Error("a bad body changed something")
	}
}

func TestChanges(t *testing.T) {
	h := newHouse(t)
	ten := h.tenants[0]
	calendar, connection := ten.calendars[0].ID, ten.connections[0].ID

	all := read[resyncAnswer](h, "POST", "/v1/resync", syncToken+"_one", "")
	byCalendar := read[resyncAnswer](h, "POST", "/v1/resync", syncToken+"_one", `{"calendar":"`+calendar.String()+`","full":true}`)
	byConnection := read[resyncAnswer](h, "POST", "/v1/resync", adminToken+"_one", `{"connection":"`+connection.String()+`"}`)
	if len(all.Calendars) != 2 || !slices.Equal(byCalendar.Calendars, []string{calendar.String()}) || !slices.Equal(byConnection.Calendars, []string{calendar.String()}) {
		t.Errorf("resync: %v %v %v", all, byCalendar, byConnection)
	}
	want := []Scope{{}, {Calendar: calendar, Full: true}, {Connection: connection}}
	if diff := cmp.Diff(want, ten.resynced); diff != "" {
		t.Errorf("expected (-), got (+):\n%s", diff)
	}

	off := read[calendarItem](h, "PATCH", "/v1/calendars/"+calendar.String(), adminToken+"_one", `{"selected":false}`)
	if off.Selected || off.State != nil || ten.calendars[0].Selected {
		t.Errorf("deselected: %+v", off)
	}
	w := h.call("DELETE", "/v1/connections/"+connection.String(), adminToken+"_one", "")
	if w.Code != 204 || w.Body.Len() > 0 || ten.connections[0].State != busy.ConnectionDisconnected {
		t.Errorf("disconnect = %d %s", w.Code, w.Body)
	}
}

func TestPages(t *testing.T) {
	h := newHouse(t)
	for i := range 5 {
		h.tenants[0].addResource(h, fmt.Sprint("r", i), "UTC", "always")
	}
	var seen []string
	target := "/v1/resources?limit=3"
	for pages := 0; target != ""; pages++ {
		page := read[resourcesAnswer](h, "GET", target, one, "")
		for _, r := range page.Resources {
			seen = append(seen, r.ID)
		}
		if target = ""; page.Next != nil {
			target = "/v1/resources?limit=3&cursor=" + *page.Next
		}
		if pages > 3 {
			t.Fatal("the pages do not end")
		}
	}
	var want []string
	for _, r := range h.tenants[0].resources {
		want = append(want, r.ID.String())
	}
	slices.Sort(want)
	if !slices.Equal(seen, want) {
		t.Errorf("the pages hold %v, want %v", seen, want)
	}
}

func TestKeys(t *testing.T) {
	h := newHouse(t)
	target := "/v1/resources"
	for name, header := range map[string]string{
		"none": "", "another scheme": "Basic " + one, "no token": "Bearer", "a wrong token": "Bearer bzd_wrong", "a bare token": one,
	} {
		r := httptest.NewRequest("GET", target, nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		readProblem(t, w, 401, "unauthorized")
		if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), `Bearer realm="busyd"`) {
			t.Errorf("%s: WWW-Authenticate = %q", name, w.Header().Get("WWW-Authenticate"))
		}
	}
	twice := httptest.NewRequest("GET", target, nil)
	twice.Header["Authorization"] = []string{"Bearer " + one, "Bearer " + one}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, twice)
	readProblem(t, w, 401, "unauthorized")

	p := h.problem("POST", "/v1/resync", one, "", 403, "missing_scope")
	if !strings.Contains(p.Detail, "scope sync") {
		t.Errorf("the missing scope is not named: %s", p.Detail)
	}
	w = h.call("POST", "/v1/resync", one, "")
	if got := w.Header().Get("WWW-Authenticate"); !strings.Contains(got, `error="insufficient_scope", scope="sync"`) {
		t.Errorf("WWW-Authenticate = %q", got)
	}
	// A key is judged before what it asks, so that nobody without one learns of ids or forms.
	h.problem("GET", "/v1/busy?x=1", "", "", 401, "unauthorized")
	h.problem("PATCH", "/v1/calendars/"+nowhere, one, "", 403, "missing_scope")
}

func TestUnrouted(t *testing.T) {
	h := newHouse(t)
	h.problem("GET", "/v2/busy", one, "", 404, "no_such_route")
	h.problem("GET", "/v1/busy/", one, "", 404, "no_such_route")
	w := h.call("PUT", "/v1/calendars/"+nowhere, one, "")
	readProblem(t, w, 405, "method_not_allowed")
	if got := w.Header().Get("Allow"); got != "PATCH" {
		t.Errorf("Allow = %q", got)
	}
	w = h.call("DELETE", "/v1/busy", one, "")
	readProblem(t, w, 405, "method_not_allowed")
	if got := w.Header().Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow = %q", got)
	}
}

func TestOurFaultsStayOurs(t *testing.T) {
	h := newHouse(t)
	h.err = errors.New("pq: column secret_column of ada@example.com")
	p := h.problem("GET", "/v1/resources", one, "", 500, "internal")
	if text, _ := json.Marshal(p); strings.Contains(string(text), "secret") || strings.Contains(string(text), "ada@") {
		t.Errorf("the cause is sent: %s", text)
	}
	id := strings.TrimPrefix(p.Instance, "urn:uuid:")
	if log := h.log.String(); !strings.Contains(log, "secret_column") || !strings.Contains(log, "request="+id) {
		t.Errorf("the log does not have the cause under the request's id: %s", log)
	}
	for _, away := range []error{
		fmt.Errorf("connect: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), sqlState("57P01"), sqlState("53300"), io.ErrUnexpectedEOF,
	} {
		h.err = fmt.Errorf("read resources: %w", away)
		h.problem("GET", "/v1/resources", one, "", 503, "unavailable")
	}
	h.err = sqlState("42703")
	h.problem("GET", "/v1/resources", one, "", 500, "internal")
	h.err = context.DeadlineExceeded
	w := h.call("GET", "/v1/resources", one, "")
	readProblem(t, w, 503, "timeout")
	if w.Header().Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
}

type sqlState string

func (s sqlState) Error() string    { return "database error " + string(s) }
func (s sqlState) SQLState() string { return string(s) }

// slowStore waits for the end of the request.
type slowStore struct{ *house }

func (s slowStore) Resources(ctx context.Context, _ busy.TenantID) ([]busy.Resource, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("read resources: %w", ctx.Err())
}

func (s slowStore) Connections(context.Context, busy.TenantID) ([]busy.Connection, error) {
	panic("at the disco")
}

func TestDeadlineAndPanic(t *testing.T) {
	type seen struct {
		route  string
		status int
	}
	var observed []seen
	h := newHouse(t, func(c *Config) {
		c.Timeout = time.Millisecond
		c.Store = slowStore{c.Store.(*house)}
		c.Observe = func(route string, status int, _ time.Duration) { observed = append(observed, seen{route, status}) }
	})
	h.problem("GET", "/v1/resources", one, "", 503, "timeout")
	h.problem("GET", "/v1/connections", one, "", 500, "internal")
	h.problem("GET", "/nowhere/"+nowhere, one, "", 404, "no_such_route")
	h.problem("DELETE", "/v1/connections/"+nowhere, "bzd_wrong", "", 401, "unauthorized")
	if !strings.Contains(h.log.String(), "at the disco") {
		t.Error("the panic is not in the log")
	}
	want := []seen{{"GET /v1/resources", 503}, {"GET /v1/connections", 500}, {"none", 404}, {"DELETE /v1/connections/{id}", 401}}
	if !slices.Equal(observed, want) {
		t.Errorf("observed %v, want %v", observed, want)
	}
}

func TestTooManySlots(t *testing.T) {
	h := newHouse(t)
	target := "/v1/availability?from=2026-03-05T00:00:00Z&to=2026-06-05T00:00:00Z&duration=5m&interval=5m"
	for i := range 4 {
		id := h.tenants[0].addResource(h, fmt.Sprint("r", i), "UTC", "always")
		target += "&resource=" + id.String()
	}
	h.problem("GET", target, one, "", 422, "too_many_slots")
}

func TestOrigins(t *testing.T) {
	ask := func(h *house, method, target, origin string) http.Header {
		r := httptest.NewRequest(method, target, nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Authorization", "Bearer "+one)
		if method == "OPTIONS" {
			r.Header.Set("Access-Control-Request-Method", "PATCH")
		}
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		return w.Header()
	}
	const good, bad = "https://booking.example", "https://evil.example"
	const allow = "Access-Control-Allow-Origin"
	closed := newHouse(t)
	open := newHouse(t, func(c *Config) { c.Origins = []string{good} })
	for _, method := range []string{"GET", "OPTIONS"} {
		if got := ask(closed, method, "/v1/resources", good).Get(allow); got != "" {
			t.Errorf("%s with no origins configured allows %q", method, got)
		}
		if got := ask(open, method, "/v1/resources", bad).Get(allow); got != "" {
			t.Errorf("%s allows %q", method, got)
		}
		if got := ask(open, method, "/v1/resources", good).Get(allow); got != good {
			t.Errorf("%s allows %q, want %q", method, got, good)
		}
		if got := ask(open, method, "/week", good).Get(allow); got != "" {
			t.Errorf("%s of the page allows %q", method, got)
		}
	}
	if got := ask(open, "OPTIONS", "/v1/resources", good).Get("Access-Control-Allow-Headers"); !strings.Contains(got, "Authorization") {
		t.Errorf("Access-Control-Allow-Headers = %q", got)
	}
}

// TestASlowBodyIsAProblem stalls on a real connection to NewServer.
func TestASlowBodyIsAProblem(t *testing.T) {
	h := newHouse(t)
	s := NewServer(h.handler, h.logger())
	s.ReadTimeout = 50 * time.Millisecond
	listening := httptest.NewUnstartedServer(nil)
	listening.Config = s
	listening.Start()
	defer listening.Close()
	body, stalled := io.Pipe()
	defer func() { _ = stalled.Close() }()
	r, err := http.NewRequestWithContext(t.Context(), "POST", listening.URL+"/v1/resync", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+syncToken+"_one")
	r.Header.Set("Content-Type", "application/json")
	go func() { _, _ = stalled.Write([]byte(`{"full":`)) }()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var p Problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil || p.Code != "request_timeout" || res.StatusCode != 408 {
		t.Errorf("got %d %+v (%v)", res.StatusCode, p, err)
	}
}
