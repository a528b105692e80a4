package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

func TestBudgetsOfEveryProvider(t *testing.T) {
	for _, kind := range []busy.Kind{busy.CalDAV, busy.Google, busy.Graph, busy.Exchange, busy.Feed} {
		r := httptest.NewRequest(http.MethodGet, "https://Ada.Lovelace.example/", nil)
		buckets := budgets[kind].of(kind).Of(r, "an account")
		if len(buckets) != 2 || buckets[0].Key != string(kind)+":account:an account" {
			t.Errorf("%s: %+v, want the account's bucket and another one", kind, buckets)
			continue
		}
		for _, b := range buckets {
			if b.Interval() <= 0 || b.Burst <= 0 {
				t.Errorf("%s: no request would ever pass %+v", kind, b)
			}
			if strings.Contains(strings.ToLower(b.Key), "ada") {
				t.Errorf("%s names a host to Redis: %s", kind, b.Key)
			}
		}
		if unknown := budgets[kind].of(kind).Of(r, ""); len(unknown) != 1 || unknown[0] != buckets[1] {
			t.Errorf("%s: of nobody's request: %+v", kind, unknown)
		}
	}
}

// What Google and Microsoft allow is never reached, whatever the window begins with.
func TestBudgetsStayBelowWhatIsAllowed(t *testing.T) {
	most := func(r busy.Rate, in time.Duration) int { return r.Burst + int(in/r.Interval()) }
	for _, c := range []struct {
		rate    busy.Rate
		in      time.Duration
		allowed int
	}{
		{budgets[busy.Google].account, time.Minute, 600},
		{budgets[busy.Google].project, time.Minute, 10_000},
		{budgets[busy.Graph].account, 10 * time.Minute, 10_000},
		{budgets[busy.Graph].project, time.Second, 2000},
	} {
		if n := most(c.rate, c.in); n > c.allowed*4/5+1 {
			t.Errorf("%+v lets %d requests pass in %s, where %d are allowed", c.rate, n, c.in, c.allowed)
		}
	}
}
