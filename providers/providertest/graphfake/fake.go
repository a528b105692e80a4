// Package graphfake is Microsoft's sign-in service and Microsoft Graph with one
// person's mailbox, for tests: strict where Microsoft is, and where Microsoft is
// not so that a mistake shows. It speaks HTTP, with sockets or without.
package graphfake

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/busyd/busyd/providers/providertest"
)

// What the fake is known by.
const (
	ClientID     = "6731de76-14a6-49ae-97bc-6eba6914391e"
	ClientSecret = "fake-secret"
	Redirect     = "https://busyd.test/oauth/callback"

	// Login and Graph are the addresses without sockets. With them, both are
	// served at one: the sign-in service at its root, Graph below /v1.0.
	Login = "https://login.fake.test"
	Graph = "https://graph.fake.test/v1.0"

	directory = "72f988bf-86f1-41af-91ab-2d7cd011db47"
)

// Primary is the name of the calendar that every mailbox has.
const Primary = "Calendar"

// Options of the server. Expand and Now are required.
type Options struct {
	// Expand computes the occurrences of series.
	Expand providertest.Expander
	Now    func() time.Time
	// Redirect that is registered; empty: Redirect.
	Redirect string
	// Deltas that are served; zero: those of all calendars.
	Deltas Deltas
	// PageEvents bounds a page, below what was asked for; zero: it does not.
	PageEvents int
	// PageCalendars bounds a page of calendars; zero: 100.
	PageCalendars int
	// EmptyPages begins the first round of a delta with a page without entries.
	EmptyPages bool
	// TokenLife of access tokens; zero: an hour.
	TokenLife time.Duration
	// Withheld are permissions that are not granted though asked for.
	Withheld []string
	// Outbound sends notifications; nil: there are none.
	Outbound http.RoundTripper
	// OneSubscription refuses a second one as a duplicate.
	OneSubscription bool
}

// Deltas are those that are served.
type Deltas int

// The ways to serve deltas.
const (
	OfAll       Deltas = iota
	OfPrimary          // those of other calendars are refused
	OfPrimaryAs        // those of other calendars are the primary's
	OfNone
)

// Server is the fake. It is safe for concurrent use.
type Server struct {
	Options

	mu        sync.Mutex
	person    string
	zone      *time.Location // where the person lives
	calendars []*calendar
	serial    int // of ids and tokens
	revision  int // counts changes of anything
	epoch     int // of delta tokens
	codes     map[string]*code
	refresh   map[string]*grant
	access    map[string]access
	revoked   *Refusal
	subs      []*subscription
	outbox    []notification
	faults    []*Fault
	requests  []Request
	running   int
	most      int
}

type calendar struct {
	id, name string
	items    map[string]*item
	changed  map[string]int // by id, of items there are or were: the last revision
}

type item struct {
	id         string
	entry      providertest.Entry
	edit       func(map[string]any)
	revision   int
	unreadable bool
}

// New returns a server whose person has an empty primary calendar.
func New(o Options) *Server {
	o.Redirect = cmp.Or(o.Redirect, Redirect)
	o.TokenLife = cmp.Or(o.TokenLife, time.Hour)
	o.PageCalendars = cmp.Or(o.PageCalendars, 100)
	s := &Server{
		Options: o, person: "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
		codes: map[string]*code{}, refresh: map[string]*grant{}, access: map[string]access{},
	}
	var err error
	if s.zone, err = time.LoadLocation(ownersZone); err != nil {
		panic(err)
	}
	s.AddCalendar(Primary)
	return s
}

// SetPerson has somebody else sign in from now on.
func (s *Server) SetPerson(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.person = subject
}

// AddCalendar adds an empty calendar and returns its id.
func (s *Server) AddCalendar(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &calendar{id: s.id("AAMkAGI2TGuL"), name: name, items: map[string]*item{}, changed: map[string]int{}}
	s.calendars = append(s.calendars, c)
	return c.id
}

// RemoveCalendar removes a calendar with all it holds.
func (s *Server) RemoveCalendar(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calendars = slices.DeleteFunc(s.calendars, func(c *calendar) bool { return c.name == name })
}

// id is unique even where case does not count, but for its end: ids of Graph
// differ in case alone.
func (s *Server) id(prefix string) string {
	s.serial++
	return fmt.Sprintf("%s%06d%c=", prefix, s.serial/2, "aA"[s.serial%2])
}

// Put writes an entry under a name; edit may change what Graph shows of each of
// its occurrences.
func (s *Server) Put(calendar, name string, e providertest.Entry, edit ...func(map[string]any)) {
	s.put(calendar, name, &item{entry: e, edit: func(shown map[string]any) {
		for _, change := range edit {
			change(shown)
		}
	}})
}

// PutUnreadable writes an entry whose time cannot be read.
func (s *Server) PutUnreadable(calendar, name string) {
	s.put(calendar, name, &item{unreadable: true})
}

func (s *Server) put(calendar, name string, i *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.named(calendar)
	s.revision++
	i.revision = s.revision
	what := "updated"
	if was := c.items[name]; was != nil {
		i.id = was.id
	} else {
		i.id, what = s.id("AAkALgAAAAAAHYQDEapm"), "created"
	}
	c.items[name] = i
	c.changed[i.id] = s.revision
	s.notify(what, i.id)
}

// Remove removes an entry.
func (s *Server) Remove(calendar, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.named(calendar)
	s.revision++
	i := c.items[name]
	delete(c.items, name)
	c.changed[i.id] = s.revision
	s.notify("deleted", i.id)
}

// ID of an entry.
func (s *Server) ID(calendar, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.named(calendar).items[name].id
}

// CalendarID of a calendar.
func (s *Server) CalendarID(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.named(name).id
}

func (s *Server) named(name string) *calendar {
	for _, c := range s.calendars {
		if c.name == name {
			return c
		}
	}
	panic("there is no calendar " + name)
}

func (s *Server) byID(id string) *calendar {
	for _, c := range s.calendars {
		if c.id == id {
			return c
		}
	}
	return nil
}

// ForgetTokens makes every delta token that was handed out unknown.
func (s *Server) ForgetTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
}

// Request is a request that was received.
type Request struct {
	// Kind is what it is about: authorize, token, calendars, view, delta,
	// subscriptions.
	Kind   string
	Method string
	Path   string
	Query  string
	// Refused says what a strict server dislikes about it; empty: nothing.
	Refused string
	Status  int
}

// Requests returns the requests since the last Forget.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Forget drops the recorded requests.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// MostAtOnce is how many requests to Graph were under way at a time.
func (s *Server) MostAtOnce() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}
