package caldavfake

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
)

// Fault is one way to fail, once. See Times and On.
type Fault struct {
	name  string
	on    string
	times int
	abort bool
	do    func(w http.ResponseWriter, r *http.Request, healthy func(http.ResponseWriter))
}

// String names the fault, for traces.
func (f Fault) String() string { return f.name }

// On lets the fault befall only requests of this kind: a method such as
// PROPFIND, or a report such as calendar-multiget.
func (f Fault) On(kind string) Fault {
	f.on, f.name = kind, f.name+" on "+kind
	return f
}

// Times lets the fault befall n requests in a row; less than zero: all.
func (f Fault) Times(n int) Fault {
	f.times = n
	return f
}

// FailNext queues faults. Each request suffers the first queued one that is
// meant for its kind.
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

func (s *Server) take(r Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.on != "" && f.on != r.Method && f.on != r.Report {
			continue
		}
		if f.times--; f.times == 0 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		}
		return f
	}
	return nil
}

// Status answers with nothing but a status, such as 500, 403, 404 or 401.
func Status(status int) Fault {
	return Fault{name: "status " + strconv.Itoa(status), do: func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
		w.WriteHeader(status)
	}}
}

// Throttle answers 429 or 503 with a Retry-After.
func Throttle(status int, retryAfter string) Fault {
	return Fault{name: "throttle", do: func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(status)
	}}
}

// Redirect answers with a redirection.
func Redirect(status int, location string) Fault {
	return Fault{name: "redirect", do: func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
		w.Header().Set("Location", location)
		w.WriteHeader(status)
	}}
}

// InvalidToken answers as sabre does to a token it does not know.
func InvalidToken() Fault {
	return Fault{name: "invalid token", do: func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
		writeError(w, http.StatusForbidden, "<d:valid-sync-token/>")
	}}.On("sync-collection")
}

// Empty answers 207 with a multistatus that holds nothing.
func Empty() Fault {
	return Fault{name: "empty multistatus", do: func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
		(&multistatus{}).write(w, "")
	}}
}

// Body answers 207 with any body.
func Body(text string) Fault {
	return Fault{name: "foreign body", do: func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = w.Write([]byte(text))
	}}
}

// Edit changes the body of the healthy answer.
func Edit(name string, edit func(string) string) Fault {
	return Fault{name: name, do: func(w http.ResponseWriter, _ *http.Request, healthy func(http.ResponseWriter)) {
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
// gives up.
func CutOff(share float64) Fault {
	return Edit("cut-off body", func(text string) string { return text[:int(share*float64(len(text)))] })
}

// Abort is CutOff with the connection closed: over a socket, the client sees an
// unexpected end.
func Abort(share float64) Fault {
	f := CutOff(share)
	f.abort, f.name = true, "broken connection"
	return f
}

var responses = regexp.MustCompile(`(?s)<d:response>.*?</d:response>\n`)

// Omit leaves out of the healthy answer the responses whose href contains a text.
func Omit(text string) Fault {
	return Edit("omitted responses", func(body string) string {
		return responses.ReplaceAllStringFunc(body, func(r string) string {
			if href, _, _ := strings.Cut(r, "</d:href>"); strings.Contains(href, text) {
				return ""
			}
			return r
		})
	})
}

// Huge answers 207 with a multistatus padded to so many bytes.
func Huge(bytes int) Fault {
	return Edit("huge body", func(body string) string {
		return strings.Replace(body, "<d:response>", strings.Repeat(" ", bytes)+"<d:response>", 1)
	})
}

// Hang answers nothing until the client gives up.
func Hang() Fault {
	return Fault{name: "hang", do: func(_ http.ResponseWriter, r *http.Request, _ func(http.ResponseWriter)) {
		<-r.Context().Done()
	}}
}
