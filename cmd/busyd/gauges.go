package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/store"
)

// gauges are read from Postgres and Redis when Prometheus asks, at most every
// gaugeAge. While one does not answer, its gauges are absent, not zero.
type gauges struct {
	store interface {
		Lag(ctx context.Context, now time.Time) (store.Lag, error)
		Backlog(ctx context.Context, now time.Time) (store.Backlog, error)
	}
	depths func(ctx context.Context) (map[busy.Urgency]queue.Depth, error)
	log    *slog.Logger

	mu      sync.Mutex
	readAt  time.Time
	metrics []prometheus.Metric
}

const (
	gaugeAge     = 5 * time.Second
	gaugeTimeout = 5 * time.Second
)

func newGauges(st *store.Store, depths func(context.Context) (map[busy.Urgency]queue.Depth, error), log *slog.Logger) *gauges {
	return &gauges{store: st, depths: depths, log: log}
}

// Describe implements [prometheus.Collector]. A collector that describes nothing
// may leave metrics out.
func (g *gauges) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); now.Sub(g.readAt) > gaugeAge {
		g.readAt, g.metrics = now, nil
		ctx, cancel := context.WithTimeout(context.Background(), gaugeTimeout)
		defer cancel()
		g.readLag(ctx, now)
		g.readBacklog(ctx, now)
		g.readDepths(ctx)
	}
	for _, m := range g.metrics {
		out <- m
	}
}

func (g *gauges) add(name, help string, value float64, label ...string) {
	var names, values []string
	if len(label) == 2 {
		names, values = label[:1], label[1:]
	}
	g.metrics = append(g.metrics, prometheus.MustNewConstMetric(
		prometheus.NewDesc("busyd_"+name, help, names, nil), prometheus.GaugeValue, value, values...))
}

func (g *gauges) readLag(ctx context.Context, now time.Time) {
	lag, err := g.store.Lag(ctx, now)
	if err != nil {
		g.log.Warn("the sync lag cannot be measured", "error", err.Error())
		return
	}
	g.add("sync_lag_seconds", "For how long the most overdue calendar has been due.", lag.Greatest.Seconds())
	g.add("sync_lag_total_seconds", "For how long all overdue calendars together have been due.", lag.Total.Seconds())
	g.add("sync_oldest_reading_seconds", "Since the oldest complete reading of a calendar began.", lag.Oldest.Seconds())
	g.add("calendars_scheduled", "Calendars that are kept in sync.", float64(lag.Calendars))
	g.add("calendars_due", "Calendars that should have been looked at.", float64(lag.Due))
	g.add("calendars_pending", "Calendars that were never read completely.", float64(lag.Pending))
	g.add("calendars_degraded", "Calendars with events whose time is not fully known.", float64(lag.Degraded))
	for _, state := range busy.ConnectionStates() {
		if state == busy.ConnectionDisconnected {
			continue // has no calendars
		}
		g.add("calendars", "Selected calendars by the state of their connection.", float64(lag.States[state]), "state", string(state))
	}
}

func (g *gauges) readBacklog(ctx context.Context, now time.Time) {
	b, err := g.store.Backlog(ctx, now)
	if err != nil {
		g.log.Warn("what waits for endpoints cannot be measured", "error", err.Error())
		return
	}
	g.add("webhook_waiting", "Messages that have not arrived at endpoints and are still to be sent.", float64(b.Waiting))
	g.add("webhook_oldest_seconds", "Since the oldest of the messages that wait for an endpoint was written.", b.Oldest.Seconds())
	g.add("webhook_disabled", "Endpoints to which nothing is sent any more.", float64(b.Disabled))
}

func (g *gauges) readDepths(ctx context.Context) {
	depths, err := g.depths(ctx)
	if err != nil {
		g.log.Warn("the queues cannot be measured", "error", err.Error())
		return
	}
	for urgency, d := range depths {
		queue := string(urgency)
		g.add("queue_pending", "Tasks that wait for a worker.", float64(d.Pending), "queue", queue)
		g.add("queue_active", "Tasks that are under way.", float64(d.Active), "queue", queue)
		g.add("queue_failed", "Tasks that were given up after their workers died.", float64(d.Failed), "queue", queue)
		g.add("queue_latency_seconds", "How long the oldest pending task has waited.", d.Latency.Seconds(), "queue", queue)
	}
}
