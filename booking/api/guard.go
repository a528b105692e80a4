package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/busyd/busyd/busy"
)

// request ids are UUIDs of their own kind.
type requestKey struct{}

func requestID(r *http.Request) string {
	id, _ := r.Context().Value(requestKey{}).(string)
	return id
}

// routeOf is the pattern of the request's route, without anything of the caller.
func routeOf(r *http.Request) string {
	if r.Pattern == "" || r.Pattern == "/" {
		return "none"
	}
	return r.Pattern
}

// guard is what happens to every request: it gets an id, a deadline and headers
// that make a browser careful, is measured, and ends in a problem if it panics.
func (a *api) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		began := a.Now()
		w := &answer{ResponseWriter: rw}
		ctx := r.Context()
		if r.URL.Path != eventsPath { // a stream has no end
			bounded, cancel := context.WithTimeout(ctx, a.Timeout)
			defer cancel()
			ctx = bounded
		}
		id, err := busy.NewID[requestKey](a.Random)
		r = r.WithContext(context.WithValue(ctx, requestKey{}, id.String()))
		if a.Observe != nil {
			defer func() { a.Observe(routeOf(r), w.status, a.Now().Sub(began)) }()
		}
		defer a.recovered(w, r)
		a.headers(w, r, id.String())
		if err != nil {
			a.fail(w, r, fmt.Errorf("draw a request id: %w", err))
			return
		}
		if a.preflight(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *api) recovered(w *answer, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	a.Log.ErrorContext(r.Context(), "a handler panicked",
		"request", requestID(r), "route", routeOf(r), "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // half an answer is out: only a cut connection tells
	}
	a.fail(w, r, internal)
}

func (a *api) headers(w http.ResponseWriter, r *http.Request, id string) {
	h := w.Header()
	h.Set("X-Request-Id", id)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if len(a.Origins) == 0 || !strings.HasPrefix(r.URL.Path, "/v1/") {
		return
	}
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); a.allows(origin) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "ETag, Idempotency-Replayed, Location, Retry-After, X-Request-Id")
	}
}

func (a *api) allows(origin string) bool {
	return origin != "" && (slices.Contains(a.Origins, origin) || slices.Contains(a.Origins, "*"))
}

// preflight answers a browser that asks whether a page may call the API.
func (a *api) preflight(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" ||
		!strings.HasPrefix(r.URL.Path, "/v1/") || !a.allows(r.Header.Get("Origin")) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Hold-Token, Idempotency-Key, If-Match, Last-Event-ID")
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// unrouted answers what no route takes: 405 if the path has other methods.
func (a *api) unrouted(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := a.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		a.fail(w, r, noRoute)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	a.fail(w, r, wrongMethod)
}

// answer remembers the status that was sent; 0: none yet.
type answer struct {
	http.ResponseWriter
	status int
}

func (w *answer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answer) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

func (w *answer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
