package booking_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/storetest"
)

// slots is what a resource with three slots has: who is booked in each; 0: nobody.
type slots [3]int

// ask is an operation on a resource: book a slot as somebody, move or cancel
// somebody's booking.
type ask struct {
	kind string
	who  int
	slot int
}

// granted is the answer; unsure: it may have been carried out or not.
type granted struct{ yes, unsure bool }

// oneAtATime is how a desk must seem to work: as if the operations came one after
// the other, each at some moment between its request and its answer.
var oneAtATime = porcupine.NondeterministicModel{
	Init: func() []any { return []any{slots{}} },
	Step: func(state, input, output any) []any {
		s, in, out := state.(slots), input.(ask), output.(granted)
		next, can := s.after(in)
		switch {
		case out.unsure && can:
			return []any{s, next}
		case out.unsure, !out.yes && !can:
			return []any{s}
		case out.yes && can:
			return []any{next}
		default:
			return nil
		}
	},
	Equal:             func(a, b any) bool { return a.(slots) == b.(slots) },
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

func (s slots) after(in ask) (slots, bool) {
	at := -1
	for i, who := range s {
		if who == in.who {
			at = i
		}
	}
	switch {
	case in.kind == "book" && s[in.slot] == 0:
		s[in.slot] = in.who
	case in.kind == "cancel" && at >= 0:
		s[at] = 0
	case in.kind == "move" && at >= 0 && (s[in.slot] == 0 || at == in.slot):
		s[at] = 0
		s[in.slot] = in.who
	default:
		return s, false
	}
	return s, true
}

func TestHistoriesAreLinear(t *testing.T) {
	env := storetest.New(t)
	o := settle(t, env)
	for i := range 50 {
		history := record(t, newWorker(o, env.Store), i)
		if !porcupine.CheckOperations(oneAtATime.ToModel(), history) {
			t.Fatalf("no order of these explains the answers: %+v", history)
		}
	}
}

func TestAHistoryOfTwoInOneSlotIsNotLinear(t *testing.T) {
	history := []porcupine.Operation{
		{ClientId: 0, Input: ask{"book", 1, 0}, Output: granted{yes: true}, Call: 0, Return: 10},
		{ClientId: 1, Input: ask{"book", 2, 0}, Output: granted{yes: true}, Call: 5, Return: 15},
	}
	if porcupine.CheckOperations(oneAtATime.ToModel(), history) {
		t.Fatal("a double booking is taken for linear")
	}
}

// record lets four clients work on the three first hours of a day that nobody has
// used yet.
func record(t *testing.T, w *worker, day int) []porcupine.Operation {
	t.Helper()
	const clients, each = 4, 6
	unlimited, ctx := w.Services[4], context.Background()
	start := func(slot int) time.Time { return w.From.AddDate(0, 0, day).Add(time.Duration(slot) * time.Hour) }
	begun := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			var mine busy.BookingID
			for n := range each {
				in := ask{kind: "book", who: 1 + c*each + n, slot: rand.IntN(3)}
				if !mine.IsZero() {
					in.kind = []string{"move", "move", "cancel"}[rand.IntN(3)]
				}
				if in.kind != "book" {
					in.who = whoIs(mine)
				}
				call := time.Since(begun).Nanoseconds()
				var err error
				switch in.kind {
				case "book":
					var b busy.Booking
					b, err = w.desk.Book(ctx, w.Tenant, booking.BookRequest{Service: unlimited, Start: start(in.slot)})
					if err == nil {
						mine = b.ID
						in.who = whoIs(mine)
					}
				case "move":
					_, err = w.desk.Reschedule(ctx, w.Tenant, mine, 0, start(in.slot), nil, nil)
				default:
					_, err = w.desk.Cancel(ctx, w.Tenant, mine, 0, nil)
					mine = busy.BookingID{}
				}
				out := granted{yes: err == nil, unsure: errors.Is(err, busy.ErrChanged)}
				if !expected(err) {
					t.Errorf("%+v: %v", in, err)
				}
				mu.Lock()
				history = append(history, porcupine.Operation{
					ClientId: c, Input: in, Output: out, Call: call, Return: time.Since(begun).Nanoseconds(),
				})
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return history
}

// whoIs is a booking as a number.
func whoIs(id busy.BookingID) int {
	return int(id[0])<<24 | int(id[1])<<16 | int(id[2])<<8 | int(id[3]) | 1<<40
}
