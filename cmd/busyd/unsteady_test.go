package main

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// unsteady stands before a CalDAV server and passes requests on, unless there is
// trouble.
type unsteady struct {
	url   string
	proxy *httputil.ReverseProxy

	mu      sync.Mutex
	trouble trouble // nil: none
}

// trouble answers a request in place of the server, to which it may pass it on.
type trouble func(w http.ResponseWriter, r *http.Request, server http.Handler)

func newUnsteady(t *testing.T, before string) *unsteady {
	target, err := url.Parse(before)
	if err != nil {
		t.Fatal(err)
	}
	u := &unsteady{proxy: httputil.NewSingleHostReverseProxy(target)}
	u.proxy.ErrorLog = log.New(io.Discard, "", 0) // callers are killed: that is the point
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.now()(w, r, u.proxy)
	}))
	t.Cleanup(server.Close)
	u.url = server.URL
	return u
}

func (u *unsteady) now() trouble {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.trouble == nil {
		return func(w http.ResponseWriter, r *http.Request, server http.Handler) { server.ServeHTTP(w, r) }
	}
	return u.trouble
}

func (u *unsteady) set(t trouble) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.trouble = t
}

// stall keeps whoever asks for objects waiting until let is called. What comes
// before that in a run is answered. caught returns once somebody waits.
func (u *unsteady) stall(t testing.TB) (caught, let func()) {
	callers, opened := make(chan struct{}, 100), make(chan struct{})
	u.set(func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		body, _ := io.ReadAll(r.Body) // the caller is gone
		r.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte("calendar-multiget")) {
			callers <- struct{}{}
			select {
			case <-opened:
			case <-r.Context().Done():
				return
			}
		}
		server.ServeHTTP(w, r)
	})
	let = sync.OnceFunc(func() {
		u.set(nil)
		close(opened)
	})
	t.Cleanup(let)
	return func() {
		t.Helper()
		select {
		case <-callers:
		case <-time.After(time.Minute):
			t.Fatal("nobody asked for objects within a minute")
		}
	}, let
}

func answers500(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	http.Error(w, "out of order", http.StatusInternalServerError)
}

func answersNothing(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.WriteHeader(http.StatusMultiStatus)
	_, _ = io.WriteString(w, `<?xml version="1.0"?><multistatus xmlns="DAV:"/>`)
}

// ofMembers lets the trouble befall only what is asked about a calendar's members;
// the calendar itself seems well.
func ofMembers(t trouble) trouble {
	return func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		if r.Method == "REPORT" || r.Header.Get("Depth") == "1" {
			t(w, r, server)
			return
		}
		server.ServeHTTP(w, r)
	}
}

// cutsOff sends the most part of the server's answer as if it were all.
func cutsOff(w http.ResponseWriter, r *http.Request, server http.Handler) {
	answer := httptest.NewRecorder()
	r.Header.Del("Accept-Encoding") // half of a compressed answer is none at all
	server.ServeHTTP(answer, r)
	w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()*2/3])
}

// breaksOff sends the most part of the server's answer and hangs up.
func breaksOff(w http.ResponseWriter, r *http.Request, server http.Handler) {
	cutsOff(w, r, server)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func drops(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
