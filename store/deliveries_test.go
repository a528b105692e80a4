package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
)

// post is a tenant with endpoints.
type post struct {
	*storetest.Env
	t      testing.TB
	tenant busy.TenantID
}

func newPost(t testing.TB, env *storetest.Env, name string) post {
	return post{env, t, env.Tenant(t, name).ID}
}

func (p post) endpoint(types ...busy.MessageType) busy.EndpointID {
	p.t.Helper()
	e, _, err := p.Store.CreateEndpoint(ctx, p.tenant, busy.Endpoint{URL: "https://example.com/busyd", Types: types}, now)
	must(p.t, err)
	return e.ID
}

// tell writes a message of the type, so many minutes after now.
func (p post) tell(what busy.MessageType, minutes int) busy.Message {
	p.t.Helper()
	m := busy.Message{
		Type: what, At: now.Add(time.Duration(minutes) * time.Minute), Booking: newID[busy.Booking](p.t),
		Span: busy.Span{Start: now, End: now.Add(time.Hour)},
	}
	must(p.t, p.Store.In(ctx, p.tenant, func(tx *store.Tx) (err error) { m, err = store.Tell(ctx, tx, m); return err }))
	return m
}

// claim returns the endpoints to which something is sent at a minute.
func (p post) claim(minute, limit int) []busy.Dispatch {
	p.t.Helper()
	all, err := p.Store.ClaimDispatches(ctx, now.Add(time.Duration(minute)*time.Minute), limit, 30*time.Second)
	must(p.t, err)
	return all
}

// waiting are the messages that are due for an endpoint at a minute, by type and attempts.
func (p post) waiting(id busy.EndpointID, minute int) []string {
	p.t.Helper()
	all, err := p.Store.Waiting(ctx, busy.Dispatch{Tenant: p.tenant, Endpoint: id}, now.Add(time.Duration(minute)*time.Minute), 100)
	must(p.t, err)
	var text []string
	for _, w := range all {
		text = append(text, fmt.Sprint(w.Message.Type, " ", w.Attempts))
	}
	return text
}

func (p post) expectWaiting(id busy.EndpointID, minute int, want ...string) {
	p.t.Helper()
	if diff := cmp.Diff(want, p.waiting(id, minute)); diff != "" {
		p.t.Fatalf("at minute %d (-want +got):\n%s", minute, diff)
	}
}

func TestAMessageWaitsForThoseWhoWantIt(t *testing.T) {
	env := storetest.New(t)
	p, other := newPost(t, env, "tenant"), newPost(t, env, "other")
	p.tell(busy.BookingCreated, 0) // nobody is there yet
	all, cancelled, away := p.endpoint(), p.endpoint(busy.BookingWasCancelled), p.endpoint()
	stranger := other.endpoint()
	must(t, p.Store.DeleteEndpoint(ctx, p.tenant, away))
	created := p.tell(busy.BookingCreated, 1)
	p.tell(busy.BookingWasCancelled, 2)

	p.expectWaiting(all, 2, "booking.created 0", "booking.cancelled 0")
	p.expectWaiting(all, 1, "booking.created 0")
	p.expectWaiting(cancelled, 2, "booking.cancelled 0")
	p.expectWaiting(away, 2)
	other.expectWaiting(stranger, 2)
	got, err := p.Store.Waiting(ctx, busy.Dispatch{Tenant: p.tenant, Endpoint: all}, now.Add(time.Minute), 1)
	must(t, err)
	if diff := cmp.Diff(created, got[0].Message); diff != "" {
		t.Errorf("the message (-written +read):\n%s", diff)
	}
}

// What was rolled back is told to nobody.
func TestAMessageIsPartOfItsTransaction(t *testing.T) {
	p := newPost(t, storetest.New(t), "tenant")
	id := p.endpoint()
	broken := fmt.Errorf("broken")
	err := p.Store.In(ctx, p.tenant, func(tx *store.Tx) error {
		_, err := store.Tell(ctx, tx, busy.Message{Type: busy.BookingCreated, At: now})
		must(t, err)
		return broken
	})
	expect(t, err, broken)
	p.expectWaiting(id, 1)
}

func TestARound(t *testing.T) {
	p := newPost(t, storetest.New(t), "tenant")
	id := p.endpoint()
	p.tell(busy.BookingCreated, 0)
	p.tell(busy.BookingRescheduled, 0)
	p.tell(busy.BookingWasCancelled, 0)
	due := p.claim(0, 10)
	if len(due) != 1 || due[0].Endpoint != id || due[0].Tenant != p.tenant {
		t.Fatalf("claimed %v", due)
	}
	if again := p.claim(0, 10); len(again) != 0 {
		t.Fatalf("claimed twice: %v", again)
	}
	round, err := p.Store.TakeEndpoint(ctx, due[0], now, time.Minute)
	must(t, err)
	if string(round.URL) != "https://example.com/busyd" || len(round.Secrets) != 1 || !strings.HasPrefix(string(round.Secrets[0]), "whsec_") {
		t.Fatalf("a round to %q with %d secrets", []byte(round.URL), len(round.Secrets))
	}
	_, err = p.Store.TakeEndpoint(ctx, due[0], now, time.Minute)
	expect(t, err, busy.ErrNotDue)

	waiting, err := p.Store.Waiting(ctx, round.Dispatch, now, 10)
	must(t, err)
	must(t, p.Store.Delivered(ctx, round.Dispatch, waiting[0].Seq))
	must(t, p.Store.Undelivered(ctx, round.Dispatch, waiting[1].Seq, now.Add(5*time.Minute)))
	must(t, p.Store.Undelivered(ctx, round.Dispatch, waiting[2].Seq, time.Time{}))
	p.expectWaiting(id, 4)
	p.expectWaiting(id, 5, "booking.rescheduled 1")

	// A worker that died: the endpoint comes again when the lease ends.
	if early := p.claim(0, 10); len(early) != 0 {
		t.Fatalf("claimed %v under a lease", early)
	}
	late := p.claim(5, 10)
	if len(late) != 1 || late[0].Epoch != round.Epoch {
		t.Fatalf("claimed %v after the lease", late)
	}
	_, err = p.Store.TakeEndpoint(ctx, late[0], now.Add(5*time.Minute), time.Minute)
	must(t, err)
	expect(t, p.Store.EndRound(ctx, round.Dispatch, busy.RoundEnd{DueAt: now}, now), busy.ErrFenced)
}

func TestADisabledEndpointIsLeftAlone(t *testing.T) {
	p := newPost(t, storetest.New(t), "tenant")
	id := p.endpoint()
	p.tell(busy.BookingCreated, 0)
	round, err := p.Store.TakeEndpoint(ctx, p.claim(0, 10)[0], now, time.Minute)
	must(t, err)
	must(t, p.Store.EndRound(ctx, round.Dispatch, busy.RoundEnd{
		DueAt: now, Failures: 1, FailingSince: now, Code: "status_410", Disabled: "gone",
	}, now))
	p.tell(busy.BookingWasCancelled, 1) // it is not told
	p.expectWaiting(id, 60)
	if due := p.claim(60, 10); len(due) != 0 {
		t.Fatalf("claimed %v", due)
	}
	all, err := p.Store.Endpoints(ctx, p.tenant)
	must(t, err)
	want := []busy.Endpoint{{
		ID: id, URL: "https://example.com/busyd", DisabledAt: now, Reason: "gone", FailingSince: now, Code: "status_410", CreatedAt: now,
	}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Fatalf("endpoints (-want +got):\n%s", diff)
	}

	later := now.Add(time.Hour)
	n, err := p.Store.Replay(ctx, p.tenant, id, time.Time{}, later)
	must(t, err)
	if n != 1 {
		t.Fatalf("%d given up messages are sent again, want 1", n)
	}
	p.expectWaiting(id, 60, "booking.created 0")
	n, err = p.Store.Replay(ctx, p.tenant, id, now.Add(time.Minute), later)
	must(t, err)
	if n != 1 {
		t.Fatalf("%d messages since are sent again, want 1", n)
	}
	p.expectWaiting(id, 60, "booking.created 0", "booking.cancelled 0")
	if due := p.claim(60, 10); len(due) != 1 {
		t.Fatalf("claimed %v after the replay", due)
	}
	all, err = p.Store.Endpoints(ctx, p.tenant)
	must(t, err)
	if !all[0].DisabledAt.IsZero() || all[0].Reason != "" || !all[0].FailingSince.IsZero() {
		t.Fatalf("still disabled: %+v", all[0])
	}
}

// A replay repeats what the endpoint wants, and has a round that is under way count
// for nothing.
func TestReplay(t *testing.T) {
	p := newPost(t, storetest.New(t), "tenant")
	id := p.endpoint(busy.BookingCreated)
	p.tell(busy.BookingCreated, 0)
	p.tell(busy.BookingWasCancelled, 1)
	p.tell(busy.BookingCreated, 2)
	round, err := p.Store.TakeEndpoint(ctx, p.claim(2, 10)[0], now.Add(2*time.Minute), time.Minute)
	must(t, err)
	waiting, err := p.Store.Waiting(ctx, round.Dispatch, now.Add(2*time.Minute), 10)
	must(t, err)
	for _, w := range waiting {
		must(t, p.Store.Delivered(ctx, round.Dispatch, w.Seq))
	}
	n, err := p.Store.Replay(ctx, p.tenant, id, now, now.Add(3*time.Minute))
	must(t, err)
	if n != 2 {
		t.Fatalf("%d messages are sent again, want 2", n)
	}
	p.expectWaiting(id, 3, "booking.created 0", "booking.created 0")
	expect(t, p.Store.EndRound(ctx, round.Dispatch, busy.RoundEnd{DueAt: now, Disabled: "gone"}, now), busy.ErrFenced)
}

func TestSecretsRotate(t *testing.T) {
	p := newPost(t, storetest.New(t), "tenant")
	e, first, err := p.Store.CreateEndpoint(ctx, p.tenant, busy.Endpoint{URL: "https://example.com/"}, now)
	must(t, err)
	second, err := p.Store.RotateSecret(ctx, p.tenant, e.ID, now)
	must(t, err)
	third, err := p.Store.RotateSecret(ctx, p.tenant, e.ID, now.Add(time.Hour))
	must(t, err)
	if first == second || second == third {
		t.Fatal("a secret is there twice")
	}
	for epoch, c := range []struct {
		at   time.Time
		want []string
	}{
		{now.Add(time.Hour + store.SecretOverlap - time.Second), []string{third, second}},
		{now.Add(time.Hour + store.SecretOverlap), []string{third}},
	} {
		round, err := p.Store.TakeEndpoint(ctx, busy.Dispatch{Tenant: p.tenant, Endpoint: e.ID, Epoch: int64(epoch)}, c.at, time.Minute)
		must(t, err)
		var got []string
		for _, s := range round.Secrets {
			got = append(got, string([]byte(s)))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("at %s %d secrets sign, want %d", c.at, len(got), len(c.want))
		}
	}
}

func TestEndpointsAreChecked(t *testing.T) {
	p := newPost(t, storetest.New(t), "tenant")
	for _, wrong := range []busy.Endpoint{
		{},
		{URL: "http://example.com/"},
		{URL: "https:///path"},
		{URL: "https:example.com"},
		{URL: "ftp://example.com"},
		{URL: "https://%zz/"},
		{URL: "https://user:password@example.com/"},
		{URL: "https://example.com/#a"},
		{URL: "https://example.com/" + strings.Repeat("a", 2048)},
		{URL: "https://example.com/", Types: []busy.MessageType{"booking.made"}},
	} {
		_, _, err := p.Store.CreateEndpoint(ctx, p.tenant, wrong, now)
		expect(t, err, busy.ErrInvalid)
		if strings.Contains(err.Error(), "password@") {
			t.Errorf("%v repeats the address", err)
		}
	}
	for range 10 {
		p.endpoint()
	}
	_, _, err := p.Store.CreateEndpoint(ctx, p.tenant, busy.Endpoint{URL: "https://example.com/"}, now)
	expect(t, err, busy.ErrInvalid)
}

// One tenant with many endpoints and thousands of messages leaves the others their
// share, and an endpoint is one dispatch however much waits for it.
func TestTenantsTakeTurnsWithEndpoints(t *testing.T) {
	env := storetest.New(t)
	great, small := newPost(t, env, "great"), newPost(t, env, "small")
	for range 10 {
		great.endpoint()
	}
	for range 500 {
		great.tell(busy.AvailabilityChanged, 0)
	}
	id := small.endpoint()
	small.tell(busy.BookingCreated, 1)
	due := small.claim(1, 2)
	if len(due) != 2 || !slices.ContainsFunc(due, func(d busy.Dispatch) bool { return d.Endpoint == id }) {
		t.Fatalf("claimed %v, want one of each tenant", due)
	}
	if rest := small.claim(1, 100); len(rest) != 9 {
		t.Fatalf("claimed %d more, want the other 9", len(rest))
	}
	backlog, err := env.Store.Backlog(ctx, now.Add(3*time.Minute))
	must(t, err)
	if backlog.Waiting != 5001 || backlog.Oldest != 3*time.Minute || backlog.Disabled != 0 {
		t.Errorf("backlog %+v", backlog)
	}
}

// The claim goes from endpoint to endpoint: it does not look at all that waits.
func TestClaimingLooksAtEndpointsOnly(t *testing.T) {
	env := storetest.New(t)
	p := newPost(t, env, "tenant")
	id := p.endpoint()
	conn := env.Owner(t)
	_, err := conn.Exec(ctx, `
		with told as (
			insert into messages (tenant_id, id, type, at)
			select $1, gen_random_uuid(), 'booking.created', $3 from generate_series(1, 100000) returning seq
		)
		insert into deliveries (tenant_id, seq, endpoint_id, created_at, due_at) select $1, seq, $2, $3, $3 from told`,
		p.tenant.String(), id.String(), now)
	must(t, err)
	_, err = conn.Exec(ctx, `vacuum analyze deliveries, endpoints, messages`)
	must(t, err)
	plan := strings.Join(query(t, conn, `explain (analyze, format text) `+strings.NewReplacer("$1", "now()", "$2", "10", "$3", "now()").Replace(store.DispatchQuery)), "\n")
	if strings.Contains(plan, "Seq Scan on deliveries") || strings.Count(plan, "deliveries_due") < 2 {
		t.Errorf("the plan is\n%s", plan)
	}
}

// outgoing makes an endpoint for which a message waits.
func (r *run) outgoing() (to busy.Dispatch, of busy.BookingID) {
	r.t.Helper()
	p := post{r.Env, r.t, r.tenant.ID}
	id := p.endpoint()
	return busy.Dispatch{Tenant: r.tenant.ID, Endpoint: id}, p.tell(busy.BookingCreated, 0).Booking
}

// Neither the address nor the secret of an endpoint is readable in the database.
func TestEndpointsAreSealed(t *testing.T) {
	p := newPost(t, storetest.New(t), "tenant")
	e, first, err := p.Store.CreateEndpoint(ctx, p.tenant, busy.Endpoint{URL: "https://example.com/canary"}, now)
	must(t, err)
	second, err := p.Store.RotateSecret(ctx, p.tenant, e.ID, now)
	must(t, err)
	all := dump(t, p.Owner(t))
	for _, secret := range []string{"canary", first, second} {
		encoded := strings.TrimPrefix(query(t, p.Owner(t), `select $1::bytea::text`, []byte(secret))[0], `\x`)
		if strings.Contains(all, secret) || strings.Contains(all, encoded) {
			t.Errorf("the database holds %.6s... in the open", secret)
		}
	}
}
