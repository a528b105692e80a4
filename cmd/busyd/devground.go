package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/embedded"
)

// ground is what the daemon of `busyd dev` stands on.
type ground struct {
	home     devHome
	config   configs.Config
	listener net.Listener
	samples  string // address of the sample CalDAV server
	password string // of both sample people
	fakes    *fakes // nil: CalDAV alone is shown

	closers []func()
}

func (g *ground) close() {
	for i := len(g.closers) - 1; i >= 0; i-- {
		g.closers[i]()
	}
}

func (g *ground) onClose(f func()) { g.closers = append(g.closers, f) }

// layGround starts PostgreSQL, Redis and the sample server, writes the
// configuration that leads to them, and migrates. If PostgreSQL ends by itself,
// fail is called.
func layGround(ctx context.Context, fail context.CancelCauseFunc, o devOptions, now func() time.Time) (_ *ground, err error) {
	g := &ground{home: o.home, listener: o.listener}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if err := g.home.make(); err != nil {
		return nil, err
	}
	postgres, err := g.startPostgres(ctx, fail)
	if err != nil {
		return nil, err
	}
	redis, err := embedded.StartRedis(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g.onClose(redis.Close)
	if err := g.startSamples(ctx, now()); err != nil {
		return nil, err
	}
	if err := g.listen(ctx, o.listen); err != nil {
		return nil, err
	}
	if o.all {
		if err := g.startFakes(ctx, "http://"+g.listener.Addr().String()+"/oauth/callback", now); err != nil {
			return nil, err
		}
	}
	if err := g.configure(postgres, redis.Addr()); err != nil {
		return nil, err
	}
	if _, err := store.Migrate(ctx, string(g.config.MigrateURL)); err != nil {
		return nil, err
	}
	return g, nil
}

const devDatabase = "busyd"

func (g *ground) startPostgres(ctx context.Context, fail context.CancelCauseFunc) (*embedded.Postgres, error) {
	postgres, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: g.home.path("postgres")})
	if err != nil {
		return nil, err
	}
	stopping := make(chan struct{})
	g.onClose(func() {
		close(stopping)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = postgres.Stop(ctx)
	})
	go func() {
		select {
		case <-stopping:
		case <-postgres.Done():
			fail(fmt.Errorf("PostgreSQL ended by itself; see %s", g.home.path("postgres/postgres.log")))
		}
	}()
	made, err := g.home.read("database")
	if err != nil || made != "" {
		return postgres, err
	}
	// A start that was cut short may have left a database half made.
	if err := embedded.DropDatabase(ctx, postgres.URL("postgres"), devDatabase); err != nil {
		return nil, err
	}
	if err := postgres.CreateDatabase(ctx, devDatabase, ""); err != nil {
		return nil, err
	}
	return postgres, g.home.write("database", devDatabase+"\n")
}

// startSamples serves the sample calendars. The port stays the same from start
// to start, for the connections lead to it.
func (g *ground) startSamples(ctx context.Context, now time.Time) (err error) {
	if g.password, err = g.home.secret("samples.password"); err != nil {
		return err
	}
	listener, err := g.keptListener(ctx, "samples.address")
	if err != nil {
		return err
	}
	g.samples = listener.Addr().String()
	handler, err := sampleServer(now, g.password)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	g.onClose(func() { _ = server.Close() })
	return nil
}

const devListen = "127.0.0.1:8080"

// listen takes the address that was asked for, or the usual one, or if that is
// taken a free port.
func (g *ground) listen(ctx context.Context, asked string) (err error) {
	if g.listener != nil {
		return nil
	}
	config := new(net.ListenConfig)
	address := asked
	if address == "" {
		address = devListen
	}
	g.listener, err = config.Listen(ctx, "tcp", address)
	if asked == "" && errors.Is(err, syscall.EADDRINUSE) {
		g.listener, err = config.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w; name another address with --listen", address, err)
	}
	g.onClose(func() {
		if g.listener != nil {
			_ = g.listener.Close()
		}
	})
	return nil
}

// pollMax is how seldom a calendar may be read. What is done at the stand-ins by
// hand is to be seen soon.
func (g *ground) pollMax() time.Duration {
	if g.fakes != nil {
		return 30 * time.Second
	}
	return 5 * time.Minute
}

// configure writes the configuration file, with which the other commands find
// what runs here, and loads it.
func (g *ground) configure(postgres *embedded.Postgres, redis string) error {
	if _, err := g.home.secret("master.key"); err != nil {
		return err
	}
	text := fmt.Sprintf(`# Written by busyd dev at each start.
database_url: %q
migrate_url: %q
redis_url: %q
master_key_file: %q
listen: %q
public_url: %q
network:
  # Calendars on this machine and in its network may be read.
  allow: [127.0.0.0/8, "::1/128", 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, "fc00::/7"]
sync:
  poll_min: 15s
  poll_max: %s
log: {level: warn, format: text}
%s`, postgres.AppURL(devDatabase), postgres.URL(devDatabase), "redis://"+redis+"/0", g.home.keyFile(),
		g.listener.Addr().String(), "http://"+g.listener.Addr().String(), g.pollMax(), g.fakes.registrations())
	if err := g.home.write("busyd.yaml", text); err != nil {
		return err
	}
	var err error
	g.config, err = configs.Load(g.home.configFile(), nil)
	return err
}
