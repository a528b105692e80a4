package caldav_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/ical"
	"github.com/busyd/busyd/providers/providertest/caldavreal"
	"github.com/busyd/busyd/providers/transport"
	"github.com/busyd/busyd/sync/recur"
)

// Files as other programs write them are uploaded, event by event, to real
// servers, and must come back as the same busy time that the file itself yields.
func TestFilesSurviveRealServers(t *testing.T) {
	files, err := filepath.Glob("../ical/testdata/samples/*.ics")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d sample files, %v", len(files), err)
	}
	for name, start := range map[string]func(testing.TB) *caldavreal.Server{
		"radicale": caldavreal.Radicale, "xandikos": caldavreal.Xandikos,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			for i, file := range files {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				calendar := fmt.Sprintf("file-%d", i)
				server.MakeCalendar(t, calendar)
				for j, object := range objectsOf(string(raw)) {
					server.Put(t, calendar, fmt.Sprintf("%d.ics", j), object)
				}
				read, err := ical.ParseFeed(strings.NewReader(string(raw)), ical.Options{Zone: "Europe/Berlin"})
				if err != nil {
					t.Fatal(err)
				}
				want, got := occurrences(t, read.Events), occurrences(t, download(t, server, calendar))
				if !slices.Equal(got, want) {
					t.Errorf("%s: mirrored\n  %s\nwant\n  %s", filepath.Base(file), strings.Join(got, "\n  "), strings.Join(want, "\n  "))
				}
			}
		})
	}
}

// objectsOf splits a file into objects as RFC 4791 §4.1 wants them: one UID each,
// with all zones of the file.
func objectsOf(file string) []string {
	file = strings.ReplaceAll(file, "\r\n", "\n")
	// Exchange forgets these quotes, and no server understands it then.
	file = strings.ReplaceAll(file, ";TZID=tzone://Microsoft/Utc:", `;TZID="tzone://Microsoft/Utc":`)
	var head []string
	zones, rest := "", file
	for {
		_, after, found := strings.Cut(rest, "BEGIN:VTIMEZONE\n")
		if !found {
			break
		}
		zone, next, _ := strings.Cut(after, "END:VTIMEZONE\n")
		zones, rest = zones+"BEGIN:VTIMEZONE\n"+zone+"END:VTIMEZONE\n", next
	}
	byUID := map[string]string{}
	for rest = file; ; {
		_, after, found := strings.Cut(rest, "BEGIN:VEVENT\n")
		if !found {
			break
		}
		event, next, _ := strings.Cut(after, "END:VEVENT\n")
		_, uid, _ := strings.Cut(strings.ReplaceAll("\n"+event, "\n ", ""), "\nUID:")
		uid, _, _ = strings.Cut(uid, "\n")
		byUID[uid] += "BEGIN:VEVENT\n" + event + "END:VEVENT\n"
		rest = next
	}
	for _, uid := range slices.Sorted(maps.Keys(byUID)) {
		object := "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n" + zones + byUID[uid] + "END:VCALENDAR\n"
		head = append(head, strings.ReplaceAll(object, "\n", "\r\n"))
	}
	return head
}

func download(t *testing.T, server *caldavreal.Server, calendar string) []busy.Event {
	t.Helper()
	login := providers.Login{URL: server.URL, Username: server.Username, Password: busy.Secret(server.Password)}
	a := newAccount(t, transport.New(transport.Config{Allow: loopback}), login, "/"+calendar+"/")
	session := a.Open(t)
	var events []busy.Event
	for page := (providers.Page{More: true}); page.More; {
		var err error
		page, err = session.Changes(context.Background(), providers.Query{
			Remote: a.Remote(), Cursor: page.Cursor, Zone: "Europe/Berlin",
			Version: func(string) (string, bool) { return "", false },
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Unreadable) > 0 {
			t.Errorf("%s: %v", calendar, page.Unreadable)
		}
		events = append(events, page.Events...)
	}
	return events
}

func occurrences(t *testing.T, events []busy.Event) []string {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	window := busy.Span{Start: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	series := map[string][]busy.Event{}
	for _, e := range events {
		series[e.Series] = append(series[e.Series], e)
	}
	var lines []string
	for _, s := range series {
		found, err := recur.New().Expand(context.Background(), s, window, zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range found {
			lines = append(lines, fmt.Sprint(o.Start, o.End, o.AllDay, o.State, s[o.Event].Subject))
		}
	}
	slices.Sort(lines)
	return lines
}
