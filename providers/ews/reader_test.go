package ews_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/providertest"
)

// reader keeps what a provider says, as sync/pull does, for tests that look at
// events themselves.
type reader struct {
	account *account
	window  busy.Span
	zone    string
	cursor  providers.Cursor

	events     map[string]busy.Event
	unreadable map[string]busy.Problem
	full       bool // the last reading was a complete listing
}

func newReader(a *account) *reader {
	return &reader{
		account: a, window: providertest.Window, zone: providertest.Zone,
		events: map[string]busy.Event{}, unreadable: map[string]busy.Problem{},
	}
}

func (r *reader) read(t *testing.T) {
	t.Helper()
	if err := r.try(t); err != nil {
		t.Fatalf("read: %v", err)
	}
}

func (r *reader) try(t *testing.T) error {
	t.Helper()
	session := r.account.Open(t)
	seen := map[string]bool{}
	cursor := r.cursor
	for {
		page, err := session.Changes(context.Background(), providers.Query{
			Remote: r.account.remote, Cursor: cursor, Window: r.window, Zone: r.zone,
			Version: func(key string) (string, bool) { e, ok := r.events[key]; return e.Version, ok },
		})
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			r.events[e.Key], seen[e.Key] = e, true
			delete(r.unreadable, e.Key)
		}
		for _, u := range page.Unreadable {
			r.unreadable[u.Key], seen[u.Key] = u.Problem, true
		}
		for _, key := range page.Same {
			seen[key] = true
		}
		cursor, r.full = page.Cursor, page.Full
		if page.More {
			continue
		}
		if page.Full {
			r.sweep(seen)
		}
		r.cursor = cursor
		return nil
	}
}

func (r *reader) sweep(seen map[string]bool) {
	for key := range r.events {
		if !seen[key] {
			delete(r.events, key)
		}
	}
	for key := range r.unreadable {
		if !seen[key] {
			delete(r.unreadable, key)
		}
	}
}

// expect compares what is held with lines of start, end, state and subject.
func (r *reader) expect(t *testing.T, want ...string) {
	t.Helper()
	got := []string{}
	for _, e := range r.events {
		got = append(got, fmt.Sprintf("%s %s %s %s", e.Start, e.End, e.State, e.Subject))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("held:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// entry is one at an instant.
func entry(subject string, start time.Time, length time.Duration) providertest.Entry {
	return providertest.Entry{Subject: subject, Start: busy.InstantOf(start), End: busy.InstantOf(start.Add(length))}
}

func day(month time.Month, d int) time.Time { return time.Date(2026, month, d, 9, 0, 0, 0, time.UTC) }

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var (
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	quiet    = log.New(io.Discard, "", 0)
)
