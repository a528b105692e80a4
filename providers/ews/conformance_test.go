package ews_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/ews"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/conformance"
	"github.com/busyd/busyd/providers/providertest/ewsfake"
	"github.com/busyd/busyd/sync/recur"
)

// counting counts the requests that pass it.
type counting struct {
	next http.RoundTripper
	n    *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.next.RoundTrip(r)
}

// account is an account at the fake.
type account struct {
	server   *ewsfake.Server
	provider *ews.Provider
	sent     *atomic.Int64
	grant    busy.Secret
	remote   busy.Secret
}

const work = "work"

func newAccount(t *testing.T, o ewsfake.Options, c ews.Config, login providers.Login) *account {
	t.Helper()
	a := newAccountOf(t, o, c, login)
	a.remote = a.find(t, "Work")
	return a
}

// newAccountOf makes an account without choosing a calendar.
func newAccountOf(t *testing.T, o ewsfake.Options, c ews.Config, login providers.Login) *account {
	t.Helper()
	o.Expand = recur.New()
	a := &account{server: ewsfake.New(o), sent: new(atomic.Int64)}
	a.server.AddCalendar(work, "Work")
	c.Pool = func() http.RoundTripper { return counting{a.server.Transport(), a.sent} }
	a.provider = ews.New(c)
	var err error
	if a.grant, err = a.provider.Connect(context.Background(), login); err != nil {
		t.Fatalf("connect: %v", err)
	}
	return a
}

func login() providers.Login {
	return providers.Login{URL: ewsfake.URL, Username: ewsfake.Username, Password: busy.Secret(ewsfake.Password)}
}

// find lists the calendars and returns the one of this name.
func (a *account) find(t *testing.T, name string) busy.Secret {
	t.Helper()
	found, err := a.Open(t).Calendars(context.Background())
	if err != nil {
		t.Fatalf("list the calendars: %v", err)
	}
	for _, c := range found {
		if c.Name == name {
			return c.Remote
		}
	}
	t.Fatalf("the calendar is not among the %d that the server lists", len(found))
	return nil
}

func (a *account) Open(t *testing.T) providers.Session {
	t.Helper()
	session, err := a.provider.Open(context.Background(), providers.Account{Grant: a.grant})
	if err != nil {
		t.Fatalf("open a session: %v", err)
	}
	return session
}

func (a *account) Remote() busy.Secret { return a.remote }
func (a *account) Requests() int       { return int(a.sent.Load()) }

func (a *account) Put(_ *testing.T, name string, e providertest.Entry) { a.server.Put(work, name, e) }

func (a *account) Remove(_ *testing.T, name string) { a.server.Remove(work, name) }

func (a *account) PutUnreadable(_ *testing.T, name string) { a.server.PutUnreadable(work, name) }

func (a *account) RemoveCalendar(*testing.T) { a.server.RemoveFolder(work) }

func (a *account) Heal(*testing.T) {
	a.server.Heal()
	a.server.Show()
}

func (a *account) Break(t *testing.T, f providertest.Failure) {
	t.Helper()
	switch f {
	case providertest.Down:
		a.server.FailNext(ewsfake.Status(http.StatusInternalServerError).Times(-1))
	case providertest.Busy:
		a.server.FailNext(ewsfake.SOAPFault(http.StatusInternalServerError, "ErrorServerBusy", 120_000).Times(-1))
	case providertest.Locked:
		a.server.FailNext(ewsfake.Status(http.StatusUnauthorized).Times(-1))
	case providertest.LockedOnce:
		a.server.FailNext(ewsfake.Status(http.StatusUnauthorized))
	case providertest.Forgetful:
		a.server.ForgetStates()
	case providertest.Empty:
		a.server.FailNext(ewsfake.Empty().Times(-1))
	case providertest.CutOff:
		a.server.FailNext(ewsfake.CutOff(0.9).Times(-1))
	case providertest.Foreign:
		a.server.FailNext(ewsfake.Body("<!DOCTYPE html><html><body>Sign in " + providertest.Mark + "</body></html>").Times(-1))
	case providertest.Missing:
		a.server.FailNext(ewsfake.Failing("ErrorItemNotFound", 0).Times(-1))
	case providertest.DropsObjects:
		a.server.Hide("calendar:MyResponseType")
		a.server.FailNext(ewsfake.Failing("ErrorItemNotFound", 0).On("GetItem").Times(-1))
	default:
		t.Fatalf("the fake cannot fail like this: %s", f)
	}
}

// refused fails the test if a strict server would have refused a request.
func refused(t *testing.T, server *ewsfake.Server) {
	t.Helper()
	for _, r := range server.Requests() {
		if r.Refused != "" {
			t.Errorf("%s: %s", r.Operation, r.Refused)
		}
	}
}

// on makes accounts at the fake, with pages so small that stories turn them.
func on(o ewsfake.Options) conformance.Harness {
	return conformance.Harness{Expand: recur.New(), New: func(t *testing.T) conformance.Account {
		a := newAccount(t, o, ews.Config{PageEvents: 20}, login())
		t.Cleanup(func() { refused(t, a.server) })
		return a
	}}
}

func TestConformance(t *testing.T) {
	for name, o := range map[string]ewsfake.Options{
		"ntlm":              {},
		"negotiate":         {Schemes: []string{"Negotiate"}},
		"basic":             {Schemes: []string{"Basic"}},
		"exchange 2010":     {Version: "Exchange2010_SP2"},
		"short answers":     {MaxChanges: 3},
		"hidden properties": {Hidden: []string{"calendar:MyResponseType", "calendar:StartTimeZone"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, on(o))
		})
	}
}

func TestConformanceUnderFaults(t *testing.T) {
	t.Run("ntlm", func(t *testing.T) { conformance.RunFaults(t, on(ewsfake.Options{})) })
	t.Run("basic", func(t *testing.T) { conformance.RunFaults(t, on(ewsfake.Options{Schemes: []string{"Basic"}})) })
}
