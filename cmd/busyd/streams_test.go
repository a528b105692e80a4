package main

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/ewsfake"
	"github.com/busyd/busyd/sync/recur"
)

// A change on an Exchange Server is read as soon as the server tells of it, over
// the daemon's own connection: nobody asks for it, and no poll is due for minutes.
func TestExchangeTellsOfChanges(t *testing.T) {
	m := newMachine(t)
	exchange := ewsfake.New(ewsfake.Options{Expand: recur.New()})
	server := httptest.NewUnstartedServer(exchange)
	server.Config.ConnContext = ewsfake.ConnContext
	server.Start()
	t.Cleanup(func() { exchange.CloseStreams(); server.CloseClientConnections(); server.Close() })
	m.must("migrate")
	m.must("tenant", "create", "acme")
	m.must("resource", "create", "Ada", "--tenant", "acme", "--timezone", "Europe/Berlin")
	code, out, errs := m.busydWith(ewsfake.Password, "connection", "add", "exchange", "--tenant", "acme", "--resource", "Ada",
		"--url", server.URL+"/EWS/Exchange.asmx", "--username", ewsfake.Username, "--password-file", "-")
	if code != exitOK {
		t.Fatalf("connection add: exit code %d\n%s%s", code, out, errs)
	}
	address, _ := m.serve()
	exchange.AwaitListener()
	m.must("resync", "--tenant", "acme", "--wait")
	before := object[[]statusView](m, "status", "--tenant", "acme")[0]
	if until := time.Until(before.NextAt); until < 30*time.Second {
		t.Fatalf("a poll is due in %s: this proves nothing", until)
	}
	start := time.Now().UTC().Truncate(time.Hour).Add(24 * time.Hour)
	changed := time.Now()
	exchange.Put(ewsfake.Calendar, "new", providertest.Entry{
		Subject: "Visit", Start: busy.Moment{Wall: start, Zone: "UTC"}, End: busy.Moment{Wall: start.Add(time.Hour), Zone: "UTC"},
	})
	for !object[[]statusView](m, "status", "--tenant", "acme")[0].AsOf.After(changed) {
		if time.Since(changed) > 20*time.Second {
			t.Fatal("the change was not read")
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("read after %s", time.Since(changed).Round(10*time.Millisecond))
	if _, body := get(t, "http://"+address+"/metrics", ""); !strings.Contains(body, `busyd_pushes_total{known="true",provider="ews"}`) {
		t.Error("the metrics do not know of it")
	}
}
