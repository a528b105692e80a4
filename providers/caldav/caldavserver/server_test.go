package caldavserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/caldav"
	"github.com/busyd/busyd/providers/caldav/caldavserver"
	"github.com/busyd/busyd/providers/transport"
)

func object(uid, subject string, lines ...string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:" + uid +
		"\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260302T090000Z\r\nDTEND:20260302T100000Z\r\nSUMMARY:" + subject + "\r\n" +
		strings.Join(append(lines, ""), "\r\n") + "END:VEVENT\r\nEND:VCALENDAR\r\n"
}

func serve(t *testing.T) (*caldavserver.Server, string) {
	t.Helper()
	server, err := caldavserver.New(caldavserver.User{
		Name: "alice", Password: "secret", Addresses: []string{"alice@example.com"},
		Calendars: []caldavserver.Calendar{
			{Name: "work", Title: "Work", Zone: "Europe/Berlin", Objects: map[string]string{
				"standup.ics":  object("1", "Standup"),
				"declined.ics": object("2", "Declined", "ATTENDEE;PARTSTAT=DECLINED:mailto:alice@example.com"),
			}},
			{Name: "birthdays", Title: "Birthdays", Transparent: true},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return server, listener.URL
}

func loopback() http.RoundTripper {
	return transport.New(transport.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
}

func held(versions map[string]string) func(string) (string, bool) {
	return func(key string) (string, bool) { v, ok := versions[key]; return v, ok }
}

func TestServesAWholeSync(t *testing.T) {
	server, address := serve(t)
	ctx := context.Background()
	provider := caldav.New(caldav.Config{HTTP: loopback()})
	grant, err := provider.Connect(ctx, providers.Login{URL: address, Username: "alice", Password: busy.Secret("secret")})
	if err != nil {
		t.Fatal(err)
	}
	session, err := provider.Open(ctx, providers.Account{Grant: grant})
	if err != nil {
		t.Fatal(err)
	}
	calendars, err := session.Calendars(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(calendars) != 2 || calendars[0].Name != "Birthdays" || calendars[0].Blocking ||
		calendars[1].Name != "Work" || !calendars[1].Blocking || calendars[1].Zone != "Europe/Berlin" {
		t.Fatalf("calendars: %+v", calendars)
	}

	query := providers.Query{Remote: calendars[1].Remote, Zone: "Europe/Berlin", Version: held(nil)}
	page, err := session.Changes(ctx, query)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]busy.State{}
	versions := map[string]string{}
	for _, e := range page.Events {
		states[e.Subject] = e.State
		versions[e.Key] = e.Version
	}
	if !page.Full || page.More || len(states) != 2 || states["Standup"] != busy.Busy || states["Declined"] != busy.Free {
		t.Fatalf("first page: %+v", page)
	}

	query.Cursor, query.Version = page.Cursor, held(versions)
	page, err = session.Changes(ctx, query)
	if err != nil || page.Full || len(page.Events) > 0 || string(page.Cursor) != string(query.Cursor) {
		t.Fatalf("nothing changed, yet: %+v, %v", page, err)
	}

	server.Delete("alice", "work", "declined.ics")
	if err := server.Put("alice", "work", "new.ics", object("3", "New")); err != nil {
		t.Fatal(err)
	}
	page, err = session.Changes(ctx, query)
	if err != nil || !page.Full || len(page.Events) != 1 || page.Events[0].Subject != "New" ||
		!slices.Equal(page.Same, []string{"/alice/calendars/work/standup.ics"}) {
		t.Fatalf("after a change: %+v, %v", page, err)
	}
}

func TestRefusesAWrongPassword(t *testing.T) {
	_, address := serve(t)
	provider := caldav.New(caldav.Config{HTTP: loopback()})
	_, err := provider.Connect(context.Background(), providers.Login{URL: address, Username: "alice", Password: busy.Secret("wrong")})
	violation := (*busy.Violation)(nil)
	if !errors.As(err, &violation) || violation.Field != "password" {
		t.Fatalf("error: %v", err)
	}
}

func TestRefusesWhatItCouldNotServe(t *testing.T) {
	server, _ := serve(t)
	if err := server.Put("alice", "work", "bad.ics", "BEGIN:VCALENDAR\r\nnonsense\r\n"); err == nil {
		t.Fatal("an object that cannot be read was stored")
	}
}

func TestStoresWhatClientsPut(t *testing.T) {
	_, address := serve(t)
	put := func(match string) int {
		r, err := http.NewRequest(http.MethodPut, address+"/alice/calendars/work/standup.ics", strings.NewReader(object("1", "Changed")))
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("alice", "secret")
		r.Header.Set("Content-Type", "text/calendar")
		r.Header.Set("If-Match", match)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if status := put(`"stale"`); status != http.StatusPreconditionFailed {
		t.Errorf("with a stale etag: %d", status)
	}
	if status := put("*"); status != http.StatusCreated {
		t.Errorf("with any etag: %d", status)
	}
}
