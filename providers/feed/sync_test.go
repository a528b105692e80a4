package feed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/feedfake"
)

// query asks on behalf of a caller that holds nothing.
func (a *account) query(c providers.Cursor) providers.Query {
	return providers.Query{
		Remote: a.remote, Cursor: c, Window: providertest.Window, Zone: providertest.Zone,
		Version: func(string) (string, bool) { return "", false },
	}
}

func entry(subject string) providertest.Entry {
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	return providertest.Entry{Subject: subject, Start: busy.InstantOf(start), End: busy.InstantOf(start.Add(time.Hour))}
}

// TestFaults: what each status means to a feed that has been read.
func TestFaults(t *testing.T) {
	for status, want := range map[int]struct {
		fault providers.Fault
		code  string
		after time.Duration
	}{
		300: {providers.Transient, "unexpected_status", 0},
		204: {providers.Transient, "unexpected_status", 0},
		206: {providers.Transient, "unexpected_status", 0},
		400: {providers.Rejected, "request_refused", 0},
		401: {providers.Revoked, "unauthorized", 0},
		402: {providers.Transient, "refused_for_now", 0},
		403: {providers.Transient, "forbidden", 0},
		404: {providers.CalendarGone, "calendar_gone", 0},
		408: {providers.Transient, "refused_for_now", 0},
		410: {providers.CalendarGone, "calendar_gone", 0},
		412: {providers.CursorExpired, "condition_refused", 0},
		429: {providers.Throttled, "throttled", 90 * time.Second},
		451: {providers.Rejected, "request_refused", 0},
		500: {providers.Transient, "server_error", 0},
		502: {providers.Transient, "server_error", 0},
		503: {providers.Throttled, "throttled", 90 * time.Second},
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			a := connect(t, feedfake.Options{})
			page, err := a.session(t).Changes(context.Background(), a.query(nil))
			if err != nil {
				t.Fatal(err)
			}
			retry := ""
			if want.after > 0 {
				retry = "90"
			}
			a.server.FailNext(feedfake.Status(status, retry).Times(-1))
			_, err = a.session(t).Changes(context.Background(), a.query(page.Cursor))
			if providers.FaultOf(err) != want.fault || providers.CodeOf(err) != want.code || providers.AfterOf(err) != want.after {
				t.Errorf("got %v after %v, want %v, %s", err, providers.AfterOf(err), want.fault, want.code)
			}
		})
	}
}

// TestNoAnswerEmptiesACalendar: whatever takes the file's place is an error, and
// the file that is there is read once it is back.
func TestNoAnswerEmptiesACalendar(t *testing.T) {
	for name, fault := range map[string]feedfake.Fault{
		"empty":         feedfake.Body(""),
		"blank":         feedfake.Body(strings.Repeat("\r\n", 2000)),
		"page":          feedfake.Body("<html>CANARY</html>"),
		"hidden page":   feedfake.Body("<html>\nBEGIN:VCALENDAR\nEND:VCALENDAR\n"),
		"no calendar":   feedfake.Body("CANARY"),
		"an end only":   feedfake.Body("END:VCALENDAR\r\n"),
		"a begin only":  feedfake.Body("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n"),
		"no last line":  feedfake.Edit(func(s string) string { return strings.TrimSuffix(s, "END:VCALENDAR\r\n") }),
		"half an end":   feedfake.Edit(func(s string) string { return strings.TrimSuffix(s, "DAR\r\n") }),
		"broken off":    feedfake.Abort(),
		"unasked 304":   feedfake.Status(http.StatusNotModified, ""),
		"nothing at it": feedfake.Status(http.StatusNoContent, ""),
	} {
		t.Run(name, func(t *testing.T) {
			a := connect(t, feedfake.Options{})
			a.server.Put("a", entry("A").ICS("a", owner))
			a.server.FailNext(fault)
			page, err := a.session(t).Changes(context.Background(), a.query(nil))
			if err == nil || providers.FaultOf(err) != providers.Transient {
				t.Fatalf("%d events, full %t, %v", len(page.Events), page.Full, err)
			}
			if strings.Contains(err.Error(), providertest.Mark) {
				t.Errorf("the error lets out what it must not: %v", err)
			}
			page, err = a.session(t).Changes(context.Background(), a.query(nil))
			if err != nil || len(page.Events) != 1 {
				t.Fatalf("%d events, %v", len(page.Events), err)
			}
		})
	}
}

func TestAnEmptyCalendarIsOne(t *testing.T) {
	a := connect(t, feedfake.Options{})
	page, err := a.session(t).Changes(context.Background(), a.query(nil))
	if err != nil || !page.Full || page.More || len(page.Events)+len(page.Same) > 0 || len(page.Cursor) == 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

// TestPolls: what is asked of servers that answer conditional requests in each of
// the ways that there are.
func TestPolls(t *testing.T) {
	for name, test := range map[string]struct {
		validators feedfake.Validators
		statuses   []int
		asked      []bool
	}{
		"etags":    {feedfake.Tags, []int{200, 304, 304, 304}, []bool{false, true, true, true}},
		"weak":     {feedfake.Weak, []int{200, 304, 304, 304}, []bool{false, true, true, true}},
		"dates":    {feedfake.Dates, []int{200, 304, 304, 304}, []bool{false, true, true, true}},
		"none":     {feedfake.None, []int{200, 200, 200, 200}, []bool{false, false, false, false}},
		"ignored":  {feedfake.Ignored, []int{200, 200, 200, 200}, []bool{false, true, false, false}},
		"volatile": {feedfake.Volatile, []int{200, 200, 200, 200}, []bool{false, true, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			a := connect(t, feedfake.Options{Validators: test.validators, Stamps: test.validators == feedfake.Volatile})
			a.server.Put("a", entry("A").ICS("a", owner))
			a.server.Put("b", entry("B").ICS("b", owner))
			before := a.Requests()
			var cursor providers.Cursor
			for poll := range test.statuses {
				page, err := a.session(t).Changes(context.Background(), a.query(cursor))
				if err != nil || page.More || page.Full != (poll == 0) || len(page.Events) != 2*(1-min(poll, 1)) {
					t.Fatalf("poll %d: %d events, full %t, %v", poll, len(page.Events), page.Full, err)
				}
				if poll >= 2 && string(cursor) != string(page.Cursor) {
					t.Errorf("poll %d: another cursor for nothing new", poll)
				}
				cursor = page.Cursor
			}
			for i, r := range a.server.Requests()[before:] {
				if asked := r.ETag+r.Modified != ""; r.Status != test.statuses[i] || asked != test.asked[i] {
					t.Errorf("request %d: %d, conditional %t", i, r.Status, asked)
				}
			}
			a.server.Put("c", entry("C").ICS("c", owner))
			page, err := a.session(t).Changes(context.Background(), a.query(cursor))
			if err != nil || len(page.Events) != 3 || !page.Full {
				t.Fatalf("%d events after a change, %v", len(page.Events), err)
			}
		})
	}
}

// TestAnotherZone: times in a zone that nothing defines are read in the
// calendar's, so that one in another zone is another calendar, changed or not.
func TestAnotherZone(t *testing.T) {
	a := connect(t, feedfake.Options{})
	a.server.Put("a", "BEGIN:VEVENT\r\nUID:a\r\nDTSTART;TZID=Nowhere:20260302T090000\r\nEND:VEVENT\r\n")
	page, err := a.session(t).Changes(context.Background(), a.query(nil))
	if err != nil || len(page.Events) != 1 || page.Events[0].Start.Zone != "Europe/Berlin" || len(page.Unreadable) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	q := a.query(page.Cursor)
	q.Zone = "Asia/Tokyo"
	q.Version = func(string) (string, bool) { return page.Events[0].Version, true }
	moved, err := a.session(t).Changes(context.Background(), q)
	if err != nil || len(moved.Events) != 1 || moved.Events[0].Start.Zone != "Asia/Tokyo" {
		t.Fatalf("%+v, %v", moved, err)
	}
}

// TestCredentialStaysAtItsSite: it goes where a redirect leads within the site,
// not beyond it, and not when a redirect leads back from there.
func TestCredentialStaysAtItsSite(t *testing.T) {
	var seen []string
	hops := map[string]string{
		"a.example.com": "https://b.example.com/", "b.example.com": "https://b.example.com.evil.net/",
		"b.example.com.evil.net": "https://c.example.com/",
	}
	a := connect(t, feedfake.Options{Username: "alice", Password: "secret"})
	calls := roundTrip(func(r *http.Request) (*http.Response, error) {
		_, _, basic := r.BasicAuth()
		seen = append(seen, fmt.Sprintf("%s %t", r.URL.Host, basic))
		to := hops[r.URL.Host]
		if to == "" {
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		}
		return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {to}}, Body: http.NoBody}, nil
	})
	a.provider.HTTP = calls
	_, _ = a.provider.Connect(context.Background(), providers.Login{URL: "https://a.example.com", Username: "alice", Password: busy.Secret("secret")})
	want := []string{"a.example.com true", "b.example.com true", "b.example.com.evil.net false", "c.example.com false"}
	if strings.Join(seen, ", ") != strings.Join(want, ", ") {
		t.Errorf("sent to %q, want %q", seen, want)
	}
}

func TestForeignCalendar(t *testing.T) {
	a := connect(t, feedfake.Options{})
	q := a.query(nil)
	q.Remote = busy.Secret("CANARY")
	if _, err := a.session(t).Changes(context.Background(), q); providers.FaultOf(err) != providers.Rejected {
		t.Errorf("a calendar that the account does not have: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	a := connect(t, feedfake.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := a.session(t).Changes(ctx, a.query(nil)); err == nil || providers.CodeOf(err) != "failed" {
		t.Errorf("a caller that gave up is told: %v", err)
	}
}

// TestLostListing: the digest of a listing is held once all its pages are.
func TestLostListing(t *testing.T) {
	a := connect(t, feedfake.Options{})
	for i := range 25 {
		a.server.Put(fmt.Sprint(i), entry("A").ICS(fmt.Sprint(i), owner))
	}
	first, err := a.session(t).Changes(context.Background(), a.query(nil))
	if err != nil || !first.More || len(first.Events) != 20 {
		t.Fatalf("%d events, more %t, %v", len(first.Events), first.More, err)
	}
	session := a.session(t)
	if _, err := session.Changes(context.Background(), a.query(first.Cursor)); providers.FaultOf(err) != providers.CursorExpired {
		t.Errorf("another session goes on with a listing: %v", err)
	}
	whole, err := session.Changes(context.Background(), a.query(nil))
	if err != nil || !whole.Full || len(whole.Events) != 20 {
		t.Errorf("%d events, %v", len(whole.Events), err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("read CANARY.example.com") }
func (broken) Close() error             { return nil }

// TestBrokenBody: the errors of a network name hosts.
func TestBrokenBody(t *testing.T) {
	a := connect(t, feedfake.Options{})
	for name, body := range map[string]io.Reader{
		"at once": broken{}, "later": io.MultiReader(strings.NewReader("BEGIN:VCALENDAR\r\n"+strings.Repeat("X:1\r\n", 5000)), broken{}),
	} {
		a.provider.HTTP = roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Body: io.NopCloser(body)}, nil
		})
		_, err := a.session(t).Changes(context.Background(), a.query(nil))
		if providers.CodeOf(err) != "network" || strings.Contains(err.Error(), providertest.Mark) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRedirectsNameNoUser: who a redirect logs in as is the server's idea.
func TestRedirectsNameNoUser(t *testing.T) {
	a := connect(t, feedfake.Options{})
	a.server.FailNext(feedfake.Redirect(http.StatusFound, "https://mallory:x@feeds.fake.test/private-CANARY/basic.ics?token=CANARY#x"))
	if _, err := a.session(t).Changes(context.Background(), a.query(nil)); err != nil {
		t.Error(err)
	}
}
