package graphfake

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/busyd/busyd/providers/providertest"
)

// call is one request that is being answered.
type call struct {
	*Server
	r       *http.Request
	w       http.ResponseWriter
	form    url.Values
	body    []byte
	refused string
}

// ServeHTTP implements [http.Handler]: a fault, if one is due, else the answer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the client is gone
	}
	kind := kindOf(r.URL.Path)
	seen := Request{Kind: kind, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
	answer := httptest.NewRecorder()
	healthy := func(w http.ResponseWriter) { seen.Refused = s.answer(w, r, raw, kind) }
	if inside := strings.HasPrefix(r.URL.Path, "/v1.0/"); inside {
		s.enter(1)
		defer s.enter(-1)
	}
	fault := s.take(kind)
	if fault != nil {
		fault.do(answer, r, healthy)
	} else {
		healthy(answer)
	}
	seen.Status = answer.Code
	s.mu.Lock()
	s.requests = append(s.requests, seen)
	s.mu.Unlock()
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (s *Server) enter(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running += n
	s.most = max(s.most, s.running)
}

func kindOf(path string) string {
	switch {
	case strings.HasSuffix(path, "/oauth2/v2.0/authorize"):
		return "authorize"
	case strings.HasSuffix(path, "/oauth2/v2.0/token"):
		return "token"
	case strings.HasSuffix(path, "/v2.0/adminconsent"):
		return "adminconsent"
	case strings.HasSuffix(path, "/calendarView/delta"):
		return "delta"
	case strings.HasSuffix(path, "/calendarView"):
		return "view"
	case strings.HasPrefix(path, "/v1.0/subscriptions"):
		return "subscriptions"
	case path == "/v1.0/me/calendars":
		return "calendars"
	default:
		return "unknown"
	}
}

// answer is that of a service in good health. It returns what it refuses.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, body []byte, kind string) string {
	c := &call{Server: s, r: r, w: w, body: body, form: r.URL.Query()}
	switch kind {
	case "authorize":
		c.authorize()
	case "adminconsent":
		c.adminConsent()
	case "token":
		c.token()
	case "unknown":
		c.refuse(http.StatusBadRequest, "BadRequest", "busyd has no business at "+r.URL.Path)
	default:
		c.graph(kind)
	}
	return c.refused
}

// graph answers a request to Graph, if it has a good token and is well formed.
func (c *call) graph(kind string) {
	token, _ := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	c.mu.Lock()
	granted, known := c.access[token]
	c.mu.Unlock()
	if !known || !c.Now().Before(granted.expires) {
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="https://login.fake.test/common/oauth2/authorize"`)
		c.fail(http.StatusUnauthorized, "InvalidAuthenticationToken")
		return
	}
	if why := c.prefers(); why != "" {
		c.refuse(http.StatusBadRequest, "BadRequest", why)
		return
	}
	if kind == "subscriptions" {
		c.subscriptions(granted)
		return
	}
	if c.r.Method != http.MethodGet {
		c.refuse(http.StatusMethodNotAllowed, "BadRequest", "a client that only reads must not send "+c.r.Method)
		return
	}
	if !granted.has("Calendars.ReadBasic") && !granted.has("Calendars.Read") {
		c.fail(http.StatusForbidden, "ErrorAccessDenied")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind {
	case "calendars":
		c.listCalendars()
	case "view":
		c.view(granted)
	case "delta":
		c.delta(granted)
	}
}

// prefers tells what the request forgot to prefer.
func (c *call) prefers() string {
	all := strings.Join(c.r.Header.Values("Prefer"), ", ")
	if !strings.Contains(all, `IdType="ImmutableId"`) {
		return "without immutable ids, an event that is moved becomes another"
	}
	if !strings.Contains(all, `outlook.timezone="UTC"`) {
		return "no zone is preferred"
	}
	return ""
}

// fail answers with an error as Graph writes it.
func (c *call) fail(status int, word string) {
	c.json(status, map[string]any{"error": map[string]any{
		"code": word, "message": "The request failed.",
		"innerError": map[string]any{"date": "2026-11-24T00:00:00", "request-id": "0e2c2d5f", "client-request-id": "0e2c2d5f"},
	}})
}

// refuse fails for what no well-behaved client sends.
func (c *call) refuse(status int, word, why string) {
	c.refused = why
	c.fail(status, word)
}

func (c *call) json(status int, v any) {
	c.w.Header().Set("Content-Type", "application/json; odata.metadata=minimal; charset=utf-8")
	c.w.WriteHeader(status)
	encoder := json.NewEncoder(c.w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // to a recorder
}

// base is where Graph is for this client.
func (c *call) base() string {
	scheme := c.r.URL.Scheme
	if scheme == "" {
		scheme = "http"
		if c.r.TLS != nil {
			scheme = "https"
		}
	}
	return scheme + "://" + c.r.Host + "/v1.0"
}

func (c *call) listCalendars() {
	for name := range c.form {
		if !slices.Contains([]string{"$select", "$top", "$skip"}, name) {
			c.refuse(http.StatusBadRequest, "BadRequest", "calendars are not listed by "+name)
			return
		}
	}
	if c.form.Get("$select") == "" {
		c.refuse(http.StatusBadRequest, "BadRequest", "all fields of calendars are asked for")
		return
	}
	all := make([]map[string]any, 0, len(c.calendars))
	for _, k := range c.calendars {
		all = append(all, map[string]any{
			"id": k.id, "name": k.name, "isDefaultCalendar": k.name == Primary, "canViewPrivateItems": true,
			"owner": map[string]any{"name": mark, "address": mark + "@fake.test"},
		})
	}
	skip := number(c.form.Get("$skip"))
	page := all[min(skip, len(all)):min(skip+c.PageCalendars, len(all))]
	answer := map[string]any{"@odata.context": c.base() + "/$metadata#me/calendars", "value": page}
	if skip+len(page) < len(all) {
		answer["@odata.nextLink"] = c.base() + "/me/calendars?$select=" + c.form.Get("$select") + "&$skip=" + text(skip+len(page))
	}
	c.json(http.StatusOK, answer)
}

// Transport reaches the server without a socket: each request is answered
// before RoundTrip returns, in the goroutine that sends it.
func (s *Server) Transport() http.RoundTripper { return providertest.Direct(s) }

// timestamp is how Graph writes an instant.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }
