package booking

import (
	"context"
	"time"

	"github.com/busyd/busyd/busy"
)

// wanted is a meeting that nobody has yet.
type wanted struct {
	service   busy.ServiceID
	start     time.Time
	resources []busy.ResourceID
	seats     int
	once      *Once
	token     string
}

// create makes a booking whose state and owner are set already. shape adds what
// depends on the moment.
func (d *Desk) create(ctx context.Context, tenant busy.TenantID, w wanted, b busy.Booking, shape func(b *busy.Booking, now time.Time)) (busy.Booking, error) {
	service, err := d.Store.Service(ctx, tenant, w.service)
	if err != nil {
		return busy.Booking{}, err
	}
	if b.ID, err = busy.NewID[busy.Booking](d.Random); err != nil {
		return busy.Booking{}, err
	}
	m := meeting{question: d.question(service), start: w.start}
	m.question.Resources, m.question.Seats = w.resources, w.seats
	b.Service, b.Seats = service.ID, m.question.seats()
	made := b
	err = persist(func(patient bool) error {
		return d.meet(ctx, tenant, m, patient, func(decision Decision, now time.Time) (busy.Proposal, error) {
			made = b
			shape(&made, now)
			if err := d.place(&made, decision); err != nil {
				return busy.Proposal{}, err
			}
			messages, err := d.tell(made, now, busy.BookingCreated)
			return proposal(&made, now, decision.Seen, w.once, w.token, messages...), err
		})
	})
	if err != nil {
		return busy.Booking{}, d.instead(ctx, tenant, m, err)
	}
	return made, nil
}

// place gives the booking what was decided.
func (d *Desk) place(b *busy.Booking, of Decision) (err error) {
	b.Span, b.Blocked, b.Resources, b.Session = of.Span, of.Blocked, of.Resources, of.Session
	if b.Session.IsZero() {
		b.Session, err = busy.NewID[busy.Claim](d.Random)
	}
	return err
}

// change makes another booking of one that has its time and keeps it, if the time
// is its own still: neither the notice nor the grid nor the limits stand against it,
// but a block that has landed on it does. It reads the booking, which edit checks
// and changes.
func (d *Desk) change(ctx context.Context, tenant busy.TenantID, id busy.BookingID, version int64, once *Once,
	edit func(b *busy.Booking, now time.Time) (busy.MessageType, error),
) (busy.Booking, error) {
	var m meeting
	var changed busy.Booking
	err := persist(func(patient bool) error {
		b, err := d.current(ctx, tenant, id, version)
		if err != nil {
			return err
		}
		service, err := d.Store.BookedService(ctx, tenant, b.Service)
		if err != nil {
			return err
		}
		kept := b
		if _, err := edit(&kept, d.Now()); err != nil {
			return err
		}
		m = d.own(service, b)
		return d.meet(ctx, tenant, m, patient, func(decision Decision, now time.Time) (busy.Proposal, error) {
			if !b.Live(now) {
				return busy.Proposal{}, ErrOver
			}
			changed = b
			kind, err := edit(&changed, now)
			if err != nil {
				return busy.Proposal{}, err
			}
			messages, err := d.tell(changed, now, kind)
			return proposal(&changed, now, decision.Seen, once, "", messages...), err
		})
	})
	if err != nil {
		return busy.Booking{}, d.instead(ctx, tenant, m, err)
	}
	return changed, nil
}

// anySeats: seats that are taken are not counted against who has them.
const anySeats = 1 << 30

// own is the meeting of a booking: as long and with the buffers that it was
// granted, by those who serve it.
func (d *Desk) own(s busy.Service, b busy.Booking) meeting {
	s.Duration = b.Span.End.Sub(b.Span.Start)
	s.Before, s.After = b.Span.Start.Sub(b.Blocked.Start), b.Blocked.End.Sub(b.Span.End)
	s.Notice, s.Horizon = 0, 0
	s.Capacity = anySeats
	s.Needs = []busy.Need{{Count: len(b.Resources), Resources: b.Resources}}
	q := d.question(s).granted()
	q.Seats, q.Ignore = b.Seats, []busy.BookingID{b.ID}
	return meeting{question: q, start: b.Span.Start}
}
