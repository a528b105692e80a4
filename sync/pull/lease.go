package pull

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/busyd/busyd/busy"
)

// underLease calls f and renews the lease meanwhile. When the lease is lost, f's
// context ends and the result is ErrFenced, whatever f made of it.
func (r *run) underLease(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var beat sync.WaitGroup
	beat.Go(func() { r.renew(ctx, cancel) })
	err := f(ctx)
	lost := errors.Is(context.Cause(ctx), busy.ErrFenced)
	cancel(nil)
	beat.Wait()
	if lost {
		return busy.ErrFenced
	}
	return err
}

// renew prolongs the lease three times in its length until ctx ends. A renewal
// that fails is no reason to stop: each write is fenced, and the lease may still
// be there next time.
func (r *run) renew(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(r.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := r.Store.Renew(ctx, r.work.Lease, r.Now(), r.Lease); errors.Is(err, busy.ErrFenced) {
				cancel(err)
				return
			}
		}
	}
}
