package booking

import (
	"context"
	"time"

	"github.com/busyd/busyd/busy"
)

// Once is a request with an idempotency key.
type Once struct {
	busy.Once
	// Render makes the answer that is stored with the booking. The token is that of
	// a new hold, and else empty.
	Render func(b busy.Booking, token string) busy.Answer
}

// HoldRequest asks to keep a meeting's time for a while.
type HoldRequest struct {
	Service   busy.ServiceID
	Start     time.Time
	Resources []busy.ResourceID // that must serve it; none: whoever is free
	Seats     int               // 0 is 1
	TTL       time.Duration     // until it expires; positive
	Details   *busy.Details
	Once      *Once // nil: no key
}

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

// Hold keeps a meeting's time until the TTL is over. The token is what its owner
// renews and books it with; it is not stored.
func (d *Desk) Hold(ctx context.Context, tenant busy.TenantID, r HoldRequest) (busy.Booking, string, error) {
	return busy.Booking{}, "", errUnbuilt
}

// Renew lets a hold expire the ttl from now.
func (d *Desk) Renew(ctx context.Context, tenant busy.TenantID, id busy.BookingID, token string, ttl time.Duration, once *Once) (busy.Booking, error) {
	return busy.Booking{}, errUnbuilt
}

// Book makes a booking.
func (d *Desk) Book(ctx context.Context, tenant busy.TenantID, r BookRequest) (busy.Booking, error) {
	return busy.Booking{}, errUnbuilt
}

// Confirm makes a pending booking a confirmed one. A version that is not 0 must be
// the booking's.
func (d *Desk) Confirm(ctx context.Context, tenant busy.TenantID, id busy.BookingID, version int64, once *Once) (busy.Booking, error) {
	return busy.Booking{}, errUnbuilt
}

// Reschedule moves a pending or confirmed booking to another start, in one step.
func (d *Desk) Reschedule(ctx context.Context, tenant busy.TenantID, id busy.BookingID, version int64, start time.Time, resources []busy.ResourceID, once *Once) (busy.Booking, error) {
	return busy.Booking{}, errUnbuilt
}

// Cancel ends a booking or a hold and frees its time.
func (d *Desk) Cancel(ctx context.Context, tenant busy.TenantID, id busy.BookingID, version int64, once *Once) (busy.Booking, error) {
	return busy.Booking{}, errUnbuilt
}
