package caldav_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/caldav"
	"github.com/busyd/busyd/providers/providertest/caldavfake"
)

func object(uid, subject string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:" + uid +
		"\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260302T090000Z\r\nDTEND:20260302T100000Z\r\nSUMMARY:" + subject +
		"\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}

// open connects to the fake, and opens a session with pages of ten objects that
// are fetched in batches of four, one at a time.
func open(t *testing.T, server *caldavfake.Server) providers.Session {
	t.Helper()
	return openWith(t, server, caldav.Config{})
}

func openWith(t *testing.T, server *caldavfake.Server, c caldav.Config) providers.Session {
	t.Helper()
	username, password := server.Login()
	if c.HTTP == nil {
		c.HTTP = server.Transport()
	}
	if c.InFlight == 0 {
		c.InFlight = 1
	}
	if c.PageObjects == 0 {
		c.PageObjects = 10
	}
	c.Resolver, c.BatchObjects = noDNS{}, 4
	provider := caldav.New(c)
	grant, err := provider.Connect(context.Background(), providers.Login{URL: server.URL(), Username: username, Password: busy.Secret(password)})
	if err != nil {
		t.Fatal(err)
	}
	session, err := provider.Open(context.Background(), providers.Account{Grant: grant})
	if err != nil {
		t.Fatal(err)
	}
	server.Forget()
	return session
}

func queryOf(server *caldavfake.Server, cursor providers.Cursor) providers.Query {
	return providers.Query{
		Remote: busy.Secret(server.CalendarURL(work)), Cursor: cursor, Zone: "Europe/Berlin",
		Version: func(string) (string, bool) { return "", false },
	}
}

func changes(t *testing.T, session providers.Session, server *caldavfake.Server, cursor providers.Cursor) providers.Page {
	t.Helper()
	page, err := session.Changes(context.Background(), queryOf(server, cursor))
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// begin syncs twice: the second time, the session learns the sync-token.
func begin(t *testing.T, session providers.Session, server *caldavfake.Server) providers.Page {
	t.Helper()
	page := changes(t, session, server, nil)
	for page.More {
		page = changes(t, session, server, page.Cursor)
	}
	page = changes(t, session, server, page.Cursor)
	server.Forget()
	return page
}

func subjects(page providers.Page) string {
	var all []string
	for _, e := range page.Events {
		all = append(all, e.Subject)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func put(server *caldavfake.Server, names ...string) {
	for _, name := range names {
		server.Put(work, name+".ics", object(name, name))
	}
}

func requests(server *caldavfake.Server) string {
	var all []string
	for _, r := range server.Requests() {
		kind := r.Method
		if r.Method == "REPORT" {
			kind = r.Report
		}
		all = append(all, kind+" "+r.Depth)
	}
	server.Forget()
	return strings.Join(all, ", ")
}

func TestRequestsOfASync(t *testing.T) {
	for name, c := range map[string]struct {
		o                          caldavfake.Options
		first, second, idle, after string
	}{
		"sync-token": {
			caldavfake.Options{},
			"PROPFIND 0, PROPFIND 1, calendar-multiget 1",
			"PROPFIND 0", "sync-collection 0", "sync-collection 0, calendar-multiget 1",
		},
		"tag": {
			caldavfake.Options{NoTokens: true},
			"PROPFIND 0, PROPFIND 1, calendar-multiget 1",
			"PROPFIND 0", "PROPFIND 0", "PROPFIND 0, PROPFIND 1, calendar-multiget 1",
		},
		"etags": {
			caldavfake.Options{NoTokens: true, NoTags: true},
			"PROPFIND 0, PROPFIND 0, PROPFIND 1, calendar-multiget 1",
			"PROPFIND 1", "PROPFIND 1", "PROPFIND 1, calendar-multiget 1",
		},
		"token without tag": {
			caldavfake.Options{NoTags: true},
			"PROPFIND 0, PROPFIND 0, PROPFIND 1, calendar-multiget 1",
			"sync-collection 0", "sync-collection 0", "sync-collection 0, calendar-multiget 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := fakeServer(c.o)
			put(server, "a", "b")
			session := open(t, server)
			held := map[string]string{}
			sync := func(cursor providers.Cursor) (providers.Page, string) {
				q := queryOf(server, cursor)
				q.Version = func(key string) (string, bool) { v, ok := held[key]; return v, ok }
				page, err := session.Changes(context.Background(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range page.Events {
					held[e.Key] = e.Version
				}
				return page, requests(server)
			}
			page, sent := sync(nil)
			if sent != c.first || subjects(page) != "a b" {
				t.Errorf("first: %s (%s)", sent, subjects(page))
			}
			for _, want := range []string{c.second, c.idle} {
				page, sent = sync(page.Cursor)
				if sent != want || len(page.Events) > 0 {
					t.Errorf("nothing changed: %s", sent)
				}
			}
			put(server, "b")
			page, sent = sync(page.Cursor)
			if sent != c.after || subjects(page) != "b" {
				t.Errorf("one changed: %s (%s)", sent, subjects(page))
			}
			page, sent = sync(page.Cursor)
			if sent != c.idle || len(page.Events) > 0 {
				t.Errorf("nothing changed again: %s", sent)
			}
		})
	}
}

// The mark is read before the members: what changes in between comes again.
func TestNothingIsMissedBetweenMarkAndListing(t *testing.T) {
	for _, o := range []caldavfake.Options{{}, {NoTags: true}, {NoTokens: true}} {
		nothingIsMissed(t, o)
	}
}

func nothingIsMissed(t *testing.T, o caldavfake.Options) {
	server := fakeServer(o)
	put(server, "a")
	session := open(t, server)
	if o.NoTags {
		server.FailNext(nothing().On("PROPFIND"))
	}
	server.FailNext(caldavfake.Edit("the owner is busy", func(body string) string {
		put(server, "b")
		return body
	}).On("PROPFIND"))
	page := changes(t, session, server, nil)
	if page = changes(t, session, server, page.Cursor); !strings.Contains(subjects(page), "b") {
		t.Fatalf("%+v: the next poll brings %q, want b", o, subjects(page))
	}
}

func TestOneBadObjectNeverFailsTheRest(t *testing.T) {
	const bad = "n3.ics"
	mangled := func(body string) string { return strings.Replace(body, "SUMMARY:n3", "SUMMARY:\x01", 1) }
	onBad := func(name string, edit func(string) string) caldavfake.Fault {
		return caldavfake.Edit(name, func(body string) string {
			if strings.Contains(body, bad) {
				return edit(body)
			}
			return body
		}).On("calendar-multiget").Times(-1)
	}
	huge := object("n3", strings.Repeat("x", providers.MaxObject))
	for name, c := range map[string]struct {
		object  string
		faults  []caldavfake.Fault
		problem busy.Problem // none: it is had after all
	}{
		"left out, but to be had":       {"", []caldavfake.Fault{caldavfake.Omit(bad).On("calendar-multiget").Times(-1)}, busy.ProblemNone},
		"left out and not to be had":    {"", []caldavfake.Fault{caldavfake.Omit(bad).On("calendar-multiget").Times(-1), caldavfake.Status(500).On(http.MethodGet).Times(-1)}, busy.ProblemMissing},
		"left out and forbidden":        {"", []caldavfake.Fault{caldavfake.Omit(bad).On("calendar-multiget").Times(-1), caldavfake.Status(403).On(http.MethodGet).Times(-1)}, busy.ProblemMissing},
		"a character that breaks XML":   {"", []caldavfake.Fault{onBad("mangled", mangled), caldavfake.Status(500).On(http.MethodGet).Times(-1)}, busy.ProblemMissing},
		"too large":                     {huge, nil, busy.ProblemTooLarge},
		"not a calendar object":         {"nonsense", nil, busy.ProblemUnreadable},
		"no start":                      {"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:n3\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", nil, busy.ProblemNoStart},
		"no data though all looks well": {"", []caldavfake.Fault{onBad("emptied", func(b string) string { return cutData(b, bad) }), caldavfake.Status(500).On(http.MethodGet).Times(-1)}, busy.ProblemMissing},
	} {
		t.Run(name, func(t *testing.T) {
			server := fakeServer(caldavfake.Options{})
			put(server, "n1", "n2", "n3", "n4", "n5", "n6")
			if c.object != "" {
				server.Put(work, bad, c.object)
			}
			session := open(t, server)
			server.FailNext(c.faults...)
			page := changes(t, session, server, nil)
			want := "n1 n2 n4 n5 n6"
			if c.problem == busy.ProblemNone {
				want = "n1 n2 n3 n4 n5 n6"
			}
			if subjects(page) != want {
				t.Errorf("read: %s", subjects(page))
			}
			if c.problem == busy.ProblemNone {
				if len(page.Unreadable) > 0 {
					t.Errorf("problems: %+v", page.Unreadable)
				}
				return
			}
			if len(page.Unreadable) != 1 || page.Unreadable[0].Problem != c.problem || !strings.HasSuffix(page.Unreadable[0].Key, bad) {
				t.Errorf("problems: %+v", page.Unreadable)
			}
			if c.problem != busy.ProblemMissing {
				return
			}
			// It is not forgotten: the next poll asks for it again.
			server.Heal()
			if page = changes(t, session, server, page.Cursor); !page.Full || !strings.Contains(subjects(page), "n3") || len(page.Unreadable) > 0 {
				t.Errorf("the next poll: %s, %+v", subjects(page), page.Unreadable)
			}
		})
	}
}

// cutData empties the calendar-data of an object.
func cutData(body, name string) string {
	at := strings.Index(body, name)
	from := strings.Index(body[at:], "<c:calendar-data>") + at
	to := strings.Index(body[at:], "</c:calendar-data>") + at
	return body[:from] + "<c:calendar-data>" + body[to:]
}

func TestObjectsThatGoWhileTheyAreFetched(t *testing.T) {
	server := fakeServer(caldavfake.Options{})
	put(server, "a", "b")
	session := open(t, server)
	server.FailNext(nothing().On("PROPFIND"), caldavfake.Edit("the owner is busy", func(body string) string {
		server.Delete(work, "b.ics")
		return body
	}).On("PROPFIND"))
	page := changes(t, session, server, nil)
	if subjects(page) != "a" || len(page.Gone) != 1 || len(page.Unreadable) > 0 {
		t.Fatalf("page: %+v", page.Change)
	}
	if got := requests(server); got != "PROPFIND 0, PROPFIND 1, calendar-multiget 1" {
		t.Errorf("requests: %s", got)
	}
}

// Servers that answer nothing about most objects, or fail over each, are broken.
func TestServersThatCannotBeBelieved(t *testing.T) {
	for name, fault := range map[string]caldavfake.Fault{
		"leaves out many": caldavfake.Omit("n"),
		"fails over each": caldavfake.Status(500),
	} {
		server := fakeServer(caldavfake.Options{})
		for i := range 30 {
			put(server, fmt.Sprintf("n%02d", i))
		}
		session := openWith(t, server, caldav.Config{PageObjects: 30})
		server.FailNext(fault.On("calendar-multiget").Times(-1))
		_, err := session.Changes(context.Background(), queryOf(server, nil))
		if providers.CodeOf(err) != "broken_answers" {
			t.Errorf("%s: %v", name, err)
		}
		if sent := len(server.Requests()); sent > 20 {
			t.Errorf("%s: %d requests were spent on it", name, sent)
		}
	}
}

// A server that writes one etag in two ways has not changed the object.
func TestInconsistentETags(t *testing.T) {
	server := fakeServer(caldavfake.Options{NoTokens: true, NoTags: true, ETags: caldavfake.Weak})
	put(server, "a")
	session := open(t, server)
	server.FailNext(caldavfake.Edit("strong", func(body string) string {
		return strings.ReplaceAll(body, "W/&#34;r1&#34;", "r1")
	}).On("calendar-multiget"))
	held := changes(t, session, server, nil).Events[0].Version
	q := queryOf(server, nil)
	q.Version = func(string) (string, bool) { return held, true }
	page, err := session.Changes(context.Background(), q)
	if err != nil || len(page.Same) != 1 {
		t.Fatalf("page: %+v, %v", page, err)
	}
}

func TestServersThatCannotSendParts(t *testing.T) {
	notParts := func(body string) string {
		return strings.NewReplacer("<c:calendar-data>", "<c:x>", "</c:calendar-data>", "</c:x>").Replace(body)
	}
	refusing := map[string]caldavfake.Fault{
		"by a server error": caldavfake.Status(500),
		"by a refusal":      caldavfake.Status(501),
		"in each object": caldavfake.Edit("404", func(body string) string {
			body = notParts(body)
			return strings.ReplaceAll(body, "</d:propstat></d:response>", `</d:propstat><d:propstat><d:prop><c:calendar-data/></d:prop>`+
				`<d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>`)
		}),
	}
	for name, fault := range refusing {
		t.Run(name, func(t *testing.T) {
			server := fakeServer(caldavfake.Options{})
			put(server, "a", "b")
			session := open(t, server)
			server.FailNext(fault.On("calendar-multiget"))
			page := changes(t, session, server, nil)
			if subjects(page) != "a b" {
				t.Fatalf("read: %+v", page.Change)
			}
			page = changes(t, session, server, page.Cursor)
			put(server, "b")
			// Another session knows from the cursor.
			changes(t, open(t, server), server, page.Cursor)
			if got := requests(server); got != "sync-collection 0, calendar-multiget 1" {
				t.Errorf("the next sync: %s", got)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	start := func(t *testing.T) (*caldavfake.Server, providers.Session, providers.Page) {
		server := fakeServer(caldavfake.Options{})
		put(server, "a")
		session := open(t, server)
		return server, session, begin(t, session, server)
	}
	for _, code := range []int{400, 403, 409, 410, 412} {
		t.Run(fmt.Sprintf("refused with %d", code), func(t *testing.T) {
			server, session, page := start(t)
			server.FailNext(caldavfake.Status(code).On("sync-collection"))
			_, err := session.Changes(context.Background(), queryOf(server, page.Cursor))
			if providers.FaultOf(err) != providers.CursorExpired {
				t.Fatalf("error: %v", err)
			}
		})
	}
	t.Run("report not supported", func(t *testing.T) {
		server, session, page := start(t)
		server.FailNext(caldavfake.Status(405).On("sync-collection").Times(-1))
		page = changes(t, session, server, page.Cursor)
		if !page.Full {
			t.Fatal("no complete listing took the delta's place")
		}
		server.Forget()
		changes(t, session, server, page.Cursor)
		if got := requests(server); got != "PROPFIND 0" {
			t.Errorf("the next poll: %s", got)
		}
	})
	for name, edit := range map[string]func(string) string{
		"no token in the answer": func(b string) string {
			return strings.NewReplacer("<d:sync-token>", "<d:other>", "</d:sync-token>", "</d:other>").Replace(b)
		},
		"truncated without progress": func(b string) string {
			return strings.Replace(b, "<d:sync-token>", `<d:response><d:href>/1234/calendars/work/</d:href><d:status>HTTP/1.1 507 X</d:status></d:response><d:sync-token>`, 1)
		},
		"ends too early": func(b string) string { return strings.TrimSuffix(b, "</d:multistatus>") },
	} {
		t.Run(name, func(t *testing.T) {
			server, session, page := start(t)
			server.FailNext(caldavfake.Edit(name, edit).On("sync-collection"))
			_, err := session.Changes(context.Background(), queryOf(server, page.Cursor))
			if err == nil || providers.FaultOf(err) != providers.Transient {
				t.Fatalf("error: %v", err)
			}
		})
	}
}

// nothing is a fault that does no harm, for requests that come before the one meant.
func nothing() caldavfake.Fault {
	return caldavfake.Edit("nothing", func(body string) string { return body })
}

// A listing without proof of its completeness would remove what it lacks.
func TestListingsNeedProof(t *testing.T) {
	for name, edit := range map[string]func(string) string{
		"nothing":                  func(string) string { return `<d:multistatus xmlns:d="DAV:"/>` },
		"without the collection":   func(b string) string { return strings.Replace(b, "/calendars/work/<", "/calendars/other/<", 1) },
		"not a calendar":           func(b string) string { return strings.Replace(b, "<c:calendar/>", "", 1) },
		"the collection failed":    func(b string) string { return strings.Replace(b, "200 OK", "500 Error", 1) },
		"cut off":                  func(b string) string { return b[:len(b)/2] },
		"cut off after a response": func(b string) string { return b[:strings.LastIndex(b, "<d:response>")] },
		"empty":                    func(string) string { return "" },
		"a document type":          func(b string) string { return `<!DOCTYPE x [<!ENTITY a "b">]>` + b },
	} {
		t.Run(name, func(t *testing.T) {
			server := fakeServer(caldavfake.Options{})
			put(server, "a", "b")
			session := open(t, server)
			for request := range 2 {
				server.Heal()
				if request == 1 {
					server.FailNext(nothing().On("PROPFIND"))
				}
				server.FailNext(caldavfake.Edit(name, edit).On("PROPFIND"))
				if _, err := session.Changes(context.Background(), queryOf(server, nil)); err == nil || providers.FaultOf(err) != providers.Transient {
					t.Fatalf("request %d: %v", request, err)
				}
			}
		})
	}
}

func TestHrefs(t *testing.T) {
	for _, o := range []caldavfake.Options{{}, {Unescaped: true}, {Absolute: true}, {Absolute: true, Unescaped: true}} {
		server := fakeServer(o)
		names := []string{"plain", "with space", "100% done", "ümläut", "a@b", "a+b", "semi;colon", "c:d", "quote'"}
		put(server, names...)
		page := changes(t, open(t, server), server, nil)
		var keys []string
		for _, e := range page.Events {
			keys = append(keys, strings.TrimSuffix(strings.TrimPrefix(e.Key, "/1234/calendars/work/"), ".ics"))
		}
		slices.Sort(keys)
		slices.Sort(names)
		if !slices.Equal(keys, names) || len(page.Unreadable) > 0 {
			t.Errorf("%+v: %q, %+v", o, keys, page.Unreadable)
		}
	}
}

func TestWhatIsNoObjectOfTheCalendar(t *testing.T) {
	server := fakeServer(caldavfake.Options{})
	put(server, "a")
	server.Put(work, "task.ics", strings.ReplaceAll(object("task", "task"), "VEVENT", "VTODO"))
	session := open(t, server)
	server.FailNext(nothing().On("PROPFIND"),
		caldavfake.Edit("strangers", func(b string) string {
			return strings.Replace(b, "</d:multistatus>",
				`<d:response><d:href>/1234/calendars/elsewhere/x.ics</d:href><d:propstat><d:prop><d:getetag>"1"</d:getetag></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>`+
					`<d:response><d:href>/1234/calendars/work/folder/</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>`+
					`<d:response><d:href>/1234/calendars/work/gone.ics</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response></d:multistatus>`, 1)
		}).On("PROPFIND"))
	page := changes(t, session, server, nil)
	if subjects(page) != "a" || len(page.Unreadable) > 0 || len(page.Gone) > 0 {
		t.Fatalf("page: %+v", page.Change)
	}
	for _, r := range server.Requests() {
		if strings.Contains(r.Body, "task.ics") || strings.Contains(r.Body, "elsewhere") {
			t.Error("what is no event of the calendar was fetched")
		}
	}

	// An event that becomes a task is gone.
	page = changes(t, session, server, page.Cursor)
	server.Put(work, "a.ics", strings.ReplaceAll(object("a", "a"), "VEVENT", "VTODO"))
	if page = changes(t, session, server, page.Cursor); len(page.Gone) != 1 || len(page.Events) > 0 {
		t.Fatalf("page: %+v", page.Change)
	}
}

func TestObjectsWithoutETags(t *testing.T) {
	server := fakeServer(caldavfake.Options{NoTokens: true, NoTags: true, ETags: caldavfake.Missing})
	put(server, "a", "b")
	session := open(t, server)
	versions := func(page providers.Page) map[string]string {
		all := map[string]string{}
		for _, e := range page.Events {
			all[e.Key] = e.Version
		}
		return all
	}
	first := versions(changes(t, session, server, nil))
	again := versions(changes(t, session, server, nil))
	for key, version := range first {
		if version == "" || again[key] != version {
			t.Errorf("an object that did not change had the versions %q and %q", version, again[key])
		}
	}
	server.Put(work, "a.ics", object("a", "changed"))
	if later := versions(changes(t, session, server, nil)); later["/1234/calendars/work/a.ics"] == first["/1234/calendars/work/a.ics"] {
		t.Error("an object that changed kept its version")
	}
}

// A delta of several pages survives the loss of its session at any page.
func TestADeltaIsDeliveredWhateverIsLost(t *testing.T) {
	for lost := range 4 {
		server := fakeServer(caldavfake.Options{})
		session := open(t, server)
		page := begin(t, session, server)
		for i := range 35 {
			put(server, fmt.Sprintf("n%02d", i))
		}
		seen := map[string]bool{}
		for n := 0; n == 0 || page.More; n++ {
			if n == lost {
				session = open(t, server)
			}
			if n > 20 {
				t.Fatal("the pages do not end")
			}
			page = changes(t, session, server, page.Cursor)
			for _, e := range page.Events {
				seen[e.Subject] = true
			}
			if page.Full {
				t.Fatal("a delta claims to be complete")
			}
		}
		if len(seen) != 35 {
			t.Errorf("session lost at page %d: %d of 35 objects came", lost, len(seen))
		}
	}
}

// A caller whose transaction failed asks for the same page again.
func TestAPageThatWasNotWrittenComesAgain(t *testing.T) {
	server := fakeServer(caldavfake.Options{})
	session := open(t, server)
	start := begin(t, session, server)
	for i := range 25 {
		put(server, fmt.Sprintf("n%02d", i))
	}
	first := changes(t, session, server, start.Cursor)
	again := changes(t, session, server, start.Cursor)
	if subjects(first) != subjects(again) || len(first.Events) != 10 {
		t.Fatalf("first %s, again %s", subjects(first), subjects(again))
	}
	second := changes(t, session, server, again.Cursor)
	if lost := changes(t, session, server, again.Cursor); subjects(lost) != subjects(first) {
		t.Fatalf("a cursor from before brings %s", subjects(lost))
	}
	second = changes(t, session, server, again.Cursor)
	server.FailNext(caldavfake.Status(503).On("calendar-multiget"))
	if _, err := session.Changes(context.Background(), queryOf(server, second.Cursor)); providers.FaultOf(err) != providers.Throttled {
		t.Fatalf("error: %v", err)
	}
	third := changes(t, session, server, second.Cursor)
	if len(second.Events) != 10 || len(third.Events) != 5 || third.More {
		t.Fatalf("second %d, third %d", len(second.Events), len(third.Events))
	}
}

func TestCalendarsThatMoveToAnotherHost(t *testing.T) {
	server := fakeServer(caldavfake.Options{HomeHost: "p01-dav.fake.test"})
	put(server, "a")
	session := open(t, server)
	query := queryOf(server, nil)
	page := begin(t, session, server)
	server.MoveHome("p02-dav.fake.test")
	put(server, "b")
	query.Cursor = page.Cursor
	page, err := session.Changes(context.Background(), query)
	if err != nil || subjects(page) != "b" {
		t.Fatalf("after the move: %v, %v", subjects(page), err)
	}
	server.Forget()
	query.Cursor = page.Cursor
	if _, err = session.Changes(context.Background(), query); err != nil {
		t.Fatal(err)
	}
	if got := requests(server); got != "sync-collection 0" {
		t.Errorf("the next poll: %s", got)
	}
	found, err := session.Calendars(context.Background())
	if err != nil || len(found) != 1 || !strings.Contains(string(found[0].Remote), "p02-") {
		t.Errorf("calendars: %v, %v", found, err)
	}
}

// without renames a property in the answers to PROPFIND.
func without(property string) caldavfake.Fault {
	return caldavfake.Edit("without "+property, func(body string) string {
		return strings.ReplaceAll(body, property, "other")
	}).On("PROPFIND")
}

func TestListingCalendarsNeedsProof(t *testing.T) {
	server := fakeServer(caldavfake.Options{})
	session := open(t, server)
	for _, fault := range []caldavfake.Fault{caldavfake.Empty(), caldavfake.CutOff(0.9), caldavfake.Status(500)} {
		server.FailNext(fault)
		if found, err := session.Calendars(context.Background()); err == nil {
			t.Errorf("%v: %d calendars", fault, len(found))
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		faults []caldavfake.Fault
		want   providers.Fault
	}{
		"once, then not":            {[]caldavfake.Fault{caldavfake.Status(401)}, providers.Transient},
		"twice":                     {[]caldavfake.Fault{caldavfake.Status(401).Times(2)}, providers.Revoked},
		"once, then out of order":   {[]caldavfake.Fault{caldavfake.Status(401), caldavfake.Status(500)}, providers.Transient},
		"once, then throttled":      {[]caldavfake.Fault{caldavfake.Status(401), caldavfake.Status(429)}, providers.Throttled},
		"forbidden":                 {[]caldavfake.Fault{caldavfake.Status(403).Times(5)}, providers.Transient},
		"a request taken for wrong": {[]caldavfake.Fault{caldavfake.Status(400)}, providers.Rejected},
		"not found, though listed":  {[]caldavfake.Fault{caldavfake.Status(404)}, providers.Transient},
		"not found, nor the user":   {[]caldavfake.Fault{caldavfake.Status(404).Times(3)}, providers.Transient},
		"not found, then refused":   {[]caldavfake.Fault{caldavfake.Status(404), caldavfake.Status(401).Times(2)}, providers.Revoked},
		"not found, no homes":       {[]caldavfake.Fault{caldavfake.Status(404), without("calendar-home-set").Times(5)}, providers.Transient},
		"found empty":               {[]caldavfake.Fault{caldavfake.Status(404), caldavfake.Empty().Times(3)}, providers.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			server := fakeServer(caldavfake.Options{})
			session := open(t, server)
			server.FailNext(c.faults...)
			_, err := session.Changes(context.Background(), queryOf(server, nil))
			if err == nil || providers.FaultOf(err) != c.want {
				t.Fatalf("error: %v, want %v", err, c.want)
			}
			server.Heal()
			changes(t, session, server, nil)
		})
	}
	if _, err := caldav.New(caldav.Config{}).Open(context.Background(), providers.Account{Grant: busy.Secret("{}")}); providers.FaultOf(err) != providers.Revoked {
		t.Errorf("a grant that cannot be read: %v", err)
	}
}

func TestCalendars(t *testing.T) {
	server := caldavfake.New(caldavfake.Options{Homes: 2})
	server.AddCalendar("work", caldavfake.Properties{Title: "Work & more", Zone: "W. Europe Standard Time"})
	server.AddCalendar("birthdays", caldavfake.Properties{Title: "Birthdays", Transparent: true, Zone: "/freeassociation.sourceforge.net/America/New_York"})
	server.AddCalendar("tasks", caldavfake.Properties{Components: []string{"VTODO"}})
	server.AddCalendar("both", caldavfake.Properties{Title: "Both", Components: []string{"VTODO", "VEVENT"}, Zone: "Nowhere"})
	server.AddCalendar("holidays", caldavfake.Properties{Types: []string{"cs:subscribed"}})
	server.AddCalendar("inbox", caldavfake.Properties{Types: []string{"c:schedule-inbox"}})
	server.AddCalendar("outbox", caldavfake.Properties{Types: []string{"c:schedule-outbox"}})
	found, err := open(t, server).Calendars(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range found {
		got = append(got, fmt.Sprintf("%s in %q, blocking %t", c.Name, c.Zone, c.Blocking))
	}
	slices.Sort(got)
	want := []string{
		`Birthdays in "America/New_York", blocking false`,
		`Both in "", blocking true`,
		`Work & more in "Europe/Berlin", blocking true`,
	}
	if !slices.Equal(got, want) {
		t.Fatalf("calendars: %q", got)
	}
}

// crowd counts the requests that are under way, and holds multigets until as many
// as wanted have come together.
type crowd struct {
	next http.RoundTripper
	want int
	mu   sync.Mutex
	in   int
	most int
	full sync.Once
	open chan struct{}
}

func (c *crowd) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.in++
	c.most = max(c.most, c.in)
	if c.in == c.want {
		c.full.Do(func() { close(c.open) })
	}
	c.mu.Unlock()
	if strings.Contains(r.Header.Get("Depth"), "1") && r.Method == "REPORT" {
		<-c.open
	}
	resp, err := c.next.RoundTrip(r)
	c.mu.Lock()
	c.in--
	c.mu.Unlock()
	return resp, err
}

func TestRequestsAtOnce(t *testing.T) {
	server := fakeServer(caldavfake.Options{})
	for i := range 16 {
		put(server, fmt.Sprintf("n%02d", i))
	}
	rt := &crowd{next: server.Transport(), want: 2, open: make(chan struct{})}
	session := openWith(t, server, caldav.Config{HTTP: rt, InFlight: 2, PageObjects: 16})
	changes(t, session, server, nil)
	if rt.most != 2 {
		t.Errorf("%d requests at once, want 2", rt.most)
	}
}
