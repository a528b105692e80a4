package store_test

import (
	"bytes"
	"encoding/base32"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/seal"
	"github.com/busyd/busyd/store/storetest"
)

func TestDeleteTenantErasesEverything(t *testing.T) {
	env := storetest.New(t)
	w := newWorld(t, env, "tenant")
	erasure, err := env.Store.DeleteTenant(ctx, w.tenant.ID)
	must(t, err)
	if !erasure.Clean() || len(erasure.Left) != len(store.TenantTables())+1 {
		t.Fatalf("left %v", erasure.Left)
	}
	want := map[string]int64{
		"tenants": 1, "tenant_keys": 1, "api_keys": 1, "resources": 1, "connections": 1, "calendars": 1, "events": 3, "weeks": 1,
		"consents": 1, "watches": 1, "endpoints": 1, "services": 1, "needs": 1, "overrides": 1, "bookings": 1, "claims": 1, "conflicts": 1,
		"requests": 1,
	}
	for table, n := range want {
		if erasure.Deleted[table] != n {
			t.Errorf("%d of %d rows of %s were deleted", erasure.Deleted[table], n, table)
		}
	}
	if rows := w.rows(t); rows != "" {
		t.Fatalf("rows are left:\n%s", rows)
	}
	w.expectFenced()
	_, err = env.Store.DeleteTenant(ctx, w.tenant.ID)
	expect(t, err, busy.ErrNotFound)
}

func TestTheProofNoticesARowThatIsLeft(t *testing.T) {
	env := storetest.New(t)
	tenant := env.Tenant(t, "tenant")
	_, err := env.Owner(t).Exec(ctx, `
		create table forgotten (tenant_id uuid primary key);
		insert into forgotten select id from tenants;
		grant select on forgotten to busyd_app`)
	must(t, err)
	erasure, err := env.Store.DeleteTenant(ctx, tenant.ID)
	must(t, err)
	if erasure.Clean() || erasure.Left["forgotten"] != 1 {
		t.Fatalf("left %v", erasure.Left)
	}
}

// A tenant whose data key is gone can be read by nobody, and deleted all the same.
func TestWithoutItsDataKeyATenantIsUnreadable(t *testing.T) {
	env := storetest.New(t)
	w := newWorld(t, env, "tenant")
	conn := env.Owner(t)
	_, err := conn.Exec(ctx, `delete from tenant_keys`)
	must(t, err)
	_, err = env.Store.Calendars(ctx, w.tenant.ID)
	expect(t, err, busy.ErrNotFound)
	_, err = env.Store.Take(ctx, w.task(), now.AddDate(1, 0, 0), lease)
	expect(t, err, busy.ErrNotDue)
	_, err = w.tryApply(change(meeting("late", 20)))
	expect(t, err, busy.ErrFenced)
	_, _, err = env.Store.CreateConnection(ctx, w.tenant.ID, busy.NewConnection{Resource: w.resource.ID, Kind: busy.CalDAV}, now)
	expect(t, err, busy.ErrNotFound)
	erasure, err := env.Store.DeleteTenant(ctx, w.tenant.ID)
	must(t, err)
	if !erasure.Clean() {
		t.Fatalf("left %v", erasure.Left)
	}
}

// Nothing that was to be sealed or hashed is anywhere in the database as it was.
func TestNothingSealedIsKeptInTheOpen(t *testing.T) {
	env := storetest.New(t)
	r := beginIn(t, env, "tenant")
	const mark = "canary"
	c := busy.NewConnection{
		Resource: r.resource.ID, Kind: busy.CalDAV, Grant: busy.Secret("grant-" + mark),
		Calendars: []busy.NewCalendar{{Remote: busy.Secret("/remote-" + mark + "/"), Name: "name-" + mark, Selected: true}},
	}
	_, calendars, err := env.Store.CreateConnection(ctx, r.tenant.ID, c, now)
	must(t, err)
	r.calendar = calendars[0]
	r.take()
	e := daily("key-"+mark+"@example.org", 10, 3)
	e.Subject = "subject-" + mark
	r.apply(busy.Page{
		Change: busy.Change{
			Events:     []busy.Event{e},
			Unreadable: []busy.Unreadable{{Key: "unreadable-" + mark, Problem: busy.ProblemUnreadable}},
		},
		Cursor: []byte("cursor-" + mark),
	})
	_, token, err := env.Store.CreateKey(ctx, r.tenant.ID, "key", busy.Scopes(), time.Time{}, now)
	must(t, err)

	all := dump(t, env.Owner(t))
	encoded := func(s string) string {
		return strings.TrimPrefix(query(t, env.Owner(t), `select $1::bytea::text`, []byte(s))[0], `\x`)
	}
	written := strings.Split(token, "_")[2]
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(written))
	must(t, err)
	for _, secret := range []string{mark, written, string(raw), env.Key.Encode(), string(env.Key[:])} {
		for _, form := range []string{secret, encoded(secret)} {
			if strings.Contains(all, form) {
				t.Errorf("the database holds %q", form)
			}
		}
	}
	if !strings.Contains(all, encoded("\x01")) || len(all) < 1000 {
		t.Fatal("the dump is not one")
	}
}

func TestRotateKeys(t *testing.T) {
	env := storetest.New(t)
	w := newWorld(t, env, "tenant")
	env.Tenant(t, "another")
	fresh, err := seal.NewKey(bytes.NewReader(bytes.Repeat([]byte{7}, seal.KeySize)))
	must(t, err)

	_, err = store.Open(ctx, store.Config{URL: env.AppURL, Keys: seal.NewKeyring(fresh)})
	expect(t, err, seal.ErrNoMasterKey)
	if !strings.Contains(err.Error(), env.Key.ID().String()) {
		t.Fatalf("%v does not name the key", err)
	}

	both := env.Open(t, seal.NewKeyring(fresh, env.Key))
	for _, want := range []int{2, 0} {
		n, err := both.RotateKeys(ctx)
		must(t, err)
		if n != want {
			t.Fatalf("%d keys were rotated, want %d", n, want)
		}
	}
	after := env.Open(t, seal.NewKeyring(fresh))
	calendar, err := after.Calendar(ctx, w.tenant.ID, w.calendar.ID)
	must(t, err)
	if calendar.Name != "tenant" {
		t.Fatalf("name %q", calendar.Name)
	}
	work, err := after.Take(ctx, w.task(), now.AddDate(1, 0, 0), lease)
	must(t, err)
	if string(work.Cursor) != "cursor" {
		t.Fatalf("cursor %q", work.Cursor)
	}
	booking, err := after.Booking(ctx, w.tenant.ID, w.booking.ID)
	must(t, err)
	if booking.Details.Reference != w.booking.Details.Reference {
		t.Fatalf("details %v", booking.Details)
	}
	_, answer, err := after.Reserve(ctx, w.tenant.ID, once("key", "request"), now)
	must(t, err)
	if answer == nil || string(answer.Body) != "answer" {
		t.Fatalf("answer %v", answer)
	}
	// A daemon that still has only the old key says what it lacks.
	_, err = env.Store.Calendar(ctx, w.tenant.ID, w.calendar.ID)
	expect(t, err, seal.ErrNoMasterKey)
	if !strings.Contains(err.Error(), fresh.ID().String()) {
		t.Fatalf("%v does not name the key", err)
	}
}
