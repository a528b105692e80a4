package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// gate stands before a CalDAV server; while it is shut, requests wait in it.
type gate struct {
	t       testing.TB
	url     string
	callers chan struct{}

	mu     sync.Mutex
	opened chan struct{} // closed while it is open
}

func newGate(t testing.TB, before string) *gate {
	t.Helper()
	target, err := url.Parse(before)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, callers: make(chan struct{}, 1000), opened: make(chan struct{})}
	g.open()
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // callers are killed: that is the point
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.callers <- struct{}{}
		select {
		case <-g.door():
			proxy.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() {
		g.open()
		server.Close()
	})
	g.url = server.URL
	return g
}

func (g *gate) door() chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
}

// shut makes requests wait from now on.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened = make(chan struct{})
	for len(g.callers) > 0 {
		<-g.callers
	}
}

// awaitCaller returns when a request waits.
func (g *gate) awaitCaller() {
	g.t.Helper()
	select {
	case <-g.callers:
	case <-time.After(time.Minute):
		g.t.Fatal("nobody called within a minute")
	}
}
