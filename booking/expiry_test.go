package booking_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
)

// interrupted lets something happen once a desk has read the booking that it is to
// change.
type interrupted struct {
	*store.Store
	by func()
}

func (i *interrupted) BookedService(ctx context.Context, tenant busy.TenantID, id busy.ServiceID) (busy.Service, error) {
	if by := i.by; by != nil {
		i.by = nil
		by()
	}
	return i.Store.BookedService(ctx, tenant, id)
}

// A hold expires, by somebody's clock, and they book what it counted for: its seat,
// or the last meeting of the day. Its owner comes too late then, whatever their own
// clock says and whatever they have read.
func TestAHoldWhoseTimeWasCountedAsFreeIsOver(t *testing.T) {
	for name, change := range map[string]func(*busy.Service){
		"seats":       func(s *busy.Service) { s.Capacity = 2 },
		"day's limit": func(s *busy.Service) { s.MaxPerDay = 2 },
	} {
		for how, keep := range map[string]func(d *booking.Desk, tenant busy.TenantID, hold busy.BookingID, token string) error{
			"book": func(d *booking.Desk, tenant busy.TenantID, hold busy.BookingID, token string) error {
				_, err := d.Book(context.Background(), tenant, booking.BookRequest{Hold: hold, Token: token})
				return err
			},
			"renew": func(d *booking.Desk, tenant busy.TenantID, hold busy.BookingID, token string) error {
				_, err := d.Renew(context.Background(), tenant, hold, token, time.Minute, nil)
				return err
			},
		} {
			for _, late := range []bool{false, true} {
				t.Run(name+"/"+how+map[bool]string{false: "/reading before", true: "/clock behind"}[late], func(t *testing.T) {
					e := newExpiry(t, change)
					owner := &interrupted{Store: e.env.Store}
					desk := e.desk(owner, 0)
					other := e.desk(e.env.Store, 5*time.Millisecond)
					e.book(other, 12)
					hold, token, err := desk.Hold(t.Context(), e.tenant, booking.HoldRequest{Service: e.service, Start: e.at(e.hour(12)), TTL: time.Minute})
					must(t, err)
					e.clock = hold.ExpiresAt.Add(-2 * time.Millisecond)
					if take := func() { e.book(other, e.hour(13)) }; late {
						take()
					} else {
						owner.by = func() { e.clock = hold.ExpiresAt; take() }
					}
					if err := keep(desk, e.tenant, hold.ID, token); !errors.Is(err, booking.ErrOver) {
						t.Errorf("the hold's owner: %v", err)
					}
				})
			}
		}
	}
}

type expiry struct {
	t       *testing.T
	env     *storetest.Env
	tenant  busy.TenantID
	service busy.ServiceID
	shared  bool
	clock   time.Time
}

func newExpiry(t *testing.T, change func(*busy.Service)) *expiry {
	e := &expiry{t: t, env: storetest.New(t), clock: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	e.tenant = e.env.Tenant(t, "t").ID
	r, err := e.env.Store.CreateResource(t.Context(), e.tenant, busy.Resource{Name: "r", Zone: "UTC", Hours: busy.AlwaysOpen()})
	must(t, err)
	s := busy.Service{
		Name: "class", Duration: time.Hour, Interval: time.Hour, Align: busy.AlignClock, Capacity: 1, Policy: busy.TreatAsBusy,
		Needs: []busy.Need{{Count: 1, Resources: []busy.ResourceID{r.ID}}},
	}
	change(&s)
	s, err = e.env.Store.CreateService(t.Context(), e.tenant, s)
	must(t, err)
	e.service, e.shared = s.ID, s.Capacity > 1
	return e
}

func (e *expiry) desk(s booking.Store, ahead time.Duration) *booking.Desk {
	return &booking.Desk{Store: s, Now: func() time.Time { return e.clock.Add(ahead) }, Random: rand.Reader, StaleAfter: time.Hour}
}

func (e *expiry) at(hour int) time.Time { return time.Date(2026, 3, 2, hour, 0, 0, 0, time.UTC) }

// hour is the same for all where meetings are shared.
func (e *expiry) hour(apart int) int {
	if e.shared {
		return 12
	}
	return apart + 1
}

func (e *expiry) book(d *booking.Desk, hour int) {
	e.t.Helper()
	_, err := d.Book(e.t.Context(), e.tenant, booking.BookRequest{Service: e.service, Start: e.at(hour)})
	must(e.t, err)
}
