package pull_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/storetest"
	"github.com/busyd/busyd/sync/pull"
)

// TestTakeover: a worker stands still, with a page in its hands that is about to
// be old, and loses its lease. Another reads the calendar. When the first goes
// on, it must not write, at whichever step it stood.
func TestTakeover(t *testing.T) {
	town := newTown(t)
	for step := 2; step <= 6; step++ {
		if err := takeover(t, town, step, nil); err != nil {
			t.Errorf("standing before step %d: %v", step, err)
		}
	}
}

// TestTakeoverCatches proves that the test above sees a worker without a fence.
func TestTakeoverCatches(t *testing.T) {
	town := newTown(t)
	for step := 2; step <= 6; step++ {
		if takeover(t, town, 100+step, inStore(func(s pull.Store) pull.Store { return unfenced{s} })) != nil {
			return
		}
	}
	t.Error("a worker without a fence did no harm")
}

func takeover(t *testing.T, town *town, step int, bug bug) error {
	w := newWorld(t, town, newDAV, uint64(step))
	w.bug = bug
	w.put(&entry{name: "meeting", zone: "Asia/Tokyo", start: at(12), length: time.Hour, count: 1})
	w.redis = w.wanted()
	w.work(lucky)

	// The first worker reads that the meeting is free now, and stands still.
	w.pass(time.Minute)
	w.put(&entry{name: "meeting", zone: "Asia/Tokyo", start: at(12), length: time.Hour, count: 1, transparent: true})
	f := newFate(stands, step%100, func() {})
	f.written = w.check
	z := &zombie{fate: f, done: make(chan error, 1)}
	task, runner := w.wanted()[0], w.runner(f)
	go func() { z.done <- runner.Run(context.Background(), task) }()
	w.await(z)

	// The second reads that it is busy again.
	w.pass(simLease)
	w.put(&entry{name: "meeting", zone: "Asia/Tokyo", start: at(12), length: time.Hour, count: 1})
	w.pass(simLease)
	w.redis = w.wanted()
	w.work(lucky)
	w.wake()
	if w.broken != nil {
		return w.broken
	}
	defer w.leave()
	return w.converge()
}

// at is an hour of the day after the simulation's first.
func at(hour int) time.Time {
	return storetest.Now.Truncate(24*time.Hour).AddDate(0, 0, 1).Add(time.Duration(hour) * time.Hour)
}

// unfenced writes under whatever epoch is in force.
type unfenced struct{ pull.Store }

func (s unfenced) Apply(ctx context.Context, l busy.Lease, p busy.Page, expand busy.Expand) (busy.Tally, error) {
	tally, err := s.Store.Apply(ctx, l, p, expand)
	for range 20 {
		if !errors.Is(err, busy.ErrFenced) {
			break
		}
		task := busy.Task{Tenant: l.Tenant, Calendar: l.Calendar, Epoch: l.Epoch}
		if work, taken := s.Take(ctx, task, storetest.Now.AddDate(0, 0, 1), simLease); taken == nil {
			l = work.Lease
		} else {
			l.Epoch++
		}
		tally, err = s.Store.Apply(ctx, l, p, expand)
	}
	return tally, err
}
