package feed_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/feed"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/conformance"
	"github.com/busyd/busyd/providers/providertest/feedfake"
	"github.com/busyd/busyd/sync/recur"
)

const owner = "alice@fake.test"

// account is a feed at the fake, read in small pages.
type account struct {
	server   *feedfake.Server
	provider *feed.Provider
	grant    busy.Secret
	remote   busy.Secret
}

func connect(t testing.TB, o feedfake.Options) *account {
	t.Helper()
	server := feedfake.New(o)
	provider := feed.New(feed.Config{HTTP: server.Transport(), Now: server.Now, PageObjects: 20})
	grant, err := provider.Connect(context.Background(), providers.Login{
		URL: server.URL(), Username: o.Username, Password: busy.Secret(o.Password),
	})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	a := &account{server: server, provider: provider, grant: grant}
	found, err := a.session(t).Calendars(context.Background())
	if err != nil || len(found) != 1 {
		t.Fatalf("%d calendars, %v", len(found), err)
	}
	a.remote = found[0].Remote
	t.Cleanup(func() {
		for _, r := range server.Requests() {
			if r.Refused != "" {
				t.Errorf("the server refused %s", r.Refused)
			}
		}
	})
	return a
}

func (a *account) session(t testing.TB) providers.Session {
	t.Helper()
	session, err := a.provider.Open(context.Background(), providers.Account{Grant: a.grant})
	if err != nil {
		t.Fatalf("open a session: %v", err)
	}
	return session
}

func (a *account) Open(t *testing.T) providers.Session { return a.session(t) }
func (a *account) Remote() busy.Secret                 { return a.remote }
func (a *account) Requests() int                       { return len(a.server.Requests()) }

func (a *account) Put(_ *testing.T, name string, e providertest.Entry) {
	a.server.Put(name, e.ICS(name, owner))
}

func (a *account) Remove(_ *testing.T, name string) { a.server.Delete(name) }

func (a *account) PutUnreadable(_ *testing.T, name string) {
	a.server.Put(name, "BEGIN:VEVENT\r\nUID:"+name+"\r\nDTSTART:"+providertest.Mark+"\r\nEND:VEVENT\r\n")
}

func (a *account) RemoveCalendar(*testing.T) { a.server.Unpublish() }
func (a *account) Heal(*testing.T)           { a.server.Heal() }

func (a *account) Break(t *testing.T, f providertest.Failure) {
	t.Helper()
	switch f {
	case providertest.Down:
		a.server.FailNext(feedfake.Status(http.StatusInternalServerError, "").Times(-1))
	case providertest.Busy:
		a.server.FailNext(feedfake.Status(http.StatusServiceUnavailable, "120").Times(-1))
	case providertest.Locked:
		a.server.FailNext(feedfake.Status(http.StatusUnauthorized, "").Times(-1))
	case providertest.LockedOnce:
		a.server.FailNext(feedfake.Status(http.StatusUnauthorized, ""))
	case providertest.Forgetful:
		a.server.FailNext(feedfake.Condition().Times(-1))
	case providertest.Empty:
		a.server.FailNext(feedfake.Body("").Times(-1))
	case providertest.CutOff:
		a.server.FailNext(feedfake.CutOff(0.9).Times(-1))
	case providertest.Foreign:
		a.server.FailNext(feedfake.Body("<!DOCTYPE html><html><body>Sign in " + providertest.Mark + "</body></html>").Times(-1))
	default:
		t.Fatalf("the fake cannot fail like this: %s", f)
	}
}

// harness is without the failures that a file has no way of: nothing is fetched
// apart from it, and if it is missing, then the calendar is.
func harness(o feedfake.Options) conformance.Harness {
	return conformance.Harness{
		Expand: recur.New(),
		New:    func(t *testing.T) conformance.Account { return connect(t, o) },
		Cannot: []providertest.Failure{providertest.Missing, providertest.DropsObjects},
	}
}

func TestConformance(t *testing.T) {
	for name, o := range map[string]feedfake.Options{
		"etags":                  {Name: owner},
		"weak etags":             {Name: owner, Validators: feedfake.Weak},
		"dates":                  {Name: owner, Validators: feedfake.Dates},
		"no validators":          {Name: owner, Validators: feedfake.None},
		"validators ignored":     {Name: owner, Validators: feedfake.Ignored},
		"volatile etags, stamps": {Name: owner, Validators: feedfake.Volatile, Stamps: true},
		"stamps":                 {Name: owner, Validators: feedfake.None, Stamps: true},
		"password":               {Username: owner, Password: "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, harness(o))
		})
	}
}

func TestConformanceUnderFaults(t *testing.T) {
	t.Run("etags", func(t *testing.T) { conformance.RunFaults(t, harness(feedfake.Options{Name: owner})) })
	t.Run("stamps", func(t *testing.T) {
		h := harness(feedfake.Options{Username: owner, Validators: feedfake.Volatile, Stamps: true})
		h.Cannot = append(h.Cannot, providertest.Forgetful) // no request is conditional
		conformance.RunFaults(t, h)
	})
}
