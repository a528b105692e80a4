package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

// The whole way: a calendar is connected, read, asked about, deselected,
// disconnected, and its tenant erased.
func TestFromACalendarToAnAnswer(t *testing.T) {
	m := newMachine(t)
	token := m.settled()
	address, _ := m.serve()

	if code, out, errs := m.busyd("resync", "--tenant", "acme", "--wait", "--full"); code != exitOK {
		t.Fatalf("resync: exit code %d\n%s%s", code, out, errs)
	}
	resources := object[[]resourceView](m, "resource", "list", "--tenant", "acme")
	calendars := object[[]calendarView](m, "calendar", "list", "--tenant", "acme")
	if len(resources) != 1 || len(calendars) != 3 {
		t.Fatalf("%d resources, %d calendars", len(resources), len(calendars))
	}
	for _, c := range calendars {
		if blocks := c.Name != "Holidays elsewhere"; c.Selected != blocks || blocks && c.State != busy.StateFresh {
			t.Errorf("calendar %s: selected %t, %s", c.Name, c.Selected, c.State)
		}
	}

	busyTime := m.ask(address, token, resources[0].ID)
	if len(busyTime) == 0 {
		t.Error("nobody is busy")
	}
	if code, out, errs := m.busyd("status"); code != exitOK || !strings.Contains(out, "fresh") {
		t.Errorf("status: exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := m.busyd("doctor"); code != exitOK {
		t.Errorf("doctor: exit code %d\n%s%s", code, out, errs)
	}

	m.must("calendar", "select", "Work", "--tenant", "acme", "--off")
	if left := m.ask(address, token, resources[0].ID); len(left) >= len(busyTime) {
		t.Errorf("%d busy intervals with Work, %d without", len(busyTime), len(left))
	}
	connections := object[[]connectionView](m, "connection", "list", "--tenant", "acme")
	m.must("connection", "disconnect", connections[0].ID.String(), "--tenant", "acme", "--yes")
	if left := m.ask(address, token, resources[0].ID); len(left) != 0 {
		t.Errorf("%d busy intervals of a disconnected account", len(left))
	}

	erased := object[erasureView](m, "tenant", "delete", "acme", "--yes")
	if len(erased.Left) < 5 || erased.Deleted["connections"] != 1 {
		t.Errorf("erased %v", erased)
	}
	for name, left := range erased.Left {
		if left != 0 {
			t.Errorf("%d rows left in %s", left, name)
		}
	}
	// A key that was good a moment ago may be taken as good for as long again.
	status, _ := get(t, "http://"+address+"/v1/resources", token)
	for begun := time.Now(); status != 401 && time.Since(begun) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		status, _ = get(t, "http://"+address+"/v1/resources", token)
	}
	if status != 401 {
		t.Errorf("the key of an erased tenant gets %d", status)
	}
}

// ask returns the busy intervals of the resource in the running and next weeks.
func (m *machine) ask(address, token string, resource busy.ResourceID) []json.RawMessage {
	m.t.Helper()
	from := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -6)
	query := url.Values{"resource": {resource.String()}, "from": {from.Format(time.RFC3339)}, "to": {from.AddDate(0, 0, 20).Format(time.RFC3339)}}
	status, body := get(m.t, "http://"+address+"/v1/busy?"+query.Encode(), token)
	var answer struct {
		Resources []struct{ Busy []json.RawMessage }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 || len(answer.Resources) != 1 {
		m.t.Fatalf("status %d: %s", status, body)
	}
	return answer.Resources[0].Busy
}

func TestConnectingSaysWhatIsWrongAndSavesNothing(t *testing.T) {
	m := newMachine(t)
	m.settled()
	before := len(object[[]connectionView](m, "connection", "list", "--tenant", "acme"))
	for name, test := range map[string]struct{ url, user, password, want string }{
		"wrong password": {m.davURL, "ada", "wrong", "password or username is refused"},
		"nobody there":   {"http://" + freeAddress(t), "ada", davPassword, "accepts no connections"},
		"no address":     {"", "ada", davPassword, "url is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := m.busydWith(test.password, "connection", "add", "caldav", "--tenant", "acme", "--resource", "Ada",
				"--url", test.url, "--username", test.user, "--password-file", "-")
			if code != exitUsage || !strings.Contains(errs, test.want) || !strings.Contains(errs, "nothing was saved") {
				t.Errorf("exit code %d: %s", code, errs)
			}
		})
	}
	if after := len(object[[]connectionView](m, "connection", "list", "--tenant", "acme")); after != before {
		t.Errorf("%d connections, %d before", after, before)
	}
}

// A published file: its address is refused where it leads to no calendar, and is
// read where it does.
func TestAFeedIsConnected(t *testing.T) {
	m := newMachine(t)
	m.settled()
	file := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nX-WR-CALNAME:Room\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n" +
		"DTSTART:" + time.Now().UTC().Add(time.Hour).Format("20060102T150405Z") + "\r\nDURATION:PT1H\r\nSUMMARY:Taken\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/secret.ics" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(file))
	}))
	defer server.Close()
	m.must("resource", "create", "Room", "--tenant", "acme", "--timezone", "Europe/Berlin")
	add := func(address string) (int, string, string) {
		return m.busydWith(address+"\n", "connection", "add", "feed", "--tenant", "acme", "--resource", "Room", "--url-file", "-")
	}
	if code, _, errs := add(server.URL + "/other.ics"); code != exitUsage || strings.Contains(errs, "other.ics") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if code, out, errs := add(server.URL + "/secret.ics"); code != exitOK || !strings.Contains(out, "Room") {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	m.serve()
	if code, out, errs := m.busyd("resync", "--tenant", "acme", "--wait"); code != exitOK {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
}

func TestExitCodes(t *testing.T) {
	m := newMachine(t)
	m.settled()
	id := "3f2b8c1e-5a44-4c9e-9d3e-0d6c1f0a7b21"
	for name, test := range map[string]struct {
		code int
		want string
		args []string
	}{
		"unknown command":    {exitUsage, "unknown command", []string{"frobnicate"}},
		"misspelt command":   {exitUsage, "did you mean list?", []string{"tenant", "lits"}},
		"unknown flag":       {exitUsage, "unknown flag", []string{"tenant", "list", "--frobnicate"}},
		"missing flag":       {exitUsage, "tenant", []string{"resource", "list"}},
		"missing argument":   {exitUsage, "arg", []string{"tenant", "create"}},
		"group alone":        {exitOK, "", []string{"tenant"}},
		"unknown tenant":     {exitAttention, "tenant list", []string{"resource", "list", "--tenant", "nobody"}},
		"unknown resource":   {exitAttention, "resource list", []string{"connection", "add", "caldav", "--tenant", "acme", "--resource", "Nobody", "--username", "x", "--password-file", "/dev/null"}},
		"unknown connection": {exitAttention, "connection list", []string{"connection", "show", id, "--tenant", "acme"}},
		"no id":              {exitUsage, "must be a UUID", []string{"connection", "show", "x", "--tenant", "acme"}},
		"unknown calendar":   {exitAttention, "calendar list", []string{"calendar", "select", "x", "--tenant", "acme"}},
		"unknown key":        {exitAttention, "", []string{"key", "revoke", id, "--tenant", "acme"}},
		"wrong zone":         {exitUsage, "--timezone must", []string{"resource", "create", "R", "--tenant", "acme", "--timezone", "Mars/Olympus"}},
		"wrong hours":        {exitUsage, "hours must", []string{"resource", "create", "R", "--tenant", "acme", "--timezone", "UTC", "--hours", "9-5"}},
		"wrong scope":        {exitUsage, "read, sync, book, admin", []string{"key", "create", "--tenant", "acme", "--scope", "root"}},
		"tenant exists":      {exitFailure, "already", []string{"tenant", "create", "acme"}},
		"two scopes":         {exitUsage, "connection", []string{"resync", "--tenant", "acme", "--connection", id, "--calendar", id}},
		"no confirmation":    {exitUsage, "nothing was done", []string{"tenant", "delete", "acme"}},
		"no file to expand":  {exitUsage, "/nonexistent", []string{"expand", "/nonexistent", "--from", "2026-01-01", "--to", "2026-02-01"}},
		"no password file":   {exitUsage, "/nonexistent", []string{"connection", "add", "caldav", "--tenant", "acme", "--resource", "Ada", "--username", "x", "--password-file", "/nonexistent"}},
		"plain http":         {exitUsage, "network.allow", []string{"connection", "add", "feed", "--tenant", "acme", "--resource", "Ada", "--url", "http://192.0.2.1/a.ics"}},
		"no configuration":   {exitUsage, "--config", []string{"tenant", "list", "--config", "/nonexistent"}},
		"nobody reads":       {exitFailure, "is a daemon", []string{"resync", "--tenant", "acme", "--wait", "--timeout", "1s"}},
		"no daemon":          {exitAttention, "", []string{"doctor"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := m.busyd(test.args...)
			if code != test.code || !strings.Contains(errs, test.want) {
				t.Errorf("exit code %d, want %d\n%s%s", code, test.code, out, errs)
			}
		})
	}
}

func TestMissingMasterKeyRefusesToStart(t *testing.T) {
	m := newMachine(t)
	m.must("migrate")
	m.set("BUSYD_MASTER_KEY", "")
	code, _, errs := m.busyd("serve")
	if code != exitUsage || !strings.Contains(errs, "openssl rand -base64 32") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestUnmigratedDatabaseRefusesToStart(t *testing.T) {
	m := newMachine(t)
	code, _, errs := m.busyd("serve")
	if code != exitFailure || !strings.Contains(errs, "busyd migrate") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestKeys(t *testing.T) {
	m := newMachine(t)
	m.settled()
	made := object[keyView](m, "key", "create", "--tenant", "acme", "--scope", "read,sync", "--name", "front end", "--expires", "90d")
	if made.Token == "" || len(made.Scopes) != 2 || time.Until(made.ExpiresAt) < 89*24*time.Hour {
		t.Errorf("made %+v", made)
	}
	m.must("key", "revoke", made.ID.String(), "--tenant", "acme")
	out := m.must("key", "list", "--tenant", "acme")
	if !strings.Contains(out, "revoked") || strings.Contains(out, made.Token) {
		t.Errorf("listed:\n%s", out)
	}
}

// A password that stops working shows in status with its cure, which works.
func TestReconnecting(t *testing.T) {
	m := newMachine(t)
	m.settled()
	m.serve()
	if code, out, errs := m.busyd("resync", "--tenant", "acme", "--wait"); code != exitOK {
		t.Fatalf("resync: exit code %d\n%s%s", code, out, errs)
	}
	connection := object[[]connectionView](m, "connection", "list", "--tenant", "acme")[0].ID.String()
	code, _, errs := m.busydWith("wrong", "connection", "reconnect", connection, "--tenant", "acme",
		"--url", m.davURL, "--username", "ada", "--password-file", "-")
	if code != exitUsage {
		t.Errorf("a wrong password: exit code %d: %s", code, errs)
	}
	code, _, errs = m.busydWith(davPassword, "connection", "reconnect", connection, "--tenant", "acme",
		"--url", m.davURL, "--username", "ada", "--password-file", "-")
	if code != exitOK {
		t.Errorf("the right password: exit code %d: %s", code, errs)
	}
}
