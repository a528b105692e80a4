package feed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/feedfake"
)

// TestCanary: of a file full of marks, at an address full of marks, pages, cursors
// and what is listed hold none; only the grant, which is sealed, may.
func TestCanary(t *testing.T) {
	o := feedfake.Options{
		Name: "Work of CANARY@example.com", Zone: "CANARY/Zone", Path: "/CANARY@example.com/CANARY.ics",
		Username: "CANARY@example.com", Password: "CANARY",
	}
	a := connect(t, o)
	e := entry("Call https://CANARY.example.com/j/1 or CANARY@example.com")
	e.Rule = "FREQ=DAILY;COUNT=3"
	a.server.Put("a", e.ICS("a", o.Username))
	a.PutUnreadable(t, "b")
	a.server.Put("c", "BEGIN:VTIMEZONE\r\nTZID:CANARY\r\nTZURL:https://CANARY\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"+
		"TZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\nTZNAME:CANARY\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"+
		"BEGIN:VEVENT\r\nUID:c\r\nDTSTART;TZID=CANARY:20260302T090000\r\nRRULE:CANARY\r\nRDATE:CANARY\r\nCLASS:CANARY\r\nSUMMARY:x\r\nEND:VEVENT\r\n")
	session := a.session(t)
	found, err := session.Calendars(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	page, err := session.Changes(context.Background(), a.query(nil))
	if err != nil || len(page.Events) != 2 || len(page.Unreadable) != 2 {
		t.Fatalf("%d events, %d unreadable, %v", len(page.Events), len(page.Unreadable), err)
	}
	again, err := a.session(t).Changes(context.Background(), a.query(page.Cursor))
	if err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]any{"calendars": found, "page": page, "poll": again} {
		raw, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		all := string(raw) + fmt.Sprintf("%+v %#v", out, out)
		if i := strings.Index(strings.ToUpper(all), providertest.Mark); i >= 0 {
			t.Errorf("the %s let a mark through: ...%s", name, all[max(0, i-60):i+6])
		}
	}
	if cursor := string(page.Cursor) + string(again.Cursor); strings.Contains(strings.ToUpper(cursor), providertest.Mark) {
		t.Errorf("the cursor holds a mark: %s", cursor)
	}
	if !strings.Contains(string(a.grant), providertest.Mark) {
		t.Error("the grant does not hold the address: the test sees nothing")
	}
	if shown := fmt.Sprintf("%v %+v %#v", a.grant, a.grant, a.grant); strings.Contains(shown, providertest.Mark) {
		t.Errorf("the grant prints as %s", shown)
	}
}

// hostile files are made to be expensive, or to confuse.
var hostile = map[string]string{
	"one UID":        strings.Repeat("BEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260302T090000Z\r\nRECURRENCE-ID:20260302T090000Z\r\nEND:VEVENT\r\n", 50_000),
	"masters":        repeat(50_000, "BEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260302T%06d\r\nEND:VEVENT\r\n"),
	"no UIDs":        strings.Repeat("BEGIN:VEVENT\r\nDTSTART:20260302T090000Z\r\nEND:VEVENT\r\n", 50_000),
	"no starts":      repeat(50_000, "BEGIN:VEVENT\r\nUID:%d\r\nDTSTART:x\r\nEND:VEVENT\r\n"),
	"unknown zones":  repeat(50_000, "BEGIN:VEVENT\r\nUID:a\r\nDTSTART;TZID=/a/b/%d:20260302T090000\r\nEND:VEVENT\r\n"),
	"a long UID":     "BEGIN:VEVENT\r\nUID:" + strings.Repeat("x", 1<<20) + "\r\nDTSTART:20260302T090000Z\r\nEND:VEVENT\r\n",
	"a long line":    "BEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260302T090000Z\r\nSUMMARY:" + strings.Repeat("x\r\n ", 1<<20) + "\r\nEND:VEVENT\r\n",
	"a long name":    "X-WR-CALNAME:" + strings.Repeat("x", 1<<20) + "\r\n",
	"a long zone":    "X-WR-TIMEZONE:" + strings.Repeat("x", 1<<20) + "\r\n",
	"many calendars": strings.Repeat("BEGIN:VCALENDAR\r\n", 100_000),
	"nested":         strings.Repeat("BEGIN:X\r\n", 100_000) + strings.Repeat("END:X\r\n", 100_000),
	"zeros":          strings.Repeat("\x00", 1<<20) + "\r\n",
}

func repeat(n int, form string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, form, i)
	}
	return b.String()
}

// TestHostile: whatever a file holds, its pages end, and they name each object in
// one of them.
func TestHostile(t *testing.T) {
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			a := connect(t, feedfake.Options{})
			a.provider.PageObjects = 10_000
			a.server.Put("x", text)
			a.reconnect(t)
			session, seen := a.session(t), map[string]int{}
			var cursor providers.Cursor
			for page := range 7 {
				got, err := session.Changes(context.Background(), a.query(cursor))
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range got.Events {
					if at, twice := seen[e.Key]; twice && at != page {
						t.Fatal("an object is in two pages")
					}
					seen[e.Key] = page
				}
				if cursor = got.Cursor; len(cursor) > 4<<10 {
					t.Fatalf("a cursor of %d bytes", len(cursor))
				}
				if !got.More {
					return
				}
			}
			t.Fatal("the pages do not end")
		})
	}
}

func (a *account) reconnect(t *testing.T) {
	t.Helper()
	grant, err := a.provider.Connect(context.Background(), providers.Login{URL: a.server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	a.grant = grant
	found, err := a.session(t).Calendars(context.Background())
	if err != nil || len(found) != 1 || len(found[0].Name) > 2000 || len(found[0].Zone) > 100 || len(grant) > 4<<10 {
		t.Fatalf("a name of %d bytes, %v", len(found[0].Name), err)
	}
}
