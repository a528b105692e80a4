package google_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/providertest/googlefake"
)

func watchRequest(id string) providers.WatchRequest {
	return providers.WatchRequest{
		ID: id, Token: busy.Secret("token-of-" + id), Callback: "https://busyd.test/v1/push/google",
		Remote: busy.Secret(work), Until: now.Add(24 * time.Hour),
	}
}

func watcher(t *testing.T, a *account) providers.Watcher {
	t.Helper()
	w, ok := a.Open(t).(providers.Watcher)
	if !ok {
		t.Fatal("a session is no Watcher")
	}
	return w
}

func TestWatch(t *testing.T) {
	ctx := context.Background()
	a := newAccount(t, googlefake.Options{})
	w := watcher(t, a)
	if w.WatchesAccount() {
		t.Error("a channel is one calendar's")
	}
	first, err := w.Watch(ctx, watchRequest("first"))
	if err != nil {
		t.Fatal(err)
	}
	if first.ID != "first" || len(first.Handle) == 0 || !first.Expires.Equal(now.Add(24*time.Hour)) {
		t.Errorf("the watch: %+v", first)
	}
	long := watchRequest("second")
	long.Until = now.Add(30 * 24 * time.Hour)
	second, err := w.Rewatch(ctx, first, long)
	if err != nil {
		t.Fatal(err)
	}
	if second.ID != "second" || !second.Expires.Equal(now.Add(7*24*time.Hour)) {
		t.Errorf("the next watch: %+v; Google allows a week", second)
	}
	if a.server.Channels() != 2 {
		t.Errorf("%d channels: the old one is the caller's to end", a.server.Channels())
	}
	for range 2 { // one that has ended can be ended
		if err := w.Unwatch(ctx, first); err != nil {
			t.Fatal(err)
		}
	}
	if a.server.Channels() != 1 {
		t.Errorf("%d channels, want 1", a.server.Channels())
	}
}

func TestWatchFails(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*providers.WatchRequest)
		refuse *googlefake.Refusal
		fault  providers.Fault
		code   string
	}{
		"plain http": {
			change: func(w *providers.WatchRequest) { w.Callback = "http://busyd.test/" },
			fault:  providers.Operator, code: "push.webhookUrlNotHttps",
		},
		// A 401 that is not about the owner's grant.
		"not our domain": {
			refuse: &googlefake.Refusal{Status: 401, Reason: "push.webhookUrlUnauthorized", On: "/watch"},
			fault:  providers.Operator, code: "push.webhookUrlUnauthorized",
		},
		"holidays": {
			refuse: &googlefake.Refusal{Status: 400, Reason: "pushNotSupportedForRequestedResource", On: "/watch"},
			fault:  providers.Rejected, code: "pushNotSupportedForRequestedResource",
		},
		"no such calendar": {
			change: func(w *providers.WatchRequest) { w.Remote = busy.Secret("nowhere") },
			fault:  providers.CalendarGone, code: "not_found",
		},
		"too many": {
			refuse: &googlefake.Refusal{Status: 403, Reason: "quotaExceeded", On: "/watch"},
			fault:  providers.Throttled, code: "quotaExceeded",
		},
		"the same again": {
			change: func(w *providers.WatchRequest) { w.ID = "taken" },
			fault:  providers.Rejected, code: "channelIdNotUnique",
		},
	} {
		a := newAccount(t, googlefake.Options{})
		w := watcher(t, a)
		if _, err := w.Watch(context.Background(), watchRequest("taken")); err != nil {
			t.Fatal(err)
		}
		if c.refuse != nil {
			a.server.Refuse(*c.refuse)
		}
		asked := watchRequest("id")
		if c.change != nil {
			c.change(&asked)
		}
		_, err := w.Watch(context.Background(), asked)
		if providers.FaultOf(err) != c.fault || providers.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, err)
	}
}

func TestUnwatchFails(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	w := watcher(t, a)
	watch, err := w.Watch(context.Background(), watchRequest("id"))
	if err != nil {
		t.Fatal(err)
	}
	a.server.Refuse(googlefake.Refusal{Status: 500, Reason: "backendError"})
	if err := w.Unwatch(context.Background(), watch); err == nil || providers.FaultOf(err) != providers.Transient {
		t.Errorf("the error is %v", err)
	}
}

// TestReceive: what the fake sends is understood, in whatever order it comes.
func TestReceive(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	if _, err := watcher(t, a).Watch(context.Background(), watchRequest("id-1")); err != nil {
		t.Fatal(err)
	}
	a.server.Put(work, "a", weekly())
	a.server.Put(a.server.Primary(), "b", weekly()) // not watched
	pushes := a.server.Pushes()
	if len(pushes) != 2 {
		t.Fatalf("%d pushes", len(pushes))
	}
	for i, want := range []providers.News{providers.Nothing, providers.Changed} {
		notice, err := a.provider.Receive(pushes[i].Request())
		if err != nil || len(notice.Hints) != 1 || notice.Reply != nil {
			t.Fatalf("%+v, %v", notice, err)
		}
		h := notice.Hints[0]
		if h.Watch != "id-1" || string(h.Token) != "token-of-id-1" || h.News != want {
			t.Errorf("push %d: of %s, news %v", i, h.Watch, h.News)
		}
	}
}

func TestReceiveNonsense(t *testing.T) {
	p := newAccount(t, googlefake.Options{}).provider
	good := func() *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("not to be read"))
		r.Header.Set("X-Goog-Channel-ID", "id")
		r.Header.Set("X-Goog-Resource-State", "not_exists")
		return r
	}
	if notice, err := p.Receive(good()); err != nil || notice.Hints[0].News != providers.Changed || len(notice.Hints[0].Token) != 0 {
		t.Errorf("%+v, %v", notice, err)
	}
	for name, change := range map[string]func(*http.Request){
		"another method": func(r *http.Request) { r.Method = http.MethodGet },
		"no channel":     func(r *http.Request) { r.Header.Del("X-Goog-Channel-ID") },
		"no state":       func(r *http.Request) { r.Header.Del("X-Goog-Resource-State") },
		"odd channel":    func(r *http.Request) { r.Header.Set("X-Goog-Channel-ID", "a b\n") },
		"long channel":   func(r *http.Request) { r.Header.Set("X-Goog-Channel-ID", strings.Repeat("a", 65)) },
	} {
		r := good()
		change(r)
		if _, err := p.Receive(r); err == nil {
			t.Errorf("%s was understood", name)
		}
	}
}
