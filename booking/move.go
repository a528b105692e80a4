package booking

import (
	"context"
	"time"

	"github.com/busyd/busyd/busy"
)

// Reschedule moves a pending or confirmed booking to another start, in one step.
// Resources, if there are any, must serve it there; otherwise those who serve it
// now do if they can, and else whoever is free. A version that is not 0 must be the
// booking's.
func (d *Desk) Reschedule(ctx context.Context, tenant busy.TenantID, id busy.BookingID, version int64, start time.Time,
	resources []busy.ResourceID, once *Once,
) (busy.Booking, error) {
	var m meeting
	var moved busy.Booking
	err := persist(func(patient bool) error {
		b, err := d.current(ctx, tenant, id, version)
		if err != nil {
			return err
		}
		if b.State == busy.BookingHeld {
			return &Refusal{Cause: CauseState}
		}
		service, err := d.Store.BookedService(ctx, tenant, b.Service)
		if err != nil {
			return err
		}
		m = meeting{question: d.question(service), start: start, now: b.Resources}
		m.question.Resources, m.question.Seats, m.question.Ignore = resources, b.Seats, []busy.BookingID{b.ID}
		return d.meet(ctx, tenant, m, patient, func(decision Decision, now time.Time) (busy.Proposal, error) {
			moved = b
			if err := d.place(&moved, decision); err != nil {
				return busy.Proposal{}, err
			}
			messages, err := d.tell(moved, now, busy.BookingRescheduled)
			return proposal(&moved, now, decision.Seen, once, "", messages...), err
		})
	})
	if err != nil {
		return busy.Booking{}, d.instead(ctx, tenant, m, err)
	}
	return moved, nil
}

// Cancel ends a booking or a hold and frees its time. A version that is not 0 must
// be the booking's.
func (d *Desk) Cancel(ctx context.Context, tenant busy.TenantID, id busy.BookingID, version int64, once *Once) (busy.Booking, error) {
	var cancelled busy.Booking
	err := persist(func(bool) error {
		b, err := d.current(ctx, tenant, id, version)
		if err != nil {
			return err
		}
		now := d.Now()
		cancelled = b
		cancelled.State, cancelled.ExpiresAt = busy.BookingCancelled, time.Time{}
		kind := busy.BookingWasCancelled
		if b.State == busy.BookingHeld {
			kind = busy.AvailabilityChanged
		}
		messages, err := d.tell(cancelled, now, kind)
		if err != nil {
			return err
		}
		return d.Store.Propose(ctx, tenant, proposal(&cancelled, now, nil, once, "", messages...))
	})
	if err != nil {
		return busy.Booking{}, err
	}
	return cancelled, nil
}
