package pull_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/sync/pull"
)

// TestListingBrokenOff: a complete listing of a calendar that has grown breaks off,
// at whichever step, and then the calendar goes back to what it was. Nothing may
// be left of what was written, though the calendar is as the last cursor marks it.
func TestListingBrokenOff(t *testing.T) {
	town := newTown(t)
	for _, serverOf := range serverKinds {
		within, err := brokenOff(t, town, serverOf, nil)
		kind := newWorld(t, town, serverOf, 0).server.kind()
		if err != nil || within == 0 {
			t.Errorf("%s: %v; %d listings broke off after a page of them was written", kind, err, within)
		}
	}
}

// TestListingBrokenOffCatches proves that a worker that keeps the old cursor is
// given away. The other servers name, from that on, what came and went.
func TestListingBrokenOffCatches(t *testing.T) {
	town := newTown(t)
	for _, serverOf := range []serverOf{newGraph, newFeed} {
		_, err := brokenOff(t, town, serverOf, inStore(func(s pull.Store) pull.Store { return cursorKept{s} }))
		kind := newWorld(t, town, serverOf, 0).server.kind()
		if err == nil {
			t.Errorf("%s: no step gave the bug away", kind)
		}
	}
}

// cursorKept keeps the old cursor while a complete listing is written.
type cursorKept struct{ pull.Store }

func (s cursorKept) Apply(ctx context.Context, l busy.Lease, p busy.Page, expand busy.Expand) (busy.Tally, error) {
	if len(p.Cursor) == 0 {
		p.Cursor = nil
	}
	return s.Store.Apply(ctx, l, p, expand)
}

// brokenOff breaks listings off at one step after the other, each in a world of its
// own, until one ends before its step. It tells how many had written a page by then.
func brokenOff(t *testing.T, town *town, serverOf serverOf, b bug) (within int, err error) {
	for step := 2; ; step++ {
		w := newWorld(t, town, serverOf, 0)
		expires := false
		w.bug = func(s pull.Store, p providers.Provider) (pull.Store, providers.Provider) {
			if b != nil {
				s, p = b(s, p)
			}
			return s, expiring{p, &expires}
		}
		clearOut(w)
		w.read(newFate(lucky, 0, func() {}))
		for i := range 9 {
			w.put(&entry{name: fmt.Sprint("grown", i), zone: "Asia/Tokyo", start: at(24 * i), length: time.Hour, count: 1})
		}
		f, written := newFate(fails, step, func() {}), false
		f.written = func() { written = written || !f.struck() }
		expires = true
		w.read(f)
		if written && w.hasFailed() {
			within++
		}
		clearOut(w)
		if err := w.converge(); err != nil {
			return within, fmt.Errorf("broken off at step %d: %w", step, err)
		}
		w.leave()
		if !f.struck() {
			return within, nil
		}
	}
}

// hasFailed tells whether the last run did.
func (w *world) hasFailed() bool {
	c, err := w.Store.Calendar(context.Background(), w.tenant.ID, w.calendar.ID)
	must(w.t, err)
	return c.Outcome != busy.OutcomeChanged && c.Outcome != busy.OutcomeUnchanged
}

// clearOut deletes all that the owner has.
func clearOut(w *world) {
	for name := range w.owner.entries {
		w.server.remove(name)
		delete(w.owner.entries, name)
	}
}

// read lets a worker with this fate read the calendar.
func (w *world) read(f *fate) {
	w.pass(5 * time.Minute)
	task := w.wanted()[0]
	w.note("a worker reads; in %d steps it %s", f.steps, f.kind)
	if err := w.runner(f).Run(context.Background(), task); err != nil {
		w.note("  %v", err)
	}
	w.pass(2 * simLease)
}

// expiring refuses a cursor once when it is told to, and takes it ever after: what is
// listed completely then is not listed so again once that broke off, as it is where
// somebody wants it.
type expiring struct {
	providers.Provider
	now *bool
}

func (e expiring) Open(ctx context.Context, a providers.Account) (providers.Session, error) {
	session, err := e.Provider.Open(ctx, a)
	return expiringSession{session, e.now}, err
}

type expiringSession struct {
	providers.Session
	now *bool
}

func (s expiringSession) Changes(ctx context.Context, q providers.Query) (providers.Page, error) {
	if *s.now && q.Cursor != nil {
		*s.now = false
		return providers.Page{}, &providers.Error{Fault: providers.CursorExpired, Code: "planted"}
	}
	return s.Session.Changes(ctx, q)
}
