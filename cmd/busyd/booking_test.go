package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What an operator does with bookings at the command line, on what was booked over
// HTTP.
func TestBookingsAtTheCommandLine(t *testing.T) {
	m := newMachine(t)
	token := m.settled()
	m.must("resource", "create", "Room", "--tenant", "acme", "--timezone", "Europe/Berlin", "--hours", "always")
	m.must("service", "create", "Visit", "--tenant", "acme", "--duration", "1h", "--after", "15m", "--align", "clock", "--need", "Room")
	if out := m.must("service", "list", "--tenant", "acme"); !strings.Contains(out, "Visit") || !strings.Contains(out, "Room") {
		t.Error(out)
	}
	address, _ := m.serve()
	service := object[[]serviceView](m, "service", "list", "--tenant", "acme")[0]
	start := time.Now().UTC().AddDate(0, 0, 2).Truncate(time.Hour)
	status, body := post(t, "http://"+address+"/v1/bookings", token, "key",
		`{"service":"`+service.ID.String()+`","start":"`+start.Format(time.RFC3339)+`","personal_data":{"reference":"case 7","fields":{"phone":"030 1"}}}`)
	if status != 201 {
		t.Fatalf("%d: %s", status, body)
	}
	list := object[[]bookingView](m, "booking", "list", "--tenant", "acme", "--resource", "Room", "--service", "Visit")
	if len(list) != 1 || list[0].Details != nil || !list[0].Start.Equal(start) {
		t.Fatalf("%+v", list)
	}
	id := list[0].ID.String()
	if out := m.must("booking", "show", id, "--tenant", "acme"); !strings.Contains(out, "case 7") || !strings.Contains(out, "030 1") {
		t.Error(out)
	}

	why := func(at time.Time, code int, says string) {
		t.Helper()
		got, out, errs := m.busyd("why", "--tenant", "acme", "--resource", "Room", "--at", at.Format(time.RFC3339), "--service", "Visit")
		if got != code || !strings.Contains(out, says) {
			t.Errorf("exit code %d: %s%s, want %q", got, out, errs, says)
		}
	}
	why(start, exitAttention, "booking "+id+" takes the time")
	why(start.Add(30*time.Minute), exitAttention, "booking "+id)
	why(start.Add(2*time.Hour), exitOK, "can be booked")
	why(start.Add(125*time.Minute), exitAttention, "between two starts")
	why(start.AddDate(0, 0, -4), exitAttention, "in the past")
	m.must("override", "add", "--tenant", "acme", "--resource", "Room", "--first", start.Format(time.DateOnly), "--last", start.AddDate(0, 0, 1).Format(time.DateOnly), "--closed")
	why(start.Add(2*time.Hour), exitAttention, "override")
	for _, o := range object[[]overrideView](m, "override", "list", "--tenant", "acme", "--resource", "Room") {
		m.must("override", "remove", o.ID.String(), "--tenant", "acme")
	}
	why(start.Add(2*time.Hour), exitOK, "can be booked")

	m.must("booking", "erase-details", id, "--tenant", "acme")
	if shown := object[bookingView](m, "booking", "show", id, "--tenant", "acme"); shown.Details != nil {
		t.Errorf("%+v", shown.Details)
	}
	m.must("booking", "cancel", id, "--tenant", "acme")
	why(start, exitOK, "can be booked")
	if code, _, errs := m.busyd("booking", "cancel", id, "--tenant", "acme"); code != exitAttention || !strings.Contains(errs, "is over") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if list := object[[]bookingView](m, "booking", "list", "--tenant", "acme"); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	if list := object[[]bookingView](m, "booking", "list", "--tenant", "acme", "--all"); len(list) != 1 {
		t.Errorf("%+v", list)
	}
	m.must("service", "archive", "Visit", "--tenant", "acme")
	if code, _, errs := m.busyd("service", "archive", "Visit", "--tenant", "acme"); code != exitAttention || !strings.Contains(errs, "service list") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestServicesThatAreRefused(t *testing.T) {
	m := newMachine(t)
	m.settled()
	for args, says := range map[string]string{
		"--duration 30 --need Ada":                  "duration must be a duration such as 30m",
		"--duration 30m --need Bob":                 "busyd resource list",
		"--duration 30m --need x:Ada":               "--need must be a number and resources",
		"--duration 30m --need 2:Ada":               "needs[0].resources must be at least as many as count",
		"--duration 30m --need Ada --capacity 0":    "capacity must be from 1 to 1000",
		"--duration 30m --need Ada --stale perhaps": "stale must be treat_as_busy",
	} {
		code, _, errs := m.busyd(append([]string{"service", "create", "X", "--tenant", "acme"}, strings.Fields(args)...)...)
		if code == exitOK || !strings.Contains(errs, says) {
			t.Errorf("%s: exit code %d: %s", args, code, errs)
		}
	}
}

// post sends the daemon a change.
func post(t *testing.T, url, token, key, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json", "Idempotency-Key": key} {
		request.Header.Set(name, value)
	}
	got, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	content, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, string(content)
}
