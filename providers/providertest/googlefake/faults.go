package googlefake

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/busyd/busyd/providers/providertest"
)

// Break makes the server fail in this way until Heal.
func (s *Server) Break(f providertest.Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == providertest.Forgetful {
		s.epoch++
		return
	}
	s.failure = f
}

// Refusal is an answer of the calendar API that is no answer.
type Refusal struct {
	Status int
	Reason string // empty: a body without one
	Header http.Header
	// On is a part of the path that it befalls; empty: all of the calendar API.
	On string
}

// Refuse answers requests like this until Heal.
func (s *Server) Refuse(r Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = &r
}

// Heal ends all failures.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure, s.fault = "", nil
}

// breaks answers a request that is to fail.
func (s *Server) breaks(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	failure, fault := s.failure, s.fault
	isAPI := strings.HasPrefix(r.URL.Path, CalendarPath)
	if failure == providertest.LockedOnce && isAPI {
		s.failure = ""
	}
	s.mu.Unlock()
	if fault != nil && isAPI && strings.Contains(r.URL.Path, fault.On) {
		fault.write(w)
		return true
	}
	switch failure {
	case providertest.Down:
		(reason{http.StatusInternalServerError, "backendError", "Backend Error"}).write(w)
	case providertest.Busy:
		w.Header().Set("Retry-After", "120")
		(reason{http.StatusForbidden, "userRateLimitExceeded", "User Rate Limit Exceeded"}).write(w)
	case providertest.Locked, providertest.LockedOnce:
		if !isAPI {
			return false
		}
		unauthorized.write(w)
	case providertest.Empty:
		answer(w, http.StatusOK, map[string]any{"kind": "calendar#events", "items": []any{}})
	case providertest.CutOff:
		whole := httptest.NewRecorder()
		s.healthy(whole, r)
		text := whole.Body.String()
		w.WriteHeader(whole.Code)
		_, _ = io.WriteString(w, text[:len(text)*9/10])
	case providertest.Foreign:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><body>Sign in "+providertest.Mark+"</body></html>")
	case providertest.Missing:
		notFound.write(w)
	default:
		return false
	}
	return true
}

func (f *Refusal) write(w http.ResponseWriter) {
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	if f.Reason == "" {
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, providertest.Mark)
		return
	}
	(reason{f.Status, f.Reason, providertest.Mark}).write(w)
}

// Transport reaches the server without a socket: each request is answered before
// RoundTrip returns, in the goroutine that sends it, whatever host it is sent to.
func (s *Server) Transport() http.RoundTripper { return providertest.Direct(s) }
