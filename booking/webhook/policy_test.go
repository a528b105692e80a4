package webhook

import (
	"net/http"
	"testing"
	"time"
)

// A message that never arrives is tried for three days, and not much longer.
func TestPauses(t *testing.T) {
	for _, c := range []struct {
		failures int
		want     time.Duration
	}{{1, 10 * time.Second}, {2, 40 * time.Second}, {5, 2560 * time.Second}, {7, longestPause}, {1000, longestPause}} {
		if got := pause(c.failures, longestPause, 0.5); got != c.want {
			t.Errorf("after %d failures: %s, want %s", c.failures, got, c.want)
		}
	}
	if low, high := pause(3, longestPause, 0), pause(3, longestPause, 0.999); low != 120*time.Second || high < 199*time.Second || high > 200*time.Second {
		t.Errorf("with jitter from %s to %s, want a quarter either way", low, high)
	}
	var least, most time.Duration
	for failures := 1; failures < MostAttempts; failures++ {
		least += pause(failures, longestPause, 0)
		most += pause(failures, longestPause, 1)
	}
	if least < 2*24*time.Hour || most > 4*24*time.Hour {
		t.Errorf("all attempts take from %s to %s", least, most)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-1": 0, "120": 2 * time.Minute, " 7 ": 7 * time.Second, "4000000000": longestAsked,
		"Mon, 02 Mar 2026 10:00:00 GMT": time.Hour, "Mon, 02 Mar 2026 08:00:00 GMT": 0, "Mon, 02 Mar 2037 08:00:00 GMT": longestAsked,
	} {
		if got := asked(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}
