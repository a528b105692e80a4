package graph_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/graph"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/graphfake"
)

// kinds are those of the requests since the last call.
func kinds(a *account) string {
	var all []string
	for _, r := range a.server.Requests() {
		all = append(all, r.Kind)
	}
	a.server.Forget()
	return strings.Join(all, " ")
}

func subjects(page providers.Page) string {
	var all []string
	for _, e := range page.Events {
		all = append(all, e.Subject)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func fill(a *account, n int) {
	for i := range n {
		a.server.Put(work, fmt.Sprintf("n%02d", i), meeting(fmt.Sprintf("N%02d", i), 2+i))
	}
}

// TestRequests: what a sync costs.
func TestRequests(t *testing.T) {
	small := connect(t, graphfake.Options{}, graph.Config{}, false)
	fill(small, 8)
	kinds(small)
	page := must(t, small, nil)
	if got := kinds(small); got != "view" {
		t.Errorf("a small window was listed by: %s", got)
	}
	small.server.Put(work, "x", meeting("X", 20))
	page = must(t, small, page.Cursor)
	if got := kinds(small); got != "view" || !page.Full || len(page.Events) != 9 {
		t.Errorf("a change in it was read by: %s", got)
	}

	large := connect(t, graphfake.Options{}, graph.Config{ViewEvents: 5, Reread: 5}, false)
	fill(large, 8)
	kinds(large)
	page = must(t, large, nil)
	if got := kinds(large); got != "view delta delta view view delta" {
		t.Errorf("a large window was listed by: %s", got)
	}
	same := must(t, large, page.Cursor)
	if got := kinds(large); got != "delta" || string(same.Cursor) != string(page.Cursor) || same.Full {
		t.Errorf("a quiet poll of it: %s", got)
	}
	large.server.Put(work, "x", meeting("X", 20))
	page = must(t, large, page.Cursor)
	if got := kinds(large); got != "delta view view delta" || !page.Full || len(page.Events) != 9 {
		t.Errorf("a change in it was read by: %s", got)
	}
	// What is outside of the window is a signal, and nothing to write.
	large.server.Put(work, "far", providertest.Entry{
		Subject: "Far", Start: busy.DateOf(2029, 1, 1), End: busy.DateOf(2029, 1, 2),
	})
	page = must(t, large, page.Cursor)
	if got := kinds(large); got != "delta view view" || page.Full || len(page.Events) != 0 {
		t.Errorf("a change outside of it: %s", got)
	}
	must(t, large, page.Cursor)
	if got := kinds(large); got != "delta" {
		t.Errorf("the poll after: %s", got)
	}
	// Once it is small, it is read.
	for i := range 5 {
		large.server.Remove(work, fmt.Sprintf("n%02d", i))
	}
	page = must(t, large, page.Cursor)
	kinds(large)
	must(t, large, page.Cursor)
	if got := kinds(large); got != "view" {
		t.Errorf("a window that became small: %s", got)
	}
	refused(t, large.server)
}

// TestBodiesStayAway: what shows whole events is not asked for under the
// permission to see them.
func TestBodiesStayAway(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{ViewEvents: 5, Reread: -1}, true)
	fill(a, 8)
	kinds(a)
	page := must(t, a, nil)
	must(t, a, page.Cursor)
	if got := kinds(a); strings.Contains(got, "delta") {
		t.Errorf("with bodies: %s", got)
	}
	refused(t, a.server)
}

// TestUnserved: a refused delta is not asked for at each poll.
func TestUnserved(t *testing.T) {
	for name, served := range map[string]graphfake.Deltas{"refused": graphfake.OfNone, "of another calendar": graphfake.OfPrimaryAs} {
		a := connect(t, graphfake.Options{Deltas: served}, graph.Config{ViewEvents: 5, Reread: -1}, false)
		fill(a, 8)
		page := must(t, a, nil)
		kinds(a)
		same := must(t, a, page.Cursor)
		if got := kinds(a); got != "view view" || string(same.Cursor) != string(page.Cursor) {
			t.Errorf("%s: a quiet poll: %s", name, got)
		}
		a.server.Remove(work, "n03")
		page = must(t, a, page.Cursor)
		if got := kinds(a); got != "view view view view" || !page.Full || strings.Contains(subjects(page), "N03") {
			t.Errorf("%s: a change: %s", name, got)
		}
	}
}

// TestMovedMeanwhile: an event that moves to a page that was read already, while
// the window is read, is not taken for removed.
func TestMovedMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		served graphfake.Deltas
		push   bool
	}{"with deltas": {}, "without": {served: graphfake.OfNone}, "with push": {push: true}} {
		a := connect(t, graphfake.Options{Deltas: c.served}, graph.Config{ViewEvents: 5, Reread: -1}, c.push)
		fill(a, 8)
		page := must(t, a, nil)
		a.server.Put(work, "n00", meeting("Changed", 2))
		// The last of the second page becomes the first of all, once the first page
		// was read.
		a.server.FailNext(graphfake.Meanwhile(func() { a.server.Put(work, "n07", meeting("Moved", 1)) }).On("view"))
		page = must(t, a, page.Cursor)
		if got := subjects(page); !page.Full || got != "Changed Moved N01 N02 N03 N04 N05 N06" {
			t.Errorf("%s: full %t: %s", name, page.Full, got)
		}
	}
}

// TestEmptiedUnderAForeignDelta: a calendar that is emptied while it is read cannot
// tell whose delta it is given, and is read again by the next poll.
func TestEmptiedUnderAForeignDelta(t *testing.T) {
	a := connect(t, graphfake.Options{Deltas: graphfake.OfPrimaryAs}, graph.Config{ViewEvents: 5}, false)
	fill(a, 8)
	a.server.FailNext(graphfake.Meanwhile(func() {
		for i := range 8 {
			a.server.Remove(work, fmt.Sprintf("n%02d", i))
		}
	}).On("view"))
	page := must(t, a, nil)
	fill(a, 1)
	if got := subjects(must(t, a, page.Cursor)); got != "N00" {
		t.Errorf("what was added to the empty calendar: %q", got)
	}
}

// TestRestless: of a window that changes whenever it is read, nothing is taken for
// removed. What was seen is delivered, but the reading fails, for there may be
// more; and the next poll looks again.
func TestRestless(t *testing.T) {
	for name, served := range map[string]graphfake.Deltas{"with deltas": graphfake.OfAll, "without": graphfake.OfNone} {
		a := connect(t, graphfake.Options{Deltas: served}, graph.Config{ViewEvents: 5, Reread: -1}, false)
		fill(a, 8)
		page := must(t, a, nil)
		n := 0
		a.server.Put(work, "n00", meeting("Changed", 2))
		a.server.FailNext(graphfake.Meanwhile(func() {
			n++
			a.server.Put(work, "n01", meeting(fmt.Sprintf("Restless%d", n), 3))
		}).On("view").Times(-1))
		session, q := a.Open(t), providers.Query{
			Remote: a.remote, Cursor: page.Cursor, Window: providertest.Window, Zone: providertest.Zone,
			Version: func(string) (string, bool) { return "", false },
		}
		page, err := session.Changes(t.Context(), q)
		if err != nil || page.Full || !page.More || len(page.Events) == 0 {
			t.Errorf("%s: full %t, more %t with %d events, %v", name, page.Full, page.More, len(page.Events), err)
		}
		q.Cursor = page.Cursor
		if _, err = session.Changes(t.Context(), q); providers.CodeOf(err) != "window_unsteady" {
			t.Errorf("%s: the reading ends with %v", name, err)
		}
		a.server.Heal()
		if page = must(t, a, page.Cursor); !page.Full {
			t.Errorf("%s: the next poll is not complete", name)
		}
	}
}

// TestWindow: a delta is about the span that it began with. A window that moves on
// within it goes on; one that leaves it begins anew.
func TestWindow(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{ViewEvents: 5, Reread: -1}, false)
	fill(a, 8)
	page := must(t, a, nil)
	kinds(a)
	moved := func(days int) busy.Span {
		by := time.Duration(days) * 24 * time.Hour
		return busy.Span{Start: providertest.Window.Start.Add(by), End: providertest.Window.End.Add(by)}
	}
	if _, err := askIn(t, a, page.Cursor, moved(2)); err != nil || kinds(a) != "delta" {
		t.Errorf("two days later: %v", err)
	}
	a.server.Put(work, "later", providertest.Entry{Subject: "Later", Start: busy.DateOf(2026, 6, 20), End: busy.DateOf(2026, 6, 21)})
	kinds(a)
	page, err := askIn(t, a, page.Cursor, moved(30))
	if err != nil || !page.Full || !strings.Contains(subjects(page), "Later") {
		t.Errorf("a month later: %v, full %t: %s", err, page.Full, subjects(page))
	}
	for _, r := range a.server.Requests() {
		if r.Kind == "delta" && strings.Contains(r.Query, "startDateTime") && !strings.Contains(r.Query, "startDateTime=2026-03-30T") {
			t.Errorf("the delta is of another window: %s", r.Query)
		}
	}
}

// TestWider: all-day events lie in their owner's zone, and Graph counts them as
// UTC's. Those at the window's edges are not missed.
func TestWider(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	a.server.Put(work, "first", providertest.Entry{Subject: "First", Start: busy.DateOf(2026, 2, 28), End: busy.DateOf(2026, 3, 1)})
	a.server.Put(work, "last", providertest.Entry{Subject: "Last", Start: busy.DateOf(2026, 6, 1), End: busy.DateOf(2026, 6, 2)})
	if got := subjects(must(t, a, nil)); got != "First Last" {
		t.Errorf("read: %s", got)
	}
}

// TestLinks: a token is sent to no host but Graph's, whatever an answer says.
func TestLinks(t *testing.T) {
	for kind, field := range map[string]string{"calendars": "nextLink", "view": "nextLink", "delta": "deltaLink"} {
		for _, evil := range []string{
			"https://evil.test/v1.0/", "http://graph.fake.test/v1.0/", "https://graph.fake.test.evil.test/v1.0/",
			"https://graph.fake.test@evil.test/v1.0/", "https://user@graph.fake.test/v1.0/", "https://graph.fake.test/beta/", "//evil.test/", "::",
		} {
			a := connect(t, graphfake.Options{PageCalendars: 1}, graph.Config{ViewEvents: 5, Reread: -1}, false)
			fill(a, 8)
			a.server.FailNext(graphfake.Edit("evil link", func(body string) string {
				return strings.Replace(body, `"@odata.`+field+`":"https://graph.fake.test/v1.0/`, `"@odata.`+field+`":"`+evil, 1)
			}).On(kind).Times(-1))
			var err error
			if kind == "calendars" {
				_, err = a.Open(t).Calendars(context.Background())
			} else {
				_, err = ask(t, a, nil)
			}
			if providers.CodeOf(err) != "link_refused" {
				t.Errorf("%s to %s: %v", kind, evil, err)
			}
		}
	}
}

// TestCalendars: all pages of them, of which the primary one blocks.
func TestCalendars(t *testing.T) {
	a := connect(t, graphfake.Options{PageCalendars: 2}, graph.Config{}, false)
	for i := range 4 {
		a.server.AddCalendar(fmt.Sprintf("More %d", i))
	}
	found, err := a.Open(t).Calendars(context.Background())
	if err != nil || len(found) != 6 {
		t.Fatalf("%d calendars, %v", len(found), err)
	}
	for _, c := range found {
		if c.Blocking != (c.Name == graphfake.Primary) || c.Zone != "" {
			t.Errorf("%s: blocking %t, zone %q", c.Name, c.Blocking, c.Zone)
		}
	}
	a.server.FailNext(graphfake.Body(`{"value":[]}`))
	if _, err := a.Open(t).Calendars(context.Background()); err == nil {
		t.Error("a mailbox without calendars is believed")
	}
}

// TestNoProof: an answer that lacks what a complete one holds is none.
func TestNoProof(t *testing.T) {
	for name, c := range map[string]struct{ kind, body string }{
		"a view without value":       {"view", `{"@odata.context":"x"}`},
		"a view of nothing":          {"view", `{"value":null}`},
		"an event without id":        {"view", `{"value":[{"subject":"x"}]}`},
		"a delta without its link":   {"delta", `{"value":[]}`},
		"a page that is its own end": {"view", `{"value":[],"@odata.nextLink":"https://graph.fake.test/v1.0/me/calendars/x/calendarView"}`},
	} {
		a := connect(t, graphfake.Options{}, tracking, false)
		a.server.Put(work, "a", meeting("A", 2))
		a.server.FailNext(graphfake.Body(c.body).On(c.kind).Times(-1))
		if page, err := ask(t, a, nil); providers.FaultOf(err) != providers.Transient || err == nil {
			t.Errorf("%s: full %t, %v", name, page.Full, err)
		}
	}
}

// TestFourAtOnce: that is what Graph allows for a mailbox, whoever asks.
func TestFourAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := connect(t, graphfake.Options{}, graph.Config{}, false)
		a.server.Put(work, "a", meeting("A", 2))
		leave := make(chan struct{})
		a.server.FailNext(graphfake.Meanwhile(func() { <-leave }).On("view").Times(-1))
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() {
				if _, err := ask(t, a, nil); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // until all of them wait: some at the server, others for their turn
		close(leave)
		all.Wait()
		if most := a.server.MostAtOnce(); most != 4 {
			t.Errorf("%d requests at once", most)
		}
	})
}

// TestPrefer: every request asks for ids that stay and times in UTC. The fake
// refuses one that does not; this shows that it would.
func TestPrefer(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	stripped := strip{a.server.Transport()}
	p := graph.New(graph.Config{
		ClientID: graphfake.ClientID, ClientSecret: busy.Secret(graphfake.ClientSecret),
		Endpoints: endpoints(), HTTP: stripped, Now: a.clock.Now,
	})
	session, err := p.Open(context.Background(), providers.Account{Grant: *a.grant})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Calendars(context.Background()); providers.FaultOf(err) != providers.Rejected {
		t.Errorf("without preferences: %v", err)
	}
}

type strip struct{ next http.RoundTripper }

func (s strip) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del("Prefer")
	return s.next.RoundTrip(r)
}

// TestPages: a listing is gone on with by the session that began it, page by page,
// and by no other way.
func TestPages(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{PageEvents: 3}, false)
	fill(a, 10)
	held := a.server.ID(work, "n00")
	listed, err := ask(t, a, nil)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, e := range listed.Events {
		if e.Key == held {
			versions[e.Key] = e.Version
		}
	}
	session := a.Open(t)
	next := func(s providers.Session, cursor providers.Cursor) (providers.Page, error) {
		return s.Changes(context.Background(), providers.Query{
			Remote: a.remote, Cursor: cursor, Window: providertest.Window, Zone: providertest.Zone,
			Version: func(key string) (string, bool) { v, ok := versions[key]; return v, ok },
		})
	}
	first, err := next(session, nil)
	if err != nil || len(first.Same) != 1 || len(first.Events) != 3 || !first.More {
		t.Fatalf("the first page: %d same, %d events, %v", len(first.Same), len(first.Events), err)
	}
	if _, err := next(a.Open(t), first.Cursor); providers.FaultOf(err) != providers.CursorExpired {
		t.Errorf("another session goes on: %v", err)
	}
	second, err := next(session, first.Cursor)
	if err != nil || len(second.Same) != 0 || len(second.Events) != 3 || !second.More {
		t.Fatalf("the second page: %d same, %d events, %v", len(second.Same), len(second.Events), err)
	}
	if _, err := next(session, first.Cursor); providers.FaultOf(err) != providers.CursorExpired {
		t.Errorf("the first page's cursor, again: %v", err)
	}
	third, err := next(session, second.Cursor)
	if err != nil || len(third.Events) != 3 || third.More || !third.Full {
		t.Errorf("the last page: %d events, more %t, %v", len(third.Events), third.More, err)
	}
}
