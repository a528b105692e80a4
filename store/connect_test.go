package store_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/seal"
	"github.com/busyd/busyd/store/storetest"
)

func (r *run) consent() (state string) {
	r.t.Helper()
	state, err := r.Store.CreateConsent(ctx, r.tenant.ID, busy.Consent{
		Kind: busy.Google, Resource: r.resource.ID, Connection: r.calendar.Connection, Verifier: "verifier", Push: true,
	}, now)
	must(r.t, err)
	return state
}

// awaitAdmin notes that an organisation must consent first.
func awaitAdmin(t *testing.T, s *store.Store, tenant busy.TenantID, c busy.Consent, reason string, now time.Time) busy.ConnectionID {
	t.Helper()
	id, err := s.Await(ctx, tenant, c, reason, now)
	must(t, err)
	return id
}

func (r *run) watch() (id string, token busy.Secret) {
	r.t.Helper()
	id, token, err := r.Store.NewWatchID(r.tenant.ID)
	must(r.t, err)
	must(r.t, r.Store.SaveWatch(ctx, r.tenant.ID, busy.Watch{
		ID: id, Connection: r.calendar.Connection, Calendar: r.calendar.ID, Handle: busy.Secret("handle"),
		Expires: now.Add(time.Hour),
	}, token))
	return id, token
}

// asTenant is a state as somebody forges it who knows all but the tenant.
func asTenant(t *testing.T, state string, tenant busy.TenantID) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(state)
	must(t, err)
	copy(raw, tenant[:])
	return base64.RawURLEncoding.EncodeToString(raw)
}

func TestConsentIsGoodOnceAndForTenMinutes(t *testing.T) {
	r := begin(t)
	state := r.consent()
	got, err := r.Store.TakeConsent(ctx, state, now.Add(9*time.Minute))
	must(t, err)
	want := busy.Consent{
		Tenant: r.tenant.ID, Kind: busy.Google, Resource: r.resource.ID, Connection: r.calendar.Connection, Verifier: "verifier",
		Push: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	late := r.consent()
	for name, state := range map[string]string{
		"used": state, "expired": late, "cut": late[:40], "empty": "", "of no tenant": asTenant(t, late, newID[busy.Tenant](t)),
	} {
		if _, err := r.Store.TakeConsent(ctx, state, now.Add(10*time.Minute)); !errors.Is(err, busy.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOneDaemonRenewsAndTheOthersAreGivenTheResult(t *testing.T) {
	r := begin(t)
	var calls sync.Map
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			got, err := r.Store.RenewGrant(ctx, r.tenant.ID, r.calendar.Connection,
				func(_ context.Context, current busy.Secret) (busy.Secret, error) {
					if strings.HasPrefix(string(current), "renewed") {
						return current, nil
					}
					if _, twice := calls.LoadOrStore("renewed", true); twice {
						t.Error("renewed twice")
					}
					return busy.Secret("renewed " + string(current)), nil
				})
			if err != nil || !strings.HasPrefix(string(got), "renewed grant of") {
				t.Errorf("%q, %v", []byte(got), err)
			}
		})
	}
	group.Wait()
	failure := errors.New("the provider is away")
	_, err := r.Store.RenewGrant(ctx, r.tenant.ID, r.calendar.Connection,
		func(context.Context, busy.Secret) (busy.Secret, error) { return busy.Secret("lost"), failure })
	expect(t, err, failure)
	if grant := string(r.take().Grant); !strings.HasPrefix(grant, "renewed grant of") {
		t.Errorf("stored %q", grant)
	}
}

// Whoever waits for a consent can follow it to its end, and as long as its time.
func TestHowAConsentEnds(t *testing.T) {
	r := begin(t)
	state := r.consent()
	follow := func(want busy.ConsentEnd) {
		t.Helper()
		got, err := r.Store.ConsentEnd(ctx, r.tenant.ID, state)
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	given := busy.ConsentEnd{State: busy.ConsentGiven, Connection: r.calendar.Connection}
	must(t, r.Store.EndConsent(ctx, r.tenant.ID, state, given))
	follow(busy.ConsentEnd{State: busy.ConsentAsked}) // what was not taken has no end
	taken := now.Add(9 * time.Minute)                 // from then on it has ten minutes more
	_, err := r.Store.TakeConsent(ctx, state, taken)
	must(t, err)
	follow(busy.ConsentEnd{State: busy.ConsentTaken, Since: taken})
	if n := query(t, r.Owner(t), `select count(verifier_sealed)::text from consents`)[0]; n != "0" {
		t.Errorf("%s verifiers are kept for nothing", n)
	}
	for _, end := range []busy.ConsentEnd{
		given, {State: busy.ConsentAwaitingAdmin, Connection: given.Connection}, {State: busy.ConsentFailed, Problem: "the consent was declined"},
	} {
		must(t, r.Store.EndConsent(ctx, r.tenant.ID, state, end))
		end.Since = taken
		follow(end)
	}
	_, err = r.Store.Purge(ctx, now.Add(19*time.Minute-time.Second))
	must(t, err)
	_, err = r.Store.ConsentEnd(ctx, r.tenant.ID, state)
	must(t, err)
	_, err = r.Store.Purge(ctx, now.Add(19*time.Minute))
	must(t, err)
	_, err = r.Store.ConsentEnd(ctx, r.tenant.ID, state)
	expect(t, err, busy.ErrNotFound)
}

// A connection that is disconnected while its first consent is being carried out
// stays so: none is made in its place.
func TestAConsentThatComesAfterTheDisconnection(t *testing.T) {
	r := begin(t)
	id := awaitAdmin(t, r.Store, r.tenant.ID, busy.Consent{Resource: r.resource.ID, Kind: busy.Graph}, "consent", now)
	must(t, r.Store.Disconnect(ctx, r.tenant.ID, id, false, now))
	_, _, err := r.Store.CreateConnection(ctx, r.tenant.ID, busy.NewConnection{
		Resource: r.resource.ID, Kind: busy.Graph, Grant: busy.Secret("grant"), Waiting: id,
	}, now)
	expect(t, err, busy.ErrInvalid)
	if n := r.count("connections"); n != 2 {
		t.Errorf("%d connections, want the one that is read and the one that is over", n)
	}
}

// Two connections of a resource that move to one address at once: one does.
func TestAnAccountIsReadOnce(t *testing.T) {
	r := begin(t)
	var moved atomic.Int64
	for n := range 10 {
		var both sync.WaitGroup
		for range 2 {
			feed, _, err := r.Store.CreateConnection(ctx, r.tenant.ID, busy.NewConnection{
				Resource: r.resource.ID, Kind: busy.Feed, Grant: busy.Secret("grant"), Account: busy.Secret("old " + newID[busy.Connection](t).String()),
				Calendars: []busy.NewCalendar{{Remote: busy.Secret(newID[busy.Calendar](t).String()), Selected: true}},
			}, now)
			must(t, err)
			both.Go(func() {
				err := r.Store.ReplaceGrant(ctx, r.tenant.ID, feed.ID, busy.Secret("new"), busy.Secret(fmt.Sprint("new ", n)), now)
				if err == nil {
					moved.Add(1)
				} else if !errors.Is(err, busy.ErrInvalid) {
					t.Error(err)
				}
			})
		}
		both.Wait()
	}
	if moved.Load() != 10 {
		t.Errorf("%d moved to 10 addresses", moved.Load())
	}
	if n := query(t, r.Owner(t), `select count(*)::text from calendars where want_full`)[0]; n != "10" {
		t.Errorf("%s calendars are read completely, for what is remembered is of the old address", n)
	}
}

// A provider whose token endpoint hangs leaves connections for everybody else.
func TestRenewalsThatHangLeaveConnections(t *testing.T) {
	r := begin(t)
	const most = 20 // more than there are connections
	hang, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	begun := make(chan struct{}, most)
	var connections []busy.Connection
	for range most {
		connection, _ := r.Connection(t, r.tenant.ID, r.resource.ID)
		connections = append(connections, connection)
	}
	for _, connection := range connections {
		group.Go(func() {
			_, err := r.Store.RenewGrant(hang, r.tenant.ID, connection.ID, func(ctx context.Context, _ busy.Secret) (busy.Secret, error) {
				begun <- struct{}{}
				<-ctx.Done()
				return nil, ctx.Err()
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
	}
	for range 5 {
		<-begun
	}
	within, done := context.WithTimeout(ctx, 20*time.Second)
	defer done()
	for range 5 {
		_, err := r.Store.Connections(within, r.tenant.ID)
		must(t, err)
	}
}

// A callback that ends a watch meets whoever disconnects: both go through.
func TestACallbackWhileDisconnecting(t *testing.T) {
	r := begin(t)
	id, token := r.watch()
	var group sync.WaitGroup
	must(t, r.Store.In(ctx, r.tenant.ID, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `select from calendars where tenant_id = $1 for update`, r.tenant.ID.String())
		must(t, err)
		group.Go(func() {
			if _, err := r.Store.Pushed(ctx, id, token, busy.Ended, now); err != nil {
				t.Errorf("the callback: %v", err)
			}
		})
		for waiting := false; !waiting; {
			must(t, tx.QueryRow(ctx, `select exists (select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid)))`).Scan(&waiting))
		}
		_, err = tx.Exec(ctx, `delete from watches where tenant_id = $1`, r.tenant.ID.String())
		return err
	}))
	group.Wait()
}

func TestPushMakesDueWhatItIsAbout(t *testing.T) {
	r := begin(t)
	id, token := r.watch()
	must(t, r.Store.Release(ctx, r.work.Lease, busy.Release{Outcome: busy.OutcomeChanged, AsOf: now, DueAt: now.Add(time.Hour)}))
	tasks, err := r.Store.Pushed(ctx, id, token, busy.Lasts, now)
	must(t, err)
	if len(tasks) != 1 || tasks[0].Calendar != r.calendar.ID || tasks[0].Urgency != busy.UrgencyPushed {
		t.Errorf("tasks %v", tasks)
	}
	due, err := r.Store.ClaimDue(ctx, now, 10, time.Minute)
	must(t, err)
	if diff := cmp.Diff(tasks, due); diff != "" {
		t.Error(diff)
	}
	for name, c := range map[string]struct {
		id    string
		token busy.Secret
	}{
		"wrong token": {id, busy.Secret("x")}, "no token": {id, nil}, "wrong id": {id[:63] + "x", token}, "no id": {"", token},
	} {
		if _, err := r.Store.Pushed(ctx, c.id, c.token, busy.Ended, now); !errors.Is(err, busy.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if watches, err := r.Store.Watches(ctx, r.tenant.ID, r.calendar.Connection); err != nil || len(watches) != 1 || watches[0].Ended {
		t.Errorf("watches %v, %v", watches, err)
	}
	_, err = r.Store.Pushed(ctx, id, token, busy.Ended, now)
	must(t, err)
	watches, err := r.Store.Watches(ctx, r.tenant.ID, r.calendar.Connection)
	must(t, err)
	want := []busy.Watch{{
		ID: id, Connection: r.calendar.Connection, Calendar: r.calendar.ID, Handle: busy.Secret("handle"),
		Expires: now, Ended: true,
	}}
	if diff := cmp.Diff(want, watches); diff != "" {
		t.Error(diff)
	}
}

func TestADowngradedTenantConnectsNothing(t *testing.T) {
	env := storetest.New(t)
	tenant := env.Tenant(t, "tenant")
	resource := env.Resource(t, tenant.ID, "resource")
	connect := func() error {
		_, _, err := env.Store.CreateConnection(ctx, tenant.ID, busy.NewConnection{Resource: resource.ID, Kind: busy.Google}, now)
		return err
	}
	must(t, env.Store.Downgrade(ctx, tenant.ID, true, now))
	expect(t, connect(), busy.ErrInvalid)
	must(t, env.Store.Downgrade(ctx, tenant.ID, true, now.Add(time.Hour)))
	found, err := env.Store.FindTenant(ctx, "tenant")
	must(t, err)
	if !found.DowngradedAt.Equal(now) {
		t.Errorf("downgraded at %v", found.DowngradedAt)
	}
	must(t, env.Store.Downgrade(ctx, tenant.ID, false, now))
	must(t, connect())
	expect(t, env.Store.Downgrade(ctx, newID[busy.Tenant](t), true, now), busy.ErrNotFound)
}

// A farewell holds what the provider must be told, knows who else reads the
// account, also after the master key was rotated, and is never forgotten.
func TestFarewell(t *testing.T) {
	env := storetest.New(t)
	connect := func(tenant busy.Tenant, resource busy.Resource, account string) busy.Connection {
		connection, _, err := env.Store.CreateConnection(ctx, tenant.ID, busy.NewConnection{
			Resource: resource.ID, Kind: busy.Google, Grant: busy.Secret("grant"), Account: busy.Secret(account),
		}, now)
		must(t, err)
		return connection
	}
	one, two := env.Tenant(t, "one"), env.Tenant(t, "two")
	mine, theirs := env.Resource(t, one.ID, "mine"), env.Resource(t, two.ID, "theirs")
	first, second := connect(one, mine, "ada@example.com"), connect(two, theirs, "ada@example.com")
	connect(one, mine, "bo@example.com")

	must(t, env.Store.Disconnect(ctx, one.ID, first.ID, true, now))
	if f := farewell(t, env.Store); !f.Shared || string(f.Grant) != "grant" || f.Kind != busy.Google {
		t.Errorf("shared %t, %s, %s", f.Shared, []byte(f.Grant), f.Kind)
	}
	fresh, err := seal.NewKey(rand.Reader)
	must(t, err)
	_, err = env.Open(t, seal.NewKeyring(fresh, env.Key)).RotateKeys(ctx)
	must(t, err)
	rotated := env.Open(t, seal.NewKeyring(fresh))
	if f := farewell(t, rotated); !f.Shared {
		t.Error("after the rotation nobody else reads the account")
	}
	must(t, rotated.Disconnect(ctx, two.ID, second.ID, false, now))
	if f := farewell(t, rotated); f.Shared || f.Attempts != 2 {
		t.Errorf("shared %t, %d attempts", f.Shared, f.Attempts)
	}
	ids, err := rotated.Farewells(ctx, one.ID)
	must(t, err)
	must(t, rotated.Settle(ctx, ids[0], true, time.Time{}))
	_, err = rotated.Farewell(ctx, ids[0])
	expect(t, err, busy.ErrNotFound)
}

// farewell claims the one that is due, opens it and lets it fail.
func farewell(t *testing.T, s *store.Store) busy.Farewell {
	t.Helper()
	due, err := s.ClaimFarewells(ctx, now, 10, time.Minute)
	must(t, err)
	if len(due) != 1 {
		t.Fatalf("%d farewells are due", len(due))
	}
	if again, err := s.ClaimFarewells(ctx, now, 10, time.Minute); err != nil || len(again) != 0 {
		t.Fatalf("claimed twice: %v, %v", again, err)
	}
	f, err := s.Farewell(ctx, due[0])
	must(t, err)
	must(t, s.Settle(ctx, due[0], false, now))
	return f
}
