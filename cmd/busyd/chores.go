package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/busyd/busyd/busy"
)

const (
	// holdsEvery is how often holds that have expired are looked for, so that
	// frontends are told. Who books goes by the clock, and does not wait for it.
	holdsEvery = 2 * time.Second
	// purgeEvery is how often what is kept for a while only is removed.
	purgeEvery = time.Hour
	// holdsAtOnce are expired in one go.
	holdsAtOnce = 500
)

// chores notes which holds have expired, and removes messages and answers that are
// too old, whether they have arrived or not. Any number of daemons may.
func (d *daemon) chores(ctx context.Context) error {
	var purged time.Time
	for {
		now := time.Now()
		if _, err := d.store.ExpireHolds(ctx, now, holdsAtOnce); err != nil && ctx.Err() == nil {
			d.log.Warn("cannot look for holds that have expired", "error", err.Error())
		}
		if now.Sub(purged) >= purgeEvery {
			purged = now
			if _, err := d.store.Purge(ctx, now); err != nil && ctx.Err() == nil {
				d.log.Warn("cannot remove old messages", "error", err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(busy.Jitter(holdsEvery, rand.Float64())):
		}
	}
}
