// Package caldavserver is a CalDAV server that holds its calendars in memory, for
// `busyd dev` and for tests. The protocol is go-webdav's; what a calendar client
// needs beside it (collection tags, zones, transparency, the user's addresses)
// is added to its answers. It has no sync-tokens.
package caldavserver

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/emersion/go-webdav/caldav"
)

// User is an account.
type User struct {
	Name     string // in paths; letters, digits and hyphens
	Password string
	// Addresses are those under which the user is invited, without mailto:.
	Addresses []string
	Calendars []Calendar
}

// Calendar is a calendar of a user.
type Calendar struct {
	Name        string // in paths; letters, digits and hyphens
	Title       string // for people
	Zone        string // an IANA name; may be empty
	Transparent bool   // does not block time by default
	// Objects are iCalendar objects by name, such as standup.ics.
	Objects map[string]string
}

// Server is an http.Handler. It is safe for concurrent use.
type Server struct {
	mu    sync.RWMutex
	users map[string]*user
	dav   http.Handler
}

type user struct {
	User
	calendars map[string]*collection // by name
}

type collection struct {
	Calendar
	objects map[string]*object // by name
}

// New returns a server with these accounts.
func New(users ...User) (*Server, error) {
	s := &Server{users: make(map[string]*user)}
	s.dav = &extended{server: s, next: &caldav.Handler{Backend: &backend{server: s}}}
	for _, u := range users {
		account := &user{User: u, calendars: make(map[string]*collection)}
		s.users[u.Name] = account
		for _, c := range u.Calendars {
			account.calendars[c.Name] = &collection{Calendar: c, objects: make(map[string]*object)}
			for name, text := range c.Objects {
				if err := s.Put(u.Name, c.Name, name, text); err != nil {
					return nil, err
				}
			}
		}
	}
	return s, nil
}

// Put stores an iCalendar object under a name, such as standup.ics.
func (s *Server) Put(user, calendar, name, text string) error {
	o, err := readObject(text)
	if err != nil {
		return fmt.Errorf("object %s of calendar %s: %w", name, calendar, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.collection(user, calendar)
	if c == nil {
		return fmt.Errorf("user %s has no calendar %s", user, calendar)
	}
	c.objects[name] = o
	return nil
}

// Delete removes an object, if there is one.
func (s *Server) Delete(user, calendar, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.collection(user, calendar); c != nil {
		delete(c.objects, name)
	}
}

func (s *Server) collection(name, calendar string) *collection {
	if u := s.users[name]; u != nil {
		return u.calendars[calendar]
	}
	return nil
}

type userKey struct{}

// ServeHTTP implements [http.Handler]. All but the password is checked by name:
// a user sees no path but the own.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, password, _ := r.BasicAuth()
	if !s.knows(name, password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="busyd dev"`)
		http.Error(w, "the username or the password is wrong", http.StatusUnauthorized)
		return
	}
	switch owner, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); owner {
	case "", ".well-known", name:
	default:
		http.NotFound(w, r)
		return
	}
	s.dav.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, name)))
}

func (s *Server) knows(name, password string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := s.users[name]
	if u == nil {
		return false
	}
	want, got := sha256.Sum256([]byte(u.Password)), sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
