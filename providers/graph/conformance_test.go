package graph_test

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/graph"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/conformance"
	"github.com/busyd/busyd/providers/providertest/graphfake"
	"github.com/busyd/busyd/sync/recur"
)

// counting counts the requests that pass it.
type counting struct {
	next http.RoundTripper
	n    atomic.Int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.next.RoundTrip(r)
}

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// clock is one that stands still until it is moved.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(start.Unix())
	return c
}

func (c *clock) Now() time.Time       { return time.Unix(c.at.Load(), 0).UTC() }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d / time.Second)) }
func expander() providertest.Expander { return recur.New() }
func endpoints() graph.Endpoints {
	return graph.Endpoints{Login: graphfake.Login, Graph: graphfake.Graph}
}

func verifier() string                    { return "a-verifier-of-at-least-43-characters-for-PKCE-0" }
func consent(push bool) providers.Consent { return consentIn("state", push) }

func consentIn(state string, push bool) providers.Consent {
	return providers.Consent{State: state, Verifier: verifier(), Redirect: graphfake.Redirect, Push: push}
}

// account is one at the fake, connected as a browser would.
type account struct {
	server   *graphfake.Server
	provider *graph.Provider
	clock    *clock
	sent     *counting
	grant    *busy.Secret
	remote   busy.Secret
}

const work = "Work"

func connect(t *testing.T, o graphfake.Options, c graph.Config, push bool) *account {
	t.Helper()
	a := &account{clock: newClock()}
	o.Expand, o.Now = expander(), a.clock.Now
	a.server = graphfake.New(o)
	a.remote = busy.Secret(a.server.AddCalendar(work))
	a.sent = &counting{next: a.server.Transport()}
	c.ClientID, c.ClientSecret, c.Endpoints = graphfake.ClientID, busy.Secret(graphfake.ClientSecret), endpoints()
	c.HTTP, c.Now = a.sent, a.clock.Now
	a.provider = graph.New(c)
	grant, err := a.authorize(consent(push))
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	a.grant = &grant
	return a
}

func (a *account) authorize(c providers.Consent) (busy.Secret, error) {
	back, err := a.server.Approve(a.provider.AuthorizationURL(c))
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(back)
	if err != nil {
		return nil, err
	}
	return a.provider.Authorize(context.Background(), c, u.Query())
}

func (a *account) Open(t *testing.T) providers.Session {
	t.Helper()
	session, err := a.provider.Open(context.Background(), providers.Account{Grant: *a.grant, Renew: a.renew})
	if err != nil {
		t.Fatalf("open a session: %v", err)
	}
	return session
}

func (a *account) renew(ctx context.Context, f func(context.Context, busy.Secret) (busy.Secret, error)) (busy.Secret, error) {
	grant, err := f(ctx, *a.grant)
	if err == nil {
		*a.grant = grant
	}
	return grant, err
}

func (a *account) Remote() busy.Secret { return a.remote }
func (a *account) Requests() int       { return int(a.sent.n.Load()) }

func (a *account) Put(_ *testing.T, name string, e providertest.Entry) {
	a.server.Put(work, name, e, func(shown map[string]any) {
		if e.Declined {
			return
		}
		shown["responseStatus"] = map[string]any{"response": "organizer"}
	})
}

func (a *account) Remove(_ *testing.T, name string)        { a.server.Remove(work, name) }
func (a *account) PutUnreadable(_ *testing.T, name string) { a.server.PutUnreadable(work, name) }
func (a *account) RemoveCalendar(*testing.T)               { a.server.RemoveCalendar(work) }

func (a *account) Heal(*testing.T) {
	a.server.Heal()
	a.server.Restore()
}

func (a *account) Break(t *testing.T, f providertest.Failure) {
	t.Helper()
	switch f {
	case providertest.Down:
		a.server.FailNext(graphfake.Status(http.StatusInternalServerError, "InternalServerError").Times(-1))
	case providertest.Busy:
		a.server.FailNext(graphfake.Throttle(http.StatusTooManyRequests, "120").Times(-1))
	case providertest.Locked:
		a.server.ExpireTokens()
		a.server.Revoke(graphfake.Refusal{Error: "invalid_grant", Numbers: []int{50173}})
	case providertest.LockedOnce:
		a.server.FailNext(graphfake.Status(http.StatusUnauthorized, "InvalidAuthenticationToken"))
	case providertest.Forgetful:
		a.server.ForgetTokens()
	case providertest.Empty:
		a.server.FailNext(graphfake.Body(`{"@odata.context":"x"}`).Times(-1))
	case providertest.CutOff:
		a.server.FailNext(graphfake.CutOff(0.9).Times(-1))
	case providertest.Foreign:
		a.server.FailNext(graphfake.Body("<!DOCTYPE html><html><body>Sign in " + providertest.Mark + "</body></html>").Times(-1))
	case providertest.Missing:
		a.server.FailNext(graphfake.Status(http.StatusNotFound, "ErrorItemNotFound").Times(-1))
	case providertest.DropsObjects:
		a.server.FailNext(graphfake.Bare(a.server.ID(work, "n1")).Times(-1))
	default:
		t.Fatalf("the fake cannot fail like this: %s", f)
	}
}

// harness makes accounts whose requests a strict server must not have refused.
func harness(o graphfake.Options, c graph.Config, push bool) conformance.Harness {
	return conformance.Harness{Expand: expander(), New: func(t *testing.T) conformance.Account {
		a := connect(t, o, c, push)
		t.Cleanup(func() { refused(t, a.server) })
		return a
	}}
}

func refused(t *testing.T, server *graphfake.Server) {
	t.Helper()
	for _, r := range server.Requests() {
		if r.Refused != "" {
			t.Errorf("%s %s?%s: %s", r.Method, r.Path, r.Query, r.Refused)
		}
	}
}

var (
	small = graph.Config{PageEvents: 20, ViewEvents: 15}
	// tracking asks for deltas even of windows of one page.
	tracking = graph.Config{PageEvents: 20, ViewEvents: 15, Reread: -1}
)

func TestConformance(t *testing.T) {
	for name, run := range map[string]struct {
		server graphfake.Options
		client graph.Config
		push   bool
	}{
		"small windows are read anew": {client: graph.Config{PageEvents: 20}},
		"of small pages":              {client: small},
		"deltas":                      {client: tracking},
		"deltas with empty pages":     {client: tracking, server: graphfake.Options{EmptyPages: true, PageEvents: 7}},
		"deltas of the primary alone": {client: tracking, server: graphfake.Options{Deltas: graphfake.OfPrimary}},
		"deltas of another calendar":  {client: tracking, server: graphfake.Options{Deltas: graphfake.OfPrimaryAs}},
		"no deltas":                   {client: tracking, server: graphfake.Options{Deltas: graphfake.OfNone}},
		"with push":                   {client: tracking, push: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, harness(run.server, run.client, run.push))
		})
	}
}

func TestConformanceUnderFaults(t *testing.T) {
	conformance.RunFaults(t, harness(graphfake.Options{}, tracking, false))
}
