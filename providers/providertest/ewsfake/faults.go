package ewsfake

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
)

// Fault is one way to fail, once. See Times and On.
type Fault struct {
	on    string
	times int
	do    func(w http.ResponseWriter, healthy func(http.ResponseWriter))
}

// On lets the fault befall only requests of this operation.
func (f Fault) On(operation string) Fault {
	f.on = operation
	return f
}

// Times lets the fault befall n requests in a row; less than zero: all.
func (f Fault) Times(n int) Fault {
	f.times = n
	return f
}

// FailNext queues faults; the zero Fault is none. Each request suffers the first queued one that is
// meant for its operation.
func (s *Server) FailNext(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.do == nil {
			continue
		}
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

func (s *Server) take(operation string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.on != "" && f.on != operation {
			continue
		}
		if f.times--; f.times == 0 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		}
		return f
	}
	return nil
}

func always(do func(w http.ResponseWriter)) Fault {
	return Fault{do: func(w http.ResponseWriter, _ func(http.ResponseWriter)) { do(w) }}
}

// Status answers with nothing but a status, and challenges as a 401 does.
func Status(status int) Fault {
	return always(func(w http.ResponseWriter) {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "NTLM")
		}
		w.WriteHeader(status)
	})
}

// Redirect answers with a redirection.
func Redirect(location string) Fault {
	return always(func(w http.ResponseWriter) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
	})
}

// Throttle answers 503 with a Retry-After.
func Throttle(retryAfter string) Fault {
	return always(func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
}

// SOAPFault answers with a fault of a response code, and a back-off if ms is not 0.
func SOAPFault(status int, code string, ms int) Fault {
	return always(func(w http.ResponseWriter) { writeEnvelope(w, status, fault(code, backOff(ms))) })
}

func backOff(ms int) string {
	if ms == 0 {
		return ""
	}
	return `<t:MessageXml xmlns:t="` + nsTypes + `"><t:Value Name="BackOffMilliseconds">` + strconv.Itoa(ms) + `</t:Value></t:MessageXml>`
}

// Failing answers each part of an operation with a response code, inside a 200.
func Failing(code string, ms int) Fault {
	return Edit(func(body string) string {
		start, end := strings.Index(body, "<m:ResponseMessages>"), strings.Index(body, "</m:ResponseMessages>")
		if start < 0 {
			return body
		}
		start += len("<m:ResponseMessages>")
		name := body[start+1:]
		name = name[:strings.IndexAny(name, " >")]
		n := max(1, strings.Count(body[start:end], "<"+name+" "))
		return body[:start] + strings.Repeat(failure(strings.TrimPrefix(name, "m:"), code, backOff(ms)), n) + body[end:]
	})
}

// FailingStream answers a GetStreamingEvents with a response code.
func FailingStream(code string) Fault {
	return always(func(w http.ResponseWriter) {
		writeEnvelope(w, http.StatusOK, `<m:GetStreamingEventsResponse xmlns:m="`+nsMessages+`" xmlns:t="`+nsTypes+`"><m:ResponseMessages>`+
			failure("GetStreamingEventsResponseMessage", code, "")+`</m:ResponseMessages></m:GetStreamingEventsResponse>`)
	}).On("GetStreamingEvents")
}

// Empty answers 200 with an envelope that holds nothing.
func Empty() Fault {
	return Edit(func(body string) string {
		start, end := strings.Index(body, "<m:ResponseMessages>"), strings.Index(body, "</m:ResponseMessages>")
		if start < 0 {
			return body
		}
		return body[:start] + "<m:ResponseMessages>" + body[end:]
	})
}

// Body answers 200 with any body.
func Body(text string) Fault {
	return always(func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte(text))
	})
}

// CutOff keeps a part of the body.
func CutOff(part float64) Fault {
	return Edit(func(body string) string { return body[:int(float64(len(body))*part)] })
}

// Edit changes the body of the healthy answer, if it is an envelope.
func Edit(edit func(string) string) Fault {
	return Fault{do: func(w http.ResponseWriter, healthy func(http.ResponseWriter)) {
		answer := httptest.NewRecorder()
		healthy(answer)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		body := answer.Body.String()
		if strings.Contains(body, "Envelope") {
			body = edit(body)
		}
		_, _ = w.Write([]byte(body))
	}}
}
