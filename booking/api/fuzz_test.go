package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequest sends anything to every route: the answer is always a success or a
// problem, and never a fault of ours.
func FuzzRequest(f *testing.F) {
	h := newHouse(f)
	for _, s := range specimens(h) {
		_, query, _ := strings.Cut(s.target, "?")
		f.Add(query, s.body)
	}
	f.Add("resource=x&from=2026-03-04T00:00:00+01:00&duration=PT1H&%zz", `{"selected":1e999}`)
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
	r.Header.Set("Authorization", "Bearer "+one)
	r.AddCookie(&http.Cookie{Name: keyCookie, Value: one})
	if method != "GET" {
		r.Header.Set("Authorization", "Bearer "+adminToken+"_one")
	}
	w := h.do(r)
	if w.Code >= 500 {
		t.Errorf("%s %s?%s %q = %d: %s", method, path, query, body, w.Code, w.Body)
	}
	if path != weekPath && w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
		t.Errorf("%s %s?%s answers %q", method, path, query, w.Body)
	}
}
