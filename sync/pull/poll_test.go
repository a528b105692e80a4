package pull_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
	"github.com/busyd/busyd/sync/pull"
)

// TestQuietPoll: a poll that finds nothing new asks the server once and the store
// twice, each of which is one round trip to Postgres (a test of the store's).
func TestQuietPoll(t *testing.T) {
	town := newTown(t)
	for _, serverOf := range serverKinds {
		w := newWorld(t, town, serverOf, 3) // the first variant is the best-behaved
		t.Run(string(w.server.kind()), func(t *testing.T) { quietPoll(t, w) })
	}
}

func quietPoll(t *testing.T, w *world) {
	w.edit()
	counted := &countedStore{Store: w.Store}
	w.bug = inStore(func(pull.Store) pull.Store { return counted })

	for range 2 { // the first quiet poll may take a better cursor along
		w.pass(5 * time.Minute)
		w.redis = w.wanted()
		w.work(lucky)
	}
	before := w.server.requests()
	counted.calls = nil
	w.pass(5 * time.Minute)
	w.redis = w.wanted()
	w.work(lucky)

	if got := w.server.requests() - before; got != 1 {
		t.Errorf("the poll took %d requests, want 1", got)
	}
	if diff := cmp.Diff([]string{"take", "release"}, counted.calls); diff != "" {
		t.Error("calls of the store (-want +got):\n" + diff)
	}
}

// TestWantedMeanwhile: a request that comes while the calendar is being read is
// answered by another run, not by the one that may have missed the change.
func TestWantedMeanwhile(t *testing.T) {
	w := newWorld(t, newTown(t), newDAV, 2)
	ctx := context.Background()
	counted := &countedStore{Store: w.Store, atRelease: func() {
		_, err := w.Store.Want(ctx, w.tenant.ID, store.WantScope{}, w.now)
		must(t, err)
	}}
	w.bug = inStore(func(pull.Store) pull.Store { return counted })
	w.redis = w.wanted()
	w.work(lucky)

	tasks, err := w.Store.ClaimDue(ctx, w.now, 10, time.Minute)
	must(t, err)
	if len(tasks) != 1 || tasks[0].Calendar != w.calendar.ID {
		t.Errorf("due after the run: %v, want the calendar once more", tasks)
	}
}

// countedStore notes which calls a run makes.
type countedStore struct {
	pull.Store
	calls     []string
	atRelease func()
}

func (s *countedStore) Take(ctx context.Context, t busy.Task, now time.Time, lease time.Duration) (busy.Work, error) {
	s.calls = append(s.calls, "take")
	return s.Store.Take(ctx, t, now, lease)
}

func (s *countedStore) Held(ctx context.Context, l busy.Lease) (busy.Held, error) {
	s.calls = append(s.calls, "held")
	return s.Store.Held(ctx, l)
}

func (s *countedStore) Apply(ctx context.Context, l busy.Lease, p busy.Page, expand busy.Expand) (busy.Tally, error) {
	s.calls = append(s.calls, "apply")
	return s.Store.Apply(ctx, l, p, expand)
}

func (s *countedStore) Release(ctx context.Context, l busy.Lease, r busy.Release) error {
	s.calls = append(s.calls, "release")
	if s.atRelease != nil {
		s.atRelease()
	}
	return s.Store.Release(ctx, l, r)
}

// TestBackoffKeepsToTheLongestInterval: however many runs have failed, and though
// it be the first, the next is no further away than the longest interval and its
// jitter.
func TestBackoffKeepsToTheLongestInterval(t *testing.T) {
	const longest = 2 * time.Second
	now := storetest.Now
	for failures := range 20 {
		s := &failingStore{failures: failures}
		runner := pull.New(pull.Config{
			Store: s, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
			Lease: simLease, PollMin: time.Second, PollMax: longest, FullEvery: time.Hour, Horizon: simHorizon,
		})
		must(t, runner.Run(context.Background(), busy.Task{}))
		if next := s.released.DueAt.Sub(now); next <= 0 || next > longest*5/4 {
			t.Errorf("after %d failures the next run is %v away", failures+1, next)
		}
	}
}

// failingStore hands out work that cannot be done.
type failingStore struct {
	pull.Store
	failures int
	released busy.Release
}

func (s *failingStore) Take(context.Context, busy.Task, time.Time, time.Duration) (busy.Work, error) {
	return busy.Work{Zone: "Mars/Olympus", Freshness: busy.Freshness{Failures: s.failures}}, nil
}

func (s *failingStore) Release(_ context.Context, _ busy.Lease, r busy.Release) error {
	s.released = r
	return nil
}
