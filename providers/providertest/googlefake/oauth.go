package googlefake

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// grants are what the account has consented to. Withdrawing withdraws them all.
type grants struct {
	next    int
	codes   map[string]*code
	refresh map[string]map[string]bool // refresh token -> scopes
	access  map[string]*access
}

type code struct {
	redirect, challenge string
	scopes              map[string]bool
	lasting             bool
}

type access struct {
	scopes  map[string]bool
	expires time.Time
}

func newGrants() grants {
	return grants{codes: map[string]*code{}, refresh: map[string]map[string]bool{}, access: map[string]*access{}}
}

// lasts is how long an access token does.
const lasts = 3599 * time.Second

// Withdraw is the owner who removes busyd in the account's settings.
func (s *Server) Withdraw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withdraw()
}

func (s *Server) withdraw() {
	next := s.grants.next
	s.grants = newGrants()
	s.grants.next = next
}

// ExpireAccess makes every access token invalid before its time.
func (s *Server) ExpireAccess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants.access = map[string]*access{}
}

// Grants is the number of refresh tokens that are good.
func (s *Server) Grants() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.grants.refresh)
}

// Consent is what the owner does on the consent page.
type Consent struct {
	Decline bool
	Untick  []string // scopes
}

// Approve is the owner who consents, without a browser. It returns what the
// browser comes back with.
func (s *Server) Approve(authorizationURL string, c Consent) (url.Values, error) {
	u, err := url.Parse(authorizationURL)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	if problem := s.wrong(q); problem != "" {
		return nil, errors.New(problem)
	}
	return s.consent(q, c), nil
}

// wrong says what Google would show in place of the consent page.
func (s *Server) wrong(q url.Values) string {
	switch {
	case q.Get("client_id") != s.o.ClientID:
		return "Error 401: invalid_client"
	case q.Get("redirect_uri") == "" || s.o.Redirects != nil && !slices.Contains(s.o.Redirects, q.Get("redirect_uri")):
		return "Error 400: redirect_uri_mismatch"
	case q.Get("response_type") != "code":
		return "Error 400: invalid_request: response_type"
	case q.Get("scope") == "":
		return "Error 400: invalid_request: scope"
	case q.Get("state") == "":
		return "a strict server wants a state"
	case q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256":
		return "a strict server wants PKCE"
	default:
		return ""
	}
}

func (s *Server) consent(q url.Values, c Consent) url.Values {
	back := url.Values{"state": {q.Get("state")}}
	if c.Decline {
		back.Set("error", "access_denied")
		return back
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	given := map[string]bool{}
	var list []string
	for _, scope := range strings.Fields(q.Get("scope")) {
		if !slices.Contains(c.Untick, scope) {
			given[scope], list = true, append(list, scope)
		}
	}
	// Without prompt=consent, an account that has consented gets no new refresh token.
	lasting := q.Get("access_type") == "offline" && (len(s.grants.refresh) == 0 || q.Get("prompt") == "consent")
	name := s.grants.name("4/code")
	s.grants.codes[name] = &code{
		redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), scopes: given, lasting: lasting,
	}
	back.Set("code", name)
	back.Set("scope", strings.Join(list, " "))
	return back
}

func (g *grants) name(kind string) string {
	g.next++
	return fmt.Sprintf("%s-%d", kind, g.next)
}

var page = template.Must(template.New("consent").Parse(`<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Sign in – demonstration</title>
<body style="font: 16px sans-serif; max-width: 32em; margin: 4em auto">
<h1>busyd wants access to your account</h1>
<p>This page stands in for Google's. You are <strong>{{.Email}}</strong>.</p>
<form method="post">
{{range .Scopes}}<p><label><input type="checkbox" name="scope" value="{{.}}" checked> {{.}}</label></p>
{{end}}<button name="answer" value="allow">Continue</button> <button name="answer" value="deny">Cancel</button>
</form></body></html>`))

// authorize shows the consent page, and sends the browser back.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if problem := s.wrong(q); problem != "" {
		http.Error(w, problem, http.StatusBadRequest)
		return
	}
	asked := strings.Fields(q.Get("scope"))
	if r.Method != http.MethodPost {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, map[string]any{"Email": s.o.Email, "Scopes": asked})
		return
	}
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return
	}
	ticked := r.PostForm["scope"]
	back := s.consent(q, Consent{
		Decline: r.PostForm.Get("answer") != "allow",
		Untick:  slices.DeleteFunc(asked, func(scope string) bool { return slices.Contains(ticked, scope) }),
	})
	to, err := url.Parse(q.Get("redirect_uri"))
	if err != nil {
		http.Error(w, "Error 400: redirect_uri_mismatch", http.StatusBadRequest)
		return
	}
	to.RawQuery = back.Encode()
	http.Redirect(w, r, to.String(), http.StatusFound)
}

func refuse(w http.ResponseWriter, status int, code string) {
	answer(w, status, map[string]any{"error": code, "error_description": "a description that nobody should see"})
}

// token is the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.ParseForm(); err != nil || r.URL.RawQuery != "" {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	f := r.PostForm
	if f.Get("client_id") != s.o.ClientID || f.Get("client_secret") != s.o.Secret {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	switch f.Get("grant_type") {
	case "authorization_code":
		s.exchange(w, f)
	case "refresh_token":
		s.refreshed(w, f.Get("refresh_token"))
	default:
		refuse(w, http.StatusBadRequest, "unsupported_grant_type")
	}
}

func (s *Server) exchange(w http.ResponseWriter, f url.Values) {
	c := s.grants.codes[f.Get("code")]
	delete(s.grants.codes, f.Get("code"))
	sum := sha256.Sum256([]byte(f.Get("code_verifier")))
	if c == nil || c.redirect != f.Get("redirect_uri") || base64.RawURLEncoding.EncodeToString(sum[:]) != c.challenge {
		refuse(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	body := s.issue(c.scopes)
	if c.lasting {
		refresh := s.grants.name("1//refresh")
		s.grants.refresh[refresh] = c.scopes
		body["refresh_token"] = refresh
	}
	answer(w, http.StatusOK, body)
}

func (s *Server) refreshed(w http.ResponseWriter, token string) {
	scopes, good := s.grants.refresh[token]
	if !good {
		refuse(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	body := s.issue(scopes)
	if s.o.Rotate {
		delete(s.grants.refresh, token)
		token = s.grants.name("1//refresh")
		s.grants.refresh[token] = scopes
		body["refresh_token"] = token
	}
	answer(w, http.StatusOK, body)
}

func (s *Server) issue(scopes map[string]bool) map[string]any {
	token := s.grants.name("ya29.access")
	s.grants.access[token] = &access{scopes: scopes, expires: s.o.Now().Add(lasts)}
	var list []string
	for scope := range scopes {
		list = append(list, scope)
	}
	slices.Sort(list)
	return map[string]any{
		"access_token": token, "expires_in": int(lasts.Seconds()), "token_type": "Bearer", "scope": strings.Join(list, " "),
	}
}

// revoke withdraws the account's whole grant, whichever of its tokens is named.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := r.PostFormValue("token")
	_, refresh := s.grants.refresh[token]
	_, access := s.grants.access[token]
	if !refresh && !access {
		refuse(w, http.StatusBadRequest, "invalid_token")
		return
	}
	s.withdraw()
	answer(w, http.StatusOK, map[string]any{})
}
