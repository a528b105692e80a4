package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/busyd/busyd/busy"
)

// Where a datum is sealed; part of what it is sealed with.
const (
	detailsField = "bookings.details"
	answerField  = "requests.answer"
)

// Propose writes a proposal in one transaction and one round trip. ErrChanged, and
// nothing is written, if an agenda or the booking is no longer what the proposal
// was decided on, or another attempt has taken the request over; ErrTaken if the
// database's own constraint refuses it. The booking's version becomes one more
// than it was, whatever the proposal says. ErrNotFound if the tenant has no such
// service.
func (s *Store) Propose(ctx context.Context, tenant busy.TenantID, p busy.Proposal) error {
	sealed, err := s.sealProposal(ctx, tenant, p)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{} // one transaction, at read committed: what follows a lock sees what it waited for
	batch.Queue(setTenant, tenant.String())
	queueProposal(batch, tenant, p, sealed)
	return proposed(s.app.SendBatch(ctx, batch).Close())
}

// Decide locks the resources' agendas, reads them, and writes the proposal that
// decide makes of them; an error of decide is returned as it is. The resources are
// all that the booking takes, before and after. Errors as for Propose, though with
// the agendas locked ErrChanged can be about the booking or the request only.
func (s *Store) Decide(ctx context.Context, tenant busy.TenantID, resources []busy.ResourceID, span busy.Span,
	decide func([]busy.Agenda) (busy.Proposal, error),
) error {
	if _, err := s.box(ctx, tenant); err != nil { // before a connection and locks are held
		return err
	}
	return s.In(ctx, tenant, func(tx *Tx) error {
		batch := &pgx.Batch{}
		ids := argIDs(resources)
		batch.Queue(`select from resources where tenant_id = $1 and id = any($2) order by id for no key update`, arg(tenant), ids)
		agendas := queueAgendas(batch, tenant, ids, span)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return failed("read the agendas", err)
		}
		p, err := decide(agendas)
		if err != nil {
			return err
		}
		sealed, err := s.sealProposal(ctx, tenant, p)
		if err != nil {
			return err
		}
		batch = &pgx.Batch{}
		queueProposal(batch, tenant, p, sealed)
		return proposed(tx.SendBatch(ctx, batch).Close())
	})
}

// proposed turns the errors of a proposal into those that a decision is repeated
// after.
func proposed(err error) error {
	const doing = "write the booking"
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case exclusionViolation:
			return fmt.Errorf("%s: %w", doing, busy.ErrTaken)
		case serializationFailure, deadlockDetected:
			return fmt.Errorf("%s: %w", doing, busy.ErrChanged)
		}
	}
	return failed(doing, err)
}

// sealedProposal is what the database must not know of a proposal.
type sealedProposal struct {
	details []byte
	once    sealedOnce
}

func (s *Store) sealProposal(ctx context.Context, tenant busy.TenantID, p busy.Proposal) (sealedProposal, error) {
	var sealed sealedProposal
	if p.Booking.Details == nil && p.Once == nil {
		return sealed, nil
	}
	box, err := s.box(ctx, tenant)
	if err != nil {
		return sealed, err
	}
	if p.Booking.Details != nil {
		plain, err := json.Marshal(p.Booking.Details)
		if err != nil {
			return sealed, fmt.Errorf("write the details: %w", err)
		}
		if sealed.details, err = box.Seal(detailsField, string(p.Booking.ID[:]), plain); err != nil {
			return sealed, err
		}
	}
	if p.Once != nil {
		sealed.once, err = sealOnce(box, *p.Once)
	}
	return sealed, err
}

// queueProposal queues the statements of a proposal. Each ends the transaction if
// what it presumes is not so.
func queueProposal(batch *pgx.Batch, tenant busy.TenantID, p busy.Proposal, sealed sealedProposal) {
	ids, versions := make([][16]byte, len(p.Seen)), make([]int64, len(p.Seen))
	for i, seen := range p.Seen {
		ids[i], versions[i] = seen.Resource, seen.Version
	}
	now := micros(p.Booking.ChangedAt)
	batch.Queue(bumpSeen, arg(tenant), ids, versions, arg(p.Booking.ID))
	if len(ids) > 0 {
		batch.Queue(expireHolds, arg(tenant), ids, now)
	}
	if p.Was == 0 {
		queueNewBooking(batch, tenant, p.Booking, sealed.details)
	} else {
		queueChangedBooking(batch, tenant, p.Booking, p.Was, sealed.details)
	}
	if p.Once != nil {
		queueAnswer(batch, tenant, *p.Once, sealed.once, p.Booking.ID, now)
	}
	for _, m := range p.Messages {
		queueMessage(batch, tenant, m)
	}
}

// bumpSeen locks the agendas that were seen, if they are still those, and those
// that the booking takes so far, whatever they are, and raises their versions.
// Rows are locked in the order of ids, and only those whose version was right as
// the statement began: who comes late does not wait.
const bumpSeen = `
	with wanted as (
		select id, version from unnest($2::uuid[], $3::bigint[]) as seen (id, version)
		union all
		select c.resource_id, null from claims c
		where c.tenant_id = $1 and c.booking_id = $4 and c.live and c.resource_id <> all($2)
	), locked as (
		select r.id from wanted w join resources r on r.tenant_id = $1 and r.id = w.id
		where w.version is null or r.version = w.version
		order by r.id for no key update of r
	), bumped as (
		update resources r set version = r.version + 1 from locked where r.tenant_id = $1 and r.id = locked.id returning r.id
	)
	select expect_unchanged((select count(*) from bumped) = (select count(*) from wanted))`

func queueNewBooking(batch *pgx.Batch, tenant busy.TenantID, b busy.Booking, details []byte) {
	batch.Queue(`
		insert into bookings (tenant_id, id, service_id, starts_at, ends_at, blocked_from, blocked_to, seats, session_id, state,
			expires_at, owner, details_sealed, version, created_at, changed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1, $14, $15)`,
		arg(tenant), arg(b.ID), arg(b.Service), micros(b.Span.Start), micros(b.Span.End), micros(b.Blocked.Start),
		micros(b.Blocked.End), b.Seats, arg(b.Session), string(b.State), argTime(micros(b.ExpiresAt)), b.Owner, details,
		micros(b.CreatedAt), micros(b.ChangedAt))
	queueClaims(batch, tenant, b)
}

func queueChangedBooking(batch *pgx.Batch, tenant busy.TenantID, b busy.Booking, was int64, details []byte) {
	batch.Queue(`
		with changed as (
			update bookings
			set starts_at = $4, ends_at = $5, blocked_from = $6, blocked_to = $7, seats = $8, session_id = $9, state = $10,
				expires_at = $11, owner = $12, details_sealed = $13, version = version + 1, changed_at = $14
			where tenant_id = $1 and id = $2 and version = $3 returning 1
		)
		select expect_unchanged(exists (select from changed))`,
		arg(tenant), arg(b.ID), was, micros(b.Span.Start), micros(b.Span.End), micros(b.Blocked.Start), micros(b.Blocked.End),
		b.Seats, arg(b.Session), string(b.State), argTime(micros(b.ExpiresAt)), b.Owner, details, micros(b.ChangedAt))
	switch b.State {
	case busy.BookingCancelled, busy.BookingExpired:
		batch.Queue(`update claims set live = false, expires_at = null where tenant_id = $1 and booking_id = $2`,
			arg(tenant), arg(b.ID))
	default:
		batch.Queue(`delete from claims where tenant_id = $1 and booking_id = $2`, arg(tenant), arg(b.ID))
		queueClaims(batch, tenant, b)
	}
	batch.Queue(resolveConflicts, arg(tenant), arg(b.ID), micros(b.ChangedAt))
}

// resolveConflicts resolves those of a booking that no live claim of it has any
// more.
const resolveConflicts = `
	update conflicts f set resolved_at = $3
	where f.tenant_id = $1 and f.booking_id = $2 and f.resolved_at is null and not exists (
		select from claims c cross join lateral (` + overlap + `) b
		where c.tenant_id = $1 and c.booking_id = $2 and c.resource_id = f.resource_id and c.live)`

func queueClaims(batch *pgx.Batch, tenant busy.TenantID, b busy.Booking) {
	batch.Queue(`
		insert into claims (tenant_id, booking_id, resource_id, n, service_id, session_id, starts_at, ends_at, blocked_from,
			blocked_to, seats, expires_at, created_at, live)
		select $1, $2, r.id, r.n, $4, $5, $6, $7, $8, $9, $10, $11, $12, true
		from unnest($3::uuid[]) with ordinality as r (id, n)`,
		arg(tenant), arg(b.ID), argIDs(b.Resources), arg(b.Service), arg(b.Session), micros(b.Span.Start), micros(b.Span.End),
		micros(b.Blocked.Start), micros(b.Blocked.End), b.Seats, argTime(micros(b.ExpiresAt)), micros(b.CreatedAt))
}
