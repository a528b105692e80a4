package main

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/busyd/busyd/booking/api"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/sync/connect"
	"github.com/busyd/busyd/sync/pull"
	"github.com/busyd/busyd/sync/push"
	"github.com/busyd/busyd/sync/recur"
	"github.com/busyd/busyd/sync/stream"
)

// daemon is one process of busyd, with any of the roles.
type daemon struct {
	config configs.Config
	log    *slog.Logger
	// devKey opens the page to browsers of this machine; see [api.Config].
	devKey string
	// listener, if set, is listened on in place of config.Listen.
	listener net.Listener
	// ready, if set, is called once requests are answered at the address.
	ready func(address string)

	store   *store.Store
	redis   queue.Redis
	queue   *queue.Client
	metrics *metrics
	gate    *transport.Gate

	providers []providers.Provider // as in newProviders, unless set before
	connect   *connect.Service
}

// run works until ctx is done or a part cannot go on, and then stops in order.
func (d *daemon) run(ctx context.Context) error {
	if err := d.open(ctx); err != nil {
		return err
	}
	defer d.close()
	server, listener, err := d.serveHTTP(ctx)
	if err != nil {
		return err
	}
	parts := newParts(ctx)
	parts.start("http", func(context.Context) error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	if d.config.HasRole(configs.RoleSweep) {
		parts.start("sweep", d.sweep)
		parts.start("dispatch", d.dispatch)
		parts.start("chores", d.chores)
		parts.start("farewells", func(ctx context.Context) error {
			d.connect.Run(ctx)
			return nil
		})
	}
	if d.config.HasRole(configs.RoleWorker) {
		parts.start("worker", d.work)
		parts.start("courier", d.deliver)
		for _, p := range d.providers {
			if p.Kind() == busy.Exchange {
				parts.start("streams", func(ctx context.Context) error { return d.listen(ctx, p) })
			}
		}
	}
	d.log.Info("ready", "address", listener.Addr().String(), "roles", d.config.Roles, "version", version())
	notify := newNotifier(d.log)
	notify.ready(parts.stopping)
	if d.ready != nil {
		d.ready(listener.Addr().String())
	}

	<-parts.stopping.Done()
	d.log.Info("stopping", "within", d.config.ShutdownTimeout.String())
	notify.stop()
	return d.stop(server, parts)
}

// stop ends all parts at once: each takes nothing new and ends what it began.
func (d *daemon) stop(server *http.Server, parts *parts) error {
	ctx, cancel := context.WithTimeout(context.Background(), d.config.ShutdownTimeout)
	defer cancel()
	parts.stop()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close()
	}
	err := parts.wait(ctx)
	if err == nil {
		d.log.Info("stopped")
	}
	return err
}

func (d *daemon) open(ctx context.Context) (err error) {
	d.metrics = newMetrics()
	if d.store, err = openStore(ctx, d.config, d.metrics.observePassage); err != nil {
		return err
	}
	if d.redis, err = queue.Open(d.config.RedisURL); err != nil {
		d.store.Close()
		return usage(fmt.Errorf("redis_url: %w", err))
	}
	d.queue = queue.NewClient(d.redis, time.Now)
	d.metrics.measure(d.store, d.queue, d.log)
	d.gate = transport.NewGate(queue.NewLimits(d.redis, time.Now), d.config.Worker.Concurrency)
	if d.providers == nil {
		d.providers = newProviders(d.config, d.gate, d.metrics.observeCall)
	}
	d.connect = newConnect(d.config, d.store, d.providers, d.log)
	return nil
}

func (d *daemon) close() {
	_ = d.redis.Close()
	d.store.Close()
}

func (d *daemon) serveHTTP(ctx context.Context) (*http.Server, net.Listener, error) {
	stopping := make(chan struct{})
	handler, err := d.handler(stopping)
	if err != nil {
		return nil, nil, err
	}
	listener := d.listener
	if listener == nil {
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", d.config.Listen)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("listen on %s: %w; change the setting listen", d.config.Listen, err)
	}
	server := api.NewServer(handler, d.log)
	server.RegisterOnShutdown(func() { close(stopping) })
	return server, listener, nil
}

// handler answers what this process answers: without the role api, its health.
func (d *daemon) handler(stopping <-chan struct{}) (http.Handler, error) {
	health := &health{store: d.store, redis: d.redis, needsRedis: !d.config.HasRole(configs.RoleAPI)}
	live, ready, metrics := http.HandlerFunc(health.live), http.HandlerFunc(health.ready), d.metrics.handler()
	if !d.config.HasRole(configs.RoleAPI) {
		mux := http.NewServeMux()
		mux.Handle("GET /livez", live)
		mux.Handle("GET /readyz", ready)
		mux.Handle("GET /metrics", metrics)
		return mux, nil
	}
	return api.New(api.Config{
		Store:      d.store,
		Syncer:     &syncer{d.store, d.queue, d.log},
		Accounts:   &accounts{d.connect, d.hint},
		Desk:       newDesk(d.store, d.config.API.StaleAfter),
		Hooks:      d.hooks(),
		StaleAfter: d.config.API.StaleAfter,
		Origins:    d.config.API.CORSOrigins,
		DevKey:     d.devKey,
		Version:    version(),
		Stopping:   stopping,
		Live:       live, Ready: ready, Metrics: metrics,
		Observe: d.metrics.observeRequest,
		Log:     d.log,
	})
}

// hint puts tasks into the queues; where it cannot, the sweep finds what is due.
func (d *daemon) hint(ctx context.Context, tasks []busy.Task) {
	if err := d.queue.Hint(ctx, tasks); err != nil {
		d.log.DebugContext(ctx, "left to the sweep", "tasks", len(tasks), "error", err.Error())
	}
}

// hooks takes the callbacks of the providers in.
func (d *daemon) hooks() http.Handler {
	receivers := make(map[busy.Kind]providers.Receiver)
	for _, p := range d.providers {
		if r, ok := p.(providers.Receiver); ok {
			receivers[p.Kind()] = r
		}
	}
	return push.NewHandler(push.Handler{
		Store: d.store, Receivers: receivers, Enqueue: d.queue.Enqueue, Observe: d.metrics.observePush, Now: time.Now, Log: d.log,
	})
}

// callback is where a provider calls back; Google and Microsoft want https.
func (d *daemon) callback(kind busy.Kind) string {
	if !strings.HasPrefix(d.config.PublicURL, "https://") {
		return ""
	}
	return d.config.PublicURL + "/hooks/" + string(kind)
}

func (d *daemon) sweep(ctx context.Context) error {
	sweep := &queue.Sweep[busy.Task]{
		Claim: d.store.ClaimDue, Queue: d.queue, Interval: d.config.Sweep.Interval,
		Batch: queue.Batch,
		Now:   time.Now, Random: rand.Float64, Log: d.log,
	}
	sweep.Run(ctx)
	return nil
}

// mostStreams bounds the streams of a process: each is a connection and some memory.
const mostStreams = 1000

// listen listens to what a provider tells of changes.
func (d *daemon) listen(ctx context.Context, p providers.Provider) error {
	self, err := busy.NewID[busy.Stream](crand.Reader)
	if err != nil {
		return err
	}
	stream.New(stream.Config{
		Store: d.store, Provider: p, Self: self, Hint: d.hint, Now: time.Now, Random: rand.Float64, Log: d.log,
		Observe: func(kind busy.Kind) { d.metrics.observePush(kind, true) },
		Lease:   d.config.Sync.Lease, Most: mostStreams, Pause: 5 * time.Second,
	}).Run(ctx)
	return nil
}

// reserve is what is left of the shutdown timeout for runs that are cut off to
// hand their calendars back.
const reserve = 4 * time.Second

func (d *daemon) work(ctx context.Context) error {
	keeper := &push.Keeper{Store: d.store, Callback: d.callback, Ahead: 2 * d.config.Sync.PollMax, Now: time.Now, Log: d.log}
	runner := pull.New(pull.Config{
		Store:     d.store,
		Providers: d.providers,
		Gate:      d.gate,
		Upkeep:    keeper.Keep,
		Expand:    recur.New(),
		Now:       time.Now,
		Lease:     d.config.Sync.Lease,
		PollMin:   d.config.Sync.PollMin,
		PollMax:   d.config.Sync.PollMax,
		FullEvery: d.config.Sync.FullEvery,
		Horizon:   d.config.Sync.Horizon,
		Log:       d.log,
		Observe:   d.metrics.observeRun,
	})
	return queue.NewServer(d.redis, queue.ServerConfig{
		Concurrency: d.config.Worker.Concurrency,
		Drain:       max(d.config.ShutdownTimeout-reserve, d.config.ShutdownTimeout/2),
		Log:         d.log,
	}, func(ctx context.Context, t busy.Task) error { return runner.Run(ctx, t) }).Run(ctx)
}
