package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// collision is a claim whose conflict is not as it should be: a block is on it and
// no conflict is open, or the other way round.
type collision struct {
	booking busy.BookingID
	open    busy.ConflictID // zero: none is
	span    busy.Span       // that is blocked first; empty: none is
}

// overlap is the first block that overlaps the claim c of a resource.
const overlap = `
	select greatest(b.starts_at, c.blocked_from) as starts_at, least(b.ends_at, c.blocked_to) as ends_at
	from weeks w, unnest(w.starts, w.ends) as b (starts_at, ends_at)
	where w.tenant_id = c.tenant_id and w.resource_id = c.resource_id
		and w.week between date_trunc('week', c.blocked_from - interval '26 hours')::date and date_trunc('week', c.blocked_to)::date
		and b.starts_at < c.blocked_to and b.ends_at > c.blocked_from
	order by b.starts_at limit 1`

const collisionQuery = `
	select c.booking_id, f.id, b.starts_at, b.ends_at
	from claims c
	left join lateral (` + overlap + `) b on true
	left join conflicts f on f.tenant_id = $1 and f.resource_id = $2 and f.booking_id = c.booking_id and f.resolved_at is null
	where c.tenant_id = $1 and c.resource_id = $2 and c.live
		and c.blocked_from > $4 and c.blocked_from < $6 and c.blocked_to > $5
		and case when f.id is not null then b.starts_at is null
			else b.starts_at is not null and c.blocked_to > $3 and (c.expires_at is null or c.expires_at > $3) end
	order by c.booking_id`

// collisions looks for them where blocks have changed: among the claims that
// overlap the span. The resource must be locked.
func (tx *Tx) collisions(ctx context.Context, resource busy.ResourceID, changed busy.Span, now time.Time) ([]collision, error) {
	rows, err := tx.Query(ctx, collisionQuery, arg(tx.Tenant), arg(resource), micros(now),
		micros(changed.Start.Add(-busy.MaxBooking)), micros(changed.Start), micros(changed.End))
	if err != nil {
		return nil, failed("look for conflicts", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (collision, error) {
		var c collision
		var open *[16]byte
		err := row.Scan(into(&c.booking), &open, intoTime(&c.span.Start), intoTime(&c.span.End))
		if open != nil {
			c.open = *open
		}
		return c, err
	})
	return found, failed("look for conflicts", err)
}

// flagConflicts opens a conflict for each live claim of the resource that is not
// over and on which a block is, and resolves those on which none is any more, as
// far as the claims overlap the span. The resource must be locked.
func (tx *Tx) flagConflicts(ctx context.Context, resource busy.ResourceID, changed busy.Span, now time.Time) error {
	found, err := tx.collisions(ctx, resource, changed, now)
	if err != nil || len(found) == 0 {
		return err
	}
	batch := &pgx.Batch{}
	for _, c := range found {
		if !c.open.IsZero() {
			batch.Queue(`update conflicts set resolved_at = $3 where tenant_id = $1 and id = $2`, arg(tx.Tenant), arg(c.open), micros(now))
			continue
		}
		if err := tx.queueConflict(batch, resource, c, now); err != nil {
			return err
		}
	}
	return failed("flag conflicts", tx.SendBatch(ctx, batch).Close())
}

func (tx *Tx) queueConflict(batch *pgx.Batch, resource busy.ResourceID, c collision, now time.Time) error {
	id, err := busy.NewID[busy.Conflict](tx.store.random)
	if err != nil {
		return err
	}
	message, err := busy.NewID[busy.Message](tx.store.random)
	if err != nil {
		return err
	}
	batch.Queue(`
		insert into conflicts (tenant_id, id, booking_id, resource_id, starts_at, ends_at, detected_at)
		values ($1, $2, $3, $4, $5, $6, $7)`,
		arg(tx.Tenant), arg(id), arg(c.booking), arg(resource), c.span.Start, c.span.End, micros(now))
	queueMessage(batch, tx.Tenant, busy.Message{
		ID: message, Type: busy.ConflictDetected, At: now, Booking: c.booking, Resource: resource, Span: c.span,
	})
	return nil
}

// always is any time that a calendar can be about.
var always = busy.Span{Start: time.Date(1, 1, 10, 0, 0, 0, 0, time.UTC), End: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}

// Conflicts lists the tenant's conflicts by id, those behind after, at most limit; 0
// is all. With open, only those that are not resolved.
func (s *Store) Conflicts(ctx context.Context, tenant busy.TenantID, open bool, after busy.ConflictID, limit int,
) ([]busy.Conflict, error) {
	var conflicts []busy.Conflict
	err := s.In(ctx, tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, `
			select id, booking_id, resource_id, starts_at, ends_at, detected_at, resolved_at from conflicts
			where tenant_id = $1 and id > $2 and (resolved_at is null or not $3)
			order by id limit nullif($4, 0)`, arg(tenant), arg(after), open, limit)
		if err != nil {
			return failed("list conflicts", err)
		}
		conflicts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (busy.Conflict, error) {
			var c busy.Conflict
			return c, row.Scan(into(&c.ID), into(&c.Booking), into(&c.Resource), intoTime(&c.Span.Start), intoTime(&c.Span.End),
				intoTime(&c.DetectedAt), intoTime(&c.ResolvedAt))
		})
		return failed("list conflicts", err)
	})
	return conflicts, err
}
