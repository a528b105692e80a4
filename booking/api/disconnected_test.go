package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

// When the only account of a resource is disconnected, the answers say so and
// follow the policy, those from what is remembered too, until it is forgotten.
func TestWhoIsDisconnectedIsNotSilentlyFree(t *testing.T) {
	g := newGround(t)
	tenant, p := g.settle(t, "one")
	key := p.keys[busy.ScopeRead]
	connection, err := busy.ParseID[busy.Connection](p.connection)
	if err != nil {
		t.Fatal(err)
	}
	// Monday the 9th has neither meetings nor bookings.
	const span = "&from=2026-03-09T08:00:00Z&to=2026-03-09T16:00:00Z"
	expect := func(policy string, status int, state busy.CalendarState, free bool) {
		t.Helper()
		w := serve(g.handler, http.MethodGet, "/v1/availability?resource="+p.resource+span+"&duration=30m&stale="+policy, key, "")
		var got availabilityAnswer
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != status || got.Resources[0].State != state || (len(got.Slots) > 0) != free {
			t.Errorf("%s: %d %s, %v", policy, w.Code, w.Body, err)
		}
	}
	for range 2 { // the second time from what is remembered
		expect("treat_as_busy", 200, busy.StateFresh, true)
		expect("serve_stale", 200, busy.StateFresh, true)
		expect("reject", 200, busy.StateFresh, true)
	}
	if w := serve(g.handler, http.MethodDelete, "/v1/connections/"+p.connection, p.keys[busy.ScopeAdmin], ""); w.Code != 204 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for range 2 {
		expect("treat_as_busy", 200, busy.StateDisconnected, false)
		expect("serve_stale", 200, busy.StateDisconnected, true)
		expect("reject", 409, busy.StateDisconnected, false)
	}

	w := serve(g.handler, http.MethodGet, "/v1/busy?resource="+p.resource+"&from=2026-03-05T00:00:00Z&to=2026-03-07T00:00:00Z", key, "")
	var taken busyAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &taken); err != nil || w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if of := taken.Resources[0]; of.State != busy.StateDisconnected || of.AsOf != nil || len(of.Busy) != 3 || !of.Busy[0].Start.Equal(utc(6, 9, 0)) {
		t.Errorf("busy: %s", w.Body)
	}

	ask := `{"services":["` + p.service + `"],"from":"2026-03-09T09:00:00Z","to":"2026-03-09T10:00:00Z","explain":true}`
	w = serve(g.handler, http.MethodPost, "/v1/availability", key, ask)
	var offers offersAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &offers); err != nil || w.Code != 200 || len(offers.Services[0].Unavailable) == 0 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	why := offers.Services[0].Unavailable[0].Reasons[0]
	if why.Cause != cause(booking.CausePolicy) || why.Calendar != "" || why.State == nil || *why.State != busy.StateDisconnected {
		t.Errorf("explained: %s", w.Body)
	}
	w = serve(g.handler, http.MethodPost, "/v1/bookings", p.keys[busy.ScopeBook], wantText(p.service, utc(9, 9, 0)))
	if w.Code != 409 || !strings.Contains(w.Body.String(), `"reason":"policy"`) {
		t.Errorf("booked: %d %s", w.Code, w.Body)
	}

	if err := g.env.Store.Forget(t.Context(), tenant, connection); err != nil {
		t.Fatal(err)
	}
	expect("treat_as_busy", 200, busy.StateFresh, true)
	expect("reject", 200, busy.StateFresh, true)
}

func TestThePageSaysWhoIsDisconnected(t *testing.T) {
	h := newHouse(t)
	ten := h.tenants[0]
	a := ten.agenda(h, ten.resources[0], busy.Span{})
	a.Calendars, a.Disconnected = nil, true
	berlin := zone(t, "Europe/Berlin")
	s := sheet{zone: berlin, monday: mondayOf(booking.Date(moment, berlin)), now: moment}
	s.span = busy.Span{Start: booking.Day(s.monday, berlin).Start, End: booking.Day(s.monday.AddDate(0, 0, 7), berlin).Start}
	p, err := new(api).person(a, s)
	if err != nil {
		t.Fatal(err)
	}
	if p.State != busy.StateDisconnected || !strings.Contains(p.Words, "All calendars are disconnected") ||
		!strings.Contains(p.NoFree, "disconnected") || len(p.Free) > 0 {
		t.Errorf("%s, %q, free %v, %q", p.State, p.Words, p.Free, p.NoFree)
	}
	for _, day := range p.Picture.Days {
		if !strings.Contains(day.Text, "not read 00:00") || strings.Contains(day.Text, ", free ") {
			t.Errorf("a day is %q", day.Text)
		}
	}
}
