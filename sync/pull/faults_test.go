package pull_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/sync/pull"
)

var (
	errDead   = errors.New("the process was killed")
	errBroken = errors.New("the database is away")
)

// fate is what befalls a worker: after so many steps, each a call of the store
// or a request to the server, something happens to it.
type fate struct {
	mu    sync.Mutex
	steps int // left before it happens
	kind  fateKind

	dead   bool
	paused chan struct{} // closed when the worker stands still
	resume chan struct{} // closed to let it go on
	after  func()        // called after each step that had an effect
	// written, if set, is called after each step that may have changed what is
	// shown of the calendar.
	written func()

	renewing bool // others wait for the grant
}

type fateKind int

const (
	lucky      fateKind = iota
	killed              // before the step
	killedLate          // the step took effect, its answer was lost
	fails               // the step fails once, without effect
	failsLate           // the step takes effect, yet fails
	stands              // stands still before the step, until it is resumed
)

var allFates = []fateKind{lucky, killed, killedLate, fails, failsLate, stands}

func (k fateKind) String() string {
	return [...]string{
		"is lucky", "is killed", "is killed after the step", "fails", "fails after the step", "stands still",
	}[k]
}

func newFate(kind fateKind, steps int, after func()) *fate {
	return &fate{kind: kind, steps: steps, after: after, paused: make(chan struct{}), resume: make(chan struct{})}
}

func (f *fate) setRenewing(renewing bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.renewing = renewing
}

// struck tells whether it has happened.
func (f *fate) struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.steps <= 0
}

// write is a step after which another calendar may be shown.
func (f *fate) write(do func() error) error {
	return f.step(func() error {
		err := do()
		if f.written != nil {
			f.written()
		}
		return err
	})
}

// step lets one step happen, or what fate has for it.
func (f *fate) step(do func() error) error {
	f.mu.Lock()
	kind := lucky
	if f.dead {
		f.mu.Unlock()
		return errDead
	}
	if f.steps--; f.steps == 0 {
		kind = f.kind
	}
	if kind == stands && f.renewing {
		kind = fails // a renewal has a time limit, since others wait for it
	}
	if kind == killed || kind == killedLate {
		f.dead = true
	}
	f.mu.Unlock()

	switch kind {
	case killed:
		return errDead
	case fails:
		return errBroken
	case stands:
		close(f.paused)
		<-f.resume
	}
	err := do()
	f.after()
	switch kind {
	case killedLate:
		return errDead
	case failsLate:
		return errBroken
	default:
		return err
	}
}

// fatedStore is the real store, with a fate.
type fatedStore struct {
	pull.Store
	fate *fate
}

func (s fatedStore) Take(ctx context.Context, t busy.Task, now time.Time, lease time.Duration) (w busy.Work, err error) {
	err = s.fate.step(func() error { w, err = s.Store.Take(ctx, t, now, lease); return err })
	return w, err
}

func (s fatedStore) Held(ctx context.Context, l busy.Lease) (h busy.Held, err error) {
	err = s.fate.step(func() error { h, err = s.Store.Held(ctx, l); return err })
	return h, err
}

func (s fatedStore) Apply(ctx context.Context, l busy.Lease, p busy.Page, expand busy.Expand) (t busy.Tally, err error) {
	err = s.fate.write(func() error { t, err = s.Store.Apply(ctx, l, p, expand); return err })
	return t, err
}

func (s fatedStore) Release(ctx context.Context, l busy.Lease, r busy.Release) error {
	return s.fate.write(func() error { return s.Store.Release(ctx, l, r) })
}

func (s fatedStore) RenewGrant(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID,
	renew func(context.Context, busy.Secret) (busy.Secret, error),
) (busy.Secret, error) {
	return s.Store.RenewGrant(ctx, tenant, id, func(ctx context.Context, current busy.Secret) (busy.Secret, error) {
		s.fate.setRenewing(true)
		defer s.fate.setRenewing(false)
		return renew(ctx, current)
	})
}

// fatedTransport reaches the real server, with a fate.
type fatedTransport struct {
	next http.RoundTripper
	fate *fate
}

func (t fatedTransport) RoundTrip(req *http.Request) (res *http.Response, err error) {
	err = t.fate.step(func() error { res, err = t.next.RoundTrip(req); return err })
	if err != nil && res != nil {
		_ = res.Body.Close()
		res = nil
	}
	return res, err
}
