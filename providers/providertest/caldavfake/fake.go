// Package caldavfake is a CalDAV server for tests: strict about what real servers
// refuse, able to fail in each way that real servers do, and open about what it
// holds, so that a test can compare. It is no basis for a server: see
// providers/caldav/caldavserver for one.
package caldavfake

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/busyd/busyd/providers/providertest"
)

// Options say what kind of server to be. The zero Options are a well-behaved
// one: sync-tokens, tags, strong etags, everything on one host.
type Options struct {
	// Username and Password; empty: alice@fake.test and "secret".
	Username, Password string
	// Host answers discovery; empty: dav.fake.test.
	Host string
	// HomeHost is where the calendars are, as at iCloud; empty: Host.
	HomeHost string
	// Addresses of the user; nil: mailto:Username.
	Addresses []string
	// Homes is the number of home-sets; zero: one. Calendars are dealt to them in
	// the order in which they are added.
	Homes int
	// NoTokens and NoTags leave sync-collection and the collection tag out.
	NoTokens, NoTags bool
	// ETags is how entity tags are written.
	ETags ETags
	// Truncate answers sync-collection with at most so many members at a time.
	Truncate int
	// Bare leaves the reason out of status lines.
	Bare bool
	// Unescaped writes hrefs as they are, Absolute writes them with the host.
	Unescaped, Absolute bool
	// NoSlash refuses collections without the trailing slash, as Radicale does;
	// otherwise they are redirected.
	NoSlash bool
}

// ETags is a way of writing entity tags.
type ETags int

// The ways that occur.
const (
	Strong   ETags = iota // "1"
	Weak                  // W/"1"
	Unquoted              // 1
	Missing               // not at all
)

// Server is the fake. It is safe for concurrent use.
type Server struct {
	mu        sync.Mutex
	o         Options
	calendars map[string]*calendar
	order     []string
	revision  int // counts changes of anything
	epoch     int // of sync-tokens
	faults    []*Fault
	requests  []Request
}

type calendar struct {
	Properties
	home    int
	objects map[string]object
	changed map[string]int // by name, of objects there are or were: the last revision
}

type object struct {
	text     string
	revision int
}

// Properties of a calendar.
type Properties struct {
	Title       string
	Zone        string // TZID of a calendar-timezone; empty: none
	Transparent bool
	Components  []string // nil: VEVENT
	Types       []string // further resource types, such as "subscribed"
}

// New returns a server without calendars.
func New(o Options) *Server {
	o.Username = cmp.Or(o.Username, "alice@fake.test")
	o.Password = cmp.Or(o.Password, "secret")
	o.Host = cmp.Or(o.Host, "dav.fake.test")
	o.HomeHost = cmp.Or(o.HomeHost, o.Host)
	o.Homes = max(o.Homes, 1)
	if o.Addresses == nil {
		o.Addresses = []string{"mailto:" + o.Username}
	}
	return &Server{o: o, calendars: make(map[string]*calendar)}
}

// URL is where discovery begins.
func (s *Server) URL() string { return "https://" + s.o.Host + "/" }

// Login returns the username and the password.
func (s *Server) Login() (username, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.o.Username, s.o.Password
}

// SetPassword changes the password.
func (s *Server) SetPassword(password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.Password = password
}

// MoveHome moves the calendars to another host; the old one answers 421.
func (s *Server) MoveHome(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.HomeHost = host
}

// AddCalendar adds an empty calendar.
func (s *Server) AddCalendar(name string, p Properties) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calendars[name] = &calendar{
		Properties: p, home: len(s.order) % s.o.Homes,
		objects: make(map[string]object), changed: make(map[string]int),
	}
	s.order = append(s.order, name)
}

// RemoveCalendar removes a calendar with all it holds.
func (s *Server) RemoveCalendar(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calendars, name)
	s.order = slices.DeleteFunc(s.order, func(n string) bool { return n == name })
}

// CalendarURL is the address of a calendar.
func (s *Server) CalendarURL(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "https://" + s.o.HomeHost + s.path(name, "")
}

// Put stores an object.
func (s *Server) Put(calendar, name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.mustHave(calendar)
	s.revision++
	c.objects[name] = object{text: text, revision: s.revision}
	c.changed[name] = s.revision
}

// Delete removes an object.
func (s *Server) Delete(calendar, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.mustHave(calendar)
	s.revision++
	delete(c.objects, name)
	c.changed[name] = s.revision
}

// Objects returns what a calendar holds, by name.
func (s *Server) Objects(calendar string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	texts := make(map[string]string)
	for name, o := range s.mustHave(calendar).objects {
		texts[name] = o.text
	}
	return texts
}

func (s *Server) mustHave(name string) *calendar {
	c := s.calendars[name]
	if c == nil {
		panic("there is no calendar " + name)
	}
	return c
}

// ForgetTokens makes every sync-token that was handed out invalid.
func (s *Server) ForgetTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
}

// Request is a request that was received.
type Request struct {
	Method string
	// Report is the local name of the body's root element.
	Report string
	Host   string
	Path   string
	Depth  string
	Body   string
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

// Transport reaches the server without a socket: each request is answered
// before RoundTrip returns, in the goroutine that sends it.
func (s *Server) Transport() http.RoundTripper { return providertest.Direct(s) }

// path of a calendar or, with a name, of an object in it.
func (s *Server) path(calendar, name string) string {
	home := s.homePath(s.calendars[calendar].home)
	if name == "" {
		return home + calendar + "/"
	}
	return home + calendar + "/" + name
}

func (s *Server) homePath(i int) string {
	if i == 0 {
		return "/1234/calendars/"
	}
	return fmt.Sprintf("/1234/calendars-%d/", i+1)
}

const principalPath = "/1234/principal/"

func (s *Server) token() string {
	return fmt.Sprintf("https://fake.test/sync/%d/%d", s.epoch, s.revision)
}

// readToken returns the revision of a token, and whether it is valid.
func (s *Server) readToken(token string) (revision int, ok bool) {
	var epoch int
	n, err := fmt.Sscanf(token, "https://fake.test/sync/%d/%d", &epoch, &revision)
	return revision, n == 2 && err == nil && epoch == s.epoch && revision <= s.revision
}

func (s *Server) tag(c *calendar) string {
	last := 0
	for _, revision := range c.changed {
		last = max(last, revision)
	}
	return fmt.Sprintf("ctag-%d", last)
}

func (s *Server) etag(o object) string {
	switch s.o.ETags {
	case Weak:
		return fmt.Sprintf(`W/"r%d"`, o.revision)
	case Unquoted:
		return fmt.Sprintf("r%d", o.revision)
	case Missing:
		return ""
	default:
		return fmt.Sprintf(`"r%d"`, o.revision)
	}
}

func (c *calendar) names() []string { return slices.Sorted(maps.Keys(c.objects)) }

// find returns what a decoded path names.
func (s *Server) find(path string) (calendar, object string, ok bool) {
	for _, name := range s.order {
		rest, inside := strings.CutPrefix(path, s.path(name, ""))
		if inside {
			return name, rest, true
		}
	}
	return "", "", false
}
