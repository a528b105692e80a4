package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/googlefake"
	"github.com/busyd/busyd/providers/providertest/graphfake"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/sync/recur"
)

// callers are stand-ins that call back, and two processes that are called.
type callers struct {
	*machine
	google *googlefake.Server
	graph  *graphfake.Server
	store  *store.Store
	tenant busy.TenantID
	owners map[busy.Kind]busy.ResourceID

	addresses []string // of the processes
	next      atomic.Int64
	entries   int // that were put so far
}

// newCallers connects an account at each stand-in. Calendars are polled with this
// interval.
func newCallers(t *testing.T, poll time.Duration) *callers {
	t.Helper()
	c := &callers{machine: newMachine(t), owners: map[busy.Kind]busy.ResourceID{}}
	const public = "https://busyd.test"
	c.google = googlefake.New(googlefake.Options{Redirects: []string{public + "/oauth/callback"}})
	c.graph = graphfake.New(graphfake.Options{
		Expand: recur.New(), Now: time.Now, Outbound: c, Redirect: public + "/oauth/callback",
	})
	id, secret := c.google.Client()
	for name, value := range map[string]string{
		"PUBLIC_URL": public, "SYNC_POLL_MIN": poll.String(), "SYNC_POLL_MAX": poll.String(),
		"GOOGLE_CLIENT_ID": id, "GOOGLE_CLIENT_SECRET": secret, "GOOGLE_ENDPOINT": served(t, c.google),
		"MICROSOFT_CLIENT_ID": graphfake.ClientID, "MICROSOFT_CLIENT_SECRET": graphfake.ClientSecret,
		"MICROSOFT_ENDPOINT": served(t, c.graph),
	} {
		c.set("BUSYD_"+name, value)
	}
	c.must("migrate")
	c.must("tenant", "create", "acme")
	for range 2 {
		address := freeAddress(t)
		startProcess(t, append(slices.Clone(c.environ), "BUSYD_LISTEN="+address), "serve").await("msg=ready")
		c.addresses = append(c.addresses, address)
	}
	c.openStore()
	c.connect(busy.Google, "google", func(at string) (url.Values, error) { return c.google.Approve(at, googlefake.Consent{}) })
	c.connect(busy.Graph, "outlook", func(at string) (url.Values, error) {
		back, err := c.graph.Approve(at)
		must(t, err)
		u, err := url.Parse(back)
		return u.Query(), err
	}, "--push")
	c.await("watches", func() bool { return c.google.Channels() > 0 && c.graph.Subscriptions() > 0 })
	return c
}

func served(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func (c *callers) openStore() {
	c.t.Helper()
	config, err := configs.Load("", c.environ)
	must(c.t, err)
	c.store, err = openStore(c.t.Context(), config, nil)
	must(c.t, err)
	c.t.Cleanup(c.store.Close)
	tenants, err := c.store.Tenants(c.t.Context())
	must(c.t, err)
	c.tenant = tenants[0].ID
}

// connect goes the way of an owner's browser.
func (c *callers) connect(kind busy.Kind, provider string, approve func(string) (url.Values, error), more ...string) {
	c.t.Helper()
	resource := object[resourceView](c.machine, "resource", "create", provider, "--tenant", "acme", "--timezone", "UTC", "--hours", "always")
	c.owners[kind] = resource.ID
	asked := object[consentView](c.machine, append([]string{
		"connection", "add", provider, "--tenant", "acme", "--resource", provider, "--wait=false",
	}, more...)...)
	back, err := approve(asked.AuthorizationURL)
	must(c.t, err)
	if status, body := get(c.t, "http://"+c.addresses[0]+"/oauth/callback?"+back.Encode(), ""); status != http.StatusOK {
		c.t.Fatalf("status %d: %s", status, body)
	}
}

// RoundTrip brings what is sent to the public address to one process after the
// other.
func (c *callers) RoundTrip(r *http.Request) (*http.Response, error) {
	inside := r.Clone(r.Context())
	inside.URL.Scheme = "http"
	inside.URL.Host = c.addresses[c.next.Add(1)%int64(len(c.addresses))]
	return http.DefaultTransport.RoundTrip(inside)
}

func (c *callers) await(what string, done func() bool) {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("not within a minute: %s", what)
		}
	}
}

// change puts an entry of half an hour, at a time of its own, into a calendar.
func (c *callers) change(kind busy.Kind) busy.Span {
	c.entries++
	start := time.Now().UTC().Truncate(time.Hour).Add(time.Duration(24+c.entries) * time.Hour)
	span := busy.Span{Start: start, End: start.Add(30 * time.Minute)}
	e := providertest.Entry{Subject: "Meeting", Start: busy.InstantOf(span.Start), End: busy.InstantOf(span.End)}
	name := "e" + strconv.Itoa(c.entries)
	if kind == busy.Google {
		c.google.Put(c.google.Primary(), name, e)
	} else {
		c.graph.Put(graphfake.Primary, name, e)
	}
	return span
}

// deliver makes the calls back that are due, in some way.
func (c *callers) deliver(kind busy.Kind, how graphfake.Delivery) {
	c.t.Helper()
	if kind == busy.Graph {
		_, err := c.graph.Deliver(c.t.Context(), how)
		must(c.t, err)
		return
	}
	calls := c.google.Pushes()
	switch how {
	case graphfake.Reversed:
		slices.Reverse(calls)
	case graphfake.Twice:
		calls = append(calls, calls...)
	case graphfake.Never:
		calls = nil
	}
	for _, call := range calls {
		c.send(call)
	}
}

func (c *callers) send(call googlefake.Push) {
	answer, err := c.RoundTrip(call.Request())
	if err != nil {
		c.t.Error(err)
		return
	}
	_ = answer.Body.Close()
}

// shows tells whether all of the span is known to be busy.
func (c *callers) shows(kind busy.Kind, span busy.Span) bool {
	agendas, err := c.store.Agendas(context.Background(), c.tenant, []busy.ResourceID{c.owners[kind]}, span)
	must(c.t, err)
	var known []busy.Span
	for _, b := range agendas[0].Blocks {
		known = append(known, busy.Span{Start: b.Start, End: b.End})
	}
	return len(busy.Subtract([]busy.Span{span}, busy.Merge(known))) == 0
}

func (c *callers) awaitShown(how string, kind busy.Kind, span busy.Span) {
	c.t.Helper()
	c.await(fmt.Sprintf("a change at %s, called back %s", kind, how), func() bool { return c.shows(kind, span) })
}

// Calls back that come on time, late, twice and in another order all lead to the
// truth, though nothing is polled; and a storm of them to few runs.
func TestPushes(t *testing.T) {
	c := newCallers(t, time.Hour)
	for _, kind := range []busy.Kind{busy.Google, busy.Graph} {
		for how, delivery := range map[string]graphfake.Delivery{
			"late": graphfake.InOrder, "twice": graphfake.Twice, "in another order": graphfake.Reversed,
		} {
			spans := []busy.Span{c.change(kind), c.change(kind), c.change(kind)}
			c.deliver(kind, delivery)
			for _, span := range spans {
				c.awaitShown(how, kind, span)
			}
		}
		var lags []time.Duration
		for range 40 {
			began := time.Now()
			span := c.change(kind)
			c.deliver(kind, graphfake.InOrder)
			c.awaitShown("on time", kind, span)
			lags = append(lags, time.Since(began))
		}
		slices.Sort(lags)
		t.Logf("%s: from a change to its block, called back on time: p50 %v, p95 %v, most %v", kind, lags[20], lags[38], lags[39])
	}
	c.storm(500)
}

// storm repeats one call back many times, from many sides at once.
func (c *callers) storm(calls int) {
	c.t.Helper()
	c.google.Forget()
	span := c.change(busy.Google)
	call := c.google.Pushes()[0]
	began := time.Now()
	var senders sync.WaitGroup
	for range 10 {
		senders.Go(func() {
			for range calls / 10 {
				c.send(call)
			}
		})
	}
	senders.Wait()
	took := time.Since(began)
	c.awaitShown("in a storm", busy.Google, span)
	last := c.change(busy.Google)
	c.deliver(busy.Google, graphfake.InOrder)
	c.awaitShown("after a storm", busy.Google, last)
	runs := len(c.google.Requests())
	c.t.Logf("%d calls back within %v became %d requests", calls, took, runs)
	if runs > calls/10 {
		c.t.Errorf("%d calls back became %d requests", calls, runs)
	}
}

// A call back that never comes costs a poll interval, and half a minute at most.
func TestPushesThatNeverCome(t *testing.T) {
	const poll = 2 * time.Second
	c := newCallers(t, poll)
	for _, kind := range []busy.Kind{busy.Google, busy.Graph} {
		var most time.Duration
		for range 4 {
			began := time.Now()
			span := c.change(kind)
			c.deliver(kind, graphfake.Never)
			c.awaitShown("never", kind, span)
			most = max(most, time.Since(began))
		}
		t.Logf("%s: from a change to its block, polled every %v: %v at most", kind, poll, most)
		if most > poll+30*time.Second {
			t.Errorf("%s: a change took %v", kind, most)
		}
	}
}
