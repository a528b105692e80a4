package pull_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/caldav"
	"github.com/busyd/busyd/providers/ews"
	"github.com/busyd/busyd/providers/feed"
	"github.com/busyd/busyd/providers/google"
	"github.com/busyd/busyd/providers/graph"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/caldavfake"
	"github.com/busyd/busyd/providers/providertest/ewsfake"
	"github.com/busyd/busyd/providers/providertest/feedfake"
	"github.com/busyd/busyd/providers/providertest/googlefake"
	"github.com/busyd/busyd/providers/providertest/graphfake"
)

// server is a provider's server with the owner's account and one calendar.
type server interface {
	kind() busy.Kind
	// provider is a worker's, with its fate.
	provider(f *fate) providers.Provider
	// connect goes the way that connecting goes.
	connect(p providers.Provider) (busy.Secret, error)
	put(name string, e providertest.Entry)
	remove(name string)
	forget() // the cursors that were handed out
	troubles() []trouble
	heal()
	requests() int
}

// trouble is a way for a server to fail.
type trouble struct {
	name  string
	begin func(times int) // for so many requests, or until it heals
}

// serverOf makes one of the variants of a provider's server.
type serverOf func(w *world, variant uint64) server

// calendarName is the calendar's, among those that the account may have.
const calendarName = "Work"

// serverKinds are the providers that the simulation goes round.
var serverKinds = []serverOf{newDAV, newGoogle, newGraph, newEWS, newFeed}

// worldOf is whose turn it is.
func worldOf(seed uint64) serverOf { return serverKinds[seed%uint64(len(serverKinds))] }

type dav struct {
	*caldavfake.Server
	w *world
}

func newDAV(w *world, variant uint64) server {
	s := dav{caldavfake.New(caldavfake.Options{
		NoTokens: variant%4 == 1, NoTags: variant%8 == 1, Truncate: int(variant % 5), ETags: caldavfake.ETags(variant % 3),
		HomeHost: []string{"", "p37.fake.test"}[variant%2],
	}), w}
	s.AddCalendar("work", caldavfake.Properties{Title: calendarName, Zone: ownersZone})
	return s
}

func (s dav) kind() busy.Kind { return busy.CalDAV }

func (s dav) provider(f *fate) providers.Provider {
	return caldav.New(caldav.Config{
		HTTP: fatedTransport{s.Transport(), f}, Now: s.w.clock, InFlight: 1, PageObjects: 4, BatchObjects: 2,
	})
}

func (s dav) connect(p providers.Provider) (busy.Secret, error) {
	username, password := s.Login()
	login := providers.Login{URL: s.URL(), Username: username, Password: busy.Secret(password)}
	return p.(providers.Connector).Connect(context.Background(), login)
}

func (s dav) put(name string, e providertest.Entry) {
	username, _ := s.Login()
	s.Put("work", name+".ics", e.ICS(name, username))
}
func (s dav) remove(name string) { s.Delete("work", name+".ics") }
func (s dav) forget()            { s.ForgetTokens() }
func (s dav) heal()              { s.Heal() }
func (s dav) requests() int      { return len(s.Requests()) }

func (s dav) troubles() (all []trouble) {
	for _, f := range []caldavfake.Fault{
		caldavfake.Status(500), caldavfake.Status(401), caldavfake.Status(403).On("PROPFIND"), caldavfake.Status(404),
		caldavfake.Throttle(503, "30"), caldavfake.InvalidToken(), caldavfake.Empty(), caldavfake.CutOff(0.7),
		caldavfake.Abort(0.5), caldavfake.Body("<html>Sorry</html>"), caldavfake.Omit("e1").On("calendar-multiget"),
		s.memberless(),
	} {
		all = append(all, trouble{f.String(), func(times int) { s.FailNext(f.Times(times)) }})
	}
	return all
}

// memberless answers as a server does that has lost its index: the collection is
// there, with every sign of success, and nothing in it. Where nothing was ever
// read from a calendar, nobody could tell that from an empty one.
func (s dav) memberless() caldavfake.Fault {
	return caldavfake.Edit("no members", func(body string) string {
		if s.w.holdsNothing() {
			return body
		}
		return members.ReplaceAllString(body, "")
	}).On("PROPFIND")
}

var members = regexp.MustCompile(`(?s)<d:response>\s*<d:href>[^<]*\.ics</d:href>.*?</d:response>\n`)

type goo struct {
	*googlefake.Server
	w    *world
	last map[string]gooEntry
}

// gooEntry is an entry under the name that it has at Google.
type gooEntry struct {
	name   string
	format string
}

func newGoogle(w *world, variant uint64) server {
	s := goo{googlefake.New(googlefake.Options{
		Now: w.clock, MaxPage: 3, Hollow: variant%2 == 0, Rotate: variant%3 == 0,
	}), w, map[string]gooEntry{}}
	s.AddCalendar("work", googlefake.Calendar{Title: calendarName, Zone: ownersZone})
	return s
}

func (s goo) kind() busy.Kind { return busy.Google }

func (s goo) provider(f *fate) providers.Provider {
	const base = "https://google.fake.test"
	id, secret := s.Client()
	return google.New(google.Config{
		ClientID: id, ClientSecret: busy.Secret(secret), HTTP: fatedTransport{s.Transport(), f}, Now: s.w.clock,
		Endpoints: google.Endpoints{
			Authorize: base + googlefake.AuthorizePath, Token: base + googlefake.TokenPath,
			Revoke: base + googlefake.RevokePath, Calendar: base + googlefake.CalendarPath,
		},
	})
}

// consented is what an owner's browser comes back with.
var consented = providers.Consent{
	State: "state", Verifier: "a-verifier-of-at-least-forty-three-characters-x", Redirect: graphfake.Redirect,
}

func (s goo) connect(p providers.Provider) (busy.Secret, error) {
	authorizer := p.(providers.Authorizer)
	back, err := s.Approve(authorizer.AuthorizationURL(consented), googlefake.Consent{})
	if err != nil {
		return nil, err
	}
	return authorizer.Authorize(context.Background(), consented, back)
}

// put makes another series of one that is to take place at other times: what
// becomes of the exceptions of one that is moved, Google does not say.
func (s goo) put(name string, e providertest.Entry) {
	is := gooEntry{name: name, format: fmt.Sprint(e.Start, e.End, e.Rule)}
	was, known := s.last[name]
	if is.name = was.name; !known || was.format != is.format {
		s.remove(name)
		is.name = fmt.Sprintf("%sn%d", name, len(s.w.trace))
	}
	s.last[name] = is
	s.Put("work", is.name, e)
}

func (s goo) remove(name string) {
	if was, known := s.last[name]; known {
		s.Remove("work", was.name)
		delete(s.last, name)
	}
}
func (s goo) forget()       { s.ForgetTokens() }
func (s goo) heal()         { s.Heal() }
func (s goo) requests() int { return len(s.Requests()) }

func (s goo) troubles() []trouble {
	all := []trouble{{"the access token expires", func(int) { s.ExpireAccess() }}}
	for _, f := range []providertest.Failure{
		providertest.Down, providertest.Busy, providertest.LockedOnce, providertest.Empty, providertest.CutOff,
		providertest.Foreign, providertest.Missing,
	} {
		all = append(all, trouble{string(f), func(int) { s.Break(f) }})
	}
	return all
}

type msGraph struct {
	*graphfake.Server
	w *world
}

func newGraph(w *world, variant uint64) server {
	s := msGraph{graphfake.New(graphfake.Options{
		Expand: w.expand, Now: w.clock, PageEvents: 7, EmptyPages: variant%2 == 0, Deltas: graphfake.Deltas(variant % 4),
	}), w}
	s.AddCalendar(calendarName)
	return s
}

func (s msGraph) kind() busy.Kind { return busy.Graph }

func (s msGraph) provider(f *fate) providers.Provider {
	return graph.New(graph.Config{
		ClientID: graphfake.ClientID, ClientSecret: busy.Secret(graphfake.ClientSecret), HTTP: fatedTransport{s.Transport(), f},
		Now: s.w.clock, Endpoints: graph.Endpoints{Login: graphfake.Login, Graph: graphfake.Graph}, PageEvents: 8, Reread: 6,
	})
}

func (s msGraph) connect(p providers.Provider) (busy.Secret, error) {
	authorizer := p.(providers.Authorizer)
	back, err := s.Approve(authorizer.AuthorizationURL(consented))
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(back)
	if err != nil {
		return nil, err
	}
	return authorizer.Authorize(context.Background(), consented, u.Query())
}

func (s msGraph) put(name string, e providertest.Entry) { s.Put(calendarName, name, e) }
func (s msGraph) remove(name string)                    { s.Remove(calendarName, name) }
func (s msGraph) forget()                               { s.ForgetTokens() }
func (s msGraph) requests() int                         { return len(s.Requests()) }
func (s msGraph) heal()                                 { s.Heal(); s.Restore() }

func (s msGraph) troubles() []trouble {
	all := []trouble{{"the access tokens expire", func(int) { s.ExpireTokens() }}}
	for _, f := range []graphfake.Fault{
		graphfake.Status(500, "InternalServerError"), graphfake.Throttle(429, "30"),
		graphfake.Status(401, "InvalidAuthenticationToken"), graphfake.Status(404, "ErrorItemNotFound"),
		graphfake.CutOff(0.6), graphfake.Body(`{"@odata.context":"x"}`), graphfake.Body("<html>"),
	} {
		all = append(all, trouble{f.String(), func(times int) { s.FailNext(f.Times(times)) }})
	}
	return all
}

type exchange struct {
	*ewsfake.Server
	w *world
}

func newEWS(w *world, variant uint64) server {
	s := exchange{ewsfake.New(ewsfake.Options{
		Expand: w.expand, Schemes: []string{[]string{"Basic", "NTLM"}[variant%2]},
		MaxItems: []int{40, 20, 9}[variant%3], MaxChanges: 3,
	}), w}
	s.AddCalendar("work", calendarName)
	return s
}

func (s exchange) kind() busy.Kind { return busy.Exchange }

func (s exchange) provider(f *fate) providers.Provider {
	return ews.New(ews.Config{
		Pool: func() http.RoundTripper { return fatedTransport{s.Transport(), f} }, Now: s.w.clock, InFlight: 1,
		PageEvents: 8, ViewItems: 40,
	})
}

func (s exchange) connect(p providers.Provider) (busy.Secret, error) {
	return p.(providers.Connector).Connect(context.Background(), providers.Login{
		URL: ewsfake.URL, Username: ewsfake.Username, Password: busy.Secret(ewsfake.Password),
	})
}

func (s exchange) put(name string, e providertest.Entry) { s.Put("work", name, e) }
func (s exchange) remove(name string)                    { s.Remove("work", name) }
func (s exchange) forget()                               { s.ForgetStates() }
func (s exchange) heal()                                 { s.Heal(); s.Show() }
func (s exchange) requests() int                         { return len(s.Requests()) }

func (s exchange) troubles() (all []trouble) {
	for _, f := range []struct {
		name  string
		fault ewsfake.Fault
	}{
		{"status 500", ewsfake.Status(500)},
		{"status 401", ewsfake.Status(401)},
		{"throttled", ewsfake.Throttle("30")},
		{"busy", ewsfake.SOAPFault(500, "ErrorServerBusy", 20_000)},
		{"nothing", ewsfake.Empty()},
		{"cut off", ewsfake.CutOff(0.6)},
		{"a page", ewsfake.Body("<html>")},
		{"busy within", ewsfake.Failing("ErrorServerBusy", 20_000)},
		{"a forgotten state", ewsfake.Failing("ErrorInvalidSyncStateData", 0).On("SyncFolderItems")},
	} {
		all = append(all, trouble{f.name, func(times int) { s.FailNext(f.fault.Times(times)) }})
	}
	return all
}

type file struct {
	*feedfake.Server
	w *world
}

func newFeed(w *world, variant uint64) server {
	return file{feedfake.New(feedfake.Options{
		Name: calendarName, Zone: ownersZone, Validators: feedfake.Validators(variant % 6), Stamps: variant%5 == 0,
		Hops: int(variant % 3),
	}), w}
}

func (s file) kind() busy.Kind { return busy.Feed }

func (s file) provider(f *fate) providers.Provider {
	return feed.New(feed.Config{HTTP: fatedTransport{s.Transport(), f}, Now: s.Now, PageObjects: 4})
}

func (s file) connect(p providers.Provider) (busy.Secret, error) {
	return p.(providers.Connector).Connect(context.Background(), providers.Login{URL: s.URL()})
}

func (s file) put(name string, e providertest.Entry) { s.Put(name, e.ICS(name, "")) }
func (s file) remove(name string)                    { s.Delete(name) }
func (s file) forget()                               {} // a file has no tokens
func (s file) heal()                                 { s.Heal() }
func (s file) requests() int                         { return len(s.Requests()) }

func (s file) troubles() (all []trouble) {
	for _, f := range []struct {
		name  string
		fault feedfake.Fault
	}{
		{"status 500", feedfake.Status(500, "")},
		{"status 401", feedfake.Status(401, "")},
		{"status 404", feedfake.Status(404, "")},
		{"throttled", feedfake.Status(503, "30")},
		{"conditions refused", feedfake.Condition()},
		{"a page", feedfake.Body("<html>Sorry</html>")},
		{"cut off", feedfake.CutOff(0.7)},
		{"broken off", feedfake.Abort()},
		{"an empty file", s.empty()},
	} {
		all = append(all, trouble{f.name, func(times int) { s.FailNext(f.fault.Times(times)) }})
	}
	return all
}

// empty answers with a calendar of nothing; see dav.memberless.
func (s file) empty() feedfake.Fault {
	return feedfake.Edit(func(body string) string {
		if s.w.holdsNothing() {
			return body
		}
		return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//busyd//EN\r\nEND:VCALENDAR\r\n"
	})
}
