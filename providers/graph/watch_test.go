package graph_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/graph"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/graphfake"
)

// ear takes callbacks in as sync/push does, and remembers the hints.
type ear struct {
	receiver providers.Receiver
	deaf     bool
	hints    []providers.Hint
}

func (e *ear) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	notice, err := e.receiver.Receive(r)
	switch {
	case err != nil || e.deaf:
		w.WriteHeader(http.StatusNotFound)
	case notice.Reply != nil:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(notice.Reply)
	default:
		e.hints = append(e.hints, notice.Hints...)
		w.WriteHeader(http.StatusAccepted)
	}
	return w.Result(), nil
}

const callback = "https://busyd.test/hooks/graph?kept=yes"

func request(id string) providers.WatchRequest {
	return providers.WatchRequest{
		ID: id, Token: busy.Secret("token-" + id), Callback: callback, Until: start.Add(6 * 24 * time.Hour),
	}
}

// listening is an account that consented to push, and the ear that hears of it.
func listening(t *testing.T, o graphfake.Options) (*account, providers.Watcher, *ear) {
	t.Helper()
	heard := &ear{}
	o.Outbound = heard
	a := connect(t, o, graph.Config{}, true)
	heard.receiver = a.provider
	watcher, ok := a.Open(t).(providers.Watcher)
	if !ok {
		t.Fatal("the session cannot watch")
	}
	t.Cleanup(func() { refused(t, a.server) })
	return a, watcher, heard
}

func TestWatch(t *testing.T) {
	ctx := context.Background()
	a, watcher, heard := listening(t, graphfake.Options{})
	if !watcher.WatchesAccount() {
		t.Error("a subscription covers all calendars")
	}
	watch, err := watcher.Watch(ctx, request("w1"))
	if err != nil {
		t.Fatal(err)
	}
	if watch.ID != "w1" || watch.Handle == nil || !watch.Expires.Equal(start.Add(4230*time.Minute)) {
		t.Errorf("the watch %s expires at %v", watch.ID, watch.Expires)
	}
	for _, step := range []struct {
		how  graphfake.Delivery
		want int
	}{{graphfake.Twice, 6}, {graphfake.Reversed, 3}, {graphfake.Never, 0}, {graphfake.InOrder, 3}} {
		a.server.Put(work, "a", meeting("A", 2))
		a.server.Put(graphfake.Primary, "b", meeting("B", 2))
		a.server.Remove(work, "a")
		heard.hints = nil
		if _, err := a.server.Deliver(ctx, step.how); err != nil {
			t.Fatal(err)
		}
		if len(heard.hints) != step.want {
			t.Errorf("delivery %d: %d hints, want %d", step.how, len(heard.hints), step.want)
		}
		for _, h := range heard.hints {
			if h.Watch != "w1" || string(h.Token) != "token-w1" || h.News != providers.Changed {
				t.Errorf("a hint of %s: %v", h.Watch, h.News)
			}
		}
	}
	for event, news := range map[string]providers.News{
		"reauthorizationRequired": providers.Expiring, "missed": providers.Missed, "subscriptionRemoved": providers.Ended,
	} {
		if a.server.Subscriptions() == 0 {
			if _, err := watcher.Watch(ctx, request("w1")); err != nil {
				t.Fatal(err)
			}
		}
		heard.hints = nil
		a.server.Lifecycle(event)
		if _, err := a.server.Deliver(ctx, graphfake.InOrder); err != nil {
			t.Fatal(err)
		}
		if len(heard.hints) != 1 || heard.hints[0].News != news || heard.hints[0].Watch != "w1" {
			t.Errorf("%s: %v", event, heard.hints)
		}
	}
}

func TestRewatch(t *testing.T) {
	ctx := context.Background()
	for name, o := range map[string]graphfake.Options{"beside the old one": {}, "in its place": {OneSubscription: true}} {
		a, watcher, heard := listening(t, o)
		old, err := watcher.Watch(ctx, request("w1"))
		if err != nil {
			t.Fatal(err)
		}
		made, err := watcher.Rewatch(ctx, old, request("w2"))
		if err != nil || made.ID != "w2" || string(made.Handle) == string(old.Handle) {
			t.Fatalf("%s: %v", name, err)
		}
		for range 2 { // the second time, there is none any more
			if err := watcher.Unwatch(ctx, old); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := a.server.Subscriptions(); n != 1 {
			t.Errorf("%s: %d subscriptions are left", name, n)
		}
		a.server.Put(work, "a", meeting("A", 2))
		if _, err := a.server.Deliver(ctx, graphfake.InOrder); err != nil {
			t.Fatal(err)
		}
		if len(heard.hints) != 1 || heard.hints[0].Watch != "w2" || string(heard.hints[0].Token) != "token-w2" {
			t.Errorf("%s: heard %v", name, heard.hints)
		}
	}
	// A watch that ended meanwhile is replaced just so.
	_, watcher, _ := listening(t, graphfake.Options{OneSubscription: true})
	gone := providers.Watch{ID: "w0", Handle: busy.Secret("gone")}
	if _, err := watcher.Rewatch(ctx, gone, request("w1")); err != nil {
		t.Errorf("in place of one that ended: %v", err)
	}
	// A duplicate that is not ours to end is left alone.
	if _, err := watcher.Watch(ctx, request("w2")); providers.FaultOf(err) != providers.Transient || err == nil {
		t.Errorf("a duplicate: %v", err)
	}
}

func TestCannotWatch(t *testing.T) {
	ctx := context.Background()
	narrow := connect(t, graphfake.Options{}, graph.Config{}, false)
	if _, ok := narrow.Open(t).(providers.Watcher); ok {
		t.Error("without the permission, a session can watch")
	}
	a, watcher, heard := listening(t, graphfake.Options{})
	heard.deaf = true
	if _, err := watcher.Watch(ctx, request("w1")); err == nil {
		t.Error("a callback that does not answer is watched")
	}
	heard.deaf = false
	short := request("w1")
	short.Until = start.Add(24 * time.Hour)
	if watch, err := watcher.Watch(ctx, short); err != nil || !watch.Expires.Equal(short.Until) {
		t.Errorf("a day: %v, %v", watch.Expires, err)
	}
	for _, bad := range []string{"http://busyd.test/hooks", "hooks", "https://"} {
		r := request("w1")
		r.Callback = bad
		if _, err := watcher.Watch(ctx, r); providers.FaultOf(err) != providers.Operator {
			t.Errorf("%s: %v", bad, err)
		}
	}
	a.server.FailNext(graphfake.Body(`{}`))
	if _, err := watcher.Watch(ctx, request("w1")); err == nil {
		t.Error("a subscription without a name is believed")
	}
}

func TestReceive(t *testing.T) {
	receive := func(target, body string) (providers.Notice, error) {
		r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
		return (&graph.Provider{}).Receive(r)
	}
	// The token comes encoded, and goes back as it was.
	notice, err := receive("/hooks/graph?watch=w&validationToken=Validation%3A+Testing+client%20%2B%20%C3%A4", "")
	if err != nil || string(notice.Reply) != "Validation: Testing client + ä" || len(notice.Hints) != 0 {
		t.Errorf("the handshake: %q, %v", notice.Reply, err)
	}
	for name, c := range map[string]struct{ target, body string }{
		"an empty proof":        {"/hooks/graph?watch=w&validationToken=", ""},
		"a proof of many lines": {"/hooks/graph?watch=w&validationToken=a%0D%0Ab", ""},
		"a proof of bytes":      {"/hooks/graph?watch=w&validationToken=%00%ff", ""},
		"an endless proof":      {"/hooks/graph?watch=w&validationToken=" + strings.Repeat("a", 5000), ""},
		"nothing":               {"/hooks/graph?watch=w", ""},
		"no notification":       {"/hooks/graph?watch=w", `{"value":[]}`},
		"a page":                {"/hooks/graph?watch=w", `<html>`},
		"no watch":              {"/hooks/graph", `{"value":[{"clientState":"x"}]}`},
		"another form":          {"/hooks/graph?watch=w", `{"value":{"clientState":"x"}}`},
	} {
		notice, err := receive(c.target, c.body)
		if err == nil || notice.Reply != nil || notice.Hints != nil {
			t.Errorf("%s: %q %v %v", name, notice.Reply, notice.Hints, err)
		}
	}
	many := `{"value":[` + strings.Repeat(`{"clientState":"x","changeType":"updated"},`, 500) + `{"clientState":"x","lifecycleEvent":"missed"}]}`
	if notice, err := receive("/hooks/graph?watch=w", many); err != nil || len(notice.Hints) != 2 {
		t.Errorf("a storm is %d hints, %v", len(notice.Hints), err)
	}
	for file, news := range map[string]providers.News{"notification": providers.Changed, "lifecycle": providers.Expiring} {
		raw, err := os.ReadFile("testdata/" + file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		notice, err := receive("/hooks/graph?watch=w", string(raw))
		if err != nil || len(notice.Hints) != 1 || notice.Hints[0].News != news || string(notice.Hints[0].Token) != "secretClientState" {
			t.Errorf("%s: %v, %v", file, notice.Hints, err)
		}
	}
}

func FuzzReceive(f *testing.F) {
	f.Add("watch=w", `{"value":[{"clientState":"x"}]}`)
	f.Add("validationToken=abc", "")
	f.Fuzz(func(t *testing.T, query, body string) {
		r := httptest.NewRequest(http.MethodPost, "/hooks/graph", io.NopCloser(bytes.NewReader([]byte(body))))
		r.URL.RawQuery = query
		notice, err := (&graph.Provider{}).Receive(r)
		if err == nil && notice.Reply == nil && len(notice.Hints) == 0 {
			t.Error("a callback that says nothing is no error")
		}
	})
}

// TestWatchesSayNothing: neither a watch nor its errors let out what Graph says.
func TestWatchesSayNothing(t *testing.T) {
	a, watcher, _ := listening(t, graphfake.Options{})
	a.server.FailNext(graphfake.Edit("marked", func(string) string { return providertest.Mark }).Times(-1))
	_, err := watcher.Watch(context.Background(), request("w1"))
	if err == nil || strings.Contains(err.Error(), providertest.Mark) {
		t.Errorf("got %v", err)
	}
}
