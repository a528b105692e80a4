package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

// The database roles, none of which can log in. The application's login is a
// member of all three.
const (
	roleApp   = "busyd_app"   // a tenant's records
	roleSweep = "busyd_sweep" // the schedule of all tenants
	roleGate  = "busyd_gate"  // whose an API key is
)

// Roles lists the database roles.
func Roles() []string { return []string{roleApp, roleSweep, roleGate} }

// Config says where the database is and how to open what is sealed in it.
type Config struct {
	// URL of a login that is a member of the roles. It should own nothing; if it
	// does, it works all the same, without its rights, and Check says so.
	URL string
	// MaxConns bounds the connections for tenants' work; zero is ten. Half as
	// many come on top for looking up API keys, and two for the sweep.
	MaxConns int32
	Keys     *seal.Keyring
	Random   io.Reader // nil: crypto/rand.Reader
	// Observe, if set, is told of each connection that went from one state into
	// another; from is empty for one that was made.
	Observe func(kind busy.Kind, from, to busy.ConnectionState)
}

// Store is the database. It is safe for concurrent use.
type Store struct {
	app    *pgxpool.Pool
	sweep  *pgxpool.Pool
	gate   *pgxpool.Pool
	keys   *seal.Keyring
	random io.Reader

	observe  func(kind busy.Kind, from, to busy.ConnectionState)
	renewals chan struct{} // see RenewGrant

	turn    atomic.Pointer[busy.TenantID] // see ClaimDue
	wrapped wrappedKeys                   // see box
}

// Open connects. It fails if the roles or migrations are missing, or a master
// key under which data is sealed.
func Open(ctx context.Context, c Config) (*Store, error) { return open(ctx, c, nil) }

// open lets a test tune the pools' configuration.
func open(ctx context.Context, c Config, tune func(*pgxpool.Config)) (*Store, error) {
	if c.Keys == nil {
		return nil, busy.Invalid("master key", "must be configured")
	}
	s := &Store{keys: c.Keys, random: rand.Reader, observe: c.Observe}
	if s.observe == nil {
		s.observe = func(busy.Kind, busy.ConnectionState, busy.ConnectionState) {}
	}
	if c.Random != nil {
		s.random = &lockedReader{from: c.Random}
	}
	most := c.MaxConns
	if most <= 0 {
		most = 10
	}
	s.renewals = make(chan struct{}, max(1, most/2))
	if err := s.connectAll(ctx, c.URL, most, tune); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) connectAll(ctx context.Context, url string, most int32, tune func(*pgxpool.Config)) (err error) {
	if s.gate, err = connect(ctx, url, roleGate, max(2, most/2), nil, tune); err != nil {
		return err
	}
	if err := errors.Join(s.checkVersion(ctx), s.checkMasterKeys(ctx)); err != nil {
		return err
	}
	types, err := loadTypes(ctx, s.gate)
	if err != nil {
		return failed("look up the types", err)
	}
	if s.app, err = connect(ctx, url, roleApp, most, types, tune); err != nil {
		return err
	}
	s.sweep, err = connect(ctx, url, roleSweep, 2, nil, tune)
	return err
}

// loadTypes looks up the composite types that rows are sent as.
func loadTypes(ctx context.Context, pool *pgxpool.Pool) ([]*pgtype.Type, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	return conn.Conn().LoadTypes(ctx, []string{"event_row", "_event_row"})
}

// connect makes a pool whose sessions begin as the role: they cannot fall back
// to what the login itself may do.
func connect(ctx context.Context, url, role string, most int32, types []*pgtype.Type, tune func(*pgxpool.Config),
) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the database URL cannot be understood: it must have the form "+
			"postgres://user:password@host:5432/database: %w", err)
	}
	config.MaxConns = most
	config.ConnConfig.RuntimeParams["role"] = role
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	config.ConnConfig.RuntimeParams["application_name"] = role
	// What is asked for is found by its keys, and mostly in memory: the defaults
	// prefer to read all of a small table, as from a spinning disk, and plan a
	// statement anew for each argument, which takes longer than running it.
	config.ConnConfig.RuntimeParams["random_page_cost"] = "1.1"
	config.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		conn.TypeMap().RegisterTypes(types)
		return nil
	}
	if tune != nil {
		tune(config)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, explainConnect(role, err)
	}
	return pool, nil
}

func explainConnect(role string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42501" || pg.Code == "22023") {
		return fmt.Errorf("the database login cannot become %s: run `busyd migrate`, then grant the login "+
			"busyd_app, busyd_sweep and busyd_gate: %w", role, err)
	}
	return fmt.Errorf("connect to the database: %w", err)
}

// Close waits for what is under way and disconnects.
func (s *Store) Close() {
	for _, pool := range []*pgxpool.Pool{s.app, s.sweep, s.gate} {
		if pool != nil {
			pool.Close()
		}
	}
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return failed("ping the database", s.app.Ping(ctx))
}

// lockedReader makes a source of randomness safe for concurrent use.
type lockedReader struct {
	mu   sync.Mutex
	from io.Reader
}

func (r *lockedReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.from.Read(p)
}

// micros is t as the database keeps it.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
