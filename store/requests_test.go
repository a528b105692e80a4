package store_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
)

func once(key, request string) busy.Once {
	sum := sha256.Sum256([]byte(request))
	return busy.Once{Key: key, Request: sum[:]}
}

// reserve takes a key that nobody has.
func (o office) reserve(key string) *busy.Once {
	o.t.Helper()
	got, answer, err := o.Store.Reserve(ctx, o.tenant, once(key, "request"), now)
	must(o.t, err)
	if answer != nil {
		o.t.Fatalf("answer %v", answer)
	}
	return &got
}

func (o office) expectReserve(request busy.Once, at time.Time, want error) {
	o.t.Helper()
	_, _, err := o.Store.Reserve(ctx, o.tenant, request, at)
	expect(o.t, err, want)
}

func TestARequestIsAnsweredOnce(t *testing.T) {
	o := openOffice(t, 1)
	p := o.proposal(o.booking(at(10), o.resources[0]))
	p.Once = o.reserve("key")
	o.expectReserve(once("key", "request"), now.Add(59*time.Second), busy.ErrInFlight)
	o.expectReserve(once("key", "another"), now.Add(time.Hour), busy.ErrOtherRequest)

	answer := busy.Answer{
		Status: 201, Header: map[string]string{"ETag": `"1"`}, Body: append([]byte("{\"canary\": \"\u00e4\"}\n"), 0, 0xff),
	}
	p.Once.Answer = &answer
	must(t, o.Store.Propose(ctx, o.tenant, p))
	for range 2 {
		_, got, err := o.Store.Reserve(ctx, o.tenant, once("key", "request"), now.Add(23*time.Hour))
		must(t, err)
		if diff := cmp.Diff(&answer, got); diff != "" {
			t.Fatalf("answer (-want +got):\n%s", diff)
		}
	}
	o.expectReserve(once("key", "another"), now.Add(time.Hour), busy.ErrOtherRequest)
	// What was answered cannot be answered again, nor its booking written.
	p2 := o.proposal(o.booking(at(12), o.resources[0]))
	p2.Once = p.Once
	expect(t, o.Store.Propose(ctx, o.tenant, p2), busy.ErrChanged)
	expect(t, o.Store.Answer(ctx, o.tenant, *p.Once, now), busy.ErrChanged)
	// After a day the key is as new, whatever comes with it.
	got, given, err := o.Store.Reserve(ctx, o.tenant, once("key", "another"), now.Add(24*time.Hour))
	must(t, err)
	if given != nil || got.Taken == p.Once.Taken {
		t.Fatalf("%v, %v", got, given)
	}
}

// Neither keys nor answers nor details lie in the open.
func TestWhatBookersSayIsSealed(t *testing.T) {
	o := openOffice(t, 1)
	p := o.proposal(o.booking(at(10), o.resources[0]))
	p.Once = o.reserve("canary@example.org")
	p.Once.Answer = &busy.Answer{Status: 201, Header: map[string]string{"X": "canary"}, Body: []byte("canary")}
	must(t, o.Store.Propose(ctx, o.tenant, p))
	all := dump(t, o.Owner(t))
	for _, form := range []string{"canary", hex.EncodeToString([]byte("canary"))} {
		if strings.Contains(all, form) {
			t.Errorf("the database holds %q", form)
		}
	}
	if !strings.Contains(all, hex.EncodeToString(p.Once.Request)) {
		t.Error("the dump is not one")
	}
}

func TestARefusalIsAnAnswer(t *testing.T) {
	o := openOffice(t, 1)
	mine := o.reserve("key")
	mine.Answer = &busy.Answer{Status: 409, Body: []byte("taken")}
	must(t, o.Store.Answer(ctx, o.tenant, *mine, now))
	_, got, err := o.Store.Reserve(ctx, o.tenant, once("key", "request"), now)
	must(t, err)
	if diff := cmp.Diff(mine.Answer, got); diff != "" {
		t.Fatal(diff)
	}
}

// A key whose process died can be used again after a minute; should that process
// only have been slow, it can write nothing more.
func TestAnAttemptThatWasGivenUp(t *testing.T) {
	o := openOffice(t, 1)
	slow := o.proposal(o.booking(at(10), o.resources[0]))
	slow.Once = o.reserve("key")
	slow.Once.Answer = &busy.Answer{Status: 201}
	o.expectReserve(once("key", "another"), now.Add(time.Minute), busy.ErrOtherRequest)
	again, answer, err := o.Store.Reserve(ctx, o.tenant, once("key", "request"), now.Add(time.Minute))
	must(t, err)
	if answer != nil || again.Taken == slow.Once.Taken {
		t.Fatalf("%v, %v", again, answer)
	}
	before := dump(t, o.Owner(t))
	expect(t, o.Store.Propose(ctx, o.tenant, slow), busy.ErrChanged)
	if diff := cmp.Diff(before, dump(t, o.Owner(t))); diff != "" {
		t.Fatalf("something was written:\n%s", diff)
	}
	slow.Once = &again
	again.Answer = &busy.Answer{Status: 201}
	must(t, o.Store.Propose(ctx, o.tenant, slow))
}

// A crash of the database may undo a reservation: the attempt ends all the same.
func TestAReservationThatIsLost(t *testing.T) {
	o := openOffice(t, 1)
	p := o.proposal(o.booking(at(10), o.resources[0]))
	p.Once = o.reserve("key")
	p.Once.Answer = &busy.Answer{Status: 201}
	_, err := o.Owner(t).Exec(ctx, `delete from requests`)
	must(t, err)
	must(t, o.Store.Propose(ctx, o.tenant, p))
	_, got, err := o.Store.Reserve(ctx, o.tenant, once("key", "request"), now)
	must(t, err)
	if got == nil || got.Status != 201 {
		t.Fatalf("answer %v", got)
	}
}

func TestPurge(t *testing.T) {
	o := openOffice(t, 1)
	o.reserve("old")
	o.book(o.booking(at(10), o.resources[0]))
	later := now.Add(8 * 24 * time.Hour)
	_, _, err := o.Store.Reserve(ctx, o.tenant, once("new", "request"), later)
	must(t, err)
	p := o.proposal(o.booking(at(12), o.resources[0]))
	p.Messages[0].At = later
	must(t, o.Store.Propose(ctx, o.tenant, p))
	purged, err := o.Store.Purge(ctx, later)
	must(t, err)
	if purged.Requests != 1 || purged.Messages != 1 {
		t.Fatalf("purged %+v", purged)
	}
	left := query(t, o.Owner(t), `select count(*)::text from requests union all select count(*)::text from messages`)
	if diff := cmp.Diff([]string{"1", "1"}, left); diff != "" {
		t.Fatal(diff)
	}
	o.expectReserve(once("new", "request"), later, busy.ErrInFlight)
}
