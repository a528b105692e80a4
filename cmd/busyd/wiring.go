package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/busyd/busyd/booking/api"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/caldav"
	"github.com/busyd/busyd/providers/transport"
	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/store"
)

// newProviders returns every provider there is. Requests go through the gate, and
// observe is told of each; both may be nil.
func newProviders(c configs.Config, gate *transport.Gate, observe func(transport.Call)) []providers.Provider {
	return []providers.Provider{
		caldav.New(caldav.Config{HTTP: behind(gate, busy.CalDAV, transport.New(transport.Config{
			Kind: busy.CalDAV, UserAgent: "busyd/" + version(), Allow: c.Network.Allow, Observe: observe,
		}))}),
	}
}

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
	if err := s.queue.Enqueue(ctx, tasks); err != nil {
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
