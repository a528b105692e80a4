package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/busyd/busyd/busy"
)

// Queue is where the sweep puts tasks. [Client] is one for calendars.
type Queue[T any] interface {
	Enqueue(ctx context.Context, tasks []T) error
	// Room is how many tasks there is room for. Who goes first is decided in
	// Postgres, so the order of a long queue would be an old decision.
	Room(ctx context.Context) (int, error)
}

// Sweep moves what is due from Postgres into the queues. Any number may run.
type Sweep[T any] struct {
	// Claim returns up to limit tasks of what is due at now, and puts each off by
	// again. Two callers never get the same.
	Claim func(ctx context.Context, now time.Time, limit int, again time.Duration) ([]T, error)
	Queue Queue[T]
	// Interval between two looks, with a quarter of jitter either way.
	Interval time.Duration
	// Batch is how many tasks are claimed at once.
	Batch  int
	Now    func() time.Time
	Random func() float64 // in [0, 1)
	Log    *slog.Logger
}

// Batch is the usual size.
const Batch = 1000

// refills is how many times in an interval the sweep looks while more is due than
// there is room for.
const refills = 8

// longestPause bounds the backoff while Postgres or Redis is away, and so how
// late the sweep notices that they are back.
const longestPause = 5 * time.Second

// Run sweeps until ctx is done. It never gives up.
func (s *Sweep[T]) Run(ctx context.Context) {
	pause, away := s.Interval, false
	for {
		full, err := s.drain(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil:
			if !away {
				s.Log.Error("the sweep cannot work and tries again", "error", err.Error())
			}
			away, pause = true, min(2*pause, max(longestPause, s.Interval))
		default:
			if away {
				s.Log.Info("the sweep works again")
			}
			away, pause = false, s.Interval
			if full {
				pause /= refills
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(busy.Jitter(pause, s.Random())):
		}
	}
}

// drain moves batches until nothing is due or the queues are full. Redis is asked
// first, so that nothing is claimed while it is away.
func (s *Sweep[T]) drain(ctx context.Context) (full bool, err error) {
	for {
		room, err := s.Queue.Room(ctx)
		if err != nil {
			return false, err
		}
		limit := min(s.Batch, room)
		if limit <= 0 {
			return true, nil
		}
		tasks, err := s.Claim(ctx, s.Now(), limit, Again)
		if err != nil {
			return false, fmt.Errorf("claim what is due: %w", err)
		}
		if err := s.Queue.Enqueue(ctx, tasks); err != nil {
			return false, err
		}
		if len(tasks) < limit {
			return false, nil
		}
	}
}
