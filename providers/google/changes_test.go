package google_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/google"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/googlefake"
)

// readAll reads a round to its end.
func readAll(t *testing.T, a *account, cursor providers.Cursor) (busy.Change, providers.Cursor) {
	t.Helper()
	var all busy.Change
	session := a.Open(t)
	for range 100 {
		page := changes(t, session, query(a.remote, cursor))
		all.Events = append(all.Events, page.Events...)
		all.Gone = append(all.Gone, page.Gone...)
		all.Unreadable = append(all.Unreadable, page.Unreadable...)
		if cursor = page.Cursor; !page.More {
			return all, cursor
		}
	}
	t.Fatal("the pages do not end")
	return all, nil
}

func keys(c busy.Change) []string {
	var keys []string
	for _, e := range c.Events {
		keys = append(keys, e.Key)
	}
	slices.Sort(keys)
	return keys
}

func march(day, hour int) busy.Moment {
	return busy.Moment{Wall: time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC), Zone: "Europe/Berlin"}
}

func weekly() providertest.Entry {
	return providertest.Entry{
		Subject: "Weekly", Start: march(2, 9), End: march(2, 10), Rule: "FREQ=WEEKLY",
		Exceptions: []providertest.Exception{
			{Original: march(9, 9), Start: march(10, 9), End: march(10, 10), Subject: "Moved"},
			{Original: march(16, 9), Start: march(16, 9), End: march(16, 10), Cancelled: true},
		},
	}
}

// TestRequests: what is asked for, word by word.
func TestRequests(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	for i := range 25 {
		a.server.Put(work, fmt.Sprintf("n%d", i), weekly())
	}
	_, cursor := readAll(t, a, nil)
	for i := range 12 {
		a.server.Remove(work, fmt.Sprintf("n%d", i))
	}
	a.server.Forget()
	_, _ = readAll(t, a, cursor)
	_, _ = readAll(t, a, nil)

	varying := []string{"pageToken", "syncToken", "timeMin"}
	var constant url.Values
	deltas, listings := 0, 0
	for _, r := range a.server.Requests() {
		q := url.Values(r.Query)
		switch {
		case q.Has("syncToken"):
			deltas++
			if q.Has("timeMin") {
				t.Error("timeMin with a sync token")
			}
		default:
			listings++
			if got := q.Get("timeMin"); got != "2026-01-29T00:00:00Z" {
				t.Errorf("timeMin is %q", got)
			}
		}
		for _, name := range varying {
			q.Del(name)
		}
		if constant == nil {
			constant = q
		}
		if q.Encode() != constant.Encode() {
			t.Errorf("%v, and before: %v", q, constant)
		}
	}
	if deltas < 2 || listings < 2 {
		t.Errorf("%d pages of changes and %d of listings: the test needs more than one", deltas, listings)
	}
	fields := constant.Get("fields")
	constant.Del("fields")
	if got := constant.Encode(); got != "alt=json&maxAttendees=1&maxResults=20&prettyPrint=false&singleEvents=false" {
		t.Errorf("the parameters are %s", got)
	}
	for _, word := range []string{"description", "location", "organizer", "email", "hangoutLink", "conferenceData", "*"} {
		if strings.Contains(fields, word) {
			t.Errorf("%s is asked for", word)
		}
	}
}

// TestProductionPages: the most that Google allows.
func TestProductionPages(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	id, secret := a.server.Client()
	a.provider = google.New(google.Config{
		ClientID: id, ClientSecret: busy.Secret(secret), HTTP: a.sent, Endpoints: endpoints(),
		Now: func() time.Time { return now },
	})
	a.server.Forget()
	_, _ = readAll(t, a, nil)
	if got := url.Values(a.server.Requests()[0].Query).Get("maxResults"); got != "2500" {
		t.Errorf("pages of %s", got)
	}
}

// TestTombstones: what has no series is gone; an occurrence that was cancelled
// stays, as long as its series does.
func TestTombstones(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	a.server.Put(work, "w", weekly())
	a.server.Put(work, "b", weekly())
	all, cursor := readAll(t, a, nil)
	if len(all.Events) != 6 || len(all.Gone) != 0 {
		t.Fatalf("%d events, %d gone", len(all.Events), len(all.Gone))
	}
	a.server.Remove(work, "w")
	all, cursor = readAll(t, a, cursor)
	if !slices.Equal(all.Gone, []string{googlefake.ID("w")}) || len(all.Events) != 0 {
		t.Errorf("%d gone, and events %v", len(all.Gone), keys(all))
	}
	if all, _ = readAll(t, a, nil); len(all.Gone) != 0 || slices.Contains(keys(all), googlefake.ID("w")) {
		t.Errorf("listed again: %v, %d gone", keys(all), len(all.Gone))
	}
	if all, _ = readAll(t, a, cursor); len(all.Events)+len(all.Gone) != 0 {
		t.Errorf("nothing happened, and %+v", all)
	}
}

// TestCancelledInListing: a single that is cancelled is gone, in a listing too.
func TestCancelledInListing(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	answered := a.server.Transport()
	a.provider = google.New(google.Config{
		HTTP: edited(answered, `"items":[`, `"items":[{"id":"gone","status":"cancelled"}`), Endpoints: endpoints(),
		Now: func() time.Time { return now },
	})
	all, _ := readAll(t, a, nil)
	if !slices.Equal(all.Gone, []string{"gone"}) || len(all.Events) != 0 {
		t.Errorf("read as %+v", all)
	}
}

// TestTwiceOnAPage: the last one counts.
func TestTwiceOnAPage(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	const item = `{"id":"a","status":%q,"summary":%q,"start":{"date":"2026-03-02"},"end":{"date":"2026-03-03"}}`
	twice := fmt.Sprintf(item+","+item, "confirmed", "Old", "confirmed", "New") + "," + fmt.Sprintf(item, "cancelled", "") +
		"," + fmt.Sprintf(item, "confirmed", "Newest")
	a.provider = google.New(google.Config{
		HTTP: edited(a.server.Transport(), `"items":[`, `"items":[`+twice), Endpoints: endpoints(),
		Now: func() time.Time { return now },
	})
	all, _ := readAll(t, a, nil)
	if len(all.Events) != 1 || all.Events[0].Subject != "Newest" || len(all.Gone) != 0 {
		t.Errorf("read as %+v", all)
	}
}

// TestNamelessItem: what cannot be told from another is no reason to think that
// it was removed.
func TestNamelessItem(t *testing.T) {
	for _, item := range []string{`{}`, `null`, `{"status":"confirmed"}`} {
		a := newAccount(t, googlefake.Options{})
		a.provider = google.New(google.Config{
			HTTP: edited(a.server.Transport(), `"items":[`, `"items":[`+item), Endpoints: endpoints(),
			Now: func() time.Time { return now },
		})
		_, err := a.Open(t).Changes(context.Background(), query(work, nil))
		if err == nil || providers.FaultOf(err) != providers.Transient {
			t.Errorf("%s: %v", item, err)
		}
	}
}

// TestProof: only the sync token proves that a listing is complete, and a page
// has either that or another page's.
func TestProof(t *testing.T) {
	for name, change := range map[string][2]string{
		"neither": {`"nextSyncToken"`, `"lost"`},
		"both":    {`"nextSyncToken"`, `"nextPageToken":"more","nextSyncToken"`},
	} {
		a := newAccount(t, googlefake.Options{})
		a.server.Put(work, "a", weekly())
		a.provider = google.New(google.Config{
			HTTP: edited(a.server.Transport(), change[0], change[1]), Endpoints: endpoints(),
			Now: func() time.Time { return now },
		})
		page, err := a.Open(t).Changes(context.Background(), query(work, nil))
		if providers.CodeOf(err) != "incomplete_listing" || len(page.Events) != 0 {
			t.Errorf("%s: %v, with %d events", name, err, len(page.Events))
		}
	}
}

// TestPast: what a listing leaves out because it is over, changes leave out too.
func TestPast(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	on := func(day int) providertest.Entry { // of 2026, from the first of March
		start := busy.Moment{Wall: time.Date(2026, 3, day, 9, 0, 0, 0, time.UTC), Zone: "Europe/Berlin"}
		return providertest.Entry{Subject: "On", Start: start, End: busy.Moment{Wall: start.Wall.Add(time.Hour), Zone: start.Zone}}
	}
	for name, day := range map[string]int{"old": -60, "recent": -20, "inside": 5, "later": 900} {
		a.server.Put(work, name, on(day))
	}
	old := on(-60)
	old.Rule = "FREQ=WEEKLY"
	a.server.Put(work, "series", old)
	want := []string{googlefake.ID("inside"), googlefake.ID("later"), googlefake.ID("recent"), googlefake.ID("series")}
	slices.Sort(want)
	all, cursor := readAll(t, a, nil)
	if got := keys(all); !slices.Equal(got, want) {
		t.Errorf("listed: %v, want %v", got, want)
	}
	a.server.Put(work, "inside", on(-60))
	a.server.Put(work, "old", on(-61))
	a.server.Put(work, "recent", on(6))
	all, _ = readAll(t, a, cursor)
	if got := keys(all); !slices.Equal(got, []string{googlefake.ID("recent")}) {
		t.Errorf("changed: %v", got)
	}
	if len(all.Gone) != 2 {
		t.Errorf("%d are over, want 2", len(all.Gone))
	}
}

// TestExceptionMovedToThePast still replaces its occurrence.
func TestExceptionMovedToThePast(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	_, cursor := readAll(t, a, nil)
	e := weekly()
	e.Exceptions = []providertest.Exception{{
		Original: march(9, 9), Start: march(-60, 9), End: march(-60, 10), Subject: "Long ago",
	}}
	a.server.Put(work, "w", e)
	all, _ := readAll(t, a, cursor)
	if len(all.Events) != 2 || len(all.Gone) != 0 {
		t.Errorf("%d events, %d gone", len(all.Events), len(all.Gone))
	}
}

// TestRoleChanges: what is held under one role is not what another shows.
func TestRoleChanges(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	a.server.Put(work, "a", weekly())
	all, cursor := readAll(t, a, nil)
	held := map[string]string{}
	for _, e := range all.Events {
		held[e.Key] = e.Version
	}
	a.server.SetRole(work, "freeBusyReader")
	if _, err := a.Open(t).Changes(context.Background(), query(work, cursor)); providers.FaultOf(err) != providers.CursorExpired {
		t.Fatalf("the role changed: %v", err)
	}
	q := query(work, nil)
	q.Version = func(key string) (string, bool) { v, ok := held[key]; return v, ok }
	page := changes(t, a.Open(t), q)
	if len(page.Same) != 0 {
		t.Fatalf("%d are said to be as they were", len(page.Same))
	}
	for _, e := range page.Events {
		if !e.Cancelled && e.Subject != "Busy" {
			t.Errorf("somebody who may see free and busy times sees %q", e.Subject)
		}
	}
}

// TestCursors: neither another form nor a page of a lost listing is gone on from.
func TestCursors(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	for _, cursor := range []string{"", "x", "{}", `{"form":0,"since":"x"}`, `{"form":1}`, `{"form":1,"pages":1}`, `{"form":2,"since":"x"}`} {
		_, err := a.Open(t).Changes(context.Background(), query(work, providers.Cursor(cursor)))
		if providers.FaultOf(err) != providers.CursorExpired {
			t.Errorf("%q: %v", cursor, err)
		}
	}
}

// TestChangesBeginAgain: another session reads changes from the sync token on,
// for a page token is no place to be stored.
func TestChangesBeginAgain(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	_, cursor := readAll(t, a, nil)
	for i := range 30 {
		a.server.Put(work, fmt.Sprintf("n%d", i), weekly())
	}
	first := changes(t, a.Open(t), query(work, cursor))
	if !first.More || first.Full {
		t.Fatal("the test needs more than one page")
	}
	all, _ := readAll(t, a, first.Cursor)
	if len(all.Events) != 90 {
		t.Errorf("%d events, want 90", len(all.Events))
	}
}

// TestOtherCalendarsPage: a session of two calendars does not mix them up.
func TestOtherCalendarsPage(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	for i := range 30 {
		a.server.Put(work, fmt.Sprintf("n%d", i), weekly())
		a.server.Put(a.server.Primary(), fmt.Sprintf("p%d", i), weekly())
	}
	session := a.Open(t)
	first := changes(t, session, query(work, nil))
	_ = changes(t, session, query(a.server.Primary(), nil))
	_, err := session.Changes(context.Background(), query(work, first.Cursor))
	if providers.FaultOf(err) != providers.CursorExpired {
		t.Errorf("went on with another calendar: %v", err)
	}
}

// TestEarlierPage: the cursor of a page that was gone on from is no place any more.
func TestEarlierPage(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	for i := range 30 {
		a.server.Put(work, fmt.Sprintf("n%d", i), weekly())
	}
	session := a.Open(t)
	first := changes(t, session, query(work, nil))
	if second := changes(t, session, query(work, first.Cursor)); !second.More {
		t.Fatal("the test needs three pages")
	}
	if _, err := session.Changes(context.Background(), query(work, first.Cursor)); providers.FaultOf(err) != providers.CursorExpired {
		t.Errorf("went on from a page before: %v", err)
	}
}

// TestUntagged: an item without a tag is never what the caller holds.
func TestUntagged(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	a.server.Put(work, "a", providertest.Entry{Subject: "x", Start: march(2, 9), End: march(2, 10)})
	a.provider = google.New(google.Config{
		HTTP: edited(a.server.Transport(), `"etag"`, `"lost"`), Endpoints: endpoints(), Now: func() time.Time { return now },
	})
	q := query(work, nil)
	q.Version = func(string) (string, bool) { return "", true }
	if page := changes(t, a.Open(t), q); len(page.Same) != 0 || len(page.Events) != 1 {
		t.Errorf("%d are the same, %d are not", len(page.Same), len(page.Events))
	}
}

// TestChangesAskNoVersion: reading what is held costs the caller; changes are new
// anyhow.
func TestChangesAskNoVersion(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	_, cursor := readAll(t, a, nil)
	a.server.Put(work, "a", weekly())
	q := query(work, cursor)
	q.Version = func(string) (string, bool) {
		t.Error("a version was asked for")
		return "", false
	}
	_ = changes(t, a.Open(t), q)
}

// TestCanary: nothing but what is asked for gets through, even where more is sent.
func TestCanary(t *testing.T) {
	for name, o := range map[string]googlefake.Options{"masked": {}, "leaky": {Leaky: true}} {
		a := newAccount(t, o)
		a.server.Put(work, "a", weekly())
		all, cursor := readAll(t, a, nil)
		if text := fmt.Sprintf("%+v %s", all, cursor); strings.Contains(strings.ToUpper(text), providertest.Mark) {
			t.Errorf("%s: a mark got through: %s", name, text)
		}
		found, err := a.Open(t).Calendars(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if text := fmt.Sprintf("%#v", found); strings.Contains(text, providertest.Mark) {
			t.Errorf("%s: a mark got through: %s", name, text)
		}
	}
}

// TestCancelledContext: a caller who gave up is told so, and the calendar's name
// is not in it.
func TestCancelledContext(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	session := a.Open(t)
	cancel()
	_, err := session.Changes(ctx, query(work, nil))
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "work") {
		t.Errorf("the error is %v", err)
	}
}

// edited replaces a text in the answers.
func edited(next http.RoundTripper, old, with string) http.RoundTripper {
	return editor{next, old, with}
}

type editor struct {
	next      http.RoundTripper
	old, with string
}

func (e editor) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := e.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return withBody(answer, func(text string) string { return strings.Replace(text, e.old, e.with, 1) }), nil
}
