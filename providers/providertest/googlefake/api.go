package googlefake

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// reason is why a request is refused, in the words of Google's documentation.
type reason struct {
	status        int
	reason, words string
}

func (r reason) write(w http.ResponseWriter) {
	answer(w, r.status, map[string]any{"error": map[string]any{
		"errors":  []any{map[string]any{"domain": "global", "reason": r.reason, "message": r.words}},
		"code":    r.status,
		"message": r.words,
	}})
}

func bad(words string) *reason { return &reason{http.StatusBadRequest, "badRequest", words} }

var (
	notFound     = &reason{http.StatusNotFound, "notFound", "Not Found"}
	unauthorized = &reason{http.StatusUnauthorized, "authError", "Invalid Credentials"}
	scopeMissing = &reason{http.StatusForbidden, "insufficientPermissions", "Request had insufficient authentication scopes."}
	tokenExpired = &reason{http.StatusGone, "fullSyncRequired", "Sync token is no longer valid, a full sync is required."}
)

func answer(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

func (s *Server) healthy(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.EscapedPath(); {
	case path == AuthorizePath:
		s.authorize(w, r)
	case path == TokenPath && r.Method == http.MethodPost:
		s.token(w, r)
	case path == RevokePath && r.Method == http.MethodPost:
		s.revoke(w, r)
	case strings.HasPrefix(path, CalendarPath):
		s.api(w, r, strings.TrimPrefix(path, CalendarPath))
	default:
		http.NotFound(w, r)
	}
}

const scopes = "https://www.googleapis.com/auth/"

// needs are the scopes of which one must be granted.
var needs = map[string][]string{
	"list":     {"calendar", "calendar.calendarlist", "calendar.calendarlist.readonly", "calendar.readonly"},
	"events":   {"calendar", "calendar.events", "calendar.events.freebusy", "calendar.events.owned", "calendar.events.owned.readonly", "calendar.events.readonly", "calendar.readonly"},
	"channels": {"calendar", "calendar.calendarlist.readonly", "calendar.events.readonly", "calendar.readonly"},
}

// api answers the calendar API.
func (s *Server) api(w http.ResponseWriter, r *http.Request, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i], _ = url.PathUnescape(part)
	}
	var body map[string]any
	var refused *reason
	switch {
	case r.Method == http.MethodGet && path == "users/me/calendarList":
		if refused = s.allows(r, "list"); refused == nil {
			body, refused = s.calendarList(r.URL.Query())
		}
	case r.Method == http.MethodGet && len(parts) == 4 && strings.HasPrefix(path, "users/me/calendarList/"):
		if refused = s.allows(r, "list"); refused == nil {
			body, refused = s.calendarEntry(parts[3], r.URL.Query())
		}
	case r.Method == http.MethodGet && len(parts) == 3 && parts[0] == "calendars" && parts[2] == "events":
		if refused = s.allows(r, "events"); refused == nil {
			body, refused = s.events(parts[1], r.URL.Query())
		}
	case r.Method == http.MethodPost && len(parts) == 4 && parts[0] == "calendars" && parts[2] == "events" && parts[3] == "watch":
		if refused = s.allows(r, "events"); refused == nil {
			body, refused = s.watch(parts[1], r)
		}
	case r.Method == http.MethodPost && path == "channels/stop":
		if refused = s.allows(r, "channels"); refused == nil {
			refused = s.stop(r)
		}
	default:
		refused = notFound
	}
	switch {
	case refused != nil:
		refused.write(w)
	case body == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		answer(w, http.StatusOK, body)
	}
}

// allows checks the access token and its scopes.
func (s *Server) allows(r *http.Request, what string) *reason {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	access := s.grants.access[token]
	if !ok || access == nil || !s.o.Now().Before(access.expires) {
		return unauthorized
	}
	for _, scope := range needs[what] {
		if access.scopes[scopes+scope] {
			return nil
		}
	}
	return scopeMissing
}

// known are the parameters that every method has.
var known = map[string]bool{"alt": true, "fields": true, "prettyPrint": true, "quotaUser": true, "key": true}

// checked refuses parameters that the method does not have, and values given twice.
func checked(q url.Values, names ...string) *reason {
	for name, values := range q {
		if len(values) > 1 {
			return bad("Parameter given twice")
		}
		if !known[name] && !contains(names, name) {
			return bad("Unknown parameter " + name)
		}
	}
	return nil
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
