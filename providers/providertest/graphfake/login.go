package graphfake

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// code is one that a browser carries to the client.
type code struct {
	challenge, redirect, person string
	scopes                      []string
	used                        bool
}

type grant struct {
	person string
	scopes []string
}

type access struct {
	scopes  []string
	expires time.Time
}

func (a access) has(name string) bool {
	return slices.ContainsFunc(a.scopes, func(s string) bool { return strings.HasSuffix(s, "/"+name) })
}

var permissions = []string{
	"openid", "profile", "email", "offline_access",
	"https://graph.microsoft.com/Calendars.ReadBasic", "https://graph.microsoft.com/Calendars.Read",
}

// Refusal is an error of the sign-in service.
type Refusal struct {
	Error   string
	Numbers []int
}

// requested reads an authorization request, and says what is wrong with it.
func (s *Server) requested(q url.Values) (*code, error) {
	scopes := strings.Fields(q.Get("scope"))
	switch {
	case q.Get("client_id") != ClientID:
		return nil, errors.New("AADSTS700016: no such application")
	case q.Get("redirect_uri") != s.Redirect:
		return nil, errors.New("AADSTS50011: the redirect URI is not registered")
	case q.Get("response_type") != "code":
		return nil, errors.New("AADSTS900144: the response type is not code")
	case q.Get("state") == "":
		return nil, errors.New("there is no state")
	case q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43:
		return nil, errors.New("AADSTS9002325: proof key for code exchange is required")
	case !slices.Contains([]string{"", "login", "none", "consent", "select_account"}, q.Get("prompt")):
		return nil, errors.New("AADSTS90023: the prompt is not known")
	case len(scopes) == 0:
		return nil, errors.New("AADSTS900144: there is no scope")
	}
	for _, scope := range scopes {
		if !slices.Contains(permissions, scope) {
			return nil, errors.New("AADSTS70011: the scope is not known")
		}
	}
	return &code{challenge: q.Get("code_challenge"), redirect: q.Get("redirect_uri"), person: s.person, scopes: scopes}, nil
}

// Approve consents to an authorization URL as the person would, and returns where
// the browser is sent.
func (s *Server) Approve(authorization string) (string, error) {
	u, err := url.Parse(authorization)
	if err != nil {
		return "", err
	}
	return s.decide(u.Query(), "approve")
}

// Decline does not consent, or cannot; the number tells why: 65004 for a person who
// does not want to, 90094 for one who may not.
func (s *Server) Decline(authorization string, number int) (string, error) {
	u, err := url.Parse(authorization)
	if err != nil {
		return "", err
	}
	return s.decide(u.Query(), strconv.Itoa(number))
}

// decide returns where the browser is sent.
func (s *Server) decide(q url.Values, decision string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.requested(q)
	if err != nil {
		return "", err
	}
	back := url.Values{"state": {q.Get("state")}}
	switch decision {
	case "approve":
		s.serial++
		name := fmt.Sprintf("0.AXkA-code-%d", s.serial)
		s.codes[name] = c
		back.Set("code", name)
		back.Set("session_state", "fe1540c3-a69a-469a-9fa3-8a2470936421")
	case "90094":
		back.Set("error", "consent_required")
		back.Set("error_description", "AADSTS90094: The grant requires admin permission. Trace ID: 0")
	default:
		back.Set("error", "access_denied")
		back.Set("error_subcode", "cancel")
		back.Set("error_description", "AADSTS"+decision+": User declined to consent to access the app. Trace ID: 0")
	}
	return c.redirect + "?" + back.Encode(), nil
}

var page = template.Must(template.New("consent").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Permissions requested</title></head><body>
<h1>Permissions requested</h1>
<p>A pretended Microsoft account. busyd would like to:</p>
<ul>{{range .}}<li>{{.}}</li>{{end}}</ul>
<form method="post">
<button name="decision" value="approve">Accept</button>
<button name="decision" value="65004">Cancel</button>
<button name="decision" value="90094">I need an administrator</button>
</form></body></html>
`))

func (c *call) authorize() {
	c.mu.Lock()
	asked, err := c.requested(c.form)
	c.mu.Unlock()
	if err != nil {
		c.refused = err.Error()
		http.Error(c.w, err.Error(), http.StatusBadRequest)
		return
	}
	if c.r.Method == http.MethodGet {
		c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(c.w, asked.scopes) // to a recorder
		return
	}
	posted, err := url.ParseQuery(string(c.body))
	if err != nil {
		http.Error(c.w, "no form", http.StatusBadRequest)
		return
	}
	to, err := c.decide(c.form, posted.Get("decision"))
	if err != nil {
		http.Error(c.w, err.Error(), http.StatusBadRequest)
		return
	}
	http.Redirect(c.w, c.r, to, http.StatusFound)
}

// adminConsent lets an administrator consent at once.
func (c *call) adminConsent() {
	if c.form.Get("client_id") != ClientID || c.form.Get("redirect_uri") != c.Redirect || c.form.Get("scope") == "" {
		c.refused = "the request for an administrator's consent is wrong"
		http.Error(c.w, c.refused, http.StatusBadRequest)
		return
	}
	back := url.Values{"admin_consent": {"True"}, "tenant": {directory}, "scope": {c.form.Get("scope")}}
	if state := c.form.Get("state"); state != "" {
		back.Set("state", state)
	}
	http.Redirect(c.w, c.r, c.Redirect+"?"+back.Encode(), http.StatusFound)
}

// token answers at the token endpoint.
func (c *call) token() {
	form, err := url.ParseQuery(string(c.body))
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil || c.r.Method != http.MethodPost:
		c.noToken(http.StatusBadRequest, Refusal{"invalid_request", []int{900144}})
	case form.Get("client_id") != ClientID:
		c.noToken(http.StatusUnauthorized, Refusal{"unauthorized_client", []int{700016}})
	case form.Get("client_secret") == "":
		c.noToken(http.StatusUnauthorized, Refusal{"invalid_client", []int{7000218}})
	case form.Get("client_secret") != ClientSecret:
		c.noToken(http.StatusUnauthorized, Refusal{"invalid_client", []int{7000215}})
	case form.Get("grant_type") == "authorization_code":
		c.exchange(form)
	case form.Get("grant_type") == "refresh_token":
		g := c.refresh[form.Get("refresh_token")]
		switch {
		case c.revoked != nil:
			c.noToken(http.StatusBadRequest, *c.revoked)
		case g == nil:
			c.noToken(http.StatusBadRequest, Refusal{"invalid_grant", []int{70000}})
		default:
			c.grant(g)
		}
	default:
		c.noToken(http.StatusBadRequest, Refusal{"unsupported_grant_type", []int{70003}})
	}
}

func (c *call) exchange(form url.Values) {
	found := c.codes[form.Get("code")]
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case found == nil:
		c.noToken(http.StatusBadRequest, Refusal{"invalid_grant", []int{70000}})
	case found.used:
		c.noToken(http.StatusBadRequest, Refusal{"invalid_grant", []int{54005}})
	case form.Get("redirect_uri") != found.redirect:
		c.noToken(http.StatusBadRequest, Refusal{"invalid_grant", []int{500112}})
	case base64.RawURLEncoding.EncodeToString(sum[:]) != found.challenge:
		c.noToken(http.StatusBadRequest, Refusal{"invalid_grant", []int{501481}})
	default:
		found.used, c.revoked = true, nil
		c.grant(&grant{person: found.person, scopes: found.scopes})
	}
}

// grant answers with tokens. The refresh token is always another one; the one
// before stays good.
func (c *call) grant(g *grant) {
	c.serial++
	token, next := fmt.Sprintf("eyJ0eXAi.access.%d", c.serial), fmt.Sprintf("0.AXkA-refresh-%d", c.serial)
	var granted []string
	for _, s := range g.scopes {
		if s != "offline_access" && !slices.Contains(c.Withheld, s) {
			granted = append(granted, s)
		}
	}
	c.access[token] = access{scopes: granted, expires: c.Now().Add(c.TokenLife)}
	answer := map[string]any{
		"token_type": "Bearer", "scope": strings.Join(granted, " "),
		"expires_in": int(c.TokenLife.Seconds()), "ext_expires_in": int(c.TokenLife.Seconds()), "access_token": token,
	}
	if slices.Contains(g.scopes, "offline_access") {
		c.refresh[next] = g
		answer["refresh_token"] = next
	}
	if slices.Contains(g.scopes, "openid") {
		answer["id_token"] = idToken(g.person)
	}
	c.json(http.StatusOK, answer)
}

func idToken(person string) string {
	claims, err := json.Marshal(map[string]any{
		"ver": "2.0", "iss": "https://login.microsoftonline.com/" + directory + "/v2.0", "sub": person, "aud": ClientID,
	})
	if err != nil {
		panic(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"typ":"JWT","alg":"RS256","kid":"fake"}`)) + "." + encode(claims) + "." + encode([]byte("unsigned"))
}

// noToken answers with an error of the sign-in service.
func (c *call) noToken(status int, r Refusal) {
	first := 0
	if len(r.Numbers) > 0 {
		first = r.Numbers[0]
	}
	c.json(status, map[string]any{
		"error":             r.Error,
		"error_description": fmt.Sprintf("AADSTS%d: The request of %s@fake.test was refused.\r\nTrace ID: 0\r\nTimestamp: 2026-11-24 00:00:00Z", first, mark),
		"error_codes":       r.Numbers, "timestamp": "2026-11-24 00:00:00Z", "trace_id": "0", "correlation_id": "0",
		"error_uri": "https://login.microsoftonline.com/error?code=" + strconv.Itoa(first),
	})
}

// Revoke has the sign-in service refuse every grant in this way until a new one is
// made. Access tokens stay good until they expire.
func (s *Server) Revoke(r Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = &r
}

// Restore takes a Revoke back.
func (s *Server) Restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = nil
}

// ExpireTokens makes every access token that was handed out useless.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access = map[string]access{}
}
