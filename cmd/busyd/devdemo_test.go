package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

// What is done by hand at a stand-in reaches whoever reads it: a meeting, and a
// pause that ends by itself.
func TestWhatIsDoneByHandAtAStandIn(t *testing.T) {
	s := (&fakes{}).stand(busy.Feed, "127.0.0.1:1")
	s.now = time.Now
	ask := func(method, path string) *httptest.ResponseRecorder {
		t.Helper()
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, nil)
		r.Host = "127.0.0.1:1"
		s.ServeHTTP(w, r)
		return w
	}
	if told := ask(http.MethodPost, "/demo/meeting?in=3h&for=45m&subject=Review"); told.Code != http.StatusOK || !strings.Contains(told.Body.String(), `"Review"`) {
		t.Errorf("a meeting: %d %s", told.Code, told.Body)
	}
	start := time.Now().Add(3 * time.Hour).UTC().Truncate(time.Minute)
	for _, line := range []string{"SUMMARY:Review", start.Add(45 * time.Minute).Format("20060102T1504")} {
		if file := ask(http.MethodGet, s.file); file.Code != http.StatusOK || !strings.Contains(file.Body.String(), line) {
			t.Errorf("no %s in %d %s", line, file.Code, file.Body)
		}
	}
	ask(http.MethodPost, "/demo/throttle?for=1s")
	if file := ask(http.MethodGet, s.file); file.Code != http.StatusServiceUnavailable || file.Header().Get("Retry-After") != "1" {
		t.Errorf("during the pause: %d, after %q", file.Code, file.Header().Get("Retry-After"))
	}
	for until := time.Now().Add(time.Minute); ask(http.MethodGet, s.file).Code != http.StatusOK; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the pause does not end")
		}
	}
	for path, want := range map[string]int{
		"/demo/meeting?in=soon": http.StatusBadRequest, "/demo/throttle?for=1ms": http.StatusBadRequest, "/demo/else": http.StatusNotFound,
	} {
		if got := ask(http.MethodPost, path).Code; got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if got := ask(http.MethodGet, "/demo/meeting").Code; got != http.StatusMethodNotAllowed {
		t.Errorf("a meeting with GET: %d", got)
	}
}
