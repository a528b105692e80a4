package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
)

func TestAService(t *testing.T) {
	g := newGround(t)
	_, p := g.settle(t, "ada")
	call := func(method, target, body string) string {
		w := serve(g.handler, method, target, p.keys[busy.ScopeAdmin], body)
		return fmt.Sprintf("%d %s", w.Code, strings.NewReplacer(p.resource, "ADA", p.service, "VISIT").Replace(strings.TrimSpace(w.Body.String())))
	}
	full := `"duration":"90m","before":"5m","after":"10m","notice":"2h","horizon":"60d","interval":"30m","align":"clock","max_per_day":3,` +
		`"max_per_week":10,"capacity":8,"stale":"serve_stale","stale_after":"90s","needs":[{"count":1,"resources":["` + p.resource + `"]}]}`
	want := `200 {"id":"VISIT","name":"Group",` + strings.ReplaceAll(full, p.resource, "ADA")
	if diff := cmp.Diff(want, call("PUT", "/v1/services/"+p.service, `{"name":"Group",`+full)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, call("GET", "/v1/services/"+p.service, "")); diff != "" {
		t.Error(diff)
	}
	least := `200 {"id":"VISIT","name":"Plain","duration":"30m","interval":"15m","align":"period","capacity":1,"stale":"treat_as_busy","needs":[{"count":1,"resources":["ADA"]}]}`
	plain := `{"name":"Plain","duration":"PT30M","needs":[{"resources":["` + p.resource + `"]}]}`
	if diff := cmp.Diff(least, call("PUT", "/v1/services/"+p.service, plain)); diff != "" {
		t.Error(diff)
	}
	if got := call("POST", "/v1/services", plain); !strings.HasPrefix(got, "409 ") || !strings.Contains(got, "name_taken") {
		t.Errorf("a second one of the name: %s", got)
	}
	if got := call("DELETE", "/v1/services/"+p.service, ""); got != "204 " {
		t.Error(got)
	}
	for _, target := range []string{"/v1/services/" + p.service, "/v1/services"} {
		if got := call("GET", target, ""); strings.Contains(got, "Plain") {
			t.Errorf("archived, and listed: %s", got)
		}
	}
}

func TestServicesThatAreWrong(t *testing.T) {
	h := newHouse(t)
	ada, bo := h.resource(0), h.resource(1)
	needs := `"needs":[{"resources":["` + ada + `"]}]`
	for body, field := range map[string]string{
		`{"duration":"30m",` + needs + `}`:                                                                 "name",
		`{"name":"x",` + needs + `}`:                                                                       "duration",
		`{"name":"x","duration":"30",` + needs + `}`:                                                       "duration",
		`{"name":"x","duration":"90s",` + needs + `}`:                                                      "duration",
		`{"name":"x","duration":"2d",` + needs + `}`:                                                       "duration",
		`{"name":"x","duration":30,` + needs + `}`:                                                         "duration",
		`{"name":"x","duration":"30m","interval":"1m",` + needs + `}`:                                      "interval",
		`{"name":"x","duration":"30m","before":"-5m",` + needs + `}`:                                       "before",
		`{"name":"x","duration":"30m","notice":"3d","horizon":"2d",` + needs + `}`:                         "horizon",
		`{"name":"x","duration":"30m","align":"hour",` + needs + `}`:                                       "align",
		`{"name":"x","duration":"30m","stale":"hope",` + needs + `}`:                                       "stale",
		`{"name":"x","duration":"30m","capacity":0,` + needs + `}`:                                         "capacity",
		`{"name":"x","duration":"30m","max_per_day":-1,` + needs + `}`:                                     "max_per_day",
		`{"name":"x","duration":"30m"}`:                                                                    "needs",
		`{"name":"x","duration":"30m","needs":[{"resources":[]}]}`:                                         "needs[0].resources",
		`{"name":"x","duration":"30m","needs":[{"resources":["x"]}]}`:                                      "needs[0].resources",
		`{"name":"x","duration":"30m","needs":[{"count":2,"resources":["` + ada + `"]}]}`:                  "needs[0].resources",
		`{"name":"x","duration":"30m","needs":[{"count":0,"resources":["` + ada + `"]}]}`:                  "needs[0].count",
		`{"name":"x","duration":"30m","needs":[{"resources":["` + ada + `","` + bo + `","` + ada + `"]}]}`: "needs[0].resources",
	} {
		p := h.problem("POST", "/v1/services", adminToken+"_one", body, 400, "invalid_request")
		if len(p.Violations) != 1 || p.Violations[0].Field != field {
			t.Errorf("%s: %v", body, p.Violations)
		}
	}
	question := `"from":"2026-03-06T08:00:00Z","to":"2026-03-06T16:00:00Z"}`
	for body, field := range map[string]string{
		`{` + question: "services",
		`{"services":[],"rule":{"duration":"1m",` + needs + `},"form":"x",` + question:       "form",
		`{"services":["` + nowhere + `"],"rule":{"duration":"1m",` + needs + `},` + question: "services",
		`{"services":["` + nowhere + `"],"max_age":"1.5s",` + question:                       "max_age",
		`{"services":["` + nowhere + `"],"deadline":"1m",` + question:                        "deadline",
		`{"services":["` + nowhere + `"],"hold":"x",` + question:                             "hold",
		`{"services":["` + nowhere + `"],"seats":0,` + question:                              "seats",
		`{"services":["` + nowhere + `"],"from":"x","to":"2026-03-06T16:00:00Z"}`:            "from",
	} {
		p := h.problem("POST", "/v1/availability", readToken+"_one", body, 400, "invalid_request")
		if len(p.Violations) != 1 || p.Violations[0].Field != field {
			t.Errorf("%s: %v", body, p.Violations)
		}
	}
}

func TestOverrides(t *testing.T) {
	d := newDesk(t)
	admin := func(method, target, body string) string {
		w := serve(d.handler, method, target, d.keys[busy.ScopeAdmin], body)
		return fmt.Sprintf("%d %s", w.Code, w.Body)
	}
	target := "/v1/resources/" + d.resource + "/overrides"
	if got := admin("POST", target, `{"first":"2026-03-06","last":"2026-03-08","hours":"13:00-14:00 15:00-16:00"}`); !strings.Contains(got, `"first":"2026-03-06","last":"2026-03-08","closed":false,"hours":"13:00-14:00 15:00-16:00"}`) {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"12:00", "12:15", "12:30", "14:00", "14:15", "14:30"}, d.offered("")); diff != "" { // in Berlin it is an hour later
		t.Errorf("other hours: %s", diff)
	}
	closed := admin("POST", target, `{"first":"2026-03-06","closed":true}`)
	if got := d.offered(""); len(got) > 0 {
		t.Errorf("closed, and offered %v", got)
	}
	id := strings.Split(closed, `"`)[3]
	if got := admin("DELETE", "/v1/overrides/"+id, ""); got != "204 " {
		t.Error(got)
	}
	if got := d.offered(""); len(got) != 6 {
		t.Errorf("open again, and offered %v", got)
	}
	for body, field := range map[string]string{
		`{"closed":true}`: "first",
		`{"first":"2026-03-06T00:00:00Z","closed":true}`:                "first",
		`{"first":"2026-03-06","last":"2026-03-05","closed":true}`:      "last",
		`{"first":"2026-03-06","last":"2027-03-08","closed":true}`:      "last",
		`{"first":"2026-03-06"}`:                                        "closed",
		`{"first":"2026-03-06","closed":true,"hours":"09:00-10:00"}`:    "closed",
		`{"first":"2026-03-06","hours":"09:00"}`:                        "hours",
		`{"first":"2026-03-06","hours":"09:00-10:00; tue 09:00-10:00"}`: "hours",
		`{"first":"2026-03-06","zone":"Mars/Olympus"}`:                  "zone",
	} {
		w := serve(d.handler, "POST", target, d.keys[busy.ScopeAdmin], body)
		if p := readProblem(t, w, 400, "invalid_request"); len(p.Violations) != 1 || p.Violations[0].Field != field {
			t.Errorf("%s: %v", body, p.Violations)
		}
	}
	if got := admin("PATCH", "/v1/resources/"+d.resource, `{"hours":"fri 08:00-08:30"}`); !strings.Contains(got, `"hours":"fri 08:00-08:30"`) {
		t.Error(got)
	}
	for body, field := range map[string]string{`{}`: "body", `{"hours":"x"}`: "hours", `{"zone":"x"}`: "zone", `{"name":""}`: "name"} {
		w := serve(d.handler, "PATCH", "/v1/resources/"+d.resource, d.keys[busy.ScopeAdmin], body)
		if p := readProblem(t, w, 400, "invalid_request"); len(p.Violations) != 1 || p.Violations[0].Field != field {
			t.Errorf("%s: %v", body, p.Violations)
		}
	}
}
