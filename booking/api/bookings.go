package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// BookingStore is what the API reads of bookings, and what it erases. Changes go
// through the desk.
type BookingStore interface {
	Booking(ctx context.Context, tenant busy.TenantID, id busy.BookingID) (busy.Booking, error)
	// Bookings are by id.
	Bookings(ctx context.Context, tenant busy.TenantID, f busy.BookingFilter) ([]busy.Booking, error)
	// OpenHolds counts the holds of a service that are live at now.
	OpenHolds(ctx context.Context, tenant busy.TenantID, service busy.ServiceID, now time.Time) (int, error)
	EraseDetails(ctx context.Context, tenant busy.TenantID, id busy.BookingID, now time.Time) error
	// Conflicts are by id.
	Conflicts(ctx context.Context, tenant busy.TenantID, open bool, after busy.ConflictID, limit int) ([]busy.Conflict, error)
}

// bookingItem is a booking as everybody may see it who may see bookings: what is
// known of the booker is behind a route of its own, so that no list, no answer
// that is kept to be repeated and no log of a proxy has it.
type bookingItem struct {
	ID        string            `json:"id" format:"uuid"`
	Service   string            `json:"service" format:"uuid"`
	Resources []string          `json:"resources" nullable:"false" doc:"The ids of those who serve it, in the order of the service's needs."`
	Start     time.Time         `json:"start"`
	End       time.Time         `json:"end" doc:"Exclusive."`
	Seats     int               `json:"seats"`
	State     busy.BookingState `json:"state" enum:"held,pending,confirmed,cancelled,expired"`
	ExpiresAt *time.Time        `json:"expires_at,omitempty" doc:"When a hold ceases; absent otherwise."`
	Version   int64             `json:"version" doc:"Counts the booking's changes; the ETag is it in quotes."`
	CreatedAt time.Time         `json:"created_at"`
	ChangedAt time.Time         `json:"changed_at"`
}

type holdItem struct {
	Booking bookingItem `json:"booking"`
	Token   string      `json:"token" doc:"Shows who owns the hold. It cannot be seen again."`
}

type bookingsAnswer struct {
	Bookings []bookingItem `json:"bookings" nullable:"false" doc:"By id."`
	Next     *string       `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

type personalData struct {
	Reference string            `json:"reference,omitempty" doc:"The tenant's own name of the booker or the case, up to 200 bytes."`
	Fields    map[string]string `json:"fields,omitempty" doc:"Up to 10 small fields of the tenant's own: names up to 40 bytes, values up to 500."`
}

type personalDataAnswer struct {
	Booking string        `json:"booking" format:"uuid"`
	Data    *personalData `json:"data" doc:"null: there is none, or it was erased."`
}

// Limits of what is kept of a booker.
const (
	maxReference  = 200
	maxFields     = 10
	maxFieldName  = 40
	maxFieldValue = 500
)

// bookingItemOf tells a hold whose time is over as expired, whether or not
// somebody has written that down.
func bookingItemOf(b busy.Booking, now time.Time) bookingItem {
	if b.State == busy.BookingHeld && !b.Live(now) {
		b.State = busy.BookingExpired
	}
	if b.State != busy.BookingHeld {
		b.ExpiresAt = time.Time{}
	}
	return bookingItem{
		ID: b.ID.String(), Service: b.Service.String(), Resources: texts(b.Resources), Start: b.Span.Start.UTC(), End: b.Span.End.UTC(),
		Seats: b.Seats, State: b.State, ExpiresAt: instant(b.ExpiresAt), Version: b.Version,
		CreatedAt: b.CreatedAt.UTC(), ChangedAt: b.ChangedAt.UTC(),
	}
}

func (p *personalData) details(f *fields) *busy.Details {
	if p == nil {
		return nil
	}
	if len(p.Reference) > maxReference {
		f.reject("personal_data.reference", "must have at most 200 bytes")
	}
	if len(p.Fields) > maxFields {
		f.reject("personal_data.fields", "must be at most 10")
	}
	for name, value := range p.Fields {
		if name == "" || len(name) > maxFieldName || len(value) > maxFieldValue {
			f.reject("personal_data.fields", "must have names of 1 to 40 bytes and values of at most 500")
			break
		}
	}
	if strings.Contains(fmt.Sprint(*p), "\x00") {
		f.reject("personal_data", "must not contain the character NUL")
	}
	return &busy.Details{Reference: p.Reference, Fields: p.Fields}
}

func etag(b busy.Booking) string { return fmt.Sprintf("%q", fmt.Sprint(b.Version)) }

func bookingHeader(b busy.Booking) map[string]string {
	return map[string]string{"ETag": etag(b), "Location": "/v1/bookings/" + b.ID.String()}
}

func (a *api) getBooking(r *request) (any, error) {
	id := idOf[busy.Booking](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	b, err := a.Store.Booking(r.ctx, r.tenant, id)
	if err != nil {
		return nil, err
	}
	return success(http.StatusOK, bookingItemOf(b, r.now), map[string]string{"ETag": etag(b)})
}

func (a *api) listBookings(r *request) (any, error) {
	limit := r.params.limit()
	filter := busy.BookingFilter{
		Resource: optionalID[busy.Resource](r.params, oneResourceParam.name), Service: optionalID[busy.Service](r.params, serviceParam.name),
		Span: r.params.between(), States: r.params.states(), After: afterID[busy.Booking](r.params), Limit: limit + 1,
	}
	if err := r.params.err(); err != nil {
		return nil, err
	}
	all, err := a.Store.Bookings(r.ctx, r.tenant, filter)
	if err != nil {
		return nil, err
	}
	items := make([]bookingItem, len(all))
	for i, b := range all {
		items[i] = bookingItemOf(b, r.now)
	}
	var out bookingsAnswer
	out.Bookings, out.Next = page(items, func(i bookingItem) string { return i.ID }, filter.After.String(), limit)
	return out, nil
}

func (a *api) getPersonalData(r *request) (any, error) {
	id := idOf[busy.Booking](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	b, err := a.Store.Booking(r.ctx, r.tenant, id)
	if err != nil {
		return nil, err
	}
	out := personalDataAnswer{Booking: b.ID.String()}
	if b.Details != nil {
		out.Data = &personalData{b.Details.Reference, b.Details.Fields}
	}
	return out, nil
}

func (a *api) erasePersonalData(r *request) (any, error) {
	id := idOf[busy.Booking](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	return a.once(r, func(once busy.Once) (busy.Answer, error) {
		if err := a.Store.EraseDetails(r.ctx, r.tenant, id, r.now); err != nil {
			return busy.Answer{}, err
		}
		answer, err := success(http.StatusNoContent, nil, nil)
		if err == nil {
			once.Answer = &answer
			err = a.Store.Answer(r.ctx, r.tenant, once, r.now)
		}
		return answer, err
	})
}
