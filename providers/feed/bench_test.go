package feed_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/feed"
)

// BenchmarkFeed reads a feed of 10,000 events: for the first time, when nothing
// has changed and the server sends all the same, when it says so, and when one
// event has changed.
func BenchmarkFeed(b *testing.B) {
	const n = 10_000
	text := bigFile(n)
	held := map[string]string{}
	var cursor providers.Cursor
	run := func(name, body string, status int, from *providers.Cursor, want int) {
		a := &account{provider: feed.New(feed.Config{HTTP: roundTrip(func(r *http.Request) (*http.Response, error) {
			answer := &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{"Etag": {`"1"`}}}
			if r.Header.Get("If-None-Match") != "" {
				answer.StatusCode = status
			}
			return answer, nil
		})})}
		grant, err := a.provider.Connect(context.Background(), providers.Login{URL: "webcal://feeds.example.com"})
		if err != nil {
			b.Fatal(err)
		}
		a.grant, a.remote = grant, busy.Secret("feed")
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				session, q, events := a.session(b), a.query(*from), 0
				q.Version = func(key string) (string, bool) { v, ok := held[key]; return v, ok }
				for more := true; more; {
					page, err := session.Changes(context.Background(), q)
					if err != nil {
						b.Fatal(err)
					}
					events += len(page.Events)
					q.Cursor, more = page.Cursor, page.More
				}
				if events != want {
					b.Fatalf("%d events, want %d", events, want)
				}
			}
		})
		if cursor == nil {
			cursor = a.hold(b, held)
		}
	}
	var none providers.Cursor
	run("first", text, 200, &none, n)
	run("same, sent", text, 200, &cursor, 0)
	run("same, 304", text, 304, &cursor, 0)
	run("one changed", strings.Replace(text, "number 4711\r", "number 4712\r", 1), 200, &cursor, 1)
}

// hold reads all of a feed as a caller does that keeps it.
func (a *account) hold(b *testing.B, held map[string]string) providers.Cursor {
	b.Helper()
	session, q := a.session(b), a.query(nil)
	for {
		page, err := session.Changes(context.Background(), q)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range page.Events {
			held[e.Key] = e.Version
		}
		if q.Cursor = page.Cursor; !page.More {
			return page.Cursor
		}
	}
}

func bigFile(n int) string {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
	for i := range n {
		fmt.Fprintf(&b, "BEGIN:VEVENT\r\nUID:%06d@feed.example.com\r\nDTSTAMP:20260101T000000Z\r\n"+
			"DTSTART;TZID=Europe/Berlin:202603%02dT090000\r\nDTEND;TZID=Europe/Berlin:202603%02dT100000\r\n"+
			"RRULE:FREQ=WEEKLY;COUNT=20\r\nSUMMARY:Meeting number %d\r\nDESCRIPTION:%s\r\nEND:VEVENT\r\n",
			i*7919%n, 1+i%28, 1+i%28, i, strings.Repeat("Agenda. ", 10))
	}
	b.WriteString("END:VCALENDAR\r\n")
	return b.String()
}
