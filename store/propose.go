package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

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
// than it was, whatever the proposal says. A service that is not the tenant's is
// one that has changed.
func (s *Store) Propose(ctx context.Context, tenant busy.TenantID, p busy.Proposal) error {
	sealed, err := s.sealProposal(ctx, tenant, p)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{} // one transaction, at read committed: what follows a lock sees what it waited for
	batch.Queue(setTenant, tenant.String())
	queueProposal(batch, tenant, p, sealed)
	return proposed(writing, s.app.SendBatch(ctx, batch).Close())
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
			return proposed("read the agendas", err)
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
		return proposed(writing, tx.SendBatch(ctx, batch).Close())
	})
}

const writing = "write the booking"

// proposed turns the errors of a proposal into those that a decision is repeated
// after.
func proposed(doing string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case exclusionViolation:
			return fmt.Errorf("%s: %w", doing, busy.ErrTaken)
		case serializationFailure, deadlockDetected, foreignKeyViolation:
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

// errUnseen is a mistake of the program: only agendas that were seen, and are
// locked for it, may be claimed.
var errUnseen = errors.New("a proposal takes a resource whose agenda it has not seen")

func (s *Store) sealProposal(ctx context.Context, tenant busy.TenantID, p busy.Proposal) (sealedProposal, error) {
	var sealed sealedProposal
	if p.Was == 0 && len(p.Seen) == 0 {
		return sealed, errUnseen
	}
	if takesTime(p.Booking.State) {
		for _, id := range p.Booking.Resources {
			if !slices.ContainsFunc(p.Seen, func(seen busy.AgendaVersion) bool { return seen.Resource == id }) {
				return sealed, errUnseen
			}
		}
	}
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

// queueProposal queues the statements of a proposal, each of which ends the
// transaction if what it presumes is not so. The agendas that were seen are locked
// before anything else, if they are still those, in the order of their ids. Who finds
// at once that a version is another does not wait for the row.
func queueProposal(batch *pgx.Batch, tenant busy.TenantID, p busy.Proposal, sealed sealedProposal) {
	if p.Was == 0 {
		queueNewBooking(batch, tenant, p, sealed)
	} else {
		queueChangedBooking(batch, tenant, p, sealed)
	}
	if p.Once != nil {
		queueAnswer(batch, tenant, *p.Once, sealed.once, p.Booking.ID, micros(p.Booking.ChangedAt))
	}
	for _, m := range p.Messages {
		queueMessage(batch, tenant, m)
	}
}

// seenInOrder are the agendas that were seen, by id; neither is nil, which would be
// NULL.
func seenInOrder(p busy.Proposal) (ids [][16]byte, versions []int64) {
	ids, versions = make([][16]byte, 0, len(p.Seen)), make([]int64, 0, len(p.Seen))
	for _, seen := range slices.SortedFunc(slices.Values(p.Seen), func(a, b busy.AgendaVersion) int {
		return slices.Compare(a.Resource[:], b.Resource[:])
	}) {
		ids, versions = append(ids, seen.Resource), append(versions, seen.Version)
	}
	return ids, versions
}

const (
	// bumpOne fails at once where the version was another as the statement began, and
	// otherwise when it gets the row.
	bumpOne = `
		update resources set version = case version when $3 then version + 1 else abandon() end where tenant_id = $1 and id = $2`

	insertBooking = `
		insert into bookings (tenant_id, id, service_id, starts_at, ends_at, blocked_from, blocked_to, seats, session_id, state,
			expires_at, owner, details_sealed, version, created_at, changed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1, $14, $15)`

	insertClaim = `
		insert into claims (tenant_id, booking_id, resource_id, n, service_id, session_id, starts_at, ends_at, blocked_from,
			blocked_to, seats, expires_at, created_at, live)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, true)`
)

// queueNewBooking queues simple statements, the locks first: one that does it all
// would take the database half as long again.
func queueNewBooking(batch *pgx.Batch, tenant busy.TenantID, p busy.Proposal, sealed sealedProposal) {
	ids, versions := seenInOrder(p)
	for i, id := range ids {
		batch.Queue(bumpOne, arg(tenant), id, versions[i])
	}
	queueExpiry(batch, tenant, p, ids)
	b := p.Booking
	start, end, from, to := micros(b.Span.Start), micros(b.Span.End), micros(b.Blocked.Start), micros(b.Blocked.End)
	expires, created := argTime(micros(b.ExpiresAt)), micros(b.CreatedAt)
	batch.Queue(insertBooking, arg(tenant), arg(b.ID), arg(b.Service), start, end, from, to, b.Seats, arg(b.Session), string(b.State),
		expires, b.Owner, sealed.details, created, micros(b.ChangedAt))
	for i, id := range b.Resources {
		batch.Queue(insertClaim, arg(tenant), arg(b.ID), arg(id), i+1, arg(b.Service), arg(b.Session), start, end, from, to, b.Seats,
			expires, created)
	}
}

// queueExpiry notes the holds of locked agendas that the decision took as expired.
func queueExpiry(batch *pgx.Batch, tenant busy.TenantID, p busy.Proposal, ids [][16]byte) {
	if p.Expired {
		batch.Queue(expireHolds, arg(tenant), ids, micros(p.Booking.ChangedAt))
	}
}

// bumpSeen locks the agendas that were seen, if they are still those, and those of
// the resources that the booking takes so far, whatever they are. Where the booking
// is another already, its resources are not waited for: nothing will be written.
const bumpSeen = `
	with wanted as (
		select id, version from unnest($2::uuid[], $3::bigint[]) as seen (id, version)
		union all
		select c.resource_id, null from claims c
		where c.tenant_id = $1 and c.booking_id = $4 and c.live and c.resource_id <> all($2)
			and exists (select from bookings b where b.tenant_id = $1 and b.id = $4 and b.version = $5)
	), locked as (
		select r.id from resources r where r.tenant_id = $1 and r.id = any(array(select id from wanted))
			and r.version = coalesce((select w.version from wanted w where w.id = r.id), r.version)
		order by r.id for no key update
	), bumped as (
		update resources r set version = r.version + 1 from locked where r.tenant_id = $1 and r.id = locked.id returning r.id
	)
	select expect_unchanged((select count(*) from bumped) = (select count(*) from wanted))`

const changeBooking = `
	with changed as (
		update bookings
		set starts_at = $4, ends_at = $5, blocked_from = $6, blocked_to = $7, seats = $8, session_id = $9, state = $10,
			expires_at = $11, owner = $12, details_sealed = $13, version = version + 1, changed_at = $14
		where tenant_id = $1 and id = $2 and version = $3 returning 1
	)
	select expect_unchanged(exists (select from changed))`

func queueChangedBooking(batch *pgx.Batch, tenant busy.TenantID, p busy.Proposal, sealed sealedProposal) {
	b := p.Booking
	ids, versions := seenInOrder(p)
	batch.Queue(bumpSeen, arg(tenant), ids, versions, arg(b.ID), p.Was)
	queueExpiry(batch, tenant, p, ids)
	batch.Queue(changeBooking, arg(tenant), arg(b.ID), p.Was, micros(b.Span.Start), micros(b.Span.End), micros(b.Blocked.Start),
		micros(b.Blocked.End), b.Seats, arg(b.Session), string(b.State), argTime(micros(b.ExpiresAt)), b.Owner, sealed.details,
		micros(b.ChangedAt))
	if !takesTime(b.State) {
		batch.Queue(`update claims set live = false, expires_at = null where tenant_id = $1 and booking_id = $2`,
			arg(tenant), arg(b.ID))
	} else {
		batch.Queue(`delete from claims where tenant_id = $1 and booking_id = $2`, arg(tenant), arg(b.ID))
		batch.Queue(claimAgain, arg(tenant), arg(b.ID), argIDs(b.Resources))
	}
	batch.Queue(resolveConflicts, arg(tenant), arg(b.ID), micros(b.ChangedAt))
}

// claimAgain has a booking claim its resources as it is written.
const claimAgain = `
	insert into claims (tenant_id, booking_id, resource_id, n, service_id, session_id, starts_at, ends_at, blocked_from,
		blocked_to, seats, expires_at, created_at, live)
	select $1, $2, r.id, r.n, b.service_id, b.session_id, b.starts_at, b.ends_at, b.blocked_from, b.blocked_to, b.seats,
		b.expires_at, b.created_at, true
	from bookings b, unnest($3::uuid[]) with ordinality as r (id, n) where b.tenant_id = $1 and b.id = $2`

func takesTime(s busy.BookingState) bool {
	return s != busy.BookingCancelled && s != busy.BookingExpired
}

// resolveConflicts resolves those of a booking that no live claim of it has any
// more.
const resolveConflicts = `
	update conflicts f set resolved_at = $3
	where f.tenant_id = $1 and f.booking_id = $2 and f.resolved_at is null and not exists (
		select from claims c cross join lateral (` + overlap + `) b
		where c.tenant_id = $1 and c.booking_id = $2 and c.resource_id = f.resource_id and c.live)`
