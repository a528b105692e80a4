package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

// FuzzRequest sends anything to every route: the answer is always a success or a
// problem, and never a fault of ours.
func FuzzRequest(f *testing.F) {
	h := newHouse(f, func(c *Config) { c.Syncer = atOnce{c.Store.(*house)} })
	for _, s := range specimens(h) {
		_, query, _ := strings.Cut(s.target, "?")
		f.Add(query, s.body)
	}
	f.Add("resource=x&from=2026-03-04T00:00:00+01:00&duration=PT1H&%zz", `{"selected":1e999}`)
	ten := h.tenants[0]
	f.Add("", wantText(ten.services[0].ID.String(), moment.AddDate(200, 0, 0)))
	f.Add("", `{"hold":"`+ten.bookings[2].ID.String()+`","state":"pending","personal_data":{"fields":{"":"\u0000"}}}`)
	f.Add("", ten.question(`"explain":true,"form":"periods","seats":-1,"max_age":"0s","deadline":"1ms"`))
	f.Add("from=2026-03-04T00:00:00Z&state=held&all=true", `{"first":"2026-12-24","last":"2026-12-23","hours":"24:00-24:00;","zone":"../etc"}`)
	f.Add("", `{"name":"\u0000","duration":"30m","capacity":2000,"needs":[{"count":9,"resources":[]},{}],"horizon":"1m","notice":"366d","align":"x"}`)
	f.Add("week=2026-W10&resource="+h.resource(0), `{"full":true,"full":false}`)
	f.Fuzz(func(t *testing.T, query, body string) {
		for _, r := range routes() {
			ask(t, h, r.method, strings.ReplaceAll(r.path, "{id}", nowhere), query, body)
		}
		ask(t, h, "GET", weekPath, query, "")
	})
}

func ask(t *testing.T, h *house, method, path, query, body string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.URL.RawQuery = query
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", newID[request](h).String())
	r.Header.Set("Hold-Token", h.tenants[0].token)
	r.Header.Set("Authorization", "Bearer "+one)
	r.AddCookie(&http.Cookie{Name: keyCookie, Value: one})
	if method != "GET" {
		r.Header.Set("Authorization", "Bearer "+adminToken+"_one")
	}
	w := h.do(r)
	if w.Code >= 500 {
		t.Errorf("%s %s?%s %q = %d: %s", method, path, query, body, w.Code, w.Body)
	}
	if strings.Contains(w.Header().Get("Content-Type"), "json") && !json.Valid(w.Body.Bytes()) {
		t.Errorf("%s %s?%s answers %q", method, path, query, w.Body)
	}
}

// atOnce reads calendars as soon as it is asked to: nobody waits.
type atOnce struct{ *house }

func (s atOnce) Resync(ctx context.Context, tenant busy.TenantID, scope Scope, now time.Time) ([]busy.CalendarID, error) {
	for i := range s.house.tenant(tenant).calendars {
		s.house.tenant(tenant).calendars[i].AsOf = now
	}
	return s.house.Resync(ctx, tenant, scope, now)
}
