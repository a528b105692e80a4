package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/busyd/busyd/busy"
)

// Due is where the sweep finds calendars to sync.
type Due interface {
	// ClaimDue returns up to limit tasks of calendars that are due at now, and
	// puts each off by again. Two callers never get the same calendar.
	ClaimDue(ctx context.Context, now time.Time, limit int, again time.Duration) ([]busy.Task, error)
}

// Queue is where it puts them. [Client] is one.
type Queue interface {
	Enqueue(ctx context.Context, tasks []busy.Task) error
	Pending(ctx context.Context) (int, error)
}

// Sweep moves due calendars from Postgres into the queues. Any number may run.
type Sweep struct {
	Due   Due
	Queue Queue
	// Interval between two looks, with a quarter of jitter either way.
	Interval time.Duration
	// Batch is how many calendars are claimed at once.
	Batch int
	// MaxPending keeps the queues short: while more tasks wait, nothing is
	// claimed. Who goes first is decided in Postgres, so the order of a long
	// queue would be an old decision.
	MaxPending int
	Now        func() time.Time
	Random     func() float64 // in [0, 1)
	Log        *slog.Logger
}

// The usual sizes.
const (
	Batch      = 1000
	MaxPending = 10_000
)

// longestPause bounds the backoff while Postgres or Redis is away, and so how
// late the sweep notices that they are back.
const longestPause = 5 * time.Second

// Run sweeps until ctx is done. It never gives up.
func (s *Sweep) Run(ctx context.Context) {
	pause, away := s.Interval, false
	for {
		err := s.drain(ctx)
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
		}
		jitter := 0.75 + s.Random()/2
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(float64(pause) * jitter)):
		}
	}
}

// drain moves batches until one is not full. Redis is asked first, so that
// nothing is claimed while it is away.
func (s *Sweep) drain(ctx context.Context) error {
	for {
		pending, err := s.Queue.Pending(ctx)
		if err != nil {
			return err
		}
		limit := min(s.Batch, s.MaxPending-pending)
		if limit <= 0 {
			return nil
		}
		tasks, err := s.Due.ClaimDue(ctx, s.Now(), limit, Again)
		if err != nil {
			return fmt.Errorf("claim due calendars: %w", err)
		}
		if err := s.Queue.Enqueue(ctx, tasks); err != nil {
			return err
		}
		if len(tasks) < limit {
			return nil
		}
	}
}
