package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/busyd/busyd/providers"
)

// servers watches which servers answer. One that has given no sign of life for a
// while, though runs wait for it, is silent: those above its most are let go, and
// above its few nobody is sent to it until it answers, so that it does not hold
// the workers that the other servers need. A server that answers gets as many as
// there are. A header is no sign of life: what is waited for is the body.
type servers struct {
	most, few int
	mu        sync.Mutex
	known     map[string]*server // that somebody waits for, and silent ones
}

type server struct {
	waiting map[*run]int // requests under way, by run
	sign    time.Time    // when it last gave a sign of life, or was first waited for
}

// silence is how long a server may take until it counts as silent.
const silence = 5 * time.Second

func newServers(most, few int) *servers {
	return &servers{most: most, few: few, known: make(map[string]*server)}
}

func (s *server) isSilent(now time.Time) bool {
	return now.Sub(s.sign) >= silence
}

// send sends a request, which may be let go. Who is not a run is not bound.
func (s *servers) send(base http.RoundTripper, r *http.Request, by *run) (*http.Response, error) {
	if by == nil {
		return base.RoundTrip(r)
	}
	ctx, cancel := context.WithCancel(r.Context())
	c := &call{servers: s, host: r.URL.Host, by: by, began: time.Now(), cancel: cancel}
	if !c.begin() {
		cancel()
		closeBody(r)
		return nil, &providers.Error{Code: CodeSilent, Err: errSilent}
	}
	resp, err := base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, c.failed(r.Context(), err)
	}
	resp.Request = r
	resp.Body = &watched{from: resp.Body, call: c, caller: r.Context()}
	return resp, nil
}

// call is a request under way until its body is closed.
type call struct {
	*servers
	host   string
	by     *run
	began  time.Time
	cancel context.CancelFunc
	timer  *time.Timer
	over   bool
	letGo  bool
}

// begin reports whether the request may be sent.
func (c *call) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.known[c.host]
	if s == nil {
		s = &server{waiting: make(map[*run]int), sign: c.began}
		c.known[c.host] = s
	}
	if s.isSilent(c.began) && s.waiting[c.by] == 0 && len(s.waiting) >= c.few {
		return false
	}
	s.waiting[c.by]++
	c.timer = time.AfterFunc(silence, c.review)
	return true
}

// review lets the call go if too many runs wait for a server that is silent.
func (c *call) review() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	s := c.known[c.host]
	if now := time.Now(); !s.isSilent(now) {
		c.timer.Reset(s.sign.Add(silence).Sub(now))
		return
	}
	if len(s.waiting) > c.most {
		c.letGo = true
		c.end(false)
	}
}

// alive records a sign of life.
func (c *call) alive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.known[c.host].sign = time.Now()
	}
}

// failed ends the call and returns the error to tell.
func (c *call) failed(caller context.Context, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.end(caller.Err() == nil) // a refusal, too, is an answer
	}
	if c.letGo {
		return &providers.Error{Code: CodeSilent, Err: errSilent}
	}
	return err
}

func (c *call) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.end(true)
	}
}

// end ends the call. That one was answered is a sign of life if it was soon.
func (c *call) end(answered bool) {
	s := c.known[c.host]
	if answered && time.Since(c.began) < silence {
		s.sign = time.Now()
	}
	c.over = true
	c.timer.Stop()
	c.cancel()
	if s.waiting[c.by]--; s.waiting[c.by] == 0 {
		delete(s.waiting, c.by)
	}
	if len(s.waiting) == 0 && !s.isSilent(time.Now()) {
		delete(c.known, c.host)
	}
}

// watched is the body of a call.
type watched struct {
	from   io.ReadCloser
	call   *call
	caller context.Context
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		w.call.alive()
		return n, err
	}
	return n, w.call.failed(w.caller, err)
}

func (w *watched) Close() error {
	defer w.call.close()
	return w.from.Close()
}
