package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/oauth"
)

// service is a token endpoint, and an API that takes its tokens. Each renewal
// ends the tokens that were before, as strict providers do.
type service struct {
	mu       sync.Mutex
	renewals int
	current  int // number of the tokens that are good
	calls    int
	forms    []url.Values
	lifetime string // expires_in as JSON
	keeps    bool   // the refresh token is not replaced
	token    func(r *http.Request) *http.Response
}

func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/token" {
		return s.api(r), nil
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != nil {
		return s.token(r), nil
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	s.forms = append(s.forms, r.PostForm)
	if r.PostForm.Get("grant_type") == "refresh_token" {
		if !s.keeps && r.PostForm.Get("refresh_token") != fmt.Sprintf("refresh-%d", s.current) {
			return answer(r, http.StatusBadRequest, `{"error":"invalid_grant"}`), nil
		}
		s.renewals++
	}
	s.current++
	refresh := fmt.Sprintf(`"refresh_token":"refresh-%d",`, s.current)
	if s.keeps {
		refresh = ""
	}
	return answer(r, http.StatusOK, fmt.Sprintf(`{"access_token":"access-%d",%s"token_type":"Bearer","expires_in":%s}`, s.current, refresh, s.lifetime)), nil
}

func (s *service) api(r *http.Request) *http.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	body := []byte("nothing")
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	if r.Header.Get("Authorization") != fmt.Sprintf("Bearer access-%d", s.current) {
		return answer(r, http.StatusUnauthorized, `refused`)
	}
	return answer(r, http.StatusOK, "got "+string(body))
}

func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(body)),
	}
}

// storage holds a grant for all daemons, under a lock.
type storage struct {
	mu      sync.Mutex
	grant   busy.Secret
	commits int
	fails   error // of the commit
}

func (s *storage) renew(ctx context.Context, f func(context.Context, busy.Secret) (busy.Secret, error)) (busy.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, err := f(ctx, s.grant)
	if err != nil {
		return nil, err
	}
	if s.fails != nil {
		return nil, s.fails
	}
	if string(next) != string(s.grant) {
		s.commits++
	}
	s.grant = next
	return next, nil
}

func (s *storage) stored(t *testing.T) oauth.Grant {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := oauth.Read(s.grant)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var start = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func app(s *service, c *clock) *oauth.App {
	return &oauth.App{
		ClientID: "id", ClientSecret: busy.Secret("hush"), HTTP: s, Now: c.now, Scopes: []string{"read"},
		Endpoint: oauth2.Endpoint{AuthURL: "https://idp.test/authorize", TokenURL: "https://idp.test/token", AuthStyle: oauth2.AuthStyleInParams},
	}
}

// world is a service with tokens number 1, and a storage that holds them.
func world() (*service, *clock, *storage) {
	s := &service{current: 1, lifetime: "3600"}
	grant := oauth.Grant{Refresh: "refresh-1", Access: "access-1", Expires: start.Add(time.Hour), Account: "who"}
	return s, &clock{start}, &storage{grant: grant.Secret()}
}

func source(t *testing.T, a *oauth.App, st *storage) *oauth.Source {
	t.Helper()
	st.mu.Lock()
	defer st.mu.Unlock()
	src, err := a.Source(providers.Account{Grant: st.grant, Renew: st.renew})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func token(t *testing.T, s *oauth.Source) string {
	t.Helper()
	access, err := s.Token(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return access
}

func get(t *testing.T, rt http.RoundTripper, body io.Reader) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "https://api.test/", body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := rt.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

func TestCodeFlow(t *testing.T) {
	s, c, _ := world()
	a := app(s, c)
	consent := providers.Consent{State: "state", Verifier: oauth2.GenerateVerifier(), Redirect: "https://busyd.test/back"}
	u, err := url.Parse(a.AuthorizationURL(consent, a.Scopes, oauth2.AccessTypeOffline))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("state") != "state" || q.Get("code_challenge") != oauth2.S256ChallengeFromVerifier(consent.Verifier) ||
		q.Get("code_challenge_method") != "S256" || q.Get("redirect_uri") != consent.Redirect || q.Get("scope") != "read" {
		t.Errorf("the browser goes to %v", q)
	}
	if strings.Contains(u.String(), consent.Verifier) || strings.Contains(u.String(), "hush") {
		t.Error("the address tells a secret")
	}
	got, err := a.Exchange(context.Background(), consent, "code")
	if err != nil || got.AccessToken != "access-2" || got.RefreshToken != "refresh-2" || !got.Expiry.Equal(start.Add(time.Hour)) {
		t.Errorf("%+v, %v", got, err)
	}
	form := s.forms[0]
	for name, want := range map[string]string{
		"grant_type": "authorization_code", "code": "code", "code_verifier": consent.Verifier, "redirect_uri": consent.Redirect,
		"client_id": "id", "client_secret": "hush",
	} {
		if form.Get(name) != want {
			t.Errorf("%s is %q", name, form.Get(name))
		}
	}
}

func TestTokenIsKept(t *testing.T) {
	s, c, st := world()
	src := source(t, app(s, c), st)
	for _, want := range []struct {
		after time.Duration
		token string
	}{{0, "access-1"}, {57 * time.Minute, "access-1"}, {58 * time.Minute, "access-2"}, {time.Hour, "access-2"}} {
		c.at = start.Add(want.after)
		if got := token(t, src); got != want.token {
			t.Errorf("after %v: %s, want %s", want.after, got, want.token)
		}
	}
	if s.renewals != 1 || st.commits != 1 {
		t.Errorf("%d renewals, %d commits", s.renewals, st.commits)
	}
	if g := st.stored(t); g.Refresh != "refresh-2" || g.Account != "who" || !g.Expires.Equal(start.Add(58*time.Minute+time.Hour)) {
		t.Errorf("stored: %+v", g)
	}
}

func TestRefreshTokenStays(t *testing.T) {
	s, c, st := world()
	s.keeps = true
	c.at = start.Add(2 * time.Hour)
	_ = token(t, source(t, app(s, c), st))
	if g := st.stored(t); g.Refresh != "refresh-1" || g.Access != "access-2" {
		t.Errorf("stored: %+v", g)
	}
}

// TestLifetimeUnknown: an answer without expires_in does not renew for ever.
func TestLifetimeUnknown(t *testing.T) {
	s, c, st := world()
	s.lifetime = "0"
	c.at = start.Add(2 * time.Hour)
	src := source(t, app(s, c), st)
	_, _ = token(t, src), token(t, src)
	if s.renewals != 1 {
		t.Errorf("%d renewals", s.renewals)
	}
}

// TestCommittedBeforeUse: a token that could not be stored is not used, for
// nobody could renew it again.
func TestCommittedBeforeUse(t *testing.T) {
	s, c, st := world()
	src := source(t, app(s, c), st)
	c.at = start.Add(2 * time.Hour)
	st.fails = errors.New("the database is away")
	if access, err := src.Token(context.Background()); !errors.Is(err, st.fails) || access != "" {
		t.Errorf("%q, %v", access, err)
	}
	r, _ := http.NewRequest(http.MethodGet, "https://api.test/", nil)
	if _, err := src.Transport(s).RoundTrip(r); err == nil {
		t.Error("a request was sent")
	}
	if s.calls != 0 {
		t.Errorf("%d requests were sent", s.calls)
	}
	if g := src.Grant(); g.Access != "access-1" {
		t.Errorf("the session holds %s", g.Access)
	}
}

// TestTwoDaemons: of sessions in many daemons one renews; the others take what it
// stored. Were two to renew, the second would present a token that is spent.
func TestTwoDaemons(t *testing.T) {
	s, c, st := world()
	c.at = start.Add(2 * time.Hour)
	const daemons = 8
	sources := make([]*oauth.Source, daemons)
	for i := range sources {
		sources[i] = source(t, app(s, c), st)
	}
	var all sync.WaitGroup
	for _, src := range sources {
		all.Go(func() {
			if access, err := src.Token(context.Background()); err != nil || access != "access-2" {
				t.Errorf("%q, %v", access, err)
			}
		})
	}
	all.Wait()
	if s.renewals != 1 || st.commits != 1 {
		t.Errorf("%d renewals, %d commits", s.renewals, st.commits)
	}
}

// TestRefusedMeanwhile: many sessions are refused the same token; one renewal
// serves them all.
func TestRefusedMeanwhile(t *testing.T) {
	s, c, st := world()
	first, second := source(t, app(s, c), st), source(t, app(s, c), st)
	s.current = 7 // another has renewed
	grant := st.stored(t)
	grant.Refresh = "refresh-7"
	st.grant = grant.Secret() // with the access token that is refused
	for _, src := range []*oauth.Source{first, second} {
		status, body := get(t, src.Transport(s), strings.NewReader("hello"))
		if status != http.StatusOK || body != "got hello" {
			t.Errorf("%d %s", status, body)
		}
	}
	if s.renewals != 1 {
		t.Errorf("%d renewals, want 1", s.renewals)
	}
}

// TestRefusedTwice: a second 401 is handed on, and nothing is tried again.
func TestRefusedTwice(t *testing.T) {
	s, c, st := world()
	refusing := roundTripper(func(r *http.Request) (*http.Response, error) {
		s.calls++
		return answer(r, http.StatusUnauthorized, "refused"), nil
	})
	status, _ := get(t, source(t, app(s, c), st).Transport(refusing), nil)
	if status != http.StatusUnauthorized || s.calls != 2 || s.renewals != 1 {
		t.Errorf("%d after %d requests and %d renewals", status, s.calls, s.renewals)
	}
}

// TestBodyOnce: a body that cannot be read twice is not sent twice.
func TestBodyOnce(t *testing.T) {
	s, c, st := world()
	s.current = 2
	status, _ := get(t, source(t, app(s, c), st).Transport(s), io.MultiReader(strings.NewReader("once")))
	if status != http.StatusUnauthorized || s.calls != 1 {
		t.Errorf("%d after %d requests", status, s.calls)
	}
}

// TestWithoutStorage: an account that is just being connected renews for itself.
func TestWithoutStorage(t *testing.T) {
	s, c, st := world()
	src, err := app(s, c).Source(providers.Account{Grant: st.grant})
	if err != nil {
		t.Fatal(err)
	}
	c.at = start.Add(2 * time.Hour)
	if got := token(t, src); got != "access-2" || src.Grant().Refresh != "refresh-2" {
		t.Errorf("%s, %+v", got, src.Grant())
	}
}

func TestGrantIsNoText(t *testing.T) {
	for _, text := range []string{"", "x", "{}", `{"refresh":""}`, `[]`} {
		if _, err := oauth.Read(busy.Secret(text)); providers.FaultOf(err) != providers.Revoked {
			t.Errorf("%q: %v", text, err)
		}
	}
	g := oauth.Grant{Refresh: "refresh-1", Access: "a", Expires: start, Account: "who", Scopes: []string{"x"}}
	if back, err := oauth.Read(g.Secret()); err != nil || fmt.Sprint(back) != fmt.Sprint(g) {
		t.Errorf("%+v, %v", back, err)
	}
	if text := fmt.Sprint(g.Secret()); strings.Contains(text, "refresh-1") {
		t.Errorf("printed as %s", text)
	}
}

// TestRefusals: what each answer of the token endpoint means, and that nothing of
// it is in the error. A refusal leaves the stored grant as it is.
func TestRefusals(t *testing.T) {
	const secret = "SECRET"
	for _, c := range []struct {
		status int
		body   string
		header string
		want   providers.Fault
		code   string
		after  time.Duration
	}{
		{400, `{"error":"invalid_grant","error_description":"SECRET"}`, "", providers.Revoked, "invalid_grant", 0},
		{401, `{"error":"invalid_client","error_uri":"SECRET"}`, "", providers.Operator, "invalid_client", 0},
		{400, `{"error":"unauthorized_client"}`, "", providers.Operator, "unauthorized_client", 0},
		{400, `{"error":"invalid_request"}`, "", providers.Rejected, "invalid_request", 0},
		{400, `{"error":"invalid_scope"}`, "", providers.Rejected, "invalid_scope", 0},
		{400, `{"error":"SECRET"}`, "", providers.Transient, "token_endpoint_failed", 0},
		{400, `SECRET`, "", providers.Transient, "token_endpoint_failed", 0},
		{429, `SECRET`, "90", providers.Throttled, "token_throttled", 90 * time.Second},
		{503, `SECRET`, "90", providers.Throttled, "token_throttled", 90 * time.Second},
		{500, `SECRET`, "", providers.Transient, "token_endpoint_failed", 0},
		{200, `SECRET`, "", providers.Transient, "token_answer_unreadable", 0},
		{200, `{"token":"SECRET"}`, "", providers.Transient, "token_answer_unreadable", 0},
		{400, `{"error":"our_own"}`, "", providers.AwaitingAdmin, "ours", 0},
	} {
		s, clk, st := world()
		clk.at = start.Add(2 * time.Hour)
		s.token = func(r *http.Request) *http.Response {
			a := answer(r, c.status, c.body)
			a.Header.Set("Retry-After", c.header)
			return a
		}
		a := app(s, clk)
		a.Refusal = func(e *oauth2.RetrieveError) *providers.Error {
			if e.ErrorCode == "our_own" {
				return &providers.Error{Fault: providers.AwaitingAdmin, Code: "ours"}
			}
			return nil
		}
		_, err := source(t, a, st).Token(context.Background())
		if providers.FaultOf(err) != c.want || providers.CodeOf(err) != c.code || providers.AfterOf(err) != c.after {
			t.Errorf("%d %s: %v after %v", c.status, c.body, err, providers.AfterOf(err))
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if text := fmt.Sprintf("%+v", e); strings.Contains(text, secret) || strings.Contains(text, "idp.test") || strings.Contains(text, "refresh-") {
				t.Errorf("the error tells %s", text)
			}
		}
		if g := st.stored(t); g.Refresh != "refresh-1" || st.commits != 0 {
			t.Errorf("%s: stored %+v", c.code, g)
		}
	}
}

// TestNetwork: a transport's error keeps its code, any other loses its words; a
// caller who gave up is told that.
func TestNetwork(t *testing.T) {
	failing := func(err error) error {
		s, c, st := world()
		c.at = start.Add(2 * time.Hour)
		a := app(s, c)
		a.HTTP = roundTripper(func(*http.Request) (*http.Response, error) { return nil, err })
		_, err = source(t, a, st).Token(context.Background())
		return err
	}
	if err := failing(&providers.Error{Code: "dns"}); providers.CodeOf(err) != "dns" {
		t.Errorf("%v", err)
	}
	if err := failing(errors.New("dial idp.test")); providers.CodeOf(err) != "network" || strings.Contains(err.Error(), "idp.test") {
		t.Errorf("%v", err)
	}
	s, c, st := world()
	c.at = start.Add(2 * time.Hour)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := source(t, app(s, c), st).Token(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestNoRedirects: secrets do not follow a redirect.
func TestNoRedirects(t *testing.T) {
	s, c, st := world()
	c.at = start.Add(2 * time.Hour)
	asked := 0
	s.token = func(r *http.Request) *http.Response {
		asked++
		a := answer(r, http.StatusTemporaryRedirect, "")
		a.Header.Set("Location", "https://evil.test/token")
		return a
	}
	if _, err := source(t, app(s, c), st).Token(context.Background()); err == nil {
		t.Error("no error")
	}
	if asked != 1 {
		t.Errorf("%d requests", asked)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
