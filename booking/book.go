package booking

import (
	"context"
	"time"

	"github.com/busyd/busyd/busy"
)

// BookRequest asks for a booking, of a hold or straight away.
type BookRequest struct {
	Service   busy.ServiceID
	Start     time.Time
	Resources []busy.ResourceID // that must serve it; none: whoever is free
	Seats     int               // 0 is 1
	Pending   bool              // waits for Confirm
	Details   *busy.Details     // nil with a hold: those of the hold
	// Hold, if it is not zero, becomes the booking, and is all that is asked for:
	// Service, Start, Resources and Seats are the hold's.
	Hold  busy.BookingID
	Token string // of the hold
	Once  *Once
}

// Book makes a booking.
func (d *Desk) Book(ctx context.Context, tenant busy.TenantID, r BookRequest) (busy.Booking, error) {
	state := busy.BookingConfirmed
	if r.Pending {
		state = busy.BookingPending
	}
	if r.Hold.IsZero() {
		w := wanted{service: r.Service, start: r.Start, resources: r.Resources, seats: r.Seats, once: r.Once}
		return d.create(ctx, tenant, w, busy.Booking{State: state, Details: r.Details}, func(*busy.Booking, time.Time) {})
	}
	return d.change(ctx, tenant, r.Hold, 0, r.Once, func(b *busy.Booking, _ time.Time) (busy.MessageType, error) {
		if err := owned(*b, r.Token); err != nil {
			return "", err
		}
		b.State, b.ExpiresAt = state, time.Time{}
		if r.Details != nil {
			b.Details = r.Details
		}
		return busy.BookingCreated, nil
	})
}

// Confirm makes a pending booking a confirmed one. A version that is not 0 must be
// the booking's.
func (d *Desk) Confirm(ctx context.Context, tenant busy.TenantID, id busy.BookingID, version int64, once *Once) (busy.Booking, error) {
	return d.change(ctx, tenant, id, version, once, func(b *busy.Booking, _ time.Time) (busy.MessageType, error) {
		if b.State != busy.BookingPending {
			return "", &Refusal{Cause: CauseState}
		}
		b.State = busy.BookingConfirmed
		return "", nil
	})
}
