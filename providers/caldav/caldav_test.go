package caldav

import (
	"net/url"
	"testing"
)

func TestICloudGetsOneRequestAtATime(t *testing.T) {
	p := New(Config{})
	for host, want := range map[string]int{
		"caldav.icloud.com": 1, "P37-Caldav.iCloud.com": 1, "icloud.com": 1, "noticloud.com": 4, "dav.example.com": 4,
	} {
		if got := p.inFlight(&url.URL{Host: host}); got != want {
			t.Errorf("%s: %d, want %d", host, got, want)
		}
	}
}

func TestMovesAreBounded(t *testing.T) {
	var m moves
	for i := range maxMoves + 10 {
		m.record(string(rune(i)), &url.URL{})
	}
	if len(m.to) > maxMoves {
		t.Errorf("%d moves are remembered", len(m.to))
	}
}
