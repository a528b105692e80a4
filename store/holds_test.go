package store_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
)

// The time of a hold that has expired can be booked, though nobody has noted it.
func TestWhoBooksNotesThatAHoldHasExpired(t *testing.T) {
	o := openOffice(t, 2)
	held := o.hold(at(10), now.Add(time.Minute), o.resources...)
	early := o.booking(at(10), o.resources[0])
	early.ChangedAt = now.Add(time.Minute - time.Microsecond)
	expect(t, o.Store.Propose(ctx, o.tenant, o.proposal(early)), busy.ErrTaken)
	late := o.booking(at(10), o.resources[0])
	late.ChangedAt = now.Add(time.Minute)
	o.book(late)

	want := held
	want.State, want.ExpiresAt, want.Version, want.ChangedAt = busy.BookingExpired, time.Time{}, 2, late.ChangedAt
	if diff := cmp.Diff(want, o.stored(held.ID)); diff != "" {
		t.Fatalf("hold (-want +got):\n%s", diff)
	}
	// The other resource's agenda is as it was: the clock tells that the hold is over.
	if got := o.claims(o.resources[1]); len(got) != 1 {
		t.Fatalf("claims of the other resource %v", got)
	}
	n, err := o.Store.ExpireHolds(ctx, late.ChangedAt, 10)
	must(t, err)
	if got := o.claims(o.resources[1]); n != 1 || len(got) != 0 {
		t.Fatalf("%d expired; claims of the other resource %v", n, got)
	}
	told := o.told()
	if n := len(slices.DeleteFunc(told, func(s string) bool { return s != string(busy.HoldExpired) })); n != 1 {
		t.Fatalf("it was told %d times", n)
	}
}

func TestTheSweepExpiresHoldsOfAllTenantsOnce(t *testing.T) {
	o := openOffice(t, 6)
	other := openOfficeIn(t, o.Env, "other", 6)
	var late []busy.Booking
	for i := range 6 { // each takes two resources, and each resource is taken by two
		span := busy.Span{Start: at(10).Start.Add(time.Duration(i%2) * time.Hour), End: at(10).End.Add(time.Duration(i%2) * time.Hour)}
		late = append(late, o.hold(span, now.Add(time.Minute), o.resources[i], o.resources[(i+1)%6]))
		other.hold(at(10), now.Add(time.Minute), other.resources[i])
		o.hold(at(14), now.Add(time.Minute+time.Microsecond), o.resources[i])
	}
	var sweeps sync.WaitGroup
	for range 3 {
		sweeps.Go(func() {
			for {
				n, err := o.Store.ExpireHolds(ctx, now.Add(time.Minute), 5)
				if err != nil {
					t.Error(err)
				}
				if n == 0 || err != nil {
					return
				}
			}
		})
	}
	sweeps.Wait()
	for _, b := range late {
		if got := o.stored(b.ID); got.State != busy.BookingExpired || got.Version != 2 {
			t.Errorf("hold %s in version %d", got.State, got.Version)
		}
	}
	expired := func(o office) int {
		return len(slices.DeleteFunc(o.told(), func(s string) bool { return s != string(busy.HoldExpired) }))
	}
	if mine, theirs := expired(o), expired(other); mine != 6 || theirs != 6 {
		t.Errorf("%d and %d holds were told of", mine, theirs)
	}
	for _, r := range o.resources {
		if diff := cmp.Diff([]string{"03-03 14:00"}, o.claims(r)); diff != "" {
			t.Error(diff)
		}
	}
}
