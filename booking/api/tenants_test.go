package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
)

// TestOneTenantNeverSeesAnother calls every route with one tenant's key and the
// other's ids, and searches the answers for anything of the other's.
func TestOneTenantNeverSeesAnother(t *testing.T) {
	h := newHouse(t)
	mine, other := h.tenants[0], h.tenants[1]
	before := fmt.Sprint(other.resources, other.connections, other.calendars, other.resynced)
	var marks []string
	for i := range other.resources {
		marks = append(marks, other.resources[i].ID.String(), other.resources[i].Name, other.connections[i].ID.String(), other.calendars[i].ID.String(), other.calendars[i].Name)
	}
	own, theirs := mine.resources[0].ID.String(), other.resources[0].ID.String()
	calls := map[string][]specimen{
		"getBusy":         {{"/v1/busy?resource=" + theirs + days, readToken, ""}, {"/v1/busy?resource=" + own + "&resource=" + theirs + days, readToken, ""}},
		"getAvailability": {{"/v1/availability?resource=" + theirs + days + "&duration=30m", readToken, ""}, {"/v1/availability?resource=" + own + "&resource=" + theirs + days + "&duration=30m", readToken, ""}},
		"resync": {
			{"/v1/resync", syncToken, `{"calendar":"` + other.calendars[0].ID.String() + `"}`},
			{"/v1/resync", syncToken, `{"connection":"` + other.connections[0].ID.String() + `"}`},
		},
		"listResources":   nil, // take no id: see below
		"listConnections": nil,
		"listCalendars":   nil,
		"selectCalendar":  {{"/v1/calendars/" + other.calendars[0].ID.String(), adminToken, `{"selected":false}`}},
		"disconnect":      {{"/v1/connections/" + other.connections[0].ID.String(), adminToken, ""}},
	}
	for _, r := range routes() {
		foreign, ok := calls[r.id]
		if !ok {
			t.Errorf("%s is not tried with another tenant's ids", r.id)
		}
		for _, c := range foreign {
			w := h.call(r.method, c.target, c.token+"_one", c.body)
			readProblem(t, w, 404, "not_found")
			refuse(t, r.id, w.Body.String(), marks)
			// To who asks, another tenant's record is as absent as one that never was.
			for i := range marks {
				c.target, c.body = strings.ReplaceAll(c.target, marks[i], nowhere), strings.ReplaceAll(c.body, marks[i], nowhere)
			}
			absent := readProblem(t, h.call(r.method, c.target, c.token+"_one", c.body), 404, "not_found")
			got := readProblem(t, w, 404, "not_found")
			got.Instance = absent.Instance
			if fmt.Sprint(got) != fmt.Sprint(absent) {
				t.Errorf("%s: another's is %v, nobody's is %v", r.id, got, absent)
			}
		}
		good := specimens(h)[r.id]
		refuse(t, r.id, h.call(r.method, good.target, good.token+"_one", good.body).Body.String(), marks)
	}
	for _, target := range []string{"/v1/resources", "/v1/connections", "/v1/calendars", "/week"} {
		w := h.callPage(target, one)
		if w.Code != 200 {
			t.Errorf("%s = %d", target, w.Code)
		}
		refuse(t, target, w.Body.String(), marks)
	}
	if w := h.callPage("/week?resource="+theirs, one); w.Code != 404 {
		t.Errorf("the page of another's resource = %d", w.Code)
	} else {
		refuse(t, "/week", w.Body.String(), marks)
	}
	if after := fmt.Sprint(other.resources, other.connections, other.calendars, other.resynced); after != before {
		t.Error("the other tenant was changed")
	}
}

func refuse(t *testing.T, what, body string, marks []string) {
	t.Helper()
	for _, mark := range marks {
		if strings.Contains(body, mark) {
			t.Errorf("%s serves %q of another tenant", what, mark)
		}
	}
}

func TestAMissingAgendaIsNotFree(t *testing.T) {
	h := newHouse(t)
	h.tenants[0].blocks = map[busy.ResourceID][]busy.Block{}
	a := &api{Config: Config{Store: h}}
	ids := []busy.ResourceID{h.tenants[0].resources[0].ID, h.tenants[1].resources[0].ID}
	h.tenants[0].resources = append(h.tenants[0].resources, h.tenants[0].resources[0])
	if _, err := a.agendas(t.Context(), h.tenants[0].id, ids, busy.Span{Start: moment, End: moment.AddDate(0, 0, 1)}); err == nil {
		t.Error("an agenda that the store left out goes unnoticed")
	}
}
