package google_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/google"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/conformance"
	"github.com/busyd/busyd/providers/providertest/googlefake"
	"github.com/busyd/busyd/sync/recur"
)

// now is the clock of all tests.
var now = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// counting counts the requests that pass it.
type counting struct {
	next http.RoundTripper
	n    atomic.Int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.next.RoundTrip(r)
}

// account is an account at the fake, with its grant in storage.
type account struct {
	provider *google.Provider
	server   *googlefake.Server
	sent     *counting
	remote   string

	mu    sync.Mutex
	grant busy.Secret
}

const (
	base     = "https://google.fake.test"
	work     = "work@group.calendar.google.test"
	redirect = "https://busyd.test/v1/oauth/callback"
)

func endpoints() google.Endpoints {
	return google.Endpoints{
		Authorize: base + googlefake.AuthorizePath, Token: base + googlefake.TokenPath,
		Revoke: base + googlefake.RevokePath, Calendar: base + googlefake.CalendarPath,
	}
}

func consent() providers.Consent {
	return providers.Consent{State: "state", Verifier: "a-verifier-of-at-least-forty-three-characters-x", Redirect: redirect}
}

// newAccount connects an account, as its owner would.
func newAccount(t *testing.T, o googlefake.Options) *account {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return now }
	}
	server := googlefake.New(o)
	server.AddCalendar(work, googlefake.Calendar{Title: "Work"})
	a := &account{server: server, sent: &counting{next: server.Transport()}, remote: work}
	id, secret := server.Client()
	a.provider = google.New(google.Config{
		ClientID: id, ClientSecret: busy.Secret(secret), HTTP: a.sent, Now: o.Now, Endpoints: endpoints(),
		PageEvents: 20, PageCalendars: 1,
	})
	a.grant = connected(t, a)
	return a
}

func connected(t *testing.T, a *account) busy.Secret {
	t.Helper()
	callback, err := a.server.Approve(a.provider.AuthorizationURL(consent()), googlefake.Consent{})
	if err != nil {
		t.Fatalf("approve: %v", err)
	}
	grant, err := a.provider.Authorize(context.Background(), consent(), callback)
	if err != nil {
		t.Fatalf("authorize: %v", err)
	}
	return grant
}

func (a *account) Open(t *testing.T) providers.Session {
	t.Helper()
	session, err := a.provider.Open(context.Background(), providers.Account{Grant: a.stored(), Renew: a.renew})
	if err != nil {
		t.Fatalf("open a session: %v", err)
	}
	return session
}

func (a *account) stored() busy.Secret {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.grant
}

func (a *account) renew(ctx context.Context, f func(context.Context, busy.Secret) (busy.Secret, error)) (busy.Secret, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	grant, err := f(ctx, a.grant)
	if err != nil {
		return nil, err
	}
	a.grant = grant
	return grant, nil
}

func (a *account) Remote() busy.Secret { return busy.Secret(a.remote) }
func (a *account) Requests() int       { return int(a.sent.n.Load()) }

func (a *account) Put(_ *testing.T, name string, e providertest.Entry) {
	a.server.Put(a.remote, name, e)
}

func (a *account) Remove(_ *testing.T, name string)           { a.server.Remove(a.remote, name) }
func (a *account) Break(_ *testing.T, f providertest.Failure) { a.server.Break(f) }
func (a *account) Heal(*testing.T)                            { a.server.Heal() }
func (a *account) RemoveCalendar(*testing.T)                  { a.server.RemoveCalendar(a.remote) }

func (a *account) PutUnreadable(_ *testing.T, name string) {
	a.server.PutRaw(a.remote, name, map[string]any{
		"status": "confirmed", "start": map[string]any{"dateTime": providertest.Mark}, "summary": providertest.Mark,
	})
}

// refused fails the test if the fake called a request wrong.
func refused(t *testing.T, server *googlefake.Server) {
	t.Helper()
	for _, r := range server.Requests() {
		if r.Status == http.StatusBadRequest {
			t.Errorf("refused: %s %v", r.Method, r.Query)
		}
	}
}

func harness(o googlefake.Options) conformance.Harness {
	return conformance.Harness{Expand: recur.New(), New: func(t *testing.T) conformance.Account {
		a := newAccount(t, o)
		t.Cleanup(func() { refused(t, a.server) })
		return a
	}}
}

func TestConformance(t *testing.T) {
	for name, o := range map[string]googlefake.Options{
		"plain":        {},
		"hollow pages": {Hollow: true, MaxPage: 7},
		"leaky":        {Leaky: true},
		"far away":     {Zone: "Pacific/Auckland"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, harness(o))
		})
	}
}

func TestConformanceUnderFaults(t *testing.T) {
	for name, o := range map[string]googlefake.Options{"plain": {}, "hollow pages": {Hollow: true, MaxPage: 2}} {
		t.Run(name, func(t *testing.T) { conformance.RunFaults(t, harness(o)) })
	}
}
