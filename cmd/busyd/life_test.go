package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/busyd/busyd/busy"
)

// A connection's states as an operator meets them: in what the commands print,
// in their exit codes, and in the metrics.
func TestTheLifeOfAConnection(t *testing.T) {
	m := newMachine(t)
	refusing := m.behind()
	m.settled()
	address, _ := m.serve()
	m.must("resync", "--tenant", "acme", "--wait")
	id := object[[]connectionView](m, "connection", "list", "--tenant", "acme")[0].ID.String()
	expect := func(code int, state busy.ConnectionState, words ...string) {
		t.Helper()
		got, out, errs := m.busyd("status", "--tenant", "acme")
		if got != code || !strings.Contains(out, string(state)) {
			t.Errorf("status exits with %d:\n%s%s", got, out, errs)
		}
		for _, shown := range []string{m.must("connection", "list", "--tenant", "acme"), m.must("connection", "show", id, "--tenant", "acme")} {
			for _, word := range append(words, string(state)) {
				if !strings.Contains(shown, word) {
					t.Errorf("%q is not in\n%s", word, shown)
				}
			}
		}
	}
	expect(exitOK, busy.ConnectionActive)
	m.must("connection", "pause", id, "--tenant", "acme")
	expect(exitAttention, busy.ConnectionPaused, "until somebody resumes it")
	if code, _, errs := m.busyd("resync", "--tenant", "acme"); code != exitAttention {
		t.Errorf("a paused one is read: %d %s", code, errs)
	}
	m.must("connection", "resume", id, "--tenant", "acme")
	expect(exitOK, busy.ConnectionActive)

	refusing.Store(http.StatusServiceUnavailable)
	for range busy.KeepsFailing {
		if code, _, errs := m.busyd("resync", "--tenant", "acme", "--wait"); code != exitAttention {
			t.Errorf("resync: %d %s", code, errs)
		}
	}
	expect(exitAttention, busy.ConnectionDegraded, "One of its calendars keeps failing")
	refusing.Store(0)
	m.must("resync", "--tenant", "acme", "--wait")
	expect(exitOK, busy.ConnectionActive)
	refusing.Store(http.StatusUnauthorized)
	m.busyd("resync", "--tenant", "acme", "--wait")
	expect(exitAttention, busy.ConnectionNeedsReconnect, "refuses the password")
	if code, _, errs := m.busyd("connection", "pause", id, "--tenant", "acme"); code != exitUsage || !strings.Contains(errs, "needs_reconnect") {
		t.Errorf("pausing what is not read: %d %s", code, errs)
	}

	_, body := get(t, "http://"+address+"/metrics", "")
	for _, passage := range [][2]busy.ConnectionState{
		{busy.ConnectionActive, busy.ConnectionDegraded},
		{busy.ConnectionDegraded, busy.ConnectionActive},
		{busy.ConnectionActive, busy.ConnectionNeedsReconnect},
	} {
		want := `busyd_connection_transitions_total{from="` + string(passage[0]) + `",provider="caldav",to="` + string(passage[1]) + `"} 1`
		if !strings.Contains(body, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// behind puts something before the calendar server that answers with a status of
// its own while that is not zero.
func (m *machine) behind() *atomic.Int64 {
	m.t.Helper()
	target, err := url.Parse(m.davURL)
	if err != nil {
		m.t.Fatal(err)
	}
	var status atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := status.Load(); code != 0 {
			w.WriteHeader(int(code))
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	m.t.Cleanup(server.Close)
	m.davURL = server.URL
	return &status
}
