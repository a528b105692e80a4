package booking

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

// monday is at nine; the desk's clock begins an hour earlier.
var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

var ann, bob = busy.ResourceID{1}, busy.ResourceID{2}

type office struct {
	*Desk
	*ledger
	t      *testing.T
	clock  time.Time
	tenant busy.TenantID
}

// newOffice has half an hour with ann or bob, who work from nine to twelve.
func newOffice(t *testing.T, change func(*busy.Service)) *office {
	t.Helper()
	hours, err := busy.ParseHours("mon-fri 09:00-12:00")
	if err != nil {
		t.Fatal(err)
	}
	s := AnyOf([]busy.ResourceID{ann, bob}, 30*time.Minute, 30*time.Minute, busy.TreatAsBusy)
	s.ID = busy.ServiceID{1}
	if change != nil {
		change(&s)
	}
	o := &office{t: t, clock: monday.Add(-time.Hour)}
	now := func() time.Time { return o.clock }
	o.ledger = &ledger{
		now: now, services: map[busy.ServiceID]busy.Service{s.ID: s}, bookings: map[busy.BookingID]busy.Booking{},
		agendas: map[busy.ResourceID]busy.Agenda{},
	}
	for _, id := range []busy.ResourceID{ann, bob} {
		o.agendas[id] = busy.Agenda{Resource: busy.Resource{ID: id, Zone: "UTC", Hours: hours}, Version: 1}
	}
	o.Desk = &Desk{Store: o.ledger, Now: now, Random: rand.Reader, StaleAfter: time.Hour}
	return o
}

func (o *office) book(start time.Time, resources ...busy.ResourceID) (busy.Booking, error) {
	return o.Book(o.t.Context(), o.tenant, BookRequest{Service: busy.ServiceID{1}, Start: start, Resources: resources})
}

func (o *office) mustBook(start time.Time, resources ...busy.ResourceID) busy.Booking {
	o.t.Helper()
	b, err := o.book(start, resources...)
	if err != nil {
		o.t.Fatal(err)
	}
	return b
}

func (o *office) mustHold(start time.Time) (busy.Booking, string) {
	o.t.Helper()
	b, token, err := o.Hold(o.t.Context(), o.tenant, HoldRequest{Service: busy.ServiceID{1}, Start: start, TTL: 10 * time.Minute})
	if err != nil {
		o.t.Fatal(err)
	}
	return b, token
}

// refused checks that the error is a refusal for the cause.
func (o *office) refused(err error, cause Cause) Refusal {
	o.t.Helper()
	var r *Refusal
	if !errors.As(err, &r) || r.Cause != cause {
		o.t.Fatalf("got %v, want a refusal: %s", err, cause)
	}
	return *r
}

func only(s *busy.Service) { s.Needs[0].Resources = []busy.ResourceID{ann} }

func half(n int) time.Time { return monday.Add(time.Duration(n) * 30 * time.Minute) }

func TestATakenSlotIsRefusedWithTheNearest(t *testing.T) {
	o := newOffice(t, only)
	for _, n := range []int{1, 2, 5} {
		o.mustBook(half(n))
	}
	_, err := o.book(half(2))
	r := o.refused(err, CauseBooking)
	var got []time.Time
	for _, s := range r.Alternatives {
		got = append(got, s.Start)
	}
	want := []time.Time{half(0), half(3), half(4), half(48)}
	if !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("alternatives are %v, want %v", got, want)
	}
	if len(r.Standings) != 1 || r.Standings[r.Alternatives[0].Resources[0]].Resource != ann {
		t.Errorf("nobody can tell who is free: %v", r.Standings)
	}
}

func TestTurnsAreTaken(t *testing.T) {
	o := newOffice(t, nil)
	first, second, third := o.mustBook(half(0)), o.mustBook(half(1)), o.mustBook(half(2))
	if first.Resources[0] != ann || second.Resources[0] != bob || third.Resources[0] != ann {
		t.Errorf("served by %v %v %v", first.Resources, second.Resources, third.Resources)
	}
	if wished := o.mustBook(half(3), ann); wished.Resources[0] != ann {
		t.Error("a wish is a wish")
	}
}

func TestAHoldIsItsOwners(t *testing.T) {
	o := newOffice(t, only)
	held, token := o.mustHold(half(0))
	if held.State != busy.BookingHeld || !held.ExpiresAt.Equal(o.clock.Add(10*time.Minute)) || held.Version != 1 {
		t.Fatalf("%+v", held)
	}
	_, err := o.book(half(0))
	o.refused(err, CauseBooking)
	if _, err := o.Book(t.Context(), o.tenant, BookRequest{Hold: held.ID, Token: token + "x"}); !errors.Is(err, ErrToken) {
		t.Errorf("another token: %v", err)
	}
	o.clock = o.clock.Add(9 * time.Minute)
	renewed, err := o.Renew(t.Context(), o.tenant, held.ID, token, 10*time.Minute, nil)
	if err != nil || !renewed.ExpiresAt.Equal(o.clock.Add(10*time.Minute)) {
		t.Fatal(renewed.ExpiresAt, err)
	}
	o.clock = o.clock.Add(9 * time.Minute)
	b, err := o.Book(t.Context(), o.tenant, BookRequest{Hold: held.ID, Token: token, Details: &busy.Details{Reference: "r"}})
	if err != nil || b.ID != held.ID || b.Session != held.Session || b.State != busy.BookingConfirmed || b.Version != 3 ||
		!b.ExpiresAt.IsZero() || !bytes.Equal(b.Owner, held.Owner) || b.Details.Reference != "r" || !b.CreatedAt.Equal(held.CreatedAt) {
		t.Fatalf("%+v %v", b, err)
	}
	_, err = o.Book(t.Context(), o.tenant, BookRequest{Hold: held.ID, Token: token})
	o.refused(err, CauseState)
}

func TestAHoldCeases(t *testing.T) {
	o := newOffice(t, only)
	held, token := o.mustHold(half(0))
	o.clock = held.ExpiresAt
	if _, err := o.Renew(t.Context(), o.tenant, held.ID, token, time.Minute, nil); !errors.Is(err, ErrOver) {
		t.Errorf("renewed: %v", err)
	}
	o.mustBook(half(0))
	if _, err := o.Book(t.Context(), o.tenant, BookRequest{Hold: held.ID, Token: token}); !errors.Is(err, ErrOver) {
		t.Errorf("booked: %v", err)
	}
}

func TestAHoldOnWhichABlockHasLandedIsNotBooked(t *testing.T) {
	o := newOffice(t, only)
	held, token := o.mustHold(half(0))
	o.block(ann, busy.Span{Start: half(0).Add(10 * time.Minute), End: half(1)})
	_, err := o.Book(t.Context(), o.tenant, BookRequest{Hold: held.ID, Token: token})
	if r := o.refused(err, CauseBlock); len(r.Alternatives) == 0 {
		t.Error("no alternatives")
	}
}

func TestWhatWasGrantedIsKept(t *testing.T) {
	o := newOffice(t, func(s *busy.Service) {
		only(s)
		s.Notice, s.MaxPerDay = 30*time.Minute, 1
	})
	held, token := o.mustHold(half(1))
	o.clock = o.clock.Add(9 * time.Minute)
	if _, err := o.Renew(t.Context(), o.tenant, held.ID, token, 2*time.Hour, nil); err != nil {
		t.Fatal(err)
	}
	o.clock = half(1).Add(-time.Minute)
	s := o.services[busy.ServiceID{1}]
	s.Duration, s.Interval, s.Before = time.Hour, 7*time.Minute, time.Hour
	o.services[s.ID] = s
	b, err := o.Book(t.Context(), o.tenant, BookRequest{Hold: held.ID, Token: token})
	if err != nil || b.Span != held.Span || b.Blocked != held.Blocked {
		t.Errorf("%v %v", b.Span, err)
	}
}

func TestPendingTakesItsTimeUntilItIsConfirmed(t *testing.T) {
	o := newOffice(t, only)
	b, err := o.Book(t.Context(), o.tenant, BookRequest{Service: busy.ServiceID{1}, Start: half(0), Pending: true})
	if err != nil || b.State != busy.BookingPending {
		t.Fatal(b.State, err)
	}
	_, err = o.book(half(0))
	o.refused(err, CauseBooking)
	if _, err := o.Confirm(t.Context(), o.tenant, b.ID, b.Version+1, nil); !errors.Is(err, ErrVersion) {
		t.Errorf("another version: %v", err)
	}
	if b, err = o.Confirm(t.Context(), o.tenant, b.ID, b.Version, nil); err != nil || b.State != busy.BookingConfirmed || b.Version != 2 {
		t.Fatalf("%+v %v", b, err)
	}
	_, err = o.Confirm(t.Context(), o.tenant, b.ID, 0, nil)
	if r := o.refused(err, CauseState); len(r.Alternatives) > 0 {
		t.Error("another time would not help")
	}
}

func TestReschedulingIsOneStep(t *testing.T) {
	o := newOffice(t, nil)
	b := o.mustBook(half(0), bob)
	o.mustBook(half(2), bob)
	moved, err := o.Reschedule(t.Context(), o.tenant, b.ID, b.Version, half(1), nil, nil)
	if err != nil || !moved.Span.Start.Equal(half(1)) || moved.Resources[0] != bob || moved.Session == b.Session {
		t.Fatalf("not with whom it was: %+v %v", moved, err)
	}
	moved, err = o.Reschedule(t.Context(), o.tenant, b.ID, 0, half(2), nil, nil)
	if err != nil || moved.Resources[0] != ann || len(o.agendas[bob].Claims) != 1 {
		t.Fatalf("not with whoever is free: %+v %v", moved, err)
	}
	o.mustBook(half(3), ann)
	_, err = o.Reschedule(t.Context(), o.tenant, b.ID, 0, half(3), []busy.ResourceID{ann}, nil)
	o.refused(err, CauseBooking)
	if now := o.bookings[b.ID]; !now.Span.Start.Equal(half(2)) || now.Version != 3 {
		t.Errorf("a refusal moved it: %+v", now)
	}
	held, _ := o.mustHold(half(5))
	_, err = o.Reschedule(t.Context(), o.tenant, held.ID, 0, half(4), nil, nil)
	o.refused(err, CauseState)
}

func TestABookingMayMoveOntoItsOwnTime(t *testing.T) {
	o := newOffice(t, func(s *busy.Service) {
		only(s)
		s.Interval, s.MaxPerDay = 15*time.Minute, 1
	})
	b := o.mustBook(half(0))
	if _, err := o.Reschedule(t.Context(), o.tenant, b.ID, 0, half(0).Add(15*time.Minute), nil, nil); err != nil {
		t.Error(err)
	}
}

func TestCancellingFreesTheTime(t *testing.T) {
	o := newOffice(t, only)
	b := o.mustBook(half(0))
	cancelled, err := o.Cancel(t.Context(), o.tenant, b.ID, 1, nil)
	if err != nil || cancelled.State != busy.BookingCancelled || cancelled.Version != 2 {
		t.Fatalf("%+v %v", cancelled, err)
	}
	o.mustBook(half(0))
	if _, err := o.Cancel(t.Context(), o.tenant, b.ID, 0, nil); !errors.Is(err, ErrOver) {
		t.Errorf("twice: %v", err)
	}
	if _, err := o.Cancel(t.Context(), o.tenant, busy.BookingID{9}, 0, nil); !errors.Is(err, busy.ErrNotFound) {
		t.Errorf("nothing: %v", err)
	}
}

func TestSeatsAreShared(t *testing.T) {
	o := newOffice(t, func(s *busy.Service) { s.Capacity = 3 })
	seats := func(n int) (busy.Booking, error) {
		return o.Book(t.Context(), o.tenant, BookRequest{Service: busy.ServiceID{1}, Start: half(0), Seats: n})
	}
	var got []busy.Booking
	for _, n := range []int{2, 1, 2} {
		b, err := seats(n)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b)
	}
	if got[0].Session != got[1].Session || got[0].Resources[0] != got[1].Resources[0] {
		t.Error("the second does not join the first")
	}
	if got[2].Session == got[0].Session || got[2].Resources[0] == got[0].Resources[0] {
		t.Error("the third does not fit")
	}
	_, err := seats(2)
	o.refused(err, CauseBooking)
	if _, err := seats(4); !errors.Is(err, busy.ErrInvalid) {
		t.Errorf("more than there are: %v", err)
	}
	alone, err := seats(1)
	if err != nil || alone.Session != got[2].Session {
		t.Errorf("%v %v", alone.Session, err)
	}
}

func TestWhatChangedMeanwhileIsDecidedAgain(t *testing.T) {
	for _, c := range []struct {
		name             string
		changes, patient int
	}{
		{"once", 1, 0},
		{"twice", 2, 0},
		{"all the time", 1000, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOffice(t, only)
			left := c.changes
			o.before = func() {
				if left--; left >= 0 {
					o.block(ann, busy.Span{Start: half(5), End: half(6)})
				}
			}
			o.mustBook(half(0))
			if o.patient != c.patient {
				t.Errorf("decided with a lock %d times, want %d", o.patient, c.patient)
			}
		})
	}
}

func TestWhatIsTakenMeanwhileIsRefused(t *testing.T) {
	o := newOffice(t, only)
	o.before = func() {
		o.before = nil
		o.block(ann, busy.Span{Start: half(0), End: half(1)})
	}
	_, err := o.book(half(0))
	o.refused(err, CauseBlock)
}

func TestABookingThatChangedMeanwhileIsReadAgain(t *testing.T) {
	o := newOffice(t, only)
	b := o.mustBook(half(0))
	change := func() {
		o.before = nil
		now := o.bookings[b.ID]
		now.Version++
		o.bookings[b.ID] = now
	}
	o.before = change
	if moved, err := o.Reschedule(t.Context(), o.tenant, b.ID, 0, half(1), nil, nil); err != nil || moved.Version != 3 {
		t.Errorf("any version: %d %v", moved.Version, err)
	}
	o.before = change
	if _, err := o.Cancel(t.Context(), o.tenant, b.ID, 3, nil); !errors.Is(err, ErrVersion) {
		t.Errorf("this version: %v", err)
	}
}

// never refuses to write anything.
type never struct{ *ledger }

func (never) Propose(context.Context, busy.TenantID, busy.Proposal) error { return busy.ErrChanged }

func (never) Decide(context.Context, busy.TenantID, []busy.ResourceID, busy.Span, func([]busy.Agenda) (busy.Proposal, error)) error {
	return busy.ErrChanged
}

func TestADeskGivesUp(t *testing.T) {
	o := newOffice(t, only)
	o.Store = never{o.ledger}
	if _, err := o.book(half(0)); !errors.Is(err, busy.ErrChanged) {
		t.Error(err)
	}
}

func TestTheAnswerIsWrittenWithTheBooking(t *testing.T) {
	o := newOffice(t, only)
	once := &Once{
		Once: busy.Once{Key: "k", Request: []byte("r"), Taken: 7},
		Render: func(b busy.Booking, token string) busy.Answer {
			return busy.Answer{Status: 201, Body: []byte(b.ID.String() + token)}
		},
	}
	b, token, err := o.Hold(t.Context(), o.tenant, HoldRequest{Service: busy.ServiceID{1}, Start: half(0), TTL: time.Minute, Once: once})
	if err != nil {
		t.Fatal(err)
	}
	got := o.written[0].Once
	if got == nil || got.Key != "k" || got.Taken != 7 || string(got.Answer.Body) != b.ID.String()+token {
		t.Errorf("%+v", got)
	}
}

func TestMessagesTellWhatHappened(t *testing.T) {
	o := newOffice(t, only)
	b := o.mustBook(half(0))
	if _, err := o.Reschedule(t.Context(), o.tenant, b.ID, 0, half(1), nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Cancel(t.Context(), o.tenant, b.ID, 0, nil); err != nil {
		t.Fatal(err)
	}
	o.mustHold(half(2))
	var got []busy.MessageType
	for _, p := range o.written {
		for _, m := range p.Messages {
			if m.ID.IsZero() || m.At.IsZero() || m.Booking.IsZero() == m.Resource.IsZero() {
				t.Errorf("%+v", m)
			}
			got = append(got, m.Type)
		}
	}
	want := []busy.MessageType{busy.BookingCreated, busy.BookingRescheduled, busy.BookingWasCancelled, busy.AvailabilityChanged}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestManyWantOneSlot: one has it, all others are told where to go.
func TestManyWantOneSlot(t *testing.T) {
	o := newOffice(t, only)
	var wg sync.WaitGroup
	results := make([]error, 200)
	for i := range results {
		wg.Go(func() { _, results[i] = o.book(half(0)) })
	}
	wg.Wait()
	had := 0
	for _, err := range results {
		if err == nil {
			had++
		} else if r := o.refused(err, CauseBooking); len(r.Alternatives) == 0 {
			t.Error("no alternatives")
		}
	}
	if had != 1 || len(o.agendas[ann].Claims) != 1 {
		t.Errorf("%d have it, with %d claims", had, len(o.agendas[ann].Claims))
	}
}

// What was booked or held of a service that is archived since stays, and can be
// moved; nothing new is booked of it.
func TestABookingOutlivesItsService(t *testing.T) {
	o := newOffice(t, only)
	ctx := t.Context()
	pending, err := o.Book(ctx, o.tenant, BookRequest{Service: busy.ServiceID{1}, Start: half(0), Pending: true})
	if err != nil {
		t.Fatal(err)
	}
	hold, token := o.mustHold(half(1))
	o.archived, o.services = o.services, nil
	if _, err := o.book(half(2)); !errors.Is(err, busy.ErrNotFound) {
		t.Errorf("a new booking: %v", err)
	}
	for _, step := range []struct {
		name string
		do   func() (busy.Booking, error)
	}{
		{"confirm", func() (busy.Booking, error) { return o.Confirm(ctx, o.tenant, pending.ID, 0, nil) }},
		{"reschedule", func() (busy.Booking, error) { return o.Reschedule(ctx, o.tenant, pending.ID, 0, half(3), nil, nil) }},
		{"renew", func() (busy.Booking, error) { return o.Renew(ctx, o.tenant, hold.ID, token, time.Minute, nil) }},
		{"book the hold", func() (busy.Booking, error) {
			return o.Book(ctx, o.tenant, BookRequest{Hold: hold.ID, Token: token})
		}},
		{"cancel", func() (busy.Booking, error) { return o.Cancel(ctx, o.tenant, hold.ID, 0, nil) }},
	} {
		if _, err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
}
