package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

const bookingColumns = `b.id, b.service_id, b.starts_at, b.ends_at, b.blocked_from, b.blocked_to, b.seats, b.session_id, b.state,
	b.expires_at, b.owner, b.version, b.created_at, b.changed_at, b.details_sealed,
	array(select c.resource_id from claims c where c.tenant_id = b.tenant_id and c.booking_id = b.id order by c.n)`

// sealedBooking is a booking whose details are not opened yet.
type sealedBooking struct {
	busy.Booking
	details   []byte
	resources [][16]byte
}

func (b *sealedBooking) columns() []any {
	return []any{
		into(&b.ID), into(&b.Service), intoTime(&b.Span.Start), intoTime(&b.Span.End), intoTime(&b.Blocked.Start),
		intoTime(&b.Blocked.End), &b.Seats, into(&b.Session), (*string)(&b.State), intoTime(&b.ExpiresAt), &b.Owner, &b.Version,
		intoTime(&b.CreatedAt), intoTime(&b.ChangedAt), &b.details, &b.resources,
	}
}

func (b *sealedBooking) open(box *seal.Box) (busy.Booking, error) {
	for _, id := range b.resources {
		b.Resources = append(b.Resources, id)
	}
	if b.details == nil {
		return b.Booking, nil
	}
	plain, err := box.Open(detailsField, string(b.ID[:]), b.details)
	if err != nil {
		return busy.Booking{}, err
	}
	b.Details = &busy.Details{}
	if err := json.Unmarshal(plain, b.Details); err != nil {
		return busy.Booking{}, errors.Join(errForm, err)
	}
	return b.Booking, nil
}

// Booking returns one booking. It is one round trip. ErrNotFound.
func (s *Store) Booking(ctx context.Context, tenant busy.TenantID, id busy.BookingID) (busy.Booking, error) {
	var b sealedBooking
	var key wrappedKey
	err := s.askOne(ctx, tenant, `
		select k.dek_id, k.kek_id, k.wrapped, `+bookingColumns+` from bookings b join tenant_keys k on k.tenant_id = b.tenant_id
		where b.tenant_id = $1 and b.id = $2`, []any{arg(tenant), arg(id)}, append(key.columns(), b.columns()...)...)
	if err != nil {
		return busy.Booking{}, failed("find the booking", err)
	}
	box, err := s.unwrap(tenant, key)
	if err != nil {
		return busy.Booking{}, err
	}
	return b.open(box)
}

// Bookings lists bookings by id.
func (s *Store) Bookings(ctx context.Context, tenant busy.TenantID, f busy.BookingFilter) ([]busy.Booking, error) {
	var bookings []busy.Booking
	err := s.In(ctx, tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, bookingsQuery, bookingsArgs(tenant, f)...)
		if err != nil {
			return failed("list bookings", err)
		}
		found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (sealedBooking, error) {
			var b sealedBooking
			return b, row.Scan(b.columns()...)
		})
		if err != nil || len(found) == 0 {
			return failed("list bookings", err)
		}
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		for i := range found {
			b, err := found[i].open(box)
			if err != nil {
				return err
			}
			bookings = append(bookings, b)
		}
		return nil
	})
	return bookings, err
}

const bookingsQuery = `
	select ` + bookingColumns + ` from bookings b
	where b.tenant_id = $1 and b.id > $2
		and ($3::uuid is null or exists (
			select from claims c where c.tenant_id = $1 and c.booking_id = b.id and c.resource_id = $3))
		and ($4::uuid is null or b.service_id = $4)
		and ($5::timestamptz is null or b.ends_at > $5) and ($6::timestamptz is null or b.starts_at < $6)
		and ($7::text[] is null or b.state = any($7))
	order by b.id limit nullif($8, 0)`

func bookingsArgs(tenant busy.TenantID, f busy.BookingFilter) []any {
	var states []string
	for _, s := range f.States {
		states = append(states, string(s))
	}
	return []any{
		arg(tenant), arg(f.After), argID(f.Resource), argID(f.Service), argTime(micros(f.Span.Start)), argTime(micros(f.Span.End)),
		states, f.Limit,
	}
}

// OpenHolds counts the holds of a service that are live at now. It is one round trip.
func (s *Store) OpenHolds(ctx context.Context, tenant busy.TenantID, service busy.ServiceID, now time.Time) (n int, err error) {
	err = s.askOne(ctx, tenant, `
		select count(distinct c.booking_id) from needs n
		join claims c on c.tenant_id = $1 and c.resource_id = n.resource_id and c.service_id = $2 and c.live and c.expires_at > $3
		where n.tenant_id = $1 and n.service_id = $2`, []any{arg(tenant), arg(service), micros(now)}, &n)
	return n, failed("count holds", err)
}

// EraseDetails erases what is known of the booker, and the stored answers that tell
// it: a request that is repeated afterwards is carried out anew. It is no error if
// it is done already. ErrNotFound.
func (s *Store) EraseDetails(ctx context.Context, tenant busy.TenantID, id busy.BookingID, now time.Time) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		var known bool
		err := tx.QueryRow(ctx, `
			select details_sealed is not null from bookings where tenant_id = $1 and id = $2 for update`,
			arg(tenant), arg(id)).Scan(&known)
		if err != nil {
			return failed("find the booking", err)
		}
		batch := &pgx.Batch{}
		if known {
			batch.Queue(`
				update bookings set details_sealed = null, version = version + 1, changed_at = $3 where tenant_id = $1 and id = $2`,
				arg(tenant), arg(id), micros(now))
		}
		batch.Queue(`delete from requests where tenant_id = $1 and booking_id = $2`, arg(tenant), arg(id))
		return failed("erase the details", tx.SendBatch(ctx, batch).Close())
	})
}
