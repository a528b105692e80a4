package main

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/busyd/busyd/booking/webhook"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
	"github.com/busyd/busyd/queue"
)

// couriers is how many endpoints this process sends to at the same time. They wait
// for the network, mostly, and are no workers for calendars.
const couriers = 16

// newCourier returns what sends messages to endpoints. It reaches whom calendars
// may be read from: public addresses, and those that the operator allows.
func (d *daemon) newCourier() *webhook.Courier {
	return &webhook.Courier{
		Store: d.store,
		HTTP: transport.NewClient(transport.Config{
			UserAgent: "busyd/" + version(), Allow: d.config.Network.Allow, Roots: roots(d.config.Network.CAFile),
			Timeout: webhook.RequestFor, MaxBody: 64 << 10,
		}),
		CodeOf:  providers.CodeOf,
		Observe: func(code string) { d.metrics.deliveries.WithLabelValues(outcome(code)).Inc() },
		Now:     time.Now, Random: rand.Float64,
	}
}

// outcome is an attempt's code for a metric, in which an endpoint must not be able
// to make up labels.
func outcome(code string) string {
	status, ok := strings.CutPrefix(code, "status_")
	switch {
	case !ok || status == "410" || status == "429":
		return code
	default:
		return status[:1] + "xx"
	}
}

// dispatch has the messages that wait for endpoints sent.
func (d *daemon) dispatch(ctx context.Context) error {
	sweep := &queue.Sweep[busy.Dispatch]{
		Claim: d.store.ClaimDispatches, Queue: queue.Dispatches{Client: d.queue}, Interval: d.config.Sweep.Interval,
		Batch: queue.Batch,
		Now:   time.Now, Random: rand.Float64, Log: d.log.With("of", "webhooks"),
	}
	sweep.Run(ctx)
	return nil
}

// deliver sends them.
func (d *daemon) deliver(ctx context.Context) error {
	return queue.NewDispatchServer(d.redis, queue.ServerConfig{
		Concurrency: couriers,
		Drain:       max(d.config.ShutdownTimeout-reserve, d.config.ShutdownTimeout/2),
		Log:         d.log,
	}, d.newCourier().Run).Run(ctx)
}
