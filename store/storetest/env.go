package storetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/embedded"
	"github.com/busyd/busyd/store/seal"
)

// Now is when the records of an Env are made: a Monday, 09:00 UTC.
var Now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// Env is a test's database.
type Env struct {
	Store    *store.Store
	OwnerURL string // of a superuser, to look behind the store's back
	AppURL   string // of the application's login
	Keys     *seal.Keyring
	Key      seal.MasterKey // the one in Keys
}

// New makes a database with the schema and nothing in it. It goes with the test.
func New(t testing.TB) *Env {
	t.Helper()
	ctx := context.Background()
	server, err := start(ctx)
	must(t, err)
	name := "busyd_test_" + random(t)
	must(t, embedded.CreateDatabase(ctx, server.owner, name, server.template))
	t.Cleanup(func() { must(t, embedded.DropDatabase(ctx, server.owner, name)) })

	owner, err := onDatabase(server.owner, name)
	must(t, err)
	app, err := asLogin(owner)
	must(t, err)
	return Use(t, owner, app)
}

// Open opens the database once more; the test's end closes it.
func (e *Env) Open(t testing.TB, keys *seal.Keyring) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Config{URL: e.AppURL, Keys: keys})
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

// Owner connects as a superuser, to whom row-level security does not apply.
func (e *Env) Owner(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), e.OwnerURL)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Tenant makes a tenant.
func (e *Env) Tenant(t testing.TB, name string) busy.Tenant {
	t.Helper()
	tenant, err := e.Store.CreateTenant(context.Background(), name, Now)
	must(t, err)
	return tenant
}

// Resource makes a resource in Europe/Berlin, open from nine to five.
func (e *Env) Resource(t testing.TB, tenant busy.TenantID, name string) busy.Resource {
	t.Helper()
	hours, err := busy.ParseHours("mon-fri 09:00-17:00")
	must(t, err)
	resource, err := e.Store.CreateResource(context.Background(), tenant,
		busy.Resource{Name: name, Zone: "Europe/Berlin", Hours: hours})
	must(t, err)
	return resource
}

// Connection makes a CalDAV connection with one selected calendar for each name.
func (e *Env) Connection(t testing.TB, tenant busy.TenantID, resource busy.ResourceID, names ...string) (
	busy.Connection, []busy.Calendar,
) {
	t.Helper()
	c := busy.NewConnection{Resource: resource, Kind: busy.CalDAV, Grant: busy.Secret("grant of " + resource.String())}
	for _, name := range names {
		c.Calendars = append(c.Calendars, busy.NewCalendar{
			Remote: busy.Secret("/calendars/" + name + "/"), Name: name, Selected: true,
		})
	}
	connection, calendars, err := e.Store.CreateConnection(context.Background(), tenant, c, Now)
	must(t, err)
	return connection, calendars
}

// Calendar makes a tenant, a resource and a connection with one selected calendar.
func (e *Env) Calendar(t testing.TB, name string) (busy.Tenant, busy.Resource, busy.Calendar) {
	t.Helper()
	tenant := e.Tenant(t, name)
	resource := e.Resource(t, tenant.ID, name)
	_, calendars := e.Connection(t, tenant.ID, resource.ID, name)
	return tenant, resource, calendars[0]
}

func random(t testing.TB) string {
	t.Helper()
	var b [8]byte
	_, err := rand.Read(b[:])
	must(t, err)
	return hex.EncodeToString(b[:])
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Use makes an Env of a database that has the schema already.
func Use(t testing.TB, ownerURL, appURL string) *Env {
	t.Helper()
	e := &Env{OwnerURL: ownerURL, AppURL: appURL}
	var err error
	e.Key, err = seal.NewKey(rand.Reader)
	must(t, err)
	e.Keys = seal.NewKeyring(e.Key)
	e.Store = e.Open(t, e.Keys)
	return e
}

// Dir is a new directory that PostgreSQL's user may enter, for a server of the
// test's own. It goes with the test.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "busyd-test-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}
