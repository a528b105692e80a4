package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
)

// standing returns the resource's agenda, which both readers must see alike.
func (r *run) standing() busy.Agenda {
	r.t.Helper()
	ids := []busy.ResourceID{r.resource.ID}
	agendas, err := r.Store.Agendas(ctx, r.tenant.ID, ids, window)
	must(r.t, err)
	standings, err := r.Store.Standings(ctx, r.tenant.ID, ids)
	must(r.t, err)
	if agendas[0].Disconnected != standings[0].Disconnected || agendas[0].Version != standings[0].Version {
		r.t.Fatalf("the agenda is %+v, the standing %+v", agendas[0], standings[0])
	}
	return agendas[0]
}

// Who had calendars and has none left is disconnected until another account is
// connected, or the last that there was is forgotten. Every step that changes this
// changes the agenda's version.
func TestWhoHasNoAccountLeftIsDisconnected(t *testing.T) {
	r := begin(t)
	tenant, first := r.tenant.ID, r.calendar.Connection
	version := r.standing().Version
	expect := func(disconnected bool, when string) {
		t.Helper()
		a := r.standing()
		if a.Disconnected != disconnected {
			t.Errorf("%s: disconnected is %t", when, a.Disconnected)
		}
		if a.Version == version {
			t.Errorf("%s: the version is %d still", when, version)
		}
		version = a.Version
	}
	must(t, r.Store.Select(ctx, tenant, r.calendar.ID, false, now))
	expect(false, "nothing is selected")
	second, _ := r.Connection(t, tenant, r.resource.ID, "second")
	expect(false, "there is a second account")
	must(t, r.Store.Disconnect(ctx, tenant, second.ID, false, now))
	expect(false, "the account of the deselected calendar is left")
	must(t, r.Store.Disconnect(ctx, tenant, first, false, now))
	expect(true, "both accounts are gone")
	awaitAdmin(t, r.Store, tenant, busy.Consent{Resource: r.resource.ID, Kind: busy.Graph}, "consent", now)
	expect(true, "another waits for its first consent")
	third, _ := r.Connection(t, tenant, r.resource.ID, "third")
	expect(false, "a third is connected")
	must(t, r.Store.Disconnect(ctx, tenant, third.ID, false, now))
	expect(true, "the third is gone")
	for i, id := range []busy.ConnectionID{first, second.ID, third.ID} {
		must(t, r.Store.Forget(ctx, tenant, id))
		expect(i < 2, fmt.Sprint(i+1, " are forgotten"))
	}
}

func TestOnlyWhatIsOverIsForgotten(t *testing.T) {
	r := begin(t)
	tenant, id := r.tenant.ID, r.calendar.Connection
	expect(t, r.Store.Forget(ctx, tenant, id), busy.ErrInvalid)
	must(t, r.Store.Pause(ctx, tenant, id, now))
	expect(t, r.Store.Forget(ctx, tenant, id), busy.ErrInvalid)
	must(t, r.Store.Disconnect(ctx, tenant, id, true, now))
	var wrong *busy.Violation
	if err := r.Store.Forget(ctx, tenant, id); !errors.As(err, &wrong) || !strings.Contains(wrong.Detail, "told") {
		t.Errorf("before its provider is told: %v", err)
	}
	farewells, err := r.Store.Farewells(ctx, tenant)
	must(t, err)
	must(t, r.Store.Settle(ctx, farewells[0], true, now))
	_, err = r.Store.CreateConsent(ctx, tenant, busy.Consent{Kind: busy.Google, Resource: r.resource.ID, Connection: id}, now)
	must(t, err)
	must(t, r.Store.Forget(ctx, tenant, id))
	if n := r.count("connections") + r.count("consents"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	expect(t, r.Store.Forget(ctx, tenant, id), busy.ErrNotFound)
}

// Whether accounts are gone is asked for those alone that have no calendar.
func TestWhoHasCalendarsIsNotLookedUpTwice(t *testing.T) {
	env := storetest.New(t)
	tenant := env.Tenant(t, "one").ID
	with, without := env.Resource(t, tenant, "with"), env.Resource(t, tenant, "without")
	env.Connection(t, tenant, with.ID, "a", "b")
	others := env.Resource(t, tenant, "others")
	owner := env.Owner(t)
	_, err := owner.Exec(ctx, `
		insert into connections (tenant_id, id, resource_id, kind, state, created_at, changed_at)
		select $1, gen_random_uuid(), $2, 'google', 'disconnected', $3, $3 from generate_series(1, 5000)`,
		tenant.String(), others.ID.String(), now)
	must(t, err)
	_, err = owner.Exec(ctx, `analyze connections`)
	must(t, err)
	for name, test := range map[string]struct {
		ids   []busy.ResourceID
		looks float64
	}{
		"with calendars":           {[]busy.ResourceID{with.ID}, 0},
		"with and without":         {[]busy.ResourceID{with.ID, without.ID}, 1},
		"without calendars, twice": {[]busy.ResourceID{without.ID, without.ID}, 2},
	} {
		ids := make([][16]byte, len(test.ids))
		for i, id := range test.ids {
			ids[i] = id
		}
		plan, text := explain(t, env, tenant, store.AgendaResources, [16]byte(tenant), ids)
		found := false
		plan.walk(func(n node) {
			if !strings.HasPrefix(n.Subplan, "SubPlan") {
				return
			}
			found = true
			n.walk(func(step node) {
				if step.Relation == "connections" && (step.Index != "connections_resource" || step.Loops != test.looks) {
					t.Errorf("%s: %s of %s with %q, %v times", name, step.Type, step.Relation, step.Index, step.Loops)
				}
			})
		})
		if !found || t.Failed() {
			t.Fatalf("%s:\n%s", name, text)
		}
	}
}
