package ews_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/ews"
	"github.com/busyd/busyd/providers/providertest/ewsfake"
)

// listen listens while do runs, which is given a tick for each call.
func listen(t *testing.T, a *account, do func(changed <-chan struct{})) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	changed, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() {
		ended <- a.Open(t).(providers.Listener).Listen(ctx, func() { changed <- struct{}{} })
	}()
	a.server.AwaitListener()
	do(changed)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("listening ended with %v", err)
	}
}

func streaming(t *testing.T) *account {
	t.Helper()
	var a *account
	a = newAccount(t, ewsfake.Options{}, ews.Config{
		Stream: func() http.RoundTripper { return a.server.Transport() }, Debounce: time.Millisecond,
	}, login())
	return a
}

func TestListen(t *testing.T) {
	t.Parallel()
	a := streaming(t)
	listen(t, a, func(changed <-chan struct{}) {
		a.server.Put(work, "a", standup())
		<-changed
		a.server.CloseStreams() // as a server does after a while
		a.server.AwaitListener()
		a.server.Remove(work, "a")
		<-changed
		a.server.FailNext(ewsfake.FailingStream("ErrorSubscriptionNotFound"))
		a.server.CloseStreams()
		<-changed // something may have been missed
		a.server.AwaitListener()
		a.server.Put(work, "b", standup())
		<-changed
	})
	unsubscribed := 0
	for _, r := range a.server.Requests() {
		if r.Operation == "Unsubscribe" {
			unsubscribed++
		}
	}
	if unsubscribed != 2 {
		t.Errorf("%d subscriptions were ended, want 2", unsubscribed)
	}
}

func TestListenFails(t *testing.T) {
	t.Parallel()
	a := streaming(t)
	a.server.FailNext(ewsfake.SOAPFault(500, "ErrorServerBusy", 1000).On("GetStreamingEvents"))
	err := a.Open(t).(providers.Listener).Listen(context.Background(), func() {})
	if providers.FaultOf(err) != providers.Throttled || providers.AfterOf(err) != time.Second {
		t.Errorf("a busy server: %v", err)
	}
	a = newAccount(t, ewsfake.Options{}, ews.Config{}, login())
	if err := a.Open(t).(providers.Listener).Listen(context.Background(), func() {}); providers.FaultOf(err) != providers.Operator {
		t.Errorf("without a stream: %v", err)
	}
}
