package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
)

// onceRoutesOf are the routes that change a booking.
func onceRoutesOf() (ids []string) {
	for _, r := range routes() {
		if r.once {
			ids = append(ids, r.id)
		}
	}
	return ids
}

func TestEveryChangeOfABookingWantsAKey(t *testing.T) {
	want := []string{"hold", "renewHold", "releaseHold", "book", "confirmBooking", "rescheduleBooking", "cancelBooking", "erasePersonalData"}
	if diff := cmp.Diff(want, onceRoutesOf()); diff != "" {
		t.Error(diff)
	}
	h := newHouse(t)
	for _, r := range routes() {
		s := specimens(h)[r.id]
		for key, code := range map[string]string{"": "idempotency_key_required", `"`: "invalid_request", strings.Repeat("k", 256): "invalid_request", "ä": "invalid_request"} {
			if !r.once {
				continue
			}
			w := h.call(r.method, s.target, s.token+"_one", s.body, "Hold-Token", s.hold, "Idempotency-Key", key)
			readProblem(t, w, 400, code)
		}
	}
	if len(h.tenants[0].answers) > 0 {
		t.Error("a request without a key was carried out")
	}
}

// What was answered once is answered again, whatever has happened since: success
// and refusal, byte for byte.
func TestARequestIsCarriedOutOnce(t *testing.T) {
	d := newDesk(t)
	want := wantText(d.service, utc(6, 13, 0))
	for name, c := range map[string]struct{ method, target, body, hold string }{
		"hold":      {"POST", "/v1/holds", wantText(d.service, utc(6, 12, 0)), ""},
		"renew":     {"POST", "/v1/holds/" + d.hold + "/renew", `{"ttl":"20m"}`, d.token},
		"release":   {"DELETE", "/v1/holds/" + d.spare, "", d.spareToken},
		"book":      {"POST", "/v1/bookings", want, ""},
		"confirm":   {"POST", "/v1/bookings/" + d.booking + "/confirm", "", ""},
		"erase":     {"DELETE", "/v1/bookings/" + d.booking + "/personal-data", "", ""},
		"a refusal": {"POST", "/v1/bookings", wantText(d.service, utc(5, 9, 0)), ""},
		"nothing":   {"POST", "/v1/bookings/" + nowhere + "/cancel", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			first := d.call(c.method, c.target, c.body, "Idempotency-Key", name, "Hold-Token", c.hold)
			before := d.call("GET", "/v1/bookings", "").Body.String()
			second := d.call(c.method, c.target, c.body, "Idempotency-Key", `"`+name+`"`, "Hold-Token", c.hold)
			if first.Header().Get("Idempotency-Replayed") != "" || second.Header().Get("Idempotency-Replayed") != "true" {
				t.Errorf("replayed: %q, then %q", first.Header().Get("Idempotency-Replayed"), second.Header().Get("Idempotency-Replayed"))
			}
			if first.Code != second.Code || first.Body.String() != second.Body.String() {
				t.Errorf("%d %s\n%d %s", first.Code, first.Body, second.Code, second.Body)
			}
			for _, header := range []string{"ETag", "Location", "Content-Type"} {
				if diff := cmp.Diff(first.Header().Get(header), second.Header().Get(header)); diff != "" {
					t.Errorf("%s: %s", header, diff)
				}
			}
			if diff := cmp.Diff(before, d.call("GET", "/v1/bookings", "").Body.String()); diff != "" {
				t.Errorf("it was carried out again: %s", diff)
			}
			d.refused(422, "idempotency_key_reused", "POST", "/v1/bookings", wantText(d.service, utc(6, 15, 0)), "Idempotency-Key", name)
		})
	}
	if w := d.call("POST", "/v1/bookings", want, "Idempotency-Key", "book", "If-Match", `"1"`); w.Code != 201 {
		t.Errorf("a header that the route does not take matters: %d", w.Code)
	}
}

// Many send the same request at once: it is carried out once, and whoever is not
// answered the same is asked to wait.
func TestOneRequestSentManyTimesAtOnce(t *testing.T) {
	d := newDesk(t)
	var mu sync.Mutex
	bodies := map[string]int{}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			w := d.call("POST", "/v1/bookings", wantText(d.service, utc(6, 13, 0)), "Idempotency-Key", "one")
			mu.Lock()
			defer mu.Unlock()
			if w.Code == 201 {
				bodies[w.Body.String()]++
				return
			}
			readProblem(t, w, 409, "idempotency_key_in_flight")
			if w.Header().Get("Retry-After") != "1" {
				t.Error("nothing says when to try again")
			}
		})
	}
	all.Wait()
	if len(bodies) != 1 {
		t.Errorf("%d different answers", len(bodies))
	}
	if booked, _ := good[bookingsAnswer](d, "GET", "/v1/bookings?state=confirmed", ""); len(booked.Bookings) != 1 {
		t.Errorf("%d bookings", len(booked.Bookings))
	}
}

func TestAKeyIsATenantsOwn(t *testing.T) {
	g := newGround(t)
	_, one := g.settle(t, "tenant-one")
	_, two := g.settle(t, "tenant-two")
	for _, p := range []party{one, two} {
		w := serve(g.handler, "POST", "/v1/bookings", p.keys[busy.ScopeBook], wantText(p.service, utc(6, 13, 0)), "Idempotency-Key", "the same")
		if w.Code != 201 || w.Header().Get("Idempotency-Replayed") != "" {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
	}
}

// A failure of ours is no answer: nobody is told for a day that the database was
// away a moment ago.
func TestAFailureIsNotRemembered(t *testing.T) {
	broken := &fallen{err: errors.New("the database is away")}
	h := newHouse(t, func(c *Config) {
		broken.house = c.Store.(*house)
		c.Desk.Store = broken
	})
	ten := h.tenants[0]
	if w := h.call("POST", "/v1/bookings", bookToken+"_one", ten.want(6, 12), "Idempotency-Key", "k"); w.Code != http.StatusInternalServerError {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	if given := ten.answers["k"]; given == nil || given.Answer != nil {
		t.Errorf("%+v is kept", given)
	}
	broken.err = nil
	w := h.call("POST", "/v1/bookings", bookToken+"_one", ten.want(6, 12), "Idempotency-Key", "k")
	readProblem(t, w, 409, "idempotency_key_in_flight")
	delete(ten.answers, "k") // the attempt's lease has ended
	if w := h.call("POST", "/v1/bookings", bookToken+"_one", ten.want(6, 12), "Idempotency-Key", "k"); w.Code != 201 {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

// fallen is a house that cannot write bookings.
type fallen struct {
	*house
	err error
}

func (f *fallen) Propose(ctx context.Context, tenant busy.TenantID, p busy.Proposal) error {
	if f.err != nil {
		return f.err
	}
	return f.house.Propose(ctx, tenant, p)
}
