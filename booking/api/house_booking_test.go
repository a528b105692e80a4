package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// ledger is what a tenant of the house has of services and bookings.
type ledger struct {
	services  []busy.Service
	archived  []busy.Service
	bookings  []busy.Booking
	conflicts []busy.Conflict
	answers   map[string]*busy.Once
	version   int64  // of all its agendas
	token     string // of its holds
}

// furnish gives the tenant a service of its first resource with four bookings on
// Friday, two of them holds, an override and a conflict.
func (ten *tenant) furnish(h *house, name string) {
	ada := &ten.resources[0]
	ten.token = "hold_" + name
	owner := sha256.Sum256([]byte(ten.token))
	s := busy.Service{
		ID: newID[busy.Service](h), Name: "Visit " + name, Duration: 30 * time.Minute, Interval: 15 * time.Minute, Align: busy.AlignPeriod,
		Capacity: 1, Policy: busy.TreatAsBusy, Needs: []busy.Need{{Count: 1, Resources: []busy.ResourceID{ada.ID}}},
	}
	ten.services = append(ten.services, s)
	for i, state := range []busy.BookingState{busy.BookingConfirmed, busy.BookingPending, busy.BookingHeld, busy.BookingHeld} {
		span := busy.Span{Start: utc(6, 8+i, 0), End: utc(6, 8+i, 30)}
		b := busy.Booking{
			ID: newID[busy.Booking](h), Service: s.ID, Resources: []busy.ResourceID{ada.ID}, Span: span, Blocked: span, Seats: 1,
			Session: newID[busy.Claim](h), State: state, Version: 1, CreatedAt: h.now, ChangedAt: h.now,
			Details: &busy.Details{Reference: "case of " + name, Fields: map[string]string{"phone": "number of " + name}},
		}
		if state == busy.BookingHeld {
			b.ExpiresAt, b.Owner = h.now.Add(5*time.Minute), owner[:]
		}
		ten.bookings = append(ten.bookings, b)
	}
	ada.Overrides = append(ada.Overrides, busy.Override{ID: newID[busy.Override](h), Resource: ada.ID, First: utc(20, 0, 0), Last: utc(21, 0, 0), Closed: true})
	ten.conflicts = append(ten.conflicts, busy.Conflict{
		ID: newID[busy.Conflict](h), Booking: ten.bookings[0].ID, Resource: ada.ID, Span: ten.bookings[0].Span, DetectedAt: h.now,
	})
}

func (ten *tenant) hold() string { return ten.token }

// want asks for the tenant's service at a full hour.
func (ten *tenant) want(day, hour int) string {
	return wantText(ten.services[0].ID.String(), utc(day, hour, 0))
}

// question asks for the tenant's service on Friday, its hold being its own.
func (ten *tenant) question(more string) string {
	return fmt.Sprintf(`{"services":[%q],"from":"2026-03-06T08:00:00Z","to":"2026-03-06T16:00:00Z","hold":%q,%s}`,
		ten.services[0].ID, ten.bookings[2].ID, more)
}

func wantText(service string, start time.Time) string {
	return fmt.Sprintf(`{"service":%q,"start":%q}`, service, start.Format(time.RFC3339))
}

func serviceText(name, resource string) string {
	return fmt.Sprintf(`{"name":%q,"duration":"30m","after":"15m","notice":"1h","horizon":"60d","max_per_day":20,"needs":[{"resources":[%q]}]}`, name, resource)
}

func (h *house) SetIgnore(_ context.Context, tenant busy.TenantID, id busy.CalendarID, tentative, allDay bool, _ time.Time) error {
	for i, c := range h.tenant(tenant).calendars {
		if c.ID == id {
			h.tenant(tenant).calendars[i].IgnoreTentative, h.tenant(tenant).calendars[i].IgnoreAllDay = tentative, allDay
			return h.err
		}
	}
	return busy.ErrNotFound
}

func (h *house) FindResource(_ context.Context, tenant busy.TenantID, id string) (busy.Resource, error) {
	for _, r := range h.tenant(tenant).resources {
		if r.ID.String() == id {
			return r, h.err
		}
	}
	return busy.Resource{}, busy.ErrNotFound
}

// own is the tenant's resource.
func (ten *tenant) own(id busy.ResourceID) *busy.Resource {
	for i := range ten.resources {
		if ten.resources[i].ID == id {
			return &ten.resources[i]
		}
	}
	return nil
}

func (h *house) ChangeResource(_ context.Context, tenant busy.TenantID, r busy.Resource) error {
	own := h.tenant(tenant).own(r.ID)
	if own == nil {
		return busy.ErrNotFound
	}
	own.Name, own.Zone, own.Hours = r.Name, r.Zone, r.Hours
	return h.err
}

func (h *house) CreateOverride(_ context.Context, tenant busy.TenantID, o busy.Override) (busy.Override, error) {
	own := h.tenant(tenant).own(o.Resource)
	if own == nil {
		return o, busy.ErrNotFound
	}
	o.ID = newID[busy.Override](h)
	own.Overrides = append(own.Overrides, o)
	return o, h.err
}

func (h *house) DeleteOverride(_ context.Context, tenant busy.TenantID, id busy.OverrideID) error {
	for i, r := range h.tenant(tenant).resources {
		left := slices.DeleteFunc(slices.Clone(r.Overrides), func(o busy.Override) bool { return o.ID == id })
		if len(left) < len(r.Overrides) {
			h.tenant(tenant).resources[i].Overrides = left
			return h.err
		}
	}
	return busy.ErrNotFound
}

func (h *house) CreateService(_ context.Context, tenant busy.TenantID, s busy.Service) (busy.Service, error) {
	ten := h.tenant(tenant)
	if err := ten.serve(s); err != nil {
		return s, err
	}
	s.ID = newID[busy.Service](h)
	ten.services = append(ten.services, s)
	return s, h.err
}

// serve is busy.ErrNotFound if a resource is not the tenant's.
func (ten *tenant) serve(s busy.Service) error {
	for _, id := range s.Resources() {
		if ten.own(id) == nil {
			return busy.ErrNotFound
		}
	}
	return nil
}

func (ten *tenant) service(id busy.ServiceID) int {
	return slices.IndexFunc(ten.services, func(s busy.Service) bool { return s.ID == id })
}

func (h *house) ReplaceService(_ context.Context, tenant busy.TenantID, s busy.Service) error {
	ten := h.tenant(tenant)
	i := ten.service(s.ID)
	if i < 0 {
		return busy.ErrNotFound
	}
	if err := ten.serve(s); err != nil {
		return err
	}
	ten.services[i] = s
	return h.err
}

func (h *house) Service(_ context.Context, tenant busy.TenantID, id busy.ServiceID) (busy.Service, error) {
	if i := h.tenant(tenant).service(id); i >= 0 {
		return h.tenant(tenant).services[i], h.err
	}
	return busy.Service{}, busy.ErrNotFound
}

func (h *house) BookedService(ctx context.Context, tenant busy.TenantID, id busy.ServiceID) (busy.Service, error) {
	for _, s := range h.tenant(tenant).archived {
		if s.ID == id {
			return s, h.err
		}
	}
	return h.Service(ctx, tenant, id)
}

func (h *house) Services(_ context.Context, tenant busy.TenantID) ([]busy.Service, error) {
	return slices.Clone(h.tenant(tenant).services), h.err
}

func (h *house) ArchiveService(_ context.Context, tenant busy.TenantID, id busy.ServiceID) error {
	ten := h.tenant(tenant)
	i := ten.service(id)
	if i < 0 {
		return busy.ErrNotFound
	}
	ten.archived = append(ten.archived, ten.services[i])
	ten.services = slices.Delete(ten.services, i, i+1)
	return h.err
}

func (h *house) OpenHolds(_ context.Context, tenant busy.TenantID, service busy.ServiceID, now time.Time) (int, error) {
	n := 0
	for _, b := range h.tenant(tenant).bookings {
		if b.Service == service && b.State == busy.BookingHeld && b.Live(now) {
			n++
		}
	}
	return n, h.err
}

func (h *house) Booking(_ context.Context, tenant busy.TenantID, id busy.BookingID) (busy.Booking, error) {
	for _, b := range h.tenant(tenant).bookings {
		if b.ID == id {
			return b, h.err
		}
	}
	return busy.Booking{}, busy.ErrNotFound
}

func (h *house) Bookings(_ context.Context, tenant busy.TenantID, f busy.BookingFilter) ([]busy.Booking, error) {
	var found []busy.Booking
	for _, b := range h.tenant(tenant).bookings {
		switch {
		case !f.Resource.IsZero() && !slices.Contains(b.Resources, f.Resource),
			!f.Service.IsZero() && b.Service != f.Service,
			!f.Span.Start.IsZero() && !b.Span.End.After(f.Span.Start),
			!f.Span.End.IsZero() && !b.Span.Start.Before(f.Span.End),
			len(f.States) > 0 && !slices.Contains(f.States, b.State),
			bytes.Compare(b.ID[:], f.After[:]) <= 0:
		default:
			found = append(found, b)
		}
	}
	slices.SortFunc(found, func(a, b busy.Booking) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return found[:min(len(found), f.Limit)], h.err
}

func (h *house) EraseDetails(_ context.Context, tenant busy.TenantID, id busy.BookingID, _ time.Time) error {
	for i, b := range h.tenant(tenant).bookings {
		if b.ID == id {
			h.tenant(tenant).bookings[i].Details = nil
			return h.err
		}
	}
	return busy.ErrNotFound
}

func (h *house) Conflicts(_ context.Context, tenant busy.TenantID, open bool, after busy.ConflictID, limit int) ([]busy.Conflict, error) {
	var found []busy.Conflict
	for _, c := range h.tenant(tenant).conflicts {
		if (!open || c.ResolvedAt.IsZero()) && bytes.Compare(c.ID[:], after[:]) > 0 {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b busy.Conflict) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return found[:min(len(found), limit)], h.err
}

func (h *house) Reserve(_ context.Context, tenant busy.TenantID, once busy.Once, _ time.Time) (busy.Once, *busy.Answer, error) {
	ten := h.tenant(tenant)
	given, ok := ten.answers[once.Key]
	switch {
	case h.err != nil:
		return once, nil, h.err
	case !ok:
		ten.answers[once.Key] = &once
		return once, nil, nil
	case !bytes.Equal(given.Request, once.Request):
		return once, nil, busy.ErrOtherRequest
	case given.Answer == nil:
		return once, nil, busy.ErrInFlight
	default:
		return once, given.Answer, nil
	}
}

func (h *house) Answer(_ context.Context, tenant busy.TenantID, once busy.Once, _ time.Time) error {
	h.tenant(tenant).answers[once.Key] = &once
	return h.err
}

func (h *house) Propose(_ context.Context, id busy.TenantID, p busy.Proposal) error {
	ten := h.tenant(id)
	for _, seen := range p.Seen {
		if seen.Version != ten.version {
			return busy.ErrChanged
		}
	}
	i := slices.IndexFunc(ten.bookings, func(b busy.Booking) bool { return b.ID == p.Booking.ID })
	switch {
	case h.err != nil:
		return h.err
	case i < 0 && p.Was == 0:
		ten.bookings = append(ten.bookings, p.Booking)
	case i >= 0 && p.Was == ten.bookings[i].Version:
		ten.bookings[i] = p.Booking
	default:
		return busy.ErrChanged
	}
	ten.version++
	if p.Once != nil {
		ten.answers[p.Once.Key] = p.Once
	}
	return nil
}

func (h *house) Decide(ctx context.Context, id busy.TenantID, resources []busy.ResourceID, span busy.Span,
	decide func([]busy.Agenda) (busy.Proposal, error),
) error {
	agendas, err := h.Agendas(ctx, id, resources, span)
	if err != nil {
		return err
	}
	p, err := decide(agendas)
	if err != nil {
		return err
	}
	return h.Propose(ctx, id, p)
}

// claims are those of the resource's live bookings.
func (ten *tenant) claims(h *house, id busy.ResourceID) []busy.Claim {
	var claims []busy.Claim
	for _, b := range ten.bookings {
		if b.Live(h.now) && slices.Contains(b.Resources, id) {
			claims = append(claims, busy.Claim{
				Booking: b.ID, Service: b.Service, Session: b.Session, Span: b.Span, Blocked: b.Blocked, Seats: b.Seats,
				ExpiresAt: b.ExpiresAt, CreatedAt: b.CreatedAt,
			})
		}
	}
	slices.SortFunc(claims, func(a, b busy.Claim) int { return a.Span.Start.Compare(b.Span.Start) })
	return claims
}
