package api

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
)

// desk is a party that books on the true store.
type desk struct {
	t *testing.T
	*ground
	party
}

func newDesk(t *testing.T) desk {
	t.Helper()
	g := newGround(t)
	_, p := g.settle(t, "ada")
	return desk{t, g, p}
}

func (d desk) call(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	d.t.Helper()
	return serve(d.handler, method, target, d.keys[busy.ScopeBook], body, headers...)
}

// good calls and decodes what must be a success.
func good[T any](d desk, method, target, body string, headers ...string) (T, *httptest.ResponseRecorder) {
	d.t.Helper()
	var out T
	w := d.call(method, target, body, headers...)
	if w.Code >= 300 {
		d.t.Fatalf("%s %s = %d: %s", method, target, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		d.t.Fatal(err)
	}
	return out, w
}

// refused calls and expects the problem.
func (d desk) refused(status int, code, method, target, body string, headers ...string) Problem {
	d.t.Helper()
	return readProblem(d.t, d.call(method, target, body, headers...), status, code)
}

// offered lists the starts of Friday as HH:MM.
func (d desk) offered(more string, headers ...string) []string {
	d.t.Helper()
	out, _ := good[offersAnswer](d, "POST", "/v1/availability",
		`{"services":["`+d.service+`"],"from":"2026-03-06T08:00:00Z","to":"2026-03-06T16:00:00Z"`+more+`}`, headers...)
	starts := []string{}
	for _, s := range out.Services[0].Slots {
		starts = append(starts, s.Start.Format("15:04"))
	}
	return starts
}

func TestAHoldIsFreeToItsOwnerOnly(t *testing.T) {
	d := newDesk(t)
	held, w := good[holdItem](d, "POST", "/v1/holds", wantText(d.service, utc(6, 13, 0)))
	if held.Booking.State != busy.BookingHeld || !held.Booking.ExpiresAt.Equal(moment.Add(5*time.Minute)) || w.Header().Get("Location") != "/v1/bookings/"+held.Booking.ID {
		t.Errorf("%+v %v", held, w.Header())
	}
	mine := `,"hold":"` + held.Booking.ID + `"`
	if slices.Contains(d.offered(""), "13:00") {
		t.Error("what is held is offered to everybody")
	}
	if !slices.Contains(d.offered(mine, "Hold-Token", held.Token), "13:00") {
		t.Error("what is held is not free to its owner")
	}
	question := `{"services":["` + d.service + `"],"from":"2026-03-06T08:00:00Z","to":"2026-03-06T16:00:00Z"` + mine + `}`
	d.refused(403, "wrong_hold_token", "POST", "/v1/availability", question, "Hold-Token", d.token)
	d.refused(403, "wrong_hold_token", "POST", "/v1/availability", question)
	hold := "/v1/holds/" + held.Booking.ID
	d.refused(403, "wrong_hold_token", "POST", hold+"/renew", `{}`, "Hold-Token", d.token)
	d.refused(403, "wrong_hold_token", "DELETE", hold, "", "Hold-Token", d.token)
	d.refused(403, "wrong_hold_token", "POST", "/v1/bookings", `{"hold":"`+held.Booking.ID+`"}`, "Hold-Token", d.token)
	if p := d.refused(400, "invalid_request", "DELETE", hold, ""); p.Violations[0] != (violation{"Hold-Token", "is required"}) {
		t.Errorf("%v", p.Violations)
	}

	renewed, w := good[bookingItem](d, "POST", hold+"/renew", `{"ttl":"1h"}`, "Hold-Token", held.Token)
	if !renewed.ExpiresAt.Equal(moment.Add(time.Hour)) || w.Header().Get("ETag") != `"2"` {
		t.Errorf("renewed %+v %v", renewed, w.Header())
	}
	booked, _ := good[bookingItem](d, "POST", "/v1/bookings", `{"hold":"`+held.Booking.ID+`"}`, "Hold-Token", held.Token)
	if booked.ID != held.Booking.ID || booked.State != busy.BookingConfirmed || booked.ExpiresAt != nil {
		t.Errorf("booked %+v", booked)
	}
	if p := d.refused(409, "not_offered", "DELETE", hold, "", "Hold-Token", held.Token); p.Reason != "state" {
		t.Errorf("a booking is released as a hold: %+v", p)
	}

	released, _ := good[bookingItem](d, "DELETE", "/v1/holds/"+d.spare, "", "Hold-Token", d.spareToken)
	if released.State != busy.BookingCancelled || !slices.Contains(d.offered(""), "11:00") {
		t.Errorf("released %+v, then offered %v", released, d.offered(""))
	}
	d.refused(409, "booking_over", "DELETE", "/v1/holds/"+d.spare, "", "Hold-Token", d.spareToken)
}

func TestTheLifeOfABooking(t *testing.T) {
	d := newDesk(t)
	target := "/v1/bookings/" + d.booking
	pending, w := good[bookingItem](d, "GET", target, "")
	tag := w.Header().Get("ETag")
	if pending.State != busy.BookingPending || tag != `"1"` || slices.Contains(d.offered(""), "09:00") {
		t.Errorf("%+v with ETag %s", pending, tag)
	}
	d.refused(412, "version_mismatch", "POST", target+"/confirm", "", "If-Match", `"2"`)
	if p := d.refused(400, "invalid_request", "POST", target+"/confirm", "", "If-Match", `2`); p.Violations[0].Field != "If-Match" {
		t.Errorf("%v", p.Violations)
	}
	confirmed, w := good[bookingItem](d, "POST", target+"/confirm", "", "If-Match", tag)
	if confirmed.State != busy.BookingConfirmed || w.Header().Get("ETag") != `"2"` {
		t.Errorf("%+v %v", confirmed, w.Header())
	}
	if p := d.refused(409, "not_offered", "POST", target+"/confirm", "", "If-Match", "*"); p.Reason != "state" {
		t.Errorf("%+v", p)
	}
	d.refused(412, "version_mismatch", "POST", target+"/reschedule", `{"start":"2026-03-06T13:00:00Z"}`, "If-Match", tag)
	p := d.refused(409, "not_offered", "POST", target+"/reschedule", `{"start":"2026-03-06T10:00:00Z"}`)
	if p.Reason != "booking" || len(p.Alternatives) == 0 || p.Alternatives[0].Resources[0] != d.resource {
		t.Errorf("rescheduled onto a hold: %+v", p)
	}
	moved, _ := good[bookingItem](d, "POST", target+"/reschedule", `{"start":"2026-03-06T14:00:00+01:00"}`, "If-Match", `"2"`)
	if !moved.Start.Equal(utc(6, 13, 0)) || !moved.End.Equal(utc(6, 13, 30)) {
		t.Errorf("%+v", moved)
	}
	if free := d.offered(""); !slices.Contains(free, "09:00") || slices.Contains(free, "13:00") {
		t.Errorf("moved, and offered %v", free)
	}
	d.refused(412, "version_mismatch", "POST", target+"/cancel", "", "If-Match", `"2"`)
	cancelled, _ := good[bookingItem](d, "POST", target+"/cancel", "", "If-Match", `"3"`)
	if cancelled.State != busy.BookingCancelled || !slices.Contains(d.offered(""), "13:00") {
		t.Errorf("%+v", cancelled)
	}
	d.refused(409, "booking_over", "POST", target+"/cancel", "")
	d.refused(409, "booking_over", "POST", target+"/reschedule", `{"start":"2026-03-06T13:00:00Z"}`)
}

func TestRefusalsNameTheReason(t *testing.T) {
	d := newDesk(t)
	for start, want := range map[time.Time]string{
		utc(6, 10, 0):                  "booking",
		utc(5, 9, 0):                   "block",
		utc(6, 13, 7):                  "interval",
		utc(6, 17, 0):                  "hours",
		utc(7, 10, 0):                  "hours",
		utc(20, 10, 0):                 "override",
		moment.Add(30 * time.Minute):   "notice",
		moment.Add(-time.Hour):         "begun",
		utc(6, 10, 0).AddDate(0, 2, 0): "horizon",
	} {
		p := d.refused(409, "not_offered", "POST", "/v1/bookings", wantText(d.service, start))
		if string(p.Reason) != want {
			t.Errorf("%s is refused for %s, want %s", start, p.Reason, want)
		}
		for _, s := range p.Alternatives {
			if distance := s.Start.Sub(start).Abs(); distance > 8*24*time.Hour {
				t.Errorf("%s is no alternative to %s", s.Start, start)
			}
		}
	}
	p := d.refused(409, "not_offered", "POST", "/v1/bookings", wantText(d.service, utc(6, 10, 0)))
	_, w := good[bookingItem](d, "POST", "/v1/bookings", wantText(d.service, p.Alternatives[0].Start))
	if w.Code != 201 {
		t.Errorf("an alternative is answered %d", w.Code)
	}
}

func TestLists(t *testing.T) {
	d := newDesk(t)
	all, _ := good[bookingsAnswer](d, "GET", "/v1/bookings", "")
	if len(all.Bookings) != 3 || all.Next != nil {
		t.Fatalf("%+v", all)
	}
	var paged []bookingItem
	for target := "/v1/bookings?limit=1"; target != ""; {
		page, _ := good[bookingsAnswer](d, "GET", target, "")
		paged = append(paged, page.Bookings...)
		target = ""
		if page.Next != nil {
			target = "/v1/bookings?limit=1&cursor=" + *page.Next
		}
	}
	if diff := cmp.Diff(all.Bookings, paged); diff != "" {
		t.Errorf("by pages: %s", diff)
	}
	for query, want := range map[string]int{
		"state=held": 2, "state=held&state=pending": 3, "state=cancelled": 0,
		"resource=" + d.resource: 3, "service=" + d.service: 3, "service=" + nowhere: 0,
		"from=2026-03-06T10:00:00Z": 2, "to=2026-03-06T10:00:00Z": 1, "from=2026-03-06T09:29:00Z&to=2026-03-06T10:01:00Z": 2,
	} {
		if got, _ := good[bookingsAnswer](d, "GET", "/v1/bookings?"+query, ""); len(got.Bookings) != want {
			t.Errorf("%s lists %d, want %d", query, len(got.Bookings), want)
		}
	}
	d.refused(400, "invalid_request", "GET", "/v1/bookings?state=gone", "")
	d.refused(400, "invalid_request", "GET", "/v1/conflicts?all=1", "")
}

// What is known of the booker is in one answer only, and can be erased.
func TestPersonalData(t *testing.T) {
	d := newDesk(t)
	target := "/v1/bookings/" + d.booking + "/personal-data"
	got, _ := good[personalDataAnswer](d, "GET", target, "")
	want := &personalData{"case of ada", map[string]string{"phone": "number of ada"}}
	if diff := cmp.Diff(want, got.Data); diff != "" {
		t.Error(diff)
	}
	for _, other := range []string{"/v1/bookings", "/v1/bookings/" + d.booking, "/v1/conflicts"} {
		if body := d.call("GET", other, "").Body.String(); strings.Contains(body, "of ada") {
			t.Errorf("%s: %s", other, body)
		}
	}
	readProblem(t, serve(d.handler, "GET", target, d.keys[busy.ScopeRead], ""), 403, "missing_scope")
	for range 2 {
		if w := d.call("DELETE", target, ""); w.Code != 204 {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
	}
	if got, _ := good[personalDataAnswer](d, "GET", target, ""); got.Data != nil {
		t.Errorf("erased, and %+v is left", got.Data)
	}
	for name, data := range map[string]string{
		"a long reference": `{"reference":"` + strings.Repeat("x", 201) + `"}`,
		"a long value":     `{"fields":{"a":"` + strings.Repeat("x", 501) + `"}}`,
		"a nameless field": `{"fields":{"":"x"}}`,
		"NUL":              `{"fields":{"a":"\u0000"}}`,
		"many fields":      `{"fields":{"a":"","b":"","c":"","d":"","e":"","f":"","g":"","h":"","i":"","j":"","k":""}}`,
	} {
		p := d.refused(400, "invalid_request", "POST", "/v1/bookings", strings.TrimSuffix(wantText(d.service, utc(6, 13, 0)), "}")+`,"personal_data":`+data+`}`)
		if !strings.HasPrefix(p.Violations[0].Field, "personal_data") {
			t.Errorf("%s: %v", name, p.Violations)
		}
	}
}

func TestConflictsAreListed(t *testing.T) {
	d := newDesk(t)
	calendar, err := busy.ParseID[busy.Calendar](d.calendar)
	if err != nil {
		t.Fatal(err)
	}
	tenant, _, err := d.env.Store.Authenticate(t.Context(), d.keys[busy.ScopeRead], moment)
	if err != nil {
		t.Fatal(err)
	}
	d.mirror(t, tenant, calendar, busy.Span{Start: utc(6, 9, 15), End: utc(6, 9, 45)})
	got, _ := good[conflictsAnswer](d, "GET", "/v1/conflicts", "")
	if len(got.Conflicts) != 1 || got.Conflicts[0].Booking != d.booking || !got.Conflicts[0].Start.Equal(utc(6, 9, 15)) || got.Conflicts[0].ResolvedAt != nil {
		t.Fatalf("%+v", got)
	}
	if p := d.refused(409, "not_offered", "POST", "/v1/bookings/"+d.booking+"/confirm", ""); p.Reason != "block" {
		t.Errorf("confirmed under a block: %+v", p)
	}
	good[bookingItem](d, "POST", "/v1/bookings/"+d.booking+"/cancel", "")
	if got, _ := good[conflictsAnswer](d, "GET", "/v1/conflicts", ""); len(got.Conflicts) > 0 {
		t.Errorf("open after the cancellation: %+v", got)
	}
	if got, _ := good[conflictsAnswer](d, "GET", "/v1/conflicts?all=true", ""); len(got.Conflicts) != 1 || got.Conflicts[0].ResolvedAt == nil {
		t.Errorf("of all: %+v", got)
	}
}

// A thousand clients want the same start: one has it, and everybody else is told
// of others.
func TestOneOfAThousand(t *testing.T) {
	const clients = 1000
	d := newDesk(t)
	answers := make([]*httptest.ResponseRecorder, clients)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			<-begin
			answers[i] = d.call("POST", "/v1/bookings", wantText(d.service, utc(6, 13, 0)))
		})
	}
	close(begin)
	all.Wait()
	won := 0
	for _, w := range answers {
		if w.Code == 201 {
			won++
			continue
		}
		p := readProblem(t, w, 409, "not_offered")
		if p.Reason != "booking" || len(p.Alternatives) == 0 {
			t.Fatalf("%+v", p)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d have it", won, clients)
	}
	booked, _ := good[bookingsAnswer](d, "GET", "/v1/bookings?state=confirmed", "")
	if len(booked.Bookings) != 1 || !booked.Bookings[0].Start.Equal(utc(6, 13, 0)) {
		t.Errorf("%+v", booked)
	}
}

func TestExplanations(t *testing.T) {
	d := newDesk(t)
	ask := func(more string) offering {
		out, _ := good[offersAnswer](d, "POST", "/v1/availability",
			fmt.Sprintf(`{"services":[%q],"from":"2026-03-05T08:00:00Z","to":"2026-03-06T17:00:00Z","explain":true%s}`, d.service, more))
		return out.Services[0]
	}
	causes := func(o offering, at time.Time) (found []string) {
		for _, u := range o.Unavailable {
			if u.Resource != d.resource {
				t.Errorf("of %s", u.Resource)
			}
			if !at.Before(u.Start) && at.Before(u.End) {
				for _, r := range u.Reasons {
					found = append(found, string(r.Cause))
				}
			}
		}
		return found
	}
	o := ask("")
	for at, want := range map[time.Time]string{
		utc(5, 9, 0): "block", utc(6, 10, 0): "booking", utc(5, 20, 0): "hours", utc(6, 13, 0): "", utc(6, 13, 5): "",
	} {
		if got := strings.Join(causes(o, at), ","); got != want {
			t.Errorf("at %s: %q, want %q", at, got, want)
		}
	}
	for _, s := range o.Slots {
		if got := causes(o, s.Start); got != nil {
			t.Errorf("%s is offered, in spite of %v", s.Start, got)
		}
	}
	body := d.call("POST", "/v1/availability", fmt.Sprintf(`{"services":[%q],"from":"2026-03-05T08:00:00Z","to":"2026-03-06T17:00:00Z","explain":true}`, d.service)).Body.String()
	if strings.Contains(body, "secret subject") || strings.Contains(body, "of ada") {
		t.Errorf("more is told than has to be: %s", body)
	}
	p := d.refused(400, "invalid_request", "POST", "/v1/availability", fmt.Sprintf(`{"services":[%q],"from":"2026-03-05T08:00:00Z","to":"2026-03-16T17:00:00Z","explain":true}`, d.service))
	if p.Violations[0].Field != "to" {
		t.Errorf("%v", p.Violations)
	}
}

func TestIgnoredEvents(t *testing.T) {
	d := newDesk(t)
	w := serve(d.handler, "PATCH", "/v1/calendars/"+d.calendar, d.keys[busy.ScopeAdmin], `{"ignore_tentative":true}`)
	if !strings.Contains(w.Body.String(), `"ignore_tentative":true,"ignore_all_day":false`) {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	if !strings.Contains(w.Body.String(), `"state":"pending"`) {
		t.Errorf("a calendar of which other events count is known still: %s", w.Body)
	}
	if free := d.offered(""); len(free) > 0 {
		t.Errorf("it is read anew, and %v is offered", free)
	}
}
