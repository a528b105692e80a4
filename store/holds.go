package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// expireHolds notes for locked resources which of their claims are of holds that
// have expired, and tells of each hold the first time. Who decides goes by the
// clock; this keeps owners whose clock is late from a hold that others took as
// expired, and the constraint of claims goes by it. The bookings are
// locked in the order of their ids, for a hold may take several resources.
const expireHolds = `
	with stale as (
		update claims set live = false
		where tenant_id = $1 and resource_id = any($2) and live and expires_at <= $3 returning booking_id
	), held as (
		select b.id from bookings b
		where b.tenant_id = $1 and b.id in (select booking_id from stale) and b.state = 'held' order by b.id for no key update
	), expired as (
		update bookings b set state = 'expired', expires_at = null, version = b.version + 1, changed_at = $3
		from held where b.tenant_id = $1 and b.id = held.id returning b.id
	), resolved as (
		update conflicts f set resolved_at = $3 from stale
		where f.tenant_id = $1 and f.booking_id = stale.booking_id and f.resolved_at is null
	), told as (
		insert into messages (tenant_id, id, type, at, booking_id)
		select $1, gen_random_uuid(), 'hold.expired', $3, id from expired returning seq, type, at
	)` + deliverTold

// ExpireHolds does so for up to limit claims of any tenants, and returns how many
// there were. Any number of sweeps may run at once.
func (s *Store) ExpireHolds(ctx context.Context, now time.Time, limit int) (int, error) {
	rows, err := s.sweep.Query(ctx, `
		select tenant_id, array_agg(distinct resource_id), count(*) from (
			select tenant_id, resource_id from claims where live and expires_at <= $1 order by expires_at limit $2
		) c group by tenant_id`, micros(now), limit)
	if err != nil {
		return 0, failed("find expired holds", err)
	}
	type some struct {
		tenant    busy.TenantID
		resources [][16]byte
		claims    int
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (some, error) {
		var f some
		return f, row.Scan(into(&f.tenant), &f.resources, &f.claims)
	})
	if err != nil {
		return 0, failed("find expired holds", err)
	}
	expired := 0
	for _, f := range found {
		if err := s.expire(ctx, f.tenant, f.resources, now); err != nil {
			return expired, err
		}
		expired += f.claims
	}
	return expired, nil
}

func (s *Store) expire(ctx context.Context, tenant busy.TenantID, resources [][16]byte, now time.Time) error {
	batch := &pgx.Batch{}
	batch.Queue(setTenant, tenant.String())
	batch.Queue(bumpExpired, arg(tenant), resources, micros(now))
	batch.Queue(expireHolds, arg(tenant), resources, micros(now))
	return failed("expire holds", s.app.SendBatch(ctx, batch).Close())
}

// bumpExpired locks those of the resources that have expired claims.
const bumpExpired = `
	with locked as (
		select r.id from resources r where r.tenant_id = $1 and r.id = any($2) and exists (
			select from claims c where c.tenant_id = $1 and c.resource_id = r.id and c.live and c.expires_at <= $3)
		order by r.id for no key update of r
	)
	update resources r set version = r.version + 1 from locked where r.tenant_id = $1 and r.id = locked.id`
