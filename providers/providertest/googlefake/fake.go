// Package googlefake is Google Calendar for tests and demonstrations: one account
// with its calendars, the consent page and the token endpoint, sync tokens and
// channels. It is strict about what Google's documentation refuses, can fail in
// the ways that Google does, and needs no socket.
package googlefake

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/busyd/busyd/providers/providertest"
)

// Paths of the endpoints, below wherever the Server is served.
const (
	AuthorizePath = "/o/oauth2/v2/auth"
	TokenPath     = "/token"
	RevokePath    = "/revoke"
	CalendarPath  = "/calendar/v3/"
)

// Options say what kind of Google to be. The zero Options are a well-behaved one.
type Options struct {
	Email    string // of the account, and its primary calendar's id; empty: alice@gmail.test
	Zone     string // of its calendars; empty: Europe/Berlin
	ClientID string // of busyd's registration; empty: busyd.apps.googleusercontent.test
	Secret   string // of the registration; empty: "registered"
	// Redirects are the registered ones; nil: any.
	Redirects []string
	Now       func() time.Time // nil: time.Now
	// MaxPage bounds pages below what a request asks for; zero: no bound.
	MaxPage int
	// Hollow puts a page without entries before each page that has some.
	Hollow bool
	// Rotate replaces the refresh token whenever it is used.
	Rotate bool
	// Leaky ignores masks and maxAttendees, as if busyd had not asked for less.
	Leaky bool
	// Push is told of each callback as it comes to be. It is called in the
	// goroutine that made the change, and must not block. May be nil.
	Push func(Push)
}

// Server is the fake. It is safe for concurrent use, and an [http.Handler].
type Server struct {
	mu        sync.Mutex
	o         Options
	calendars map[string]*calendar
	order     []string
	revision  int
	epoch     int // of sync tokens
	polls     int // sync tokens that were given out

	grants   grants
	channels map[string]*channel
	pushes   []Push

	failure  providertest.Failure
	fault    *Refusal
	requests []Request
}

type calendar struct {
	id, title, zone, role string
	primary, hidden       bool
	items                 map[string]*item
}

// Calendar describes a calendar to be added.
type Calendar struct {
	Title  string
	Zone   string // empty: the account's
	Role   string // empty: owner
	Hidden bool
}

// New returns a server whose account has its primary calendar and no other.
func New(o Options) *Server {
	o.Email = cmp.Or(o.Email, "alice@gmail.test")
	o.Zone = cmp.Or(o.Zone, providertest.Zone)
	o.ClientID = cmp.Or(o.ClientID, "busyd.apps.googleusercontent.test")
	o.Secret = cmp.Or(o.Secret, "registered")
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{o: o, calendars: map[string]*calendar{}, channels: map[string]*channel{}, grants: newGrants()}
	s.AddCalendar(o.Email, Calendar{Title: o.Email})
	s.calendars[o.Email].primary = true
	return s
}

// Primary is the id of the primary calendar.
func (s *Server) Primary() string { return s.o.Email }

// Client is busyd's registration.
func (s *Server) Client() (id, secret string) { return s.o.ClientID, s.o.Secret }

// AddCalendar adds an empty calendar.
func (s *Server) AddCalendar(id string, c Calendar) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calendars[id] = &calendar{
		id: id, title: c.Title, zone: cmp.Or(c.Zone, s.o.Zone), role: cmp.Or(c.Role, "owner"), hidden: c.Hidden,
		items: map[string]*item{},
	}
	s.order = append(s.order, id)
}

// RemoveCalendar removes a calendar with all it holds.
func (s *Server) RemoveCalendar(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calendars, id)
	s.order = slices.DeleteFunc(s.order, func(o string) bool { return o == id })
}

// SetRole changes what the account may do with a calendar. Google makes the
// calendar's sync tokens invalid then.
func (s *Server) SetRole(id, role string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustHave(id).role = role
	s.epoch++
}

// Put writes an entry under a name, made of letters and digits, and replaces the
// one there was. Exceptions that the entry had and has no more are put back to
// what the series says.
func (s *Server) Put(calendar, name string, e providertest.Entry) {
	s.mu.Lock()
	c := s.mustHave(calendar)
	s.revision++
	for _, it := range itemsOf(e, ID(name), c.zone) {
		s.store(c, it)
	}
	s.restore(c, ID(name), e)
	due := s.changed(calendar)
	s.mu.Unlock()
	s.deliver(due)
}

// PutRaw writes an item as Google's JSON has it; id, etag and the like are added.
func (s *Server) PutRaw(calendar, name string, fields map[string]any) {
	s.mu.Lock()
	s.revision++
	s.store(s.mustHave(calendar), &item{id: ID(name), fields: fields})
	due := s.changed(calendar)
	s.mu.Unlock()
	s.deliver(due)
}

// Remove removes an entry: the item and its exceptions become tombstones.
func (s *Server) Remove(calendar, name string) {
	s.mu.Lock()
	c := s.mustHave(calendar)
	s.revision++
	for _, it := range c.items {
		if it.id == ID(name) || it.series() == ID(name) {
			it.cancel(s.revision)
		}
	}
	due := s.changed(calendar)
	s.mu.Unlock()
	s.deliver(due)
}

// ID is the event id of an entry: Google's have the letters of base32hex.
func ID(name string) string { return fmt.Sprintf("ev%x", name) }

// ForgetTokens makes every sync token that was handed out invalid.
func (s *Server) ForgetTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
}

func (s *Server) store(c *calendar, it *item) {
	it.revision = s.revision
	c.items[it.id] = it
}

func (s *Server) mustHave(id string) *calendar {
	c := s.calendars[id]
	if c == nil {
		panic("there is no such calendar")
	}
	return c
}

// Request is a request that was received.
type Request struct {
	Method, Path string
	Query        map[string][]string
	Status       int
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

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Status: status.status})
	}()
	if s.breaks(status, r) {
		return
	}
	s.healthy(status, r)
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
