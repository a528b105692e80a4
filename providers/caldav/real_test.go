package caldav_test

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/caldavreal"
	"github.com/busyd/busyd/providers/providertest/conformance"
	"github.com/busyd/busyd/providers/transport"
	"github.com/busyd/busyd/sync/recur"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// realAccount is a calendar of its own at a real server.
type realAccount struct {
	account
	server   *caldavreal.Server
	calendar string
}

func onReal(server *caldavreal.Server) conformance.Harness {
	rt := transport.New(transport.Config{Allow: loopback})
	var made atomic.Int64
	return conformance.Harness{Expand: recur.New(), New: func(t *testing.T) conformance.Account {
		calendar := fmt.Sprintf("calendar-%d", made.Add(1))
		server.MakeCalendar(t, calendar)
		login := providers.Login{URL: server.URL, Username: server.Username, Password: busy.Secret(server.Password)}
		return &realAccount{account: newAccount(t, rt, login, "/"+calendar+"/"), server: server, calendar: calendar}
	}}
}

func (a *realAccount) Put(t *testing.T, name string, e providertest.Entry) {
	t.Helper()
	a.server.Put(t, a.calendar, name+".ics", e.ICS(name, a.server.Username))
}

func (a *realAccount) Remove(t *testing.T, name string) {
	t.Helper()
	a.server.Delete(t, a.calendar, name+".ics")
}

func TestConformanceOfRadicale(t *testing.T) {
	conformance.Run(t, onReal(caldavreal.Radicale(t)))
}

func TestConformanceOfXandikos(t *testing.T) {
	conformance.Run(t, onReal(caldavreal.Xandikos(t)))
}
