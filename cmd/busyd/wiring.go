package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/busyd/busyd/booking/api"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/store"
)

// syncer is the API's way to the store and the queues.
type syncer struct {
	store *store.Store
	queue *queue.Client
	log   *slog.Logger
}

// Resync implements [api.Syncer].
func (s *syncer) Resync(ctx context.Context, tenant busy.TenantID, scope api.Scope, now time.Time) ([]busy.CalendarID, error) {
	tasks, err := s.store.Want(ctx, tenant, wantScope(scope), now)
	if err != nil {
		return nil, err
	}
	if err := s.queue.Hint(ctx, tasks); err != nil {
		s.log.DebugContext(ctx, "left to the sweep", "tasks", len(tasks), "error", err.Error())
	}
	ids := make([]busy.CalendarID, len(tasks))
	for i, t := range tasks {
		ids[i] = t.Calendar
	}
	return ids, nil
}

func wantScope(s api.Scope) store.WantScope {
	w := store.WantScope{Full: s.Full}
	if !s.Connection.IsZero() {
		w.Connection = &s.Connection
	}
	if !s.Calendar.IsZero() {
		w.Calendar = &s.Calendar
	}
	return w
}
