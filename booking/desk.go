package booking

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// Store is what a desk reads and writes. An id that is not the tenant's is
// busy.ErrNotFound.
type Store interface {
	// Service finds no archived service, of which nothing new is booked;
	// BookedService does.
	Service(ctx context.Context, tenant busy.TenantID, id busy.ServiceID) (busy.Service, error)
	BookedService(ctx context.Context, tenant busy.TenantID, id busy.ServiceID) (busy.Service, error)
	Booking(ctx context.Context, tenant busy.TenantID, id busy.BookingID) (busy.Booking, error)
	// Agendas reads the agendas in the order of the resources, as of one moment.
	Agendas(ctx context.Context, tenant busy.TenantID, resources []busy.ResourceID, span busy.Span) ([]busy.Agenda, error)
	// Propose writes the proposal in one transaction. busy.ErrChanged if what it was
	// decided on has changed; busy.ErrTaken if the database's own constraint, which
	// is there for the day the code is wrong, refuses it.
	Propose(ctx context.Context, tenant busy.TenantID, p busy.Proposal) error
	// Decide locks the resources' agendas, reads them, and writes the proposal that
	// decide makes of them. It is for a resource of which so much is wanted that
	// proposals keep coming too late. An error of decide is returned as it is.
	Decide(ctx context.Context, tenant busy.TenantID, resources []busy.ResourceID, span busy.Span,
		decide func([]busy.Agenda) (busy.Proposal, error)) error
}

// Desk takes bookings. It decides with the function that made the offers, on
// agendas whose versions it notes, and the store writes only if they are still
// those: no booking is accepted on what is no longer true.
//
// Its errors, besides the store's: *[Refusal], *[NotFresh], [ErrVersion],
// [ErrToken], [ErrOver], an invalid argument, and busy.ErrChanged if what was to be
// decided on would not hold still.
type Desk struct {
	Store      Store
	Now        func() time.Time
	Random     io.Reader
	StaleAfter time.Duration // see [busy.Calendar.StateFor]
}

// tries is how often something is proposed without a lock, and then with one.
const tries = 3

// persist calls attempt until what it was decided on held still. A patient attempt
// locks first, and decides then.
func persist(attempt func(patient bool) error) error {
	var err error
	for n := range 2 * tries {
		if err = attempt(n >= tries); !errors.Is(err, busy.ErrChanged) {
			return err
		}
	}
	return err
}

// meeting is one that somebody wants.
type meeting struct {
	question Question
	start    time.Time
	now      []busy.ResourceID // who serve it until now; none: it is new
}

// resources are all that have to do with the meeting.
func (m meeting) resources() []busy.ResourceID {
	all := m.question.Service.Resources()
	for _, id := range m.now {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// decide lets those serve a meeting who do until now, if they can and nobody else
// is wished.
func (m meeting) decide(agendas []busy.Agenda, now time.Time) (Decision, error) {
	q := m.question
	q.Now = now
	if len(m.now) > 0 && len(q.Resources) == 0 {
		q.Resources = m.now
		var refused *Refusal
		if d, err := Decide(agendas, q, m.start); !errors.As(err, &refused) {
			return d, err
		}
		q.Resources = nil
	}
	return Decide(agendas, q, m.start)
}

// meet decides on the meeting and writes what propose makes of the decision.
func (d *Desk) meet(ctx context.Context, tenant busy.TenantID, m meeting, patient bool,
	propose func(Decision, time.Time) (busy.Proposal, error),
) error {
	resources, span := m.resources(), m.question.at(m.start).Reads()
	decide := func(agendas []busy.Agenda) (busy.Proposal, error) {
		now := d.Now()
		decision, err := m.decide(agendas, now)
		if err != nil {
			return busy.Proposal{}, err
		}
		p, err := propose(decision, now)
		p.Expired = slices.ContainsFunc(agendas, func(a busy.Agenda) bool { return hasExpired(a, now) })
		return p, err
	}
	if patient {
		return d.Store.Decide(ctx, tenant, resources, span, decide)
	}
	agendas, err := d.Store.Agendas(ctx, tenant, resources, span)
	if err != nil {
		return err
	}
	p, err := decide(agendas)
	if err != nil {
		return err
	}
	return d.Store.Propose(ctx, tenant, p)
}

func hasExpired(a busy.Agenda, now time.Time) bool {
	return slices.ContainsFunc(a.Claims, func(c busy.Claim) bool { return !c.Live(now) })
}

// instead adds to a refusal the alternatives to the meeting. Other errors are
// returned as they are.
func (d *Desk) instead(ctx context.Context, tenant busy.TenantID, m meeting, err error) error {
	var refused *Refusal
	if errors.Is(err, busy.ErrTaken) {
		refused = &Refusal{Cause: CauseBooking}
	} else if !errors.As(err, &refused) || refused.Cause == CauseState {
		return err
	}
	q := m.question.around(m.start)
	q.Now = d.Now()
	agendas, err := d.Store.Agendas(ctx, tenant, q.Service.Resources(), q.Reads())
	if err != nil {
		return err
	}
	offering, err := Offers(agendas, q)
	if err != nil {
		return err
	}
	refused.Alternatives, refused.Standings = nearest(offering.Slots, m.start), offering.Standings
	return refused
}

func (d *Desk) question(s busy.Service) Question {
	return Question{Service: s, Now: d.Now(), StaleAfter: d.StaleAfter}
}

// current returns the booking as it is, which is not over. A version that is not 0
// must be its own.
func (d *Desk) current(ctx context.Context, tenant busy.TenantID, id busy.BookingID, version int64) (busy.Booking, error) {
	b, err := d.Store.Booking(ctx, tenant, id)
	switch {
	case err != nil:
		return busy.Booking{}, err
	case version != 0 && version != b.Version:
		return busy.Booking{}, ErrVersion
	case !b.Live(d.Now()):
		return busy.Booking{}, ErrOver
	}
	return b, nil
}
