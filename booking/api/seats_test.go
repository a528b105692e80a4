package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
)

// course gives the party a second resource, Bo, and a service of three seats that
// either of the two serves.
func (d desk) course() (service, bo string) {
	d.t.Helper()
	tenant, _, err := d.env.Store.Authenticate(d.t.Context(), d.keys[busy.ScopeRead], moment)
	if err != nil {
		d.t.Fatal(err)
	}
	second, err := d.env.Store.CreateResource(d.t.Context(), tenant, busy.Resource{Name: "Bo", Zone: "Europe/Berlin", Hours: busy.AlwaysOpen()})
	if err != nil {
		d.t.Fatal(err)
	}
	bo = second.ID.String()
	w := serve(d.handler, "POST", "/v1/services", d.keys[busy.ScopeAdmin],
		fmt.Sprintf(`{"name":"Course","duration":"1h","interval":"1h","capacity":3,"needs":[{"resources":[%q,%q]}]}`, d.resource, bo))
	var made serviceItem
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != 201 {
		d.t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return made.ID, bo
}

func TestSeatsAndWhoIsWished(t *testing.T) {
	d := newDesk(t)
	course, bo := d.course()
	book := func(more string) string {
		return strings.TrimSuffix(wantText(course, utc(6, 13, 0)), "}") + more + "}"
	}
	first, _ := good[bookingItem](d, "POST", "/v1/bookings", book(`,"resources":["`+bo+`"],"seats":2`))
	if diff := cmp.Diff([]string{bo}, first.Resources); diff != "" || first.Seats != 2 {
		t.Errorf("%+v %s", first, diff)
	}
	good[holdItem](d, "POST", "/v1/holds", book(`,"resources":["`+bo+`"]`))
	if p := d.refused(409, "not_offered", "POST", "/v1/bookings", book(`,"resources":["`+bo+`"]`)); p.Reason != "booking" {
		t.Errorf("a fourth of three seats: %+v", p)
	}
	if p := d.refused(409, "not_offered", "POST", "/v1/bookings", book(`,"resources":["`+nowhere+`"]`)); p.Reason != "not_a_server" {
		t.Errorf("with who does not serve it: %+v", p)
	}
	if p := d.refused(400, "invalid_request", "POST", "/v1/bookings", book(`,"seats":4`)); p.Violations[0].Field != "seats" {
		t.Errorf("%v", p.Violations)
	}
	moved, _ := good[bookingItem](d, "POST", "/v1/bookings/"+first.ID+"/reschedule", `{"start":"2026-03-06T14:00:00Z","resources":["`+d.resource+`"]}`)
	if diff := cmp.Diff([]string{d.resource}, moved.Resources); diff != "" || moved.Seats != 2 {
		t.Errorf("%+v %s", moved, diff)
	}
}

func TestForms(t *testing.T) {
	d := newDesk(t)
	course, bo := d.course()
	good[bookingItem](d, "POST", "/v1/bookings", strings.TrimSuffix(wantText(course, utc(6, 13, 0)), "}")+`,"resources":["`+bo+`"],"seats":1}`)
	ask := func(more string) []offering {
		out, _ := good[offersAnswer](d, "POST", "/v1/availability", `{"from":"2026-03-06T12:00:00Z","to":"2026-03-06T15:00:00Z",`+more+`}`)
		return out.Services
	}
	seats := map[string]int{}
	for _, s := range ask(`"services":["` + course + `"],"resources":["` + bo + `"]`)[0].Slots {
		seats[s.Start.Format("15:04")] = *s.Seats
	}
	if diff := cmp.Diff(map[string]int{"12:00": 3, "13:00": 2, "14:00": 3}, seats); diff != "" {
		t.Errorf("seats that are left: %s", diff)
	}
	rule := `"rule":{"duration":"1h","interval":"30m","needs":[{"resources":["` + d.resource + `"]}]}`
	starts := func(o offering) (all []string) {
		for _, s := range o.Slots {
			all = append(all, s.Start.Format("15:04")+"-"+s.End.Format("15:04"))
		}
		return all
	}
	for form, want := range map[string][]string{
		"overlapping_slots": {"12:00-13:00", "12:30-13:30", "13:00-14:00", "13:30-14:30", "14:00-15:00"},
		"slots":             {"12:00-13:00", "13:00-14:00", "14:00-15:00"},
		"periods":           {"12:00-15:00"},
	} {
		got := ask(rule + `,"form":"` + form + `"`)
		if diff := cmp.Diff(want, starts(got[0])); diff != "" || got[0].Service != nil {
			t.Errorf("%s: %s", form, diff)
		}
	}
	both := ask(`"services":["` + course + `","` + d.service + `"]`)
	if len(both) != 2 || *both[0].Service != course || *both[1].Service != d.service || len(both[1].Slots) == 0 {
		t.Errorf("%+v", both)
	}
}
