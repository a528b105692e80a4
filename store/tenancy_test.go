package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
)

// A statement that forgets the tenant must see, change and make nothing.
func TestTheDoorStopsWhoForgetsTheTenant(t *testing.T) {
	r := begin(t)
	r.apply(change(meeting("a", 10)))
	_, _, err := r.Store.CreateKey(ctx, r.tenant.ID, "key", []busy.Scope{busy.ScopeRead}, time.Time{}, now)
	must(t, err)
	r.consent()
	r.watch()
	r.outgoing()
	r.booked()
	other, _ := r.Connection(t, r.tenant.ID, r.resource.ID, "other")
	must(t, r.Store.Disconnect(ctx, r.tenant.ID, other.ID, true, now))
	conn := r.Owner(t)
	for _, table := range tables(t, conn) {
		if r.count(table) == 0 {
			t.Fatalf("%s is empty: the test would prove nothing", table)
		}
		forgotten := []struct {
			name string
			set  string
		}{
			{"never set", "select 1"},
			{"set to nothing", "select set_config('busyd.tenant', '', true)"},
			{"left over from another transaction", "begin; select set_config('busyd.tenant', '" + r.tenant.ID.String() + "', true); commit"},
			{"another's", "select set_config('busyd.tenant', '" + newID[busy.Tenant](t).String() + "', true)"},
		}
		for _, f := range forgotten {
			app, err := pgx.Connect(ctx, r.AppURL)
			must(t, err)
			_, err = app.Exec(ctx, "set role busyd_app")
			must(t, err)
			_, err = app.Exec(ctx, f.set)
			must(t, err)
			for _, statement := range []string{"select from " + table, "delete from " + table} {
				tag, err := app.Exec(ctx, statement)
				if err != nil || tag.RowsAffected() != 0 {
					t.Errorf("%s, %s: %d rows, %v", f.name, statement, tag.RowsAffected(), err)
				}
			}
			must(t, app.Close(ctx))
		}
		// A row of this tenant cannot be moved to, or made for, another one.
		err = r.Store.In(ctx, r.tenant.ID, func(tx *store.Tx) error {
			column := "tenant_id"
			if table == "tenants" {
				column = "id"
			}
			_, err := tx.Exec(ctx, "update "+table+" set "+column+" = gen_random_uuid()")
			return err
		})
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "42501" { // insufficient_privilege, or a policy is violated
			t.Errorf("rows of %s can be given away, or what stops it is no right: %v", table, err)
		}
	}
}

func TestALoginWithoutItsRoleSeesNothing(t *testing.T) {
	env := storetest.New(t)
	conn, err := pgx.Connect(ctx, env.AppURL)
	must(t, err)
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range []string{"set role busyd_owner", "create table x (y int)", "alter table events no force row level security"} {
		if _, err := conn.Exec(ctx, statement); err == nil {
			t.Errorf("the login may %s", statement)
		}
	}
}

func TestInRollsBack(t *testing.T) {
	r := begin(t)
	broken := errors.New("broken")
	err := r.Store.In(ctx, r.tenant.ID, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `delete from calendars`)
		must(t, err)
		return broken
	})
	if err != broken {
		t.Fatalf("error %v", err)
	}
	r.state()
}

// world is one of two tenants with the same names for everything.
type world struct {
	*run
	key     busy.APIKey
	state   string // of a consent
	to      busy.Dispatch
	told    busy.BookingID
	watched string // a watch's id
	token   busy.Secret
	booked
}

func newWorld(t *testing.T, env *storetest.Env, name string) world {
	w := world{run: beginIn(t, env, name)}
	w.apply(busy.Page{
		Change: busy.Change{Events: []busy.Event{meeting("same", 10), daily("series", 12, 3)}}, Cursor: []byte("cursor"),
	})
	var err error
	w.key, _, err = env.Store.CreateKey(ctx, w.tenant.ID, "key", busy.Scopes(), time.Time{}, now)
	must(t, err)
	w.state = w.consent()
	w.watched, w.token = w.watch()
	w.to, w.told = w.outgoing()
	w.booked = w.run.booked()
	return w
}

// rows are the tenant's in all tables.
func (w world) rows(t *testing.T) string {
	conn := w.Owner(t)
	var all string
	for _, table := range tables(t, conn) {
		column := "tenant_id"
		if table == "tenants" {
			column = "id"
		}
		for _, row := range query(t, conn, "select t::text from "+table+" t where "+column+" = $1 order by 1", w.tenant.ID.String()) {
			all += table + " " + row + "\n"
		}
	}
	return all
}

// Every method, as one tenant with the other's ids: it finds nothing, and the
// other's rows stay as they are.
func TestNoTenantReachesAnother(t *testing.T) {
	env := storetest.New(t)
	mine, theirs := newWorld(t, env, "mine"), newWorld(t, env, "theirs")
	before := theirs.rows(t)
	s, me := env.Store, mine.tenant.ID
	stolen := theirs.work.Lease
	stolen.Tenant = me
	task := theirs.task()
	task.Tenant = me
	late := now.AddDate(1, 0, 0)
	span := busy.Span{Start: window.Start, End: window.End}

	for name, attempt := range map[string]func() error{
		"FindTenant by the other's resource": func() error { _, err := s.FindTenant(ctx, theirs.resource.ID.String()); return err },
		"RevokeKey":                          func() error { return s.RevokeKey(ctx, me, theirs.key.ID, now) },
		"FindResource":                       func() error { _, err := s.FindResource(ctx, me, theirs.resource.ID.String()); return err },
		"FindResource by name":               func() error { _, err := s.FindResource(ctx, me, theirs.resource.Name); return err },
		"CreateConnection": func() error {
			_, _, err := s.CreateConnection(ctx, me, busy.NewConnection{Resource: theirs.resource.ID, Kind: busy.CalDAV}, now)
			return err
		},
		"CreateConsent": func() error {
			_, err := s.CreateConsent(ctx, me, busy.Consent{Kind: busy.Google, Resource: theirs.resource.ID}, now)
			return err
		},
		"CreateConsent to reconnect": func() error {
			_, err := s.CreateConsent(ctx, me, busy.Consent{
				Kind: busy.Google, Resource: mine.resource.ID, Connection: theirs.calendar.Connection,
			}, now)
			return err
		},
		"TakeConsent":     func() error { _, err := s.TakeConsent(ctx, asTenant(t, theirs.state, me), now); return err },
		"ConsentEnd":      func() error { _, err := s.ConsentEnd(ctx, me, theirs.state); return err },
		"Pushed":          func() error { _, err := s.Pushed(ctx, theirs.watched, mine.token, busy.Lasts, now); return err },
		"Pushed as ended": func() error { _, err := s.Pushed(ctx, mine.watched, theirs.token, busy.Ended, now); return err },
		"Connection":      func() error { _, err := s.Connection(ctx, me, theirs.calendar.Connection); return err },
		"ReplaceGrant":    func() error { return s.ReplaceGrant(ctx, me, theirs.calendar.Connection, busy.Secret("x"), nil, now) },
		"Disconnect":      func() error { return s.Disconnect(ctx, me, theirs.calendar.Connection, true, now) },
		"Forget":          func() error { return s.Forget(ctx, me, theirs.calendar.Connection) },
		"Await": func() error {
			_, err := s.Await(ctx, me, busy.Consent{Connection: theirs.calendar.Connection}, "", now)
			return err
		},
		"Await anew": func() error {
			_, err := s.Await(ctx, me, busy.Consent{Resource: theirs.resource.ID, Kind: busy.Graph}, "", now)
			return err
		},
		"Pause":    func() error { return s.Pause(ctx, me, theirs.calendar.Connection, now) },
		"Resume":   func() error { return s.Resume(ctx, me, theirs.calendar.Connection, now) },
		"Account":  func() error { _, err := s.Account(ctx, me, theirs.calendar.Connection); return err },
		"Calendar": func() error { _, err := s.Calendar(ctx, me, theirs.calendar.ID); return err },
		"Select":   func() error { return s.Select(ctx, me, theirs.calendar.ID, false, now) },
		"Want calendar": func() error {
			_, err := s.Want(ctx, me, store.WantScope{Calendar: &theirs.calendar.ID}, now)
			return err
		},
		"Want connection": func() error {
			_, err := s.Want(ctx, me, store.WantScope{Connection: &theirs.calendar.Connection}, now)
			return err
		},
		"Agendas": func() error {
			_, err := s.Agendas(ctx, me, []busy.ResourceID{mine.resource.ID, theirs.resource.ID}, span)
			return err
		},
		"Service": func() error { _, err := s.Service(ctx, me, theirs.service.ID); return err },
		"OpenHolds": func() error {
			if n, err := s.OpenHolds(ctx, me, theirs.service.ID, now); n > 0 || err != nil {
				t.Errorf("%d holds of the other, %v", n, err)
			}
			return busy.ErrNotFound
		},
		"BookedService":  func() error { _, err := s.BookedService(ctx, me, theirs.service.ID); return err },
		"ArchiveService": func() error { return s.ArchiveService(ctx, me, theirs.service.ID) },
		"ReplaceService": func() error { return s.ReplaceService(ctx, me, theirs.service) },
		"ReplaceService with the other's resource": func() error {
			stolen := theirs.service
			stolen.ID = mine.service.ID
			return s.ReplaceService(ctx, me, stolen)
		},
		"CreateService": func() error {
			stolen := theirs.service
			stolen.Name = "another"
			_, err := s.CreateService(ctx, me, stolen)
			return err
		},
		"ChangeResource": func() error { return s.ChangeResource(ctx, me, theirs.resource) },
		"CreateOverride": func() error {
			_, err := s.CreateOverride(ctx, me, busy.Override{Resource: theirs.resource.ID, First: now, Last: now, Closed: true})
			return err
		},
		"DeleteOverride": func() error { return s.DeleteOverride(ctx, me, theirs.override.ID) },
		"Booking":        func() error { _, err := s.Booking(ctx, me, theirs.booking.ID); return err },
		"EraseDetails":   func() error { return s.EraseDetails(ctx, me, theirs.booking.ID, now) },
		"SetIgnore":      func() error { return s.SetIgnore(ctx, me, theirs.calendar.ID, true, true, now) },
		"Decide": func() error {
			return s.Decide(ctx, me, []busy.ResourceID{theirs.resource.ID}, window, func([]busy.Agenda) (busy.Proposal, error) {
				t.Error("the other tenant's agenda is handed out")
				return busy.Proposal{}, nil
			})
		},
		"DeleteEndpoint": func() error { return s.DeleteEndpoint(ctx, me, theirs.to.Endpoint) },
		"RotateSecret":   func() error { _, err := s.RotateSecret(ctx, me, theirs.to.Endpoint, now); return err },
		"Replay":         func() error { _, err := s.Replay(ctx, me, theirs.to.Endpoint, now, now); return err },
		"DeleteTenant":   func() error { _, err := s.DeleteTenant(ctx, newID[busy.Tenant](t)); return err },
	} {
		if err := attempt(); !errors.Is(err, busy.ErrNotFound) {
			t.Errorf("%s: %v, want not found", name, err)
		}
	}
	_, err := s.Take(ctx, task, late, lease)
	expect(t, err, busy.ErrNotDue)
	theirs.to.Tenant = me
	_, err = s.TakeEndpoint(ctx, theirs.to, late, lease)
	expect(t, err, busy.ErrNotDue)
	waiting, err := s.Waiting(ctx, theirs.to, late, 10)
	must(t, err)
	heard, err := s.Listen(ctx, me, busy.Mark{}, 100)
	must(t, err)
	for _, h := range heard {
		if h.Message.Booking == theirs.told || h.Message.Resource == theirs.resource.ID {
			t.Errorf("heard the other's %+v", h.Message)
		}
	}
	endpoints, err := s.Endpoints(ctx, me)
	must(t, err)
	if len(waiting) > 0 || len(heard) == 0 || len(endpoints) != 1 || endpoints[0].ID != mine.to.Endpoint {
		t.Errorf("%d messages wait, %d are heard, the endpoints are %v", len(waiting), len(heard), endpoints)
	}
	for seq := range int64(10) {
		must(t, s.Delivered(ctx, theirs.to, seq))
		must(t, s.Undelivered(ctx, theirs.to, seq, time.Time{}))
	}
	moved, cancelled, served := theirs.booking, theirs.booking, mine.office()
	moved.Resources, cancelled.State, served.service = []busy.ResourceID{mine.resource.ID}, busy.BookingCancelled, theirs.service
	for name, p := range map[string]busy.Proposal{
		"to move the other's booking":   {Booking: moved, Was: moved.Version, Seen: mine.office().versions(mine.resource.ID)},
		"to cancel the other's booking": {Booking: cancelled, Was: cancelled.Version},
		"for the other's service":       served.proposal(served.booking(at(20), mine.resource.ID)),
		"on the other's agenda": {
			Booking: mine.office().booking(at(20), theirs.resource.ID), Seen: theirs.office().versions(theirs.resource.ID),
		},
	} {
		if err := s.Propose(ctx, me, p); !errors.Is(err, busy.ErrChanged) {
			t.Errorf("a proposal %s: %v, want changed", name, err)
		}
	}
	bookings, err := s.Bookings(ctx, me, busy.BookingFilter{Resource: theirs.resource.ID})
	must(t, err)
	services, err := s.Services(ctx, me)
	must(t, err)
	conflicts, err := s.Conflicts(ctx, me, false, busy.ConflictID{}, 0)
	must(t, err)
	_, answer, err := s.Reserve(ctx, me, once("another key", "request"), now)
	must(t, err)
	if len(bookings) > 0 || len(services) != 1 || services[0].ID != mine.service.ID || len(conflicts) != 1 ||
		conflicts[0].Booking != mine.booking.ID || answer != nil {
		t.Errorf("bookings %v, services %v, conflicts %v, answer %v", bookings, services, conflicts, answer)
	}
	expect(t, s.EndRound(ctx, theirs.to, busy.RoundEnd{Disabled: "gone"}, now), busy.ErrFenced)
	for name, attempt := range map[string]func() error{
		"RenewGrant": func() error {
			_, err := s.RenewGrant(ctx, me, theirs.calendar.Connection, func(context.Context, busy.Secret) (busy.Secret, error) {
				t.Error("the other tenant's grant is handed out")
				return nil, nil
			})
			return err
		},
		"SaveWatch": func() error {
			return s.SaveWatch(ctx, me, busy.Watch{ID: mine.watched, Connection: theirs.calendar.Connection, Expires: late}, busy.Secret("token"))
		},
		"SaveWatch of a calendar": func() error {
			return s.SaveWatch(ctx, me, busy.Watch{
				ID: mine.watched, Connection: mine.calendar.Connection, Calendar: theirs.calendar.ID, Expires: late,
			}, busy.Secret("token"))
		},
		"Renew":   func() error { return s.Renew(ctx, stolen, late, lease) },
		"Held":    func() error { _, err := s.Held(ctx, stolen); return err },
		"Release": func() error { return s.Release(ctx, stolen, busy.Release{Outcome: busy.OutcomeChanged, DueAt: late}) },
		"Release of the connection": func() error {
			return s.Release(ctx, stolen, busy.Release{Outcome: busy.OutcomeOperator, Connection: busy.ConnectionPaused})
		},
		"Apply": func() error {
			p := change(meeting("same", 20))
			p.Window, p.Seen = window, seen()
			_, err := s.Apply(ctx, stolen, p, mine.expand)
			return err
		},
	} {
		if err := attempt(); !errors.Is(err, busy.ErrFenced) {
			t.Errorf("%s: %v, want fenced", name, err)
		}
	}
	if diff := cmp.Diff(before, theirs.rows(t)); diff != "" {
		t.Fatalf("the other tenant's rows changed:\n%s", diff)
	}
}

// Lists hold the tenant's own and no more, and what one tenant does to all that
// is its own leaves the other alone.
func TestTenantsWithTheSameDataStayApart(t *testing.T) {
	env := storetest.New(t)
	mine, theirs := newWorld(t, env, "mine"), newWorld(t, env, "theirs")
	before, s, me := theirs.rows(t), env.Store, mine.tenant.ID

	keys, err := s.Keys(ctx, me)
	must(t, err)
	resources, err := s.Resources(ctx, me)
	must(t, err)
	connections, err := s.Connections(ctx, me)
	must(t, err)
	calendars, err := s.Calendars(ctx, me)
	must(t, err)
	wanted, err := s.Want(ctx, me, store.WantScope{}, now)
	must(t, err)
	got := fmt.Sprint(len(keys), keys[0].ID, len(resources), resources[0].ID, len(connections), connections[0].ID,
		len(calendars), calendars[0].ID, len(wanted), wanted[0].Calendar)
	want := fmt.Sprint(1, mine.key.ID, 1, mine.resource.ID, 1, mine.calendar.Connection, 1, mine.calendar.ID, 1, mine.calendar.ID)
	if got != want {
		t.Fatalf("lists %s, want %s", got, want)
	}
	mine.expectBlocks(theirs.blocks()...)

	mine.apply(busy.Page{Change: busy.Change{Gone: []string{"same"}}, Reexpand: true})
	mine.apply(busy.Page{Seen: seen()})
	must(t, s.Select(ctx, me, mine.calendar.ID, false, now))
	must(t, s.Disconnect(ctx, me, mine.calendar.Connection, true, now))
	must(t, s.RevokeKey(ctx, me, mine.key.ID, now))
	_, err = s.DeleteTenant(ctx, me)
	must(t, err)
	if diff := cmp.Diff(before, theirs.rows(t)); diff != "" {
		t.Fatalf("the other tenant's rows changed:\n%s", diff)
	}
}

// The same object has other hashes in every tenant and calendar.
func TestHashesTellNothingAcrossTenants(t *testing.T) {
	env := storetest.New(t)
	newWorld(t, env, "mine")
	newWorld(t, env, "theirs")
	hashes := query(t, env.Owner(t), `
		select encode(key, 'hex') from events union all select encode(content, 'hex') from events
		union all select encode(remote_hash, 'hex') from calendars union all select encode(key, 'hex') from requests`)
	met := make(map[string]bool)
	for _, h := range hashes {
		if met[h] {
			t.Fatalf("hash %s is there twice", h)
		}
		met[h] = true
	}
	if len(met) != 16 {
		t.Fatalf("%d hashes", len(met))
	}
}
