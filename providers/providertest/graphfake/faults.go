package graphfake

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
)

// Fault is one way to fail, once. See Times and On.
type Fault struct {
	name  string
	on    []string
	times int
	do    func(w http.ResponseWriter, r *http.Request, healthy func(http.ResponseWriter))
}

// String names the fault, for traces.
func (f Fault) String() string { return f.name }

// API are the kinds of requests to Graph.
func API() []string { return []string{"calendars", "view", "delta", "subscriptions"} }

// On lets the fault befall only requests of these kinds; see [Request]. Else it
// befalls those to Graph.
func (f Fault) On(kinds ...string) Fault {
	f.on = kinds
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
		if f.on == nil {
			f.on = API()
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

func (s *Server) take(kind string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if !slices.Contains(f.on, kind) {
			continue
		}
		if f.times--; f.times == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return f
	}
	return nil
}

// Status answers with an error of Graph.
func Status(status int, word string) Fault {
	return Fault{name: "status " + strconv.Itoa(status), do: func(w http.ResponseWriter, r *http.Request, _ func(http.ResponseWriter)) {
		(&call{r: r, w: w}).fail(status, word)
	}}
}

// Throttle answers with a Retry-After.
func Throttle(status int, retryAfter string) Fault {
	return Fault{name: "throttle", do: func(w http.ResponseWriter, r *http.Request, _ func(http.ResponseWriter)) {
		w.Header().Set("Retry-After", retryAfter)
		(&call{r: r, w: w}).fail(status, "TooManyRequests")
	}}
}

// Refuse answers as the sign-in service does.
func Refuse(status int, refusal Refusal) Fault {
	return Fault{name: "refused", do: func(w http.ResponseWriter, r *http.Request, _ func(http.ResponseWriter)) {
		(&call{r: r, w: w}).noToken(status, refusal)
	}}.On("token")
}

// Body answers 200 with any body.
func Body(body string) Fault {
	return Fault{name: "foreign body", do: func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
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

// CutOff ends the healthy answer after a share of its body.
func CutOff(share float64) Fault {
	return Edit("cut-off body", func(body string) string { return body[:int(share*float64(len(body)))] })
}

// Bare shows nothing of an event but its id.
func Bare(id string) Fault {
	return Edit("bare event", func(body string) string {
		var answer map[string]any
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			return body
		}
		value, _ := answer["value"].([]any)
		for i, v := range value {
			if e, ok := v.(map[string]any); ok && e["id"] == id {
				value[i] = map[string]any{"id": id}
			}
		}
		raw, err := json.Marshal(answer)
		if err != nil {
			return body
		}
		return string(raw)
	}).On("view")
}

// Meanwhile lets something happen after the healthy answer was made.
func Meanwhile(happens func()) Fault {
	return Fault{name: "meanwhile", do: func(w http.ResponseWriter, _ *http.Request, healthy func(http.ResponseWriter)) {
		healthy(w)
		happens()
	}}
}
