// Package feedfake publishes one calendar as a file, for tests: strict about
// requests, able to fail in each way that real servers do, without a socket.
package feedfake

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say what kind of server to be. The zero Options are a well-behaved one
// whose address is its only secret.
type Options struct {
	// Host and Path of the file; empty: feeds.fake.test and /private-CANARY/basic.ics.
	Host, Path string
	// Username and Password protect the file, if one of them is set.
	Username, Password string
	// Name is the file's X-WR-CALNAME, Zone its X-WR-TIMEZONE; empty: none.
	Name, Zone string
	// Validators are those that answers carry.
	Validators Validators
	// Stamps writes the time of each answer into all its DTSTAMPs, as Google does.
	Stamps bool
	// Hops redirects as often before the file, within the site; FilesHost, if set,
	// is another site to which the last redirect leads.
	Hops      int
	FilesHost string
}

// Validators are a way to answer conditional requests.
type Validators int

// The ways that occur.
const (
	Tags     Validators = iota // an ETag, which counts
	Weak                       // a weak ETag, which counts
	Dates                      // a Last-Modified, which counts
	None                       // none
	Ignored                    // both, and the whole file all the same
	Volatile                   // an ETag that differs with each answer
)

// Server is the fake. It is safe for concurrent use.
type Server struct {
	mu       sync.Mutex
	o        Options
	objects  map[string]string
	modified time.Time
	served   int
	faults   []*Fault
	requests []Request
	gone     bool
}

// Epoch is when a server's clock begins; each change and each answer takes two
// minutes.
var Epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

const tick = 2 * time.Minute

// New returns a server with an empty calendar.
func New(o Options) *Server {
	o.Host = cmp.Or(o.Host, "feeds.fake.test")
	o.Path = cmp.Or(o.Path, "/private-CANARY/basic.ics")
	return &Server{o: o, objects: map[string]string{}, modified: Epoch}
}

// URL is the file's address, as calendars show it.
func (s *Server) URL() string { return "webcal://" + s.o.Host + s.o.Path + "?token=CANARY" }

// Put writes the components of an iCalendar object into the file, in place of those
// it wrote under the same name before. The lines before the components end with
// PRODID; an object without one is components only.
func (s *Server) Put(name, object string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[name] = object
	s.modified = s.now()
	s.served++
}

// Delete takes an object's events out of the file.
func (s *Server) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, name)
	s.modified = s.now()
	s.served++
}

// Unpublish answers 410 from now on.
func (s *Server) Unpublish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
}

// now is the server's time. The lock is held.
func (s *Server) now() time.Time { return Epoch.Add(time.Duration(s.served) * tick) }

// Now is the server's time.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// Request is a request that was received.
type Request struct {
	Method, URL, ETag, Modified string
	Basic                       bool   // it carried a credential
	Refused                     string // what a strict server dislikes about it; empty: nothing
	Status                      int
}

// Requests returns all requests so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _, basic := r.BasicAuth()
	got := Request{
		Method: r.Method, URL: r.Host + r.URL.RequestURI(), Basic: basic,
		ETag: r.Header.Get("If-None-Match"), Modified: r.Header.Get("If-Modified-Since"),
	}
	got.Refused = s.refuses(r, basic)
	answer := httptest.NewRecorder()
	s.served++
	answer.Header().Set("Date", s.now().Format(http.TimeFormat))
	aborted := false
	switch {
	case got.Refused != "":
		answer.WriteHeader(http.StatusBadRequest)
	case len(s.faults) > 0:
		aborted = s.fail(answer, r)
	default:
		s.answer(answer, r)
	}
	got.Status = answer.Code
	s.requests = append(s.requests, got)
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
	if aborted {
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) refuses(r *http.Request, basic bool) string {
	foreign := s.o.FilesHost != "" && r.Host == s.o.FilesHost
	switch {
	case r.Method != http.MethodGet:
		return "a method other than GET"
	case r.ContentLength != 0:
		return "a body"
	case r.Host != s.o.Host && !foreign:
		return "a host that is not this one"
	case foreign && basic:
		return "a credential at another site"
	case basic && s.o.Username+s.o.Password == "":
		return "a credential that nobody asked for"
	case r.URL.Fragment != "" || r.URL.User != nil:
		return "an address with a fragment or a user"
	case r.Header.Get("Referer") != "":
		return "an address in Referer"
	case r.Header.Get("If-Modified-Since") != "" && s.o.Validators != Dates && s.o.Validators != Ignored:
		return "a Last-Modified that was not handed out"
	case r.Header.Get("If-None-Match") != "" && (s.o.Validators == Dates || s.o.Validators == None):
		return "an ETag that was not handed out"
	default:
		return ""
	}
}

// answer is the healthy answer.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	username, password, _ := r.BasicAuth()
	hop := 0
	if _, err := fmt.Sscanf(r.URL.Query().Get("hop"), "%d", &hop); err != nil {
		hop = 0
	}
	foreign := s.o.FilesHost != "" && r.Host == s.o.FilesHost
	switch {
	case !foreign && (username != s.o.Username || password != s.o.Password):
		w.Header().Set("WWW-Authenticate", `Basic realm="CANARY"`)
		w.WriteHeader(http.StatusUnauthorized)
	case s.gone:
		w.WriteHeader(http.StatusGone)
	case r.URL.Path != s.o.Path || r.URL.Query().Get("token") != "CANARY":
		w.WriteHeader(http.StatusNotFound)
	case hop < s.o.Hops:
		w.Header().Set("Location", fmt.Sprintf("?token=CANARY&hop=%d", hop+1))
		w.WriteHeader([]int{301, 302, 303, 307, 308}[hop%5])
	case s.o.FilesHost != "" && !foreign:
		w.Header().Set("Location", "https://"+s.o.FilesHost+r.URL.RequestURI())
		w.WriteHeader(http.StatusFound)
	default:
		s.file(w, r)
	}
}

func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	text := s.text()
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(text)))
	h := w.Header()
	same := false
	switch s.o.Validators {
	case Tags:
		h.Set("ETag", tag)
		same = r.Header.Get("If-None-Match") == tag
	case Weak:
		h.Set("ETag", "W/"+tag)
		same = r.Header.Get("If-None-Match") == "W/"+tag
	case Dates:
		h.Set("Last-Modified", s.modified.Format(http.TimeFormat))
		same = r.Header.Get("If-Modified-Since") == s.modified.Format(http.TimeFormat)
	case Ignored:
		h.Set("ETag", tag)
		h.Set("Last-Modified", s.modified.Format(http.TimeFormat))
	case Volatile:
		h.Set("ETag", fmt.Sprintf(`"%d"`, s.served))
	}
	if same {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "text/calendar; charset=utf-8")
	_, _ = io.WriteString(w, text)
}

// text is the file. Its order differs from one answer to the next where its
// stamps do.
func (s *Server) text() string {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//busyd//feedfake//EN\r\nX-WR-CALDESC:CANARY\r\n")
	b.WriteString("REFRESH-INTERVAL;VALUE=DURATION:P1W\r\nX-PUBLISHED-TTL:P1W\r\n")
	if s.o.Name != "" {
		b.WriteString("X-WR-CALNAME:" + s.o.Name + "\r\n")
	}
	if s.o.Zone != "" {
		b.WriteString("X-WR-TIMEZONE:" + s.o.Zone + "\r\n")
	}
	names := slices.Sorted(maps.Keys(s.objects))
	if s.o.Stamps && s.served%2 == 0 {
		slices.Reverse(names)
	}
	for _, name := range names {
		b.WriteString(components(s.objects[name]))
	}
	b.WriteString("END:VCALENDAR\r\n")
	if !s.o.Stamps {
		return b.String()
	}
	return strings.ReplaceAll(b.String(), "DTSTAMP:20260101T000000Z", "DTSTAMP:"+s.now().Format("20060102T150405Z"))
}

func components(object string) string {
	if _, rest, calendar := strings.Cut(object, "\r\nPRODID"); calendar {
		_, object, _ = strings.Cut(rest, "\r\n")
	}
	return strings.TrimSuffix(object, "END:VCALENDAR\r\n")
}
