package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// Roles may be spread over processes: nothing is read where no process has the
// worker's, all together do their work, and each tells its health.
func TestRolesInProcessesOfTheirOwn(t *testing.T) {
	m := newMachine(t)
	token := m.settled()
	var addresses []string
	for _, role := range []string{"sweep", "api", "worker"} {
		if role == "worker" {
			code, out, errs := m.busyd("resync", "--tenant", "acme", "--wait", "--timeout", "2s")
			if code == exitOK || !strings.Contains(errs, "0 of 2 were read") {
				t.Errorf("without a worker: exit code %d\n%s%s", code, out, errs)
			}
		}
		m.set("BUSYD_ROLES", role)
		m.set("BUSYD_LISTEN", "127.0.0.1:0")
		address, _ := m.serve()
		addresses = append(addresses, address)
	}
	if code, out, errs := m.busyd("resync", "--tenant", "acme", "--wait", "--timeout", "1m"); code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	for i, address := range addresses {
		for _, path := range []string{"/livez", "/readyz", "/metrics"} {
			if status, body := get(t, "http://"+address+path, ""); status != 200 {
				t.Errorf("%s of process %d: %d %s", path, i, status, body)
			}
		}
		want := 404
		if i == 1 {
			want = 200
		}
		if status, _ := get(t, "http://"+address+"/v1/resources", token); status != want {
			t.Errorf("/v1/resources of process %d: %d, want %d", i, status, want)
		}
	}
}

// Without Redis questions are still answered; a process that cannot do anything
// else says that it is not ready.
func TestReadinessWithoutRedis(t *testing.T) {
	m := newMachine(t)
	token := m.settled()
	all, _ := m.serve()
	m.set("BUSYD_ROLES", "worker")
	m.set("BUSYD_LISTEN", "127.0.0.1:0")
	worker, _ := m.serve()
	m.redis.Kill()
	if status, body := get(t, "http://"+all+"/readyz", ""); status != 200 || !strings.Contains(body, `"redis":"away"`) {
		t.Errorf("with the API: %d %s", status, body)
	}
	if status, body := get(t, "http://"+worker+"/readyz", ""); status != 503 {
		t.Errorf("a worker alone: %d %s", status, body)
	}
	if status, body := get(t, "http://"+all+"/v1/resources", token); status != 200 {
		t.Errorf("a question: %d %s", status, body)
	}
	m.redis.Restart()
	if code, out, errs := m.busyd("resync", "--tenant", "acme", "--wait", "--timeout", "1m"); code != exitOK {
		t.Errorf("after Redis is back: exit code %d\n%s%s", code, out, errs)
	}
}

// The metrics tell how the syncs are, and nothing of whose they are.
func TestMetrics(t *testing.T) {
	m := newMachine(t)
	token := m.settled()
	address, _ := m.serve()
	m.must("resync", "--tenant", "acme", "--wait")
	if status, _ := get(t, "http://"+address+"/v1/calendars", token); status != 200 {
		t.Fatalf("status %d", status)
	}
	_, body := get(t, "http://"+address+"/metrics", "")
	for _, want := range []string{
		"busyd_sync_lag_seconds ", `busyd_runs_total{full="true",outcome="changed",provider="caldav"}`,
		`busyd_blocks_changed_total{provider="caldav"}`, `busyd_queue_pending{queue="waiting"}`,
		`busyd_provider_calls_total{method="PROPFIND",provider="caldav",result="2xx"}`, "busyd_provider_call_seconds_bucket",
		`busyd_http_request_seconds_count{route="GET /v1/calendars",status="200"} 1`, `busyd_calendars{state="active"} 2`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	personal := []string{"acme", "Ada", "Work", strings.TrimPrefix(m.davURL, "http://"), token}
	for _, c := range object[[]calendarView](m, "calendar", "list", "--tenant", "acme") {
		personal = append(personal, c.ID.String(), c.Resource.String(), c.Connection.String())
	}
	for _, word := range personal {
		if strings.Contains(body, word) {
			t.Errorf("the metrics hold %s", word)
		}
	}
}

// A part that fails ends the daemon, with its error.
func TestTheDaemonEndsWithItsParts(t *testing.T) {
	p := newParts(t.Context())
	began := make(chan struct{})
	p.start("one", func(context.Context) error { close(began); <-p.stopping.Done(); return nil })
	p.start("two", func(context.Context) error { <-began; return errors.New("no more") })
	<-p.stopping.Done()
	if err := p.wait(t.Context()); err == nil || err.Error() != "no more" {
		t.Errorf("ended with %v", err)
	}
}

// A part that does not end is named.
func TestTheDaemonNamesWhatDoesNotStop(t *testing.T) {
	p := newParts(t.Context())
	never := make(chan struct{})
	defer close(never)
	p.start("stubborn", func(context.Context) error { <-never; return nil })
	p.stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.wait(ctx); err == nil || !strings.Contains(err.Error(), "stubborn") {
		t.Errorf("ended with %v", err)
	}
}
