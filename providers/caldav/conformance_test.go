package caldav_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/caldav"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/caldavfake"
	"github.com/busyd/busyd/providers/providertest/conformance"
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

// account is what the harnesses share: a provider with small pages that counts
// its requests.
type account struct {
	provider *caldav.Provider
	sent     *counting
	grant    busy.Secret
	remote   busy.Secret
}

func newAccount(t *testing.T, rt http.RoundTripper, login providers.Login, calendar string) account {
	t.Helper()
	sent := &counting{next: rt}
	provider := caldav.New(caldav.Config{HTTP: sent, Resolver: noDNS{}, PageObjects: 20, BatchObjects: 8})
	grant, err := provider.Connect(context.Background(), login)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	a := account{provider: provider, sent: sent, grant: grant}
	session := a.Open(t)
	found, err := session.Calendars(context.Background())
	if err != nil {
		t.Fatalf("list the calendars: %v", err)
	}
	for _, c := range found {
		if strings.Contains(string(c.Remote), calendar) {
			a.remote = c.Remote
			return a
		}
	}
	t.Fatalf("the calendar is not among the %d that the server lists", len(found))
	return a
}

func (a account) Open(t *testing.T) providers.Session {
	t.Helper()
	session, err := a.provider.Open(context.Background(), providers.Account{Grant: a.grant})
	if err != nil {
		t.Fatalf("open a session: %v", err)
	}
	return session
}

func (a account) Remote() busy.Secret { return a.remote }
func (a account) Requests() int       { return int(a.sent.n.Load()) }

// fakeAccount is an account at the fake.
type fakeAccount struct {
	account
	server *caldavfake.Server
}

const work = "work"

func onFake(o caldavfake.Options) conformance.Harness {
	return conformance.Harness{Expand: recur.New(), New: func(t *testing.T) conformance.Account {
		server := caldavfake.New(o)
		server.AddCalendar(work, caldavfake.Properties{Title: "Work"})
		username, password := server.Login()
		login := providers.Login{URL: server.URL(), Username: username, Password: busy.Secret(password)}
		return &fakeAccount{account: newAccount(t, server.Transport(), login, work), server: server}
	}}
}

func (a *fakeAccount) Put(t *testing.T, name string, e providertest.Entry) {
	username, _ := a.server.Login()
	a.server.Put(work, name+".ics", e.ICS(name, username))
}

func (a *fakeAccount) Remove(t *testing.T, name string) { a.server.Delete(work, name+".ics") }

func (a *fakeAccount) PutUnreadable(t *testing.T, name string) {
	a.server.Put(work, name+".ics", "BEGIN:NOTHING\r\n"+providertest.Mark+"\r\n")
}

func (a *fakeAccount) RemoveCalendar(t *testing.T) {
	a.server.AddCalendar("other", caldavfake.Properties{Title: "Other"})
	a.server.RemoveCalendar(work)
}

func (a *fakeAccount) Heal(t *testing.T) { a.server.Heal() }

func (a *fakeAccount) Break(t *testing.T, f providertest.Failure) {
	t.Helper()
	switch f {
	case providertest.Down:
		a.server.FailNext(caldavfake.Status(http.StatusInternalServerError).Times(-1))
	case providertest.Busy:
		a.server.FailNext(caldavfake.Throttle(http.StatusServiceUnavailable, "120").Times(-1))
	case providertest.Locked:
		a.server.FailNext(caldavfake.Status(http.StatusUnauthorized).Times(-1))
	case providertest.LockedOnce:
		a.server.FailNext(caldavfake.Status(http.StatusUnauthorized))
	case providertest.Forgetful:
		a.server.ForgetTokens()
	case providertest.Empty:
		a.server.FailNext(caldavfake.Empty().Times(-1))
	case providertest.CutOff:
		a.server.FailNext(caldavfake.CutOff(0.9).Times(-1))
	case providertest.Foreign:
		a.server.FailNext(caldavfake.Body("<!DOCTYPE html><html><body>Sign in " + providertest.Mark + "</body></html>").Times(-1))
	case providertest.Missing:
		a.server.FailNext(caldavfake.Status(http.StatusNotFound).Times(-1))
	case providertest.DropsObjects:
		a.server.FailNext(caldavfake.Omit("n1").Times(-1).On("calendar-multiget"),
			caldavfake.Status(http.StatusInternalServerError).Times(-1).On(http.MethodGet))
	default:
		t.Fatalf("the fake cannot fail like this: %s", f)
	}
}

// refused fails the test if a strict server would have refused a request.
func refused(t *testing.T, server *caldavfake.Server) {
	t.Helper()
	for _, r := range server.Requests() {
		if r.Refused != "" {
			t.Errorf("%s %s: %s", r.Method, r.Report, r.Refused)
		}
	}
}

func TestConformance(t *testing.T) {
	for name, o := range map[string]caldavfake.Options{
		"sync-tokens":       {},
		"truncated deltas":  {Truncate: 3},
		"tags":              {NoTokens: true},
		"etags only":        {NoTokens: true, NoTags: true},
		"weak etags":        {NoTokens: true, ETags: caldavfake.Weak},
		"unquoted etags":    {NoTokens: true, ETags: caldavfake.Unquoted},
		"home elsewhere":    {HomeHost: "p07-dav.fake.test"},
		"bare status lines": {Bare: true, Absolute: true},
		"several homes":     {Homes: 2, NoSlash: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := onFake(o)
			make := h.New
			h.New = func(t *testing.T) conformance.Account {
				a := make(t)
				t.Cleanup(func() { refused(t, a.(*fakeAccount).server) })
				return a
			}
			conformance.Run(t, h)
		})
	}
}

func TestConformanceUnderFaults(t *testing.T) {
	t.Run("sync-tokens", func(t *testing.T) { conformance.RunFaults(t, onFake(caldavfake.Options{})) })
	t.Run("home elsewhere", func(t *testing.T) {
		conformance.RunFaults(t, onFake(caldavfake.Options{HomeHost: "p07-dav.fake.test"}))
	})
}

// noDNS knows no services.
type noDNS struct{}

func (noDNS) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, &net.DNSError{IsNotFound: true}
}

func (noDNS) LookupTXT(context.Context, string) ([]string, error) {
	return nil, &net.DNSError{IsNotFound: true}
}
