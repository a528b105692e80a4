package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/sync/connect"
)

// accounts are the true service's, with a provider that consents to everything.
type accounts struct{ service *connect.Service }

func newAccounts(s *store.Store) accounts {
	return accounts{connect.New(connect.Config{
		Store: s, Providers: []providers.Provider{consenting{}}, Callback: "https://busyd.example/oauth/callback",
		Now: func() time.Time { return moment },
	})}
}

func (a accounts) Begin(ctx context.Context, c busy.Consent) (string, error) {
	return a.service.Begin(ctx, c)
}

func (a accounts) Finish(ctx context.Context, callback url.Values) (Connected, error) {
	done, err := a.service.Finish(ctx, callback)
	return Connected{done.Connection, done.Calendars, done.Consented}, err
}

func (a accounts) Connect(ctx context.Context, tenant busy.TenantID, resource busy.ResourceID, kind busy.Kind, login Login) (Connected, error) {
	done, err := a.service.Password(ctx, tenant, resource, kind, providers.Login(login))
	return Connected{done.Connection, done.Calendars, done.Consented}, err
}

func (a accounts) AdminConsentURL(kind busy.Kind) string {
	return a.service.AdminConsentURL(kind, false)
}

func (a accounts) Pause(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, paused bool) (busy.Connection, error) {
	return a.service.Pause(ctx, tenant, id, paused)
}

func (a accounts) Disconnect(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID) error {
	return a.service.Disconnect(ctx, tenant, id)
}

func (a accounts) Downgrade(ctx context.Context, tenant busy.TenantID, downgraded bool) error {
	return a.service.Downgrade(ctx, tenant, downgraded)
}

// consenting is a provider, with one calendar, to whose owners everything is fine.
type consenting struct{}

func (consenting) Kind() busy.Kind { return busy.Google }
func (consenting) Open(context.Context, providers.Account) (providers.Session, error) {
	return consenting{}, nil
}

func (consenting) Calendars(context.Context) ([]providers.Calendar, error) {
	return []providers.Calendar{
		{Remote: busy.Secret("primary"), Name: "<b>Mine</b>", Blocking: true},
		{Remote: busy.Secret("other"), Name: "Holidays"},
	}, nil
}

func (consenting) Changes(context.Context, providers.Query) (providers.Page, error) {
	return providers.Page{}, errors.New("is not read")
}

func (consenting) AuthorizationURL(c providers.Consent) string {
	return "https://provider.example/consent?" + url.Values{"state": {c.State}, "redirect_uri": {c.Redirect}}.Encode()
}

func (consenting) Authorize(_ context.Context, c providers.Consent, callback url.Values) (busy.Secret, error) {
	if callback.Get("code") == "" || c.Verifier == "" {
		return nil, busy.Invalid("consent", "was declined: begin anew, and allow what is asked for")
	}
	return busy.Secret("grant"), nil
}

func (consenting) AccountOf(busy.Secret) (busy.Secret, error) {
	return busy.Secret("ada@example.com"), nil
}

// The whole way of a consent over HTTP: begun with a key, ended by a browser.
func TestConsentConnects(t *testing.T) {
	g := newGround(t)
	tenant, mine := g.settle(t, "mine")
	begin := func() url.Values {
		w := serve(g.handler, "POST", "/v1/connections", mine.keys[busy.ScopeAdmin], `{"provider":"google","resource":"`+mine.resource+`"}`)
		if w.Code != http.StatusCreated {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		address, err := url.Parse(strings.Split(w.Body.String(), `"`)[3])
		if err != nil || address.Query().Get("redirect_uri") != "https://busyd.example/oauth/callback" {
			t.Fatalf("%s: %v", w.Body, err)
		}
		return url.Values{"state": {address.Query().Get("state")}, "code": {"4/0A"}}
	}
	back := func(callback url.Values) (int, string) {
		w := serve(g.handler, "GET", "/oauth/callback?"+callback.Encode(), "", "")
		return w.Code, w.Body.String()
	}
	unknown := serve(g.handler, "POST", "/v1/connections", mine.keys[busy.ScopeAdmin], `{"provider":"outlook","resource":"`+mine.resource+`"}`)
	if p := readProblem(t, unknown, 400, "invalid_request"); len(p.Violations) != 1 || p.Violations[0].Field != "provider" {
		t.Errorf("a provider that is none: %v", p.Violations)
	}
	declined := begin()
	declined.Del("code")
	if code, body := back(declined); code != 400 || !strings.Contains(body, "begin anew, and allow") {
		t.Errorf("declined: %d\n%s", code, body)
	}
	good := begin()
	code, body := back(good)
	for _, text := range []string{"Google Calendar is connected", "&lt;b&gt;Mine&lt;/b&gt;", "Holidays", "never kept"} {
		if code != 200 || !strings.Contains(body, text) {
			t.Errorf("%d, without %q:\n%s", code, text, body)
		}
	}
	for name, callback := range map[string]url.Values{"used": good, "unknown": {"state": {"x"}}, "none": {}} {
		if code, body := back(callback); code != 400 || !strings.Contains(body, "Begin anew") {
			t.Errorf("%s: %d\n%s", name, code, body)
		}
	}
	connections, err := g.env.Store.Connections(t.Context(), tenant)
	if err != nil || len(connections) != 2 || connections[1].Kind != busy.Google {
		t.Errorf("connections %v, %v", connections, err)
	}
}

func TestConnectingRefuses(t *testing.T) {
	h := newHouse(t)
	resource := h.tenants[0].resources[0].ID.String()
	for body, field := range map[string]string{
		`{"resource":"` + resource + `"}`:                                                                          "provider",
		`{"provider":"google","resource":"Ada"}`:                                                                   "resource",
		`{"provider":"google","resource":"` + resource + `","connection":"x"}`:                                     "connection",
		`{"provider":"caldav","resource":"` + resource + `","login":{"username":"a"}}`:                             "login",
		`{"provider":"caldav","resource":"` + resource + `","login":{"username":"a","password":"wrong"}}`:          "password",
		`{"provider":"feed","resource":"` + resource + `","login":{"url":"https://example.com/a.ics"}}`:            "password", // refused by the provider: it was asked
		`{"provider":"caldav","resource":"` + resource + `","login":{"username":"a","password":"b","secret":"c"}}`: "secret",
	} {
		p := readProblem(t, h.call("POST", "/v1/connections", adminToken+"_one", body), 400, "invalid_request")
		if len(p.Violations) != 1 || p.Violations[0].Field != field {
			t.Errorf("%s: %v", body, p.Violations)
		}
	}
	body := `{"provider":"caldav","resource":"` + resource + `","login":{"username":"a","password":"right"}}`
	if w := h.call("POST", "/v1/connections", adminToken+"_one", body); w.Code != 201 || !strings.Contains(w.Body.String(), `"calendars":[{`) {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	h.err = &ProviderError{Err: errors.New("away")}
	readProblem(t, h.call("POST", "/v1/connections", adminToken+"_one", body), 502, "provider_unavailable")
	h.err = &ProviderError{AwaitingAdmin: true, AdminURL: "https://provider.example/admin", Err: errors.New("consent_required")}
	readProblem(t, h.call("POST", "/v1/connections", adminToken+"_one", body), 409, "awaiting_admin")
	if w := h.call("GET", "/oauth/callback?state=good", "", ""); w.Code != 409 || !strings.Contains(w.Body.String(), `href="https://provider.example/admin"`) {
		t.Errorf("the page says %d: %s", w.Code, w.Body)
	}
	h.err = nil
	if w := h.call("GET", "/oauth/callback?state=admin", "", ""); w.Code != 200 || !strings.Contains(w.Body.String(), "Nothing is connected yet") {
		t.Errorf("the administrator is told %d: %s", w.Code, w.Body)
	}
}
