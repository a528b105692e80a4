package booking

import (
	"context"
	"io"
	"time"

	"github.com/busyd/busyd/busy"
)

// Store is what a desk reads and writes. An id that is not the tenant's is
// busy.ErrNotFound.
type Store interface {
	Service(ctx context.Context, tenant busy.TenantID, id busy.ServiceID) (busy.Service, error)
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
type Desk struct {
	Store      Store
	Now        func() time.Time
	Random     io.Reader
	StaleAfter time.Duration // see [busy.Calendar.StateFor]
}
