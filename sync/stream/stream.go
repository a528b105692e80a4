// Package stream listens to providers that tell of changes over a connection that
// we make. What they tell is a hint, as a callback is: it makes calendars due, and
// polling goes on underneath. Of all processes, one listens to a connection.
package stream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// Store is what listening needs of the database.
type Store interface {
	KeepStreams(ctx context.Context, by busy.ListenerID, now, until time.Time) ([]busy.Stream, error)
	ClaimStreams(ctx context.Context, by busy.ListenerID, now, until time.Time, limit int) ([]busy.Stream, error)
	ReleaseStreams(ctx context.Context, by busy.ListenerID) error
	StreamGrant(ctx context.Context, f busy.Stream) (busy.Secret, error)
	RenewGrant(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID,
		f func(ctx context.Context, current busy.Secret) (busy.Secret, error)) (busy.Secret, error)
	Streamed(ctx context.Context, f busy.Stream, now time.Time) ([]busy.Task, error)
}

// Config wires a Listener. All fields are required.
type Config struct {
	Store    Store
	Provider providers.Provider // whose sessions are [providers.Listener]
	Self     busy.ListenerID    // no other process has it
	// Hint has the tasks done without waiting for the sweep.
	Hint func(ctx context.Context, tasks []busy.Task)
	// Observe is told of each hint of the provider.
	Observe func(kind busy.Kind)
	Now     func() time.Time
	Random  func() float64 // jitter, in [0, 1)
	Log     *slog.Logger
	// Lease is how long after its last sign of life a process is taken for dead.
	Lease time.Duration
	// Most bounds the streams of this process.
	Most int
	// Pause is how long after a failure a stream is opened again; it doubles with
	// each further one, up to longestPause.
	Pause time.Duration
}

const (
	longestPause = 15 * time.Minute
	// steady is how long a stream must have lasted for its end to be one of many, and
	// not another failure in a row.
	steady = time.Minute
	// releaseFor bounds how long a process that stops takes to say so.
	releaseFor = 2 * time.Second
)

// Listener listens. One goroutine uses it.
type Listener struct {
	Config
	kept time.Time // when the streams were last known to be ours
	open map[busy.Stream]*stream
}

// stream is one that this process has open, or tries to.
type stream struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// New returns a Listener.
func New(c Config) *Listener {
	return &Listener{Config: c, open: make(map[busy.Stream]*stream)}
}

// Run listens until ctx is done, and then leaves everything to others.
func (l *Listener) Run(ctx context.Context) {
	defer l.close(ctx)
	for {
		l.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(busy.Jitter(l.Lease/4, l.Random())):
		}
	}
}

// round closes what is not ours any more, and opens what is.
func (l *Listener) round(ctx context.Context) {
	now := l.Now()
	mine, err := l.Store.KeepStreams(ctx, l.Self, now, now.Add(l.Lease))
	if err != nil {
		l.complain(ctx, err)
		if now.Sub(l.kept) >= l.Lease { // somebody else may have taken them
			l.cancelExcept(nil)
		}
		return
	}
	l.kept = now
	l.cancelExcept(mine)
	if free := l.Most - len(mine); free > 0 {
		claimed, err := l.Store.ClaimStreams(ctx, l.Self, now, now.Add(l.Lease), free)
		if err != nil {
			l.complain(ctx, err)
		}
		mine = append(mine, claimed...)
	}
	for _, f := range mine {
		if l.open[f] == nil {
			l.open[f] = l.start(ctx, f)
		}
	}
}

func (l *Listener) complain(ctx context.Context, err error) {
	if ctx.Err() == nil {
		l.Log.Warn("cannot look for what to listen to", "error", err.Error())
	}
}

// cancelExcept closes all other streams and forgets those that have ended. One that
// was lost and is ours again is opened in another round: it has another grant.
func (l *Listener) cancelExcept(mine []busy.Stream) {
	keep := make(map[busy.Stream]bool, len(mine))
	for _, f := range mine {
		keep[f] = true
	}
	for f, s := range l.open {
		if !keep[f] {
			s.cancel()
		}
		select {
		case <-s.ended:
			delete(l.open, f)
		default:
		}
	}
}

// close ends all streams, and says so.
func (l *Listener) close(ctx context.Context) {
	l.cancelExcept(nil)
	for _, s := range l.open {
		<-s.ended
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseFor)
	defer cancel()
	if err := l.Store.ReleaseStreams(ctx, l.Self); err != nil {
		l.Log.Warn("others listen only after a while", "error", err.Error())
	}
}

func (l *Listener) start(ctx context.Context, f busy.Stream) *stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		defer cancel()
		l.follow(ctx, f)
	}()
	return s
}

// follow listens until ctx is done, again and again.
func (l *Listener) follow(ctx context.Context, f busy.Stream) {
	pause := l.Pause
	for {
		began := l.Now()
		err := l.listen(ctx, f)
		if ctx.Err() != nil {
			return
		}
		l.Log.Debug("a stream ended", "tenant", f.Tenant, "connection", f.Connection, "code", providers.CodeOf(err))
		lasted := l.Now().Sub(began) >= steady
		if lasted {
			pause = l.Pause
		}
		refused := providers.FaultOf(err) == providers.Revoked
		if refused {
			l.changed(ctx, f) // the run that follows finds out, and asks for another grant
			pause = longestPause
		}
		wait := max(busy.Jitter(pause, l.Random()), providers.AfterOf(err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		pause = min(2*pause, longestPause)
		if lasted {
			l.changed(ctx, f) // what happened meanwhile was not told
		}
	}
}

// listen listens as long as the provider has it.
func (l *Listener) listen(ctx context.Context, f busy.Stream) error {
	grant, err := l.Store.StreamGrant(ctx, f)
	if err != nil {
		return err
	}
	session, err := l.Provider.Open(ctx, providers.Account{
		Grant: grant,
		Renew: func(ctx context.Context, renew func(context.Context, busy.Secret) (busy.Secret, error)) (busy.Secret, error) {
			return l.Store.RenewGrant(ctx, f.Tenant, f.Connection, renew)
		},
	})
	if err != nil {
		return err
	}
	if closer, ok := session.(io.Closer); ok {
		defer func() { _ = closer.Close() }()
	}
	listener, ok := session.(providers.Listener)
	if !ok {
		return errDeaf
	}
	return listener.Listen(ctx, func() { l.changed(ctx, f) })
}

var errDeaf = &providers.Error{Fault: providers.Operator, Code: "no_stream"}

// changed makes the connection's calendars due.
func (l *Listener) changed(ctx context.Context, f busy.Stream) {
	l.Observe(l.Provider.Kind())
	tasks, err := l.Store.Streamed(ctx, f, l.Now())
	if err != nil && !errors.Is(err, context.Canceled) {
		l.Log.Warn("a hint is lost", "tenant", f.Tenant, "error", err.Error())
	}
	if len(tasks) > 0 {
		l.Hint(ctx, tasks)
	}
}
