package booking

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/busyd/busyd/busy"
)

// ledger is a store of one tenant in memory, which enforces versions. The real one
// has tests of its own.
type ledger struct {
	mu       sync.Mutex
	now      func() time.Time
	services map[busy.ServiceID]busy.Service
	archived map[busy.ServiceID]busy.Service
	agendas  map[busy.ResourceID]busy.Agenda
	bookings map[busy.BookingID]busy.Booking
	written  []busy.Proposal
	// before, if set, is called before each proposal, with the mutex: something
	// happens between the reading and the writing.
	before  func()
	patient int // calls of Decide
}

func (l *ledger) Service(_ context.Context, _ busy.TenantID, id busy.ServiceID) (busy.Service, error) {
	s, ok := l.services[id]
	if !ok {
		return s, busy.ErrNotFound
	}
	return s, nil
}

func (l *ledger) BookedService(ctx context.Context, tenant busy.TenantID, id busy.ServiceID) (busy.Service, error) {
	if s, ok := l.archived[id]; ok {
		return s, nil
	}
	return l.Service(ctx, tenant, id)
}

func (l *ledger) Booking(_ context.Context, _ busy.TenantID, id busy.BookingID) (busy.Booking, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.bookings[id]
	if !ok {
		return b, busy.ErrNotFound
	}
	return b, nil
}

func (l *ledger) Agendas(_ context.Context, _ busy.TenantID, resources []busy.ResourceID, span busy.Span) ([]busy.Agenda, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.read(resources, span)
}

func (l *ledger) read(resources []busy.ResourceID, span busy.Span) ([]busy.Agenda, error) {
	agendas := make([]busy.Agenda, len(resources))
	for i, id := range resources {
		a, ok := l.agendas[id]
		if !ok {
			return nil, busy.ErrNotFound
		}
		a.Blocks = slices.DeleteFunc(slices.Clone(a.Blocks), func(b busy.Block) bool {
			return !span.Overlaps(busy.Span{Start: b.Start, End: b.End})
		})
		a.Claims = slices.Clone(a.Claims)
		agendas[i] = a
	}
	return agendas, nil
}

func (l *ledger) Propose(_ context.Context, _ busy.TenantID, p busy.Proposal) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.before != nil {
		l.before()
	}
	return l.write(p)
}

func (l *ledger) Decide(_ context.Context, _ busy.TenantID, resources []busy.ResourceID, span busy.Span,
	decide func([]busy.Agenda) (busy.Proposal, error),
) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.patient++
	agendas, err := l.read(resources, span)
	if err != nil {
		return err
	}
	p, err := decide(agendas)
	if err != nil {
		return err
	}
	return l.write(p)
}

func (l *ledger) write(p busy.Proposal) error {
	b := p.Booking
	if l.bookings[b.ID].Version != p.Was {
		return busy.ErrChanged
	}
	for _, seen := range p.Seen {
		if l.agendas[seen.Resource].Version != seen.Version {
			return busy.ErrChanged
		}
	}
	for id, a := range l.agendas {
		had := len(a.Claims)
		a.Claims = slices.DeleteFunc(slices.Clone(a.Claims), func(c busy.Claim) bool {
			return c.Booking == b.ID || !c.ExpiresAt.IsZero() && !l.now().Before(c.ExpiresAt)
		})
		if len(a.Claims) != had {
			a.Version++
			l.agendas[id] = a
		}
	}
	if b.Live(l.now()) {
		if err := l.claim(b); err != nil {
			return err
		}
	}
	l.bookings[b.ID] = b
	l.written = append(l.written, p)
	return nil
}

func (l *ledger) claim(b busy.Booking) error {
	c := busy.Claim{
		Booking: b.ID, Service: b.Service, Session: b.Session, Span: b.Span, Blocked: b.Blocked, Seats: b.Seats,
		ExpiresAt: b.ExpiresAt, CreatedAt: b.CreatedAt,
	}
	for _, id := range b.Resources {
		a := l.agendas[id]
		for _, other := range a.Claims {
			if other.Session != c.Session && other.Blocked.Overlaps(c.Blocked) {
				return busy.ErrTaken
			}
		}
		a.Claims = append(a.Claims, c)
		slices.SortStableFunc(a.Claims, func(x, y busy.Claim) int { return x.Span.Start.Compare(y.Span.Start) })
		a.Version++
		l.agendas[id] = a
	}
	return nil
}

// block lets a calendar's event land on a resource.
func (l *ledger) block(id busy.ResourceID, span busy.Span) {
	a := l.agendas[id]
	a.Blocks = append(slices.Clone(a.Blocks), busy.Block{Start: span.Start, End: span.End, State: busy.Busy})
	a.Version++
	l.agendas[id] = a
}
