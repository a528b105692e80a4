package googlefake

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// channel is where changes of a calendar are told.
type channel struct {
	id, resource, calendar, address, token string
	expires                                time.Time
	messages                               int
}

// Push is a callback that Google would make. A test delivers it when it likes:
// late, twice, in another order, or never.
type Push struct {
	Address string
	Header  http.Header
}

// Request is the push as busyd's server receives it.
func (p Push) Request() *http.Request {
	r, err := http.NewRequest(http.MethodPost, p.Address, http.NoBody)
	if err != nil {
		panic(err)
	}
	r.Header = p.Header.Clone()
	return r
}

// Pushes returns the callbacks since the last time, oldest first.
func (s *Server) Pushes() []Push {
	s.mu.Lock()
	defer s.mu.Unlock()
	pushes := s.pushes
	s.pushes = nil
	return pushes
}

// Channels is the number of channels that are open.
func (s *Server) Channels() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open())
}

func (s *Server) open() []*channel {
	var open []*channel
	for _, id := range slices.Sorted(maps.Keys(s.channels)) {
		if c := s.channels[id]; s.o.Now().Before(c.expires) {
			open = append(open, c)
		}
	}
	return open
}

// changed queues a callback for each channel of the calendar.
func (s *Server) changed(calendar string) []Push {
	var due []Push
	for _, c := range s.open() {
		if c.calendar == calendar {
			due = append(due, s.say(c, "exists"))
		}
	}
	return due
}

func (s *Server) say(c *channel, state string) Push {
	c.messages++
	h := http.Header{}
	h.Set("X-Goog-Channel-ID", c.id)
	h.Set("X-Goog-Channel-Token", c.token)
	h.Set("X-Goog-Channel-Expiration", c.expires.UTC().Format(http.TimeFormat))
	h.Set("X-Goog-Resource-ID", c.resource)
	h.Set("X-Goog-Resource-URI", "https://www.googleapis.com"+CalendarPath+"calendars/x/events?alt=json")
	h.Set("X-Goog-Resource-State", state)
	h.Set("X-Goog-Message-Number", strconv.Itoa(c.messages))
	p := Push{Address: c.address, Header: h}
	s.pushes = append(s.pushes, p)
	return p
}

func (s *Server) deliver(due []Push) {
	if s.o.Push == nil {
		return
	}
	for _, p := range due {
		s.o.Push(p)
	}
}

// watch answers events.watch.
func (s *Server) watch(id string, r *http.Request) (map[string]any, *reason) {
	if id == "primary" {
		id = s.o.Email
	}
	if s.calendars[id] == nil {
		return nil, notFound
	}
	var asked struct {
		ID, Type, Address, Token, Expiration string
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&asked); err != nil {
		return nil, &reason{http.StatusBadRequest, "parseError", "Parse Error"}
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_+/="
	switch {
	case asked.ID == "" || len(asked.ID) > 64 || strings.Trim(asked.ID, letters) != "":
		return nil, &reason{http.StatusBadRequest, "invalid", "Invalid channel id"}
	case s.channels[asked.ID] != nil:
		return nil, &reason{http.StatusBadRequest, "channelIdNotUnique", "Channel id not unique"}
	case asked.Type != "web_hook":
		return nil, &reason{http.StatusBadRequest, "invalid", "Invalid type"}
	case !strings.HasPrefix(asked.Address, "https://"):
		return nil, &reason{http.StatusBadRequest, "push.webhookUrlNotHttps", "WebHook callback must be HTTPS"}
	case len(asked.Token) > 256:
		return nil, &reason{http.StatusBadRequest, "invalid", "Token too long"}
	}
	const week = 604800 * time.Second
	expires := s.o.Now().Add(week)
	if asked.Expiration != "" {
		ms, err := strconv.ParseInt(asked.Expiration, 10, 64)
		if err != nil || !time.UnixMilli(ms).After(s.o.Now()) {
			return nil, &reason{http.StatusBadRequest, "invalid", "Invalid expiration"}
		}
		if wanted := time.UnixMilli(ms); wanted.Before(expires) {
			expires = wanted
		}
	}
	c := &channel{
		id: asked.ID, resource: fmt.Sprintf("resource-%x", id), calendar: id, address: asked.Address, token: asked.Token,
		expires: expires.UTC(),
	}
	s.channels[c.id] = c
	s.say(c, "sync")
	return map[string]any{
		"kind": "api#channel", "id": c.id, "resourceId": c.resource, "resourceUri": "https://www.googleapis.com/",
		"token": c.token, "expiration": strconv.FormatInt(expires.UnixMilli(), 10),
	}, nil
}

// stop answers channels.stop.
func (s *Server) stop(r *http.Request) *reason {
	var asked struct{ ID, ResourceID string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&asked); err != nil {
		return &reason{http.StatusBadRequest, "parseError", "Parse Error"}
	}
	c := s.channels[asked.ID]
	if c == nil || c.resource != asked.ResourceID || !s.o.Now().Before(c.expires) {
		return &reason{http.StatusNotFound, "notFound", "Channel not found"}
	}
	delete(s.channels, asked.ID)
	return nil
}
