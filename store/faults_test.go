package store_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/embedded"
	"github.com/busyd/busyd/store/storetest"
)

// roundTrips counts the messages that a client waits for the answer of: Sync and
// simple queries.
type roundTrips struct {
	net.Conn
	count   *atomic.Int64
	skip    int // bytes of the message that is under way
	started bool
}

func (c *roundTrips) Write(b []byte) (int, error) {
	rest := b
	if !c.started { // the startup message has no type
		c.started, rest = true, nil
	}
	for len(rest) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(rest))
			c.skip, rest = c.skip-n, rest[n:]
			continue
		}
		if rest[0] == 'S' || rest[0] == 'Q' {
			c.count.Add(1)
		}
		c.skip = 1 + int(rest[1])<<24 + int(rest[2])<<16 + int(rest[3])<<8 + int(rest[4])
	}
	return c.Conn.Write(b)
}

// countTrips counts the round trips of all the connections that are made.
func countTrips(c *pgxpool.Config, count *atomic.Int64) {
	dial := c.ConnConfig.DialFunc
	c.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return &roundTrips{Conn: conn, count: count}, err
	}
}

func TestAQuietPollIsTwoRoundTrips(t *testing.T) {
	r := begin(t)
	var count atomic.Int64
	s, err := store.OpenTuned(ctx, store.Config{URL: r.AppURL, Keys: r.Keys, MaxConns: 1}, func(c *pgxpool.Config) { countTrips(c, &count) })
	must(t, err)
	defer s.Close()
	at := now.AddDate(0, 0, 1)
	poll := func() int64 {
		before := count.Load()
		work, err := s.Take(ctx, r.task(), at, lease)
		must(t, err)
		must(t, s.Release(ctx, work.Lease, busy.Release{Outcome: busy.OutcomeUnchanged, AsOf: at, DueAt: at}))
		r.work = work
		return count.Load() - before
	}
	poll() // prepares the statements
	if got := poll(); got != 2 {
		t.Fatalf("%d round trips, want 2", got)
	}
	span := busy.Span{Start: window.Start, End: window.End}
	agendas := func() int64 {
		before := count.Load()
		_, err := s.Agendas(ctx, r.tenant.ID, []busy.ResourceID{r.resource.ID}, span)
		must(t, err)
		return count.Load() - before
	}
	agendas()
	if got := agendas(); got != 1 {
		t.Fatalf("%d round trips to read agendas, want 1", got)
	}
}

// ownServer is a server that nobody else uses and that survives being stopped.
type ownServer struct {
	t    *testing.T
	dir  string
	pg   *embedded.Postgres
	env  *storetest.Env
	name string
}

func newServer(t *testing.T) *ownServer {
	t.Helper()
	s := &ownServer{t: t, dir: storetest.Dir(t), name: "busyd"}
	s.start()
	t.Cleanup(func() { must(t, s.pg.Stop(ctx)) })
	must(t, s.pg.CreateDatabase(ctx, s.name, ""))
	_, err := store.Migrate(ctx, s.pg.URL(s.name))
	must(t, err)
	s.env = storetest.Use(t, s.pg.URL(s.name), s.pg.AppURL(s.name))
	return s
}

func (s *ownServer) start() {
	s.t.Helper()
	var err error
	s.pg, err = embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: s.dir, Volatile: true})
	must(s.t, err)
}

func TestAPageThatChangesNothingWritesNoWAL(t *testing.T) {
	server := newServer(t)
	r := beginIn(t, server.env, "tenant")
	page := busy.Page{
		Change: busy.Change{Events: singles(2000), Unreadable: []busy.Unreadable{{Key: "u", Version: "v", Problem: busy.ProblemUnreadable}}},
		Cursor: []byte("cursor"), Seen: seen("s", "x"),
	}
	page.Events = append(page.Events, daily("s", 10, 3), exception("x", "s", 10, 1, 12))
	r.apply(page)
	conn := r.Owner(t)
	_, err := conn.Exec(ctx, `vacuum`)
	must(t, err)
	_, err = conn.Exec(ctx, `checkpoint`)
	must(t, err)
	position := func() (lsn string) {
		must(t, conn.QueryRow(ctx, `select pg_current_wal_insert_lsn()::text`).Scan(&lsn))
		return lsn
	}
	before := position()
	for _, p := range []busy.Page{page, {}, {Cursor: page.Cursor}, {Change: page.Change, Cursor: page.Cursor}, {Change: page.Change, Reexpand: true}} {
		expectTally(t, r.apply(p), busy.Tally{Problems: 1})
	}
	if after := position(); after != before {
		t.Fatalf("the log went from %s to %s", before, after)
	}
	page.Cursor = []byte("another")
	r.apply(page)
	if position() == before {
		t.Fatal("a new cursor wrote nothing: the test measures nothing")
	}
}

// The database is killed in the middle of its work and comes back: what was
// under way fails, nothing is half written, and the pools heal.
func TestTheDatabaseIsKilled(t *testing.T) {
	server := newServer(t)
	r := beginIn(t, server.env, "tenant")
	r.apply(change(meeting("a", 10)))

	_, err := r.Store.Apply(ctx, r.work.Lease, busy.Page{
		Change: busy.Change{Events: []busy.Event{meeting("a", 11)}}, Window: window, Zone: "UTC",
	}, func(ctx context.Context, events []busy.Event) ([]busy.Occurrence, error) {
		server.pg.Kill()
		return r.expand(ctx, events)
	})
	if err == nil {
		t.Fatal("a write to a dead database succeeded")
	}
	if err := r.Store.Ping(ctx); err == nil {
		t.Fatal("a dead database answers")
	}
	server.start()
	deadline := time.Now().Add(10 * time.Second)
	for err := r.Store.Ping(ctx); err != nil; err = r.Store.Ping(ctx) {
		if time.Now().After(deadline) {
			t.Fatalf("the pool does not heal: %v", err)
		}
	}
	r.expectBlocks("03-03 10:00-11:00 busy")
	r.apply(change(meeting("a", 11)))
	r.expectBlocks("03-03 11:00-12:00 busy")
	_, err = r.Store.Tenants(ctx)
	for ; err != nil && time.Now().Before(deadline); _, err = r.Store.Tenants(ctx) {
	}
	must(t, err)
}

func TestOpenExplains(t *testing.T) {
	env := storetest.New(t)
	empty := strings.Replace(env.AppURL, "busyd_test_", "busyd_none_", 1)
	bare := "busyd_bare_" + newID[busy.Tenant](t).String()[:8]
	must(t, embedded.CreateDatabase(ctx, env.OwnerURL, bare, ""))
	t.Cleanup(func() { must(t, embedded.DropDatabase(ctx, env.OwnerURL, bare)) })
	stranger := "busyd_stranger_" + newID[busy.Tenant](t).String()[:8]
	_, err := env.Owner(t).Exec(ctx, "create role "+stranger+" login password 'x'")
	must(t, err)
	t.Cleanup(func() {
		_, err := env.Owner(t).Exec(ctx, "drop role "+stranger)
		must(t, err)
	})
	for name, test := range map[string]struct{ url, want string }{
		"no URL":           {"postgres://%%", "must have the form postgres://"},
		"no database":      {empty, "connect to the database"},
		"no migrations":    {strings.Replace(env.AppURL, databaseOf(t, env.AppURL), bare, 1), "run `busyd migrate`"},
		"not in the roles": {strings.Replace(env.AppURL, "//"+embedded.Login, "//"+stranger, 1), "grant the login"},
	} {
		s, err := store.Open(ctx, store.Config{URL: test.url, Keys: env.Keys})
		if err == nil {
			s.Close()
			t.Errorf("%s: it opens", name)
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if _, err := store.Open(ctx, store.Config{URL: env.AppURL}); err == nil || !strings.Contains(err.Error(), "master key") {
		t.Errorf("no master key: %v", err)
	}
}

func databaseOf(t *testing.T, url string) string {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	must(t, err)
	return config.Database
}

func TestMigrateManyAtOnce(t *testing.T) {
	env := storetest.New(t)
	const databases = 3
	errs := make(chan error, 2*databases)
	for i := range databases {
		name := "busyd_many_" + newID[busy.Tenant](t).String()[:8] + string(rune('a'+i))
		must(t, embedded.CreateDatabase(ctx, env.OwnerURL, name, ""))
		t.Cleanup(func() { must(t, embedded.DropDatabase(ctx, env.OwnerURL, name)) })
		for range 2 {
			go func() {
				_, err := store.Migrate(ctx, strings.Replace(env.OwnerURL, databaseOf(t, env.OwnerURL), name, 1))
				errs <- err
			}()
		}
	}
	for range cap(errs) {
		must(t, <-errs)
	}
	applied, err := store.Migrate(ctx, env.OwnerURL)
	if err != nil || applied != 0 {
		t.Fatalf("%d migrations were applied again, %v", applied, err)
	}
}

func TestCheckFinds(t *testing.T) {
	env := storetest.New(t)
	failing := func(s *store.Store) map[string]bool {
		findings, err := s.Check(ctx)
		must(t, err)
		names := make(map[string]bool)
		for _, f := range findings {
			if f.Detail == "" || !f.OK && f.Cure == "" {
				t.Errorf("%+v explains nothing", f)
			}
			if !f.OK {
				names[f.Name] = true
			}
		}
		return names
	}
	if got := failing(env.Store); len(got) != 0 {
		t.Fatalf("findings %v", got)
	}
	owner, err := store.Open(ctx, store.Config{URL: env.OwnerURL, Keys: env.Keys})
	must(t, err)
	defer owner.Close()
	if got := failing(owner); !got["login"] || len(got) != 1 {
		t.Fatalf("findings %v for a superuser's login", got)
	}
	_, err = env.Owner(t).Exec(ctx, `alter table weeks no force row level security; delete from goose_db_version where version_id = (select max(version_id) from goose_db_version)`)
	must(t, err)
	if got := failing(env.Store); !got["row-level security"] || !got["migrations"] || len(got) != 2 {
		t.Fatalf("findings %v", got)
	}
}
