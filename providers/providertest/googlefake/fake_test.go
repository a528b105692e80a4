package googlefake_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/googlefake"
)

const (
	host     = "https://google.test"
	verifier = "a-verifier-of-at-least-forty-three-characters"
	both     = "https://www.googleapis.com/auth/calendar.calendarlist.readonly https://www.googleapis.com/auth/calendar.events.readonly"
)

// client speaks to the fake by hand.
type client struct {
	t      *testing.T
	server *googlefake.Server
	access string
}

func (c client) do(method, path string, body io.Reader, header ...string) (int, map[string]any) {
	c.t.Helper()
	r, err := http.NewRequest(method, host+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.access != "" {
		r.Header.Set("Authorization", "Bearer "+c.access)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := c.server.Transport().RoundTrip(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var decoded map[string]any
	_ = json.NewDecoder(answer.Body).Decode(&decoded)
	return answer.StatusCode, decoded
}

func (c client) events(q url.Values) (int, map[string]any) {
	c.t.Helper()
	if !q.Has("fields") {
		q.Set("fields", "nextPageToken,nextSyncToken,items(id,status,summary)")
	}
	return c.do(http.MethodGet, googlefake.CalendarPath+"calendars/primary/events?"+q.Encode(), nil)
}

func authorizationQuery(changes ...string) string {
	q := url.Values{
		"client_id": {"busyd.apps.googleusercontent.test"}, "redirect_uri": {"https://busyd.test/callback"}, "response_type": {"code"},
		"scope": {both}, "state": {"s"}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
		"access_type": {"offline"}, "prompt": {"consent"},
	}
	for i := 0; i < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
	}
	return host + googlefake.AuthorizePath + "?" + q.Encode()
}

func (c client) token(form url.Values) (int, map[string]any) {
	c.t.Helper()
	for name, value := range map[string]string{"client_id": "busyd.apps.googleusercontent.test", "client_secret": "registered"} {
		if !form.Has(name) {
			form.Set(name, value)
		}
	}
	return c.do(http.MethodPost, googlefake.TokenPath, strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
}

func exchange(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"https://busyd.test/callback"}, "code_verifier": {verifier},
	}
}

func connect(t *testing.T, server *googlefake.Server, c googlefake.Consent) (client, string) {
	t.Helper()
	callback, err := server.Approve(authorizationQuery(), c)
	if err != nil {
		t.Fatal(err)
	}
	who := client{t: t, server: server}
	status, token := who.token(exchange(callback.Get("code")))
	if status != http.StatusOK {
		t.Fatalf("exchange: %d %v", status, token)
	}
	who.access, _ = token["access_token"].(string)
	refresh, _ := token["refresh_token"].(string)
	return who, refresh
}

func entry() providertest.Entry {
	return providertest.Entry{Subject: "x", Start: busy.DateOf(2026, 3, 2), End: busy.DateOf(2026, 3, 3)}
}

// TestStrict: what Google's documentation refuses is refused.
func TestStrict(t *testing.T) {
	server := googlefake.New(googlefake.Options{})
	server.Put(server.Primary(), "a", entry())
	c, _ := connect(t, server, googlefake.Consent{})
	status, first := c.events(url.Values{"maxResults": {"10"}, "timeMin": {"2026-01-01T00:00:00Z"}})
	token, _ := first["nextSyncToken"].(string)
	if status != http.StatusOK || token == "" {
		t.Fatalf("%d %v", status, first)
	}
	for name, q := range map[string]url.Values{
		"timeMin":              {"syncToken": {token}, "maxResults": {"10"}, "timeMin": {"2026-01-01T00:00:00Z"}},
		"orderBy":              {"syncToken": {token}, "maxResults": {"10"}, "orderBy": {"updated"}},
		"showDeleted":          {"syncToken": {token}, "maxResults": {"10"}, "showDeleted": {"false"}},
		"another page size":    {"syncToken": {token}, "maxResults": {"11"}},
		"another mask":         {"syncToken": {token}, "maxResults": {"10"}, "fields": {"nextSyncToken"}},
		"a token of no one":    {"syncToken": {"x"}, "maxResults": {"10"}},
		"a page of no one":     {"pageToken": {"x"}, "maxResults": {"10"}},
		"pages too large":      {"maxResults": {"2501"}},
		"no pages":             {"maxResults": {"0"}},
		"timeMin without zone": {"timeMin": {"2026-01-01T00:00:00"}},
		"unknown parameter":    {"since": {"x"}},
		"unknown field":        {"fields": {"items(nonsense)"}},
		"unbalanced fields":    {"fields": {"items(id"}},
		"no fields":            {"fields": {""}},
	} {
		if status, body := c.events(q); status != http.StatusBadRequest {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
	if status, body := c.events(url.Values{"syncToken": {token}, "maxResults": {"10"}}); status != http.StatusOK || len(body["items"].([]any)) != 0 {
		t.Errorf("as it should be: %d %v", status, body)
	}
	server.ForgetTokens()
	if status, _ := c.events(url.Values{"syncToken": {token}, "maxResults": {"10"}}); status != http.StatusGone {
		t.Errorf("a token that was forgotten: %d", status)
	}
}

// TestMask: without nextSyncToken in it, none is sent; and attendees are the
// account's only.
func TestMask(t *testing.T) {
	server := googlefake.New(googlefake.Options{})
	server.Put(server.Primary(), "a", entry())
	c, _ := connect(t, server, googlefake.Consent{})
	_, body := c.events(url.Values{"fields": {"nextPageToken,items(attendees(self))"}, "maxAttendees": {"1"}})
	if got := fmt.Sprint(body); got != "map[items:[map[attendees:[map[self:true]]]]]" {
		t.Errorf("answered %s", got)
	}
	_, body = c.events(url.Values{"fields": {"items(attendees)"}})
	if got := len(body["items"].([]any)[0].(map[string]any)["attendees"].([]any)); got != 2 {
		t.Errorf("%d attendees without a bound", got)
	}
}

func TestScopes(t *testing.T) {
	server := googlefake.New(googlefake.Options{})
	scopes := strings.Fields(both)
	c, _ := connect(t, server, googlefake.Consent{Untick: scopes[1:]})
	if status, _ := c.events(url.Values{}); status != http.StatusForbidden {
		t.Errorf("events without their scope: %d", status)
	}
	c, _ = connect(t, server, googlefake.Consent{Untick: scopes[:1]})
	if status, _ := c.do(http.MethodGet, googlefake.CalendarPath+"users/me/calendarList?fields=items", nil); status != http.StatusForbidden {
		t.Errorf("the list without its scope: %d", status)
	}
	c.access = "ya29.nobody's"
	if status, _ := c.events(url.Values{}); status != http.StatusUnauthorized {
		t.Errorf("a token of no one: %d", status)
	}
}

func TestTokens(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	server := googlefake.New(googlefake.Options{Rotate: true, Now: func() time.Time { return now }})
	c, refresh := connect(t, server, googlefake.Consent{})
	if status, _ := c.events(url.Values{}); status != http.StatusOK {
		t.Fatalf("with a new token: %d", status)
	}
	now = now.Add(time.Hour)
	if status, _ := c.events(url.Values{}); status != http.StatusUnauthorized {
		t.Errorf("an hour later: %d", status)
	}
	renew := func(token, secret string) (int, map[string]any) {
		return c.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_secret": {secret}})
	}
	if status, body := renew(refresh, "wrong"); status != http.StatusUnauthorized || body["error"] != "invalid_client" {
		t.Errorf("another secret: %d %v", status, body)
	}
	status, body := renew(refresh, "registered")
	if status != http.StatusOK || body["refresh_token"] == refresh {
		t.Fatalf("renewed: %d %v", status, body)
	}
	if status, body := renew(refresh, "registered"); status != http.StatusBadRequest || body["error"] != "invalid_grant" {
		t.Errorf("a token that was replaced: %d %v", status, body)
	}
	server.Withdraw()
	if status, body := renew(body["refresh_token"].(string), "registered"); status != http.StatusBadRequest || body["error"] != "invalid_grant" {
		t.Errorf("after withdrawal: %d %v", status, body)
	}
}

func TestAuthorizationIsChecked(t *testing.T) {
	server := googlefake.New(googlefake.Options{Redirects: []string{"https://busyd.test/callback"}})
	for name, changes := range map[string][]string{
		"another client":      {"client_id", "x"},
		"another redirect":    {"redirect_uri", "https://evil.test/"},
		"no code":             {"response_type", "token"},
		"no scope":            {"scope", ""},
		"no state":            {"state", ""},
		"no challenge":        {"code_challenge", ""},
		"a plain challenge":   {"code_challenge_method", "plain"},
		"a challenge by none": {"code_challenge_method", ""},
	} {
		if _, err := server.Approve(authorizationQuery(changes...), googlefake.Consent{}); err == nil {
			t.Errorf("%s was approved", name)
		}
	}
	// Without forced consent, the second time brings no refresh token.
	_, _ = connect(t, server, googlefake.Consent{})
	callback, err := server.Approve(authorizationQuery("prompt", "none"), googlefake.Consent{})
	if err != nil {
		t.Fatal(err)
	}
	c := client{t: t, server: server}
	if _, body := c.token(exchange(callback.Get("code"))); body["refresh_token"] != nil {
		t.Error("a refresh token without forced consent")
	}
}

// TestConsentPage: a browser gets there and back.
func TestConsentPage(t *testing.T) {
	server := googlefake.New(googlefake.Options{})
	listening := httptest.NewServer(server)
	defer listening.Close()
	at := strings.Replace(authorizationQuery(), host, listening.URL, 1)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	shown, err := browser.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(shown.Body)
	_ = shown.Body.Close()
	if shown.StatusCode != http.StatusOK || strings.Count(string(text), `type="checkbox"`) != 2 {
		t.Fatalf("%d %s", shown.StatusCode, text)
	}
	for name, c := range map[string]struct {
		form url.Values
		want url.Values
	}{
		"allowed":  {url.Values{"answer": {"allow"}, "scope": strings.Fields(both)}, url.Values{"scope": {both}}},
		"in part":  {url.Values{"answer": {"allow"}, "scope": strings.Fields(both)[:1]}, url.Values{"scope": strings.Fields(both)[:1]}},
		"declined": {url.Values{"answer": {"deny"}}, url.Values{"error": {"access_denied"}}},
	} {
		back, err := browser.PostForm(at, c.form)
		if err != nil {
			t.Fatal(err)
		}
		_ = back.Body.Close()
		to, err := back.Location()
		if err != nil || to.Host != "busyd.test" || to.Query().Get("state") != "s" {
			t.Fatalf("%s: %v, %v", name, to, err)
		}
		for key := range c.want {
			if got := to.Query().Get(key); got != c.want.Get(key) {
				t.Errorf("%s: %s is %q", name, key, got)
			}
		}
	}
}

// TestDelivery: pushes are told of at once where somebody listens.
func TestDelivery(t *testing.T) {
	var told []googlefake.Push
	server := googlefake.New(googlefake.Options{Push: func(p googlefake.Push) { told = append(told, p) }})
	c, _ := connect(t, server, googlefake.Consent{})
	status, _ := c.do(http.MethodPost, googlefake.CalendarPath+"calendars/primary/events/watch",
		strings.NewReader(`{"id":"one","type":"web_hook","address":"https://busyd.test/push","token":"t"}`))
	if status != http.StatusOK {
		t.Fatalf("watch: %d", status)
	}
	server.Put(server.Primary(), "a", entry())
	server.Remove(server.Primary(), "a")
	if len(told) != 2 || told[1].Header.Get("X-Goog-Message-Number") != "3" || told[1].Address != "https://busyd.test/push" {
		t.Errorf("told of %+v", told)
	}
	if queued := server.Pushes(); len(queued) != 3 || queued[0].Header.Get("X-Goog-Resource-State") != "sync" {
		t.Errorf("%d are queued", len(queued))
	}
}

// challengeOf is PKCE's S256 (RFC 7636 §4.2).
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
