package feedfake

import (
	"net/http"
	"net/http/httptest"
	"strings"
)

// Fault is one way to fail, once. See Times.
type Fault struct {
	times int
	abort bool
	on    func(r *http.Request) bool // nil: any
	do    func(w http.ResponseWriter, healthy func(http.ResponseWriter))
}

// Times lets the fault befall n requests in a row; less than zero: all.
func (f Fault) Times(n int) Fault {
	f.times = n
	return f
}

// FailNext queues faults; each befalls one request unless it has other Times.
func (s *Server) FailNext(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.times == 0 {
			f.times = 1
		}
		s.faults = append(s.faults, &f)
	}
}

// Heal drops the faults that have not happened.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// fail lets the first fault happen. The lock is held.
func (s *Server) fail(w http.ResponseWriter, r *http.Request) (abort bool) {
	f := s.faults[0]
	if f.on != nil && !f.on(r) {
		s.answer(w, r)
		return false
	}
	if f.times--; f.times == 0 {
		s.faults = s.faults[1:]
	}
	f.do(w, func(w http.ResponseWriter) { s.answer(w, r) })
	return f.abort
}

// Status answers with nothing but a status and, if it is not empty, a value of
// Retry-After.
func Status(status int, retryAfter string) Fault {
	return Fault{do: func(w http.ResponseWriter, _ func(http.ResponseWriter)) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
	}}
}

// Redirect answers with a redirection.
func Redirect(status int, location string) Fault {
	return Fault{do: func(w http.ResponseWriter, _ func(http.ResponseWriter)) {
		w.Header().Set("Location", location)
		w.WriteHeader(status)
	}}
}

// Condition answers 412 to a conditional request, and others as if nothing were
// wrong.
func Condition() Fault {
	return Fault{on: func(r *http.Request) bool {
		return r.Header.Get("If-None-Match")+r.Header.Get("If-Modified-Since") != ""
	}, do: func(w http.ResponseWriter, _ func(http.ResponseWriter)) {
		w.WriteHeader(http.StatusPreconditionFailed)
	}}
}

// Body answers 200 with any body.
func Body(text string) Fault {
	return Fault{do: func(w http.ResponseWriter, _ func(http.ResponseWriter)) {
		_, _ = w.Write([]byte(text))
	}}
}

// Edit changes the body of the healthy answer.
func Edit(edit func(string) string) Fault {
	return Fault{do: func(w http.ResponseWriter, healthy func(http.ResponseWriter)) {
		answer := httptest.NewRecorder()
		healthy(answer)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write([]byte(edit(answer.Body.String())))
	}}
}

// CutOff ends the healthy answer after a share of its body, as a proxy does that
// gives up, or a server that runs out of disk while it writes the file.
func CutOff(share float64) Fault {
	return Edit(func(text string) string { return text[:int(share*float64(len(text)))] })
}

// Abort breaks the connection after the healthy answer's last line but one.
func Abort() Fault {
	f := Edit(func(text string) string { return strings.TrimSuffix(text, "END:VCALENDAR\r\n") })
	f.abort = true
	return f
}
