package booking_test

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/seal"
	"github.com/busyd/busyd/store/storetest"
)

// workerEnv makes a worker of the storm out of the test's process, so that it can
// be killed as a daemon is.
const workerEnv = "BUSYD_STORM_WORKER"

func TestMain(m *testing.M) {
	if order := os.Getenv(workerEnv); order != "" {
		if err := runWorker(order); err != nil {
			fmt.Println("wrong", err)
			os.Exit(1)
		}
		return
	}
	storetest.Main(m)
}

// orders are what a worker is told.
type orders struct {
	URL       string
	Key       string
	Tenant    busy.TenantID
	Services  []busy.ServiceID
	Calendars []busy.CalendarID
	From      time.Time // of the days that are fought over
	Days      int
	Clients   int
	Careless  bool          // a known-bad variant: proposals are written whatever has changed
	Skew      time.Duration // how far the worker's clock is ahead
}

func runWorker(text string) error {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	key, err := seal.ParseKey(o.Key)
	if err != nil {
		return err
	}
	ctx := context.Background()
	s, err := openPatiently(ctx, store.Config{URL: o.URL, Keys: seal.NewKeyring(key), MaxConns: int32(o.Clients)})
	if err != nil {
		return err
	}
	w := newWorker(o, s)
	if err := w.adopt(ctx); !expected(err) {
		return err
	}
	w.granted = func(kind string) { fmt.Println("did", kind) }
	go func() {
		for range time.Tick(50 * time.Millisecond) {
			fmt.Println("attempts", w.attempts.Swap(0))
		}
	}()
	return w.run(ctx)
}

// openPatiently waits for a server that is just coming back.
func openPatiently(ctx context.Context, c store.Config) (*store.Store, error) {
	for n := 0; ; n++ {
		s, err := store.Open(ctx, c)
		if err == nil || n == 100 {
			return s, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// worker is a daemon of the storm: clients of a desk, and somebody who writes
// blocks.
type worker struct {
	orders
	desk     *booking.Desk
	store    *store.Store
	attempts atomic.Int64
	granted  func(kind string)

	mu    sync.Mutex
	holds map[busy.BookingID]string // tokens
	made  []busy.BookingID
}

func newWorker(o orders, s *store.Store) *worker {
	w := &worker{orders: o, store: s, holds: make(map[busy.BookingID]string)}
	w.desk = &booking.Desk{Store: s, Now: w.now, Random: crand.Reader, StaleAfter: 1000 * time.Hour}
	if o.Careless {
		w.desk.Store = careless{s}
	}
	return w
}

// now is what the worker's clock says, as none of the others' does.
func (w *worker) now() time.Time { return time.Now().Add(w.Skew) }

// adopt takes on the bookings of those who were killed.
func (w *worker) adopt(ctx context.Context) error {
	left, err := w.store.Bookings(ctx, w.Tenant, busy.BookingFilter{States: []busy.BookingState{busy.BookingPending, busy.BookingConfirmed}})
	for _, b := range left {
		w.made = append(w.made, b.ID)
	}
	return err
}

// run works until something goes wrong that must not.
func (w *worker) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wrong := make(chan error, w.Clients+1)
	var all sync.WaitGroup
	for range w.Clients {
		all.Go(func() {
			for ctx.Err() == nil {
				w.attempts.Add(1)
				kind, err := w.act(ctx)
				w.end(kind, err)
				if !expected(err) && ctx.Err() == nil {
					wrong <- fmt.Errorf("%s: %w", kind, err)
					cancel()
				}
			}
		})
	}
	all.Go(func() {
		for ctx.Err() == nil {
			err := w.sync(ctx)
			w.end("sync", err)
			if !expected(err) && ctx.Err() == nil {
				wrong <- fmt.Errorf("sync: %w", err)
				cancel()
			}
		}
	})
	all.Wait()
	select {
	case err := <-wrong:
		return err
	default:
		return nil
	}
}

// end tells what was granted, to a worker that has somebody to tell.
func (w *worker) end(kind string, err error) {
	if err == nil && w.granted != nil {
		w.granted(kind)
	}
}

// act does one thing that a customer might, and returns what it was.
func (w *worker) act(ctx context.Context) (kind string, err error) {
	service := w.Services[rand.IntN(len(w.Services))]
	start := w.From.AddDate(0, 0, rand.IntN(w.Days)).Add(time.Duration(rand.IntN(16)) * 30 * time.Minute)
	switch n := rand.IntN(100); {
	case n < 10:
		b, err := w.desk.Book(ctx, w.Tenant, booking.BookRequest{Service: service, Start: start, Pending: true})
		w.remember(b, "", err)
		return "book pending", err
	case n < 45:
		b, err := w.desk.Book(ctx, w.Tenant, booking.BookRequest{Service: service, Start: start})
		w.remember(b, "", err)
		return "book", err
	case n < 60:
		ttl := time.Duration(20+rand.IntN(300)) * time.Millisecond
		if n < 50 {
			ttl *= 10 // longer than clocks differ
		}
		b, token, err := w.desk.Hold(ctx, w.Tenant, booking.HoldRequest{Service: service, Start: start, TTL: ttl})
		w.remember(b, token, err)
		return "hold", err
	case n < 70:
		id, token := w.hold()
		b, err := w.desk.Book(ctx, w.Tenant, booking.BookRequest{Hold: id, Token: token})
		w.remember(b, "", err)
		return "book a hold", lost(id, err)
	case n < 73:
		id, token := w.hold()
		_, err := w.desk.Renew(ctx, w.Tenant, id, token, 100*time.Millisecond, nil)
		return "renew", lost(id, err)
	case n < 76:
		id := w.some()
		_, err := w.desk.Confirm(ctx, w.Tenant, id, 0, nil)
		return "confirm", lost(id, err)
	case n < 91:
		id := w.some()
		_, err := w.desk.Reschedule(ctx, w.Tenant, id, 0, start, nil, nil)
		return "reschedule", lost(id, err)
	default:
		id := w.some()
		_, err := w.desk.Cancel(ctx, w.Tenant, id, 0, nil)
		if err == nil || errors.Is(err, booking.ErrOver) {
			w.forget(id)
		}
		return "cancel", lost(id, err)
	}
}

// nothing is a booking that nobody was granted.
var nothing = busy.BookingID{1}

// lost makes a failure of what is said of a booking that was granted and is not
// there. Its text is not that of an error that is expected.
func lost(id busy.BookingID, err error) error {
	if id != nothing && errors.Is(err, busy.ErrNotFound) {
		return fmt.Errorf("%v was granted and is gone: %v", id, err)
	}
	return err
}

func (w *worker) remember(b busy.Booking, token string, err error) {
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if token != "" {
		w.holds[b.ID] = token
		return
	}
	w.made = append(w.made, b.ID)
}

func (w *worker) forget(id busy.BookingID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made = slices.DeleteFunc(w.made, func(made busy.BookingID) bool { return made == id })
}

func (w *worker) hold() (busy.BookingID, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, token := range w.holds {
		delete(w.holds, id)
		return id, token
	}
	return nothing, ""
}

func (w *worker) some() busy.BookingID {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.made) == 0 {
		return nothing
	}
	return w.made[rand.IntN(len(w.made))]
}

// expected reports whether an attempt may end so: it was granted, refused, or the
// database was away.
func expected(err error) bool {
	var refused *booking.Refusal
	var state interface{ SQLState() string }
	switch {
	case err == nil, errors.As(err, &refused), errors.Is(err, busy.ErrNotFound), errors.Is(err, busy.ErrChanged),
		errors.Is(err, busy.ErrNotDue), errors.Is(err, busy.ErrFenced),
		errors.Is(err, booking.ErrOver), errors.Is(err, booking.ErrToken), errors.Is(err, booking.ErrVersion):
		return true
	case errors.As(err, &state):
		return strings.HasPrefix(state.SQLState(), "57") || strings.HasPrefix(state.SQLState(), "08")
	case errors.Is(err, pgx.ErrTxClosed):
		return false
	default: // what is left is a connection that broke
		text := err.Error()
		for _, broke := range []string{"connect", "EOF", "reset", "closed", "broken pipe"} {
			if strings.Contains(text, broke) {
				return true
			}
		}
		return false
	}
}

// sync reads one of the calendars once: some of its meetings are others now.
func (w *worker) sync(ctx context.Context) error {
	time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	calendar := w.Calendars[rand.IntN(len(w.Calendars))]
	tasks, err := w.store.Want(ctx, w.Tenant, store.WantScope{Calendar: &calendar}, w.now())
	if err != nil {
		return err
	}
	if len(tasks) == 0 {
		return busy.ErrNotDue
	}
	work, err := w.store.Take(ctx, tasks[0], w.now(), 2*time.Second)
	if err != nil {
		return err
	}
	change := busy.Change{}
	for range 1 + rand.IntN(3) {
		key := fmt.Sprint("meeting ", rand.IntN(6))
		if rand.IntN(2) == 0 {
			change.Gone = append(change.Gone, key)
			continue
		}
		start := w.From.AddDate(0, 0, rand.IntN(w.Days)).Add(time.Duration(rand.IntN(32)) * 15 * time.Minute)
		change.Events = append(change.Events, busy.Event{
			Key: key, Series: key, State: busy.Busy,
			Start: busy.InstantOf(start), End: busy.InstantOf(start.Add(time.Duration(1+rand.IntN(4)) * 15 * time.Minute)),
		})
	}
	if _, err := w.store.Apply(ctx, work.Lease, pageOf(change, w.From, w.now()), expandSingles); err != nil {
		return err
	}
	now := w.now()
	return w.store.Release(ctx, work.Lease, busy.Release{Outcome: busy.OutcomeChanged, AsOf: now, DueAt: now.Add(time.Hour)})
}

func pageOf(c busy.Change, from, now time.Time) busy.Page {
	return busy.Page{
		Change: c, Zone: "UTC", At: now, Window: busy.Span{Start: from.AddDate(0, 0, -60), End: from.AddDate(0, 0, 60)},
	}
}

func expandSingles(_ context.Context, events []busy.Event) ([]busy.Occurrence, error) {
	var all []busy.Occurrence
	for i, e := range events {
		all = append(all, busy.Occurrence{Event: i, Start: e.Start.Wall, End: e.End.Wall, State: e.State})
	}
	return all, nil
}

// careless is a store that writes whatever was seen: a check before the booking, and
// then the booking, as most do it.
type careless struct{ *store.Store }

func (c careless) Propose(ctx context.Context, tenant busy.TenantID, p busy.Proposal) error {
	resources := make([]busy.ResourceID, len(p.Seen))
	for i, seen := range p.Seen {
		resources[i] = seen.Resource
	}
	for {
		now, err := c.Standings(ctx, tenant, resources)
		if err != nil {
			return err
		}
		for i, a := range now {
			p.Seen[i].Version = a.Version
		}
		if err := c.Store.Propose(ctx, tenant, p); !errors.Is(err, busy.ErrChanged) || p.Was != 0 {
			return err
		}
	}
}

func (c careless) Decide(ctx context.Context, tenant busy.TenantID, resources []busy.ResourceID, span busy.Span,
	decide func([]busy.Agenda) (busy.Proposal, error),
) error {
	agendas, err := c.Agendas(ctx, tenant, resources, span)
	if err != nil {
		return err
	}
	p, err := decide(agendas)
	if err != nil {
		return err
	}
	return c.Propose(ctx, tenant, p)
}
