// Package pull runs one sync of one calendar, start to finish: it takes the
// calendar's lease, asks the provider what changed, writes each page with its
// cursor in one transaction, and releases the lease with a plan for the next run.
//
// Whatever fails on the way, the stored blocks are either what they were or what
// the provider holds; time that was busy is never shown free in between.
package pull

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// Store is what a run needs of the database. Writes under a lease that is no
// longer held fail with [busy.ErrFenced].
type Store interface {
	Take(ctx context.Context, t busy.Task, now time.Time, lease time.Duration) (busy.Work, error)
	Renew(ctx context.Context, l busy.Lease, now time.Time, lease time.Duration) error
	Held(ctx context.Context, l busy.Lease) (busy.Held, error)
	Apply(ctx context.Context, l busy.Lease, p busy.Page, expand busy.Expand) (busy.Tally, error)
	Release(ctx context.Context, l busy.Lease, r busy.Release) error
	RenewGrant(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID,
		f func(ctx context.Context, current busy.Secret) (busy.Secret, error)) (busy.Secret, error)
}

// Expander turns a series into the occurrences that touch a window; zone reads
// dates and floating times.
type Expander interface {
	Expand(ctx context.Context, series []busy.Event, window busy.Span, zone *time.Location) ([]busy.Occurrence, error)
}

// Gate keeps the provider's limits and shares the workers out.
type Gate interface {
	// Admit lets a run begin, with the context that its requests must carry; the
	// run is over when that is done. The error is a [providers.Error], Deferred.
	Admit(ctx context.Context, work busy.Work) (context.Context, error)
	// Pause is told for how long the provider wants the account to be left alone.
	Pause(ctx context.Context, work busy.Work, d time.Duration)
}

// Config wires a Runner. All fields are required unless they say otherwise.
type Config struct {
	Store     Store
	Providers []providers.Provider
	Expand    Expander
	Now       func() time.Time
	Random    *rand.Rand // jitter only; nil draws from the process's source; else runs must not be concurrent
	Log       *slog.Logger
	// Gate, if set, says when a run may use its provider.
	Gate Gate
	// Upkeep, if set, is called in a run that has read the calendar, with its
	// session; see sync/push.
	Upkeep func(ctx context.Context, work busy.Work, session providers.Session)
	// Observe, if set, is told of each run that took a lease.
	Observe func(Report)

	Lease     time.Duration // after this long without a sign of life, another worker takes over
	PollMin   time.Duration // between runs of a calendar that changes often
	PollMax   time.Duration // between runs of a quiet one, and the longest backoff
	FullEvery time.Duration // between complete listings
	Horizon   time.Duration // how far ahead blocks are kept
}

// History is how far back blocks are kept: the running week stays whole.
const History = 8 * 24 * time.Hour

// Report tells how a run went, without saying whose calendar it was.
type Report struct {
	Kind    busy.Kind
	Outcome busy.Outcome
	Full    bool // a complete listing was read
	Pages   int
	Tally   busy.Tally
	Took    time.Duration
}

// Runner runs syncs; it is safe for concurrent use.
type Runner struct {
	Config
	providers map[busy.Kind]providers.Provider
}

// New returns a Runner.
func New(c Config) *Runner {
	return &Runner{Config: c, providers: providers.ByKind(c.Providers)}
}

// Run carries a task out. It returns nil when the calendar is in good hands: it
// was synced, or the failure and the next attempt are recorded, or another
// worker has it. An error means that the database could not be told; the lease
// then runs out and the sweep finds the calendar again.
func (r *Runner) Run(ctx context.Context, task busy.Task) error {
	began := r.Now()
	work, err := r.Store.Take(ctx, task, began, r.Lease)
	if errors.Is(err, busy.ErrNotDue) || errors.Is(err, busy.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take the lease: %w", err)
	}

	run := &run{Runner: r, work: work, began: began}
	err = run.underLease(ctx, run.read)
	if errors.Is(err, busy.ErrFenced) {
		return nil // whoever raised the epoch goes on from here
	}
	run.obey(ctx, err)
	release := run.settle(err)
	if ctx.Err() != nil {
		release.Outcome, release.DueAt = busy.OutcomeInterrupted, r.Now()
	}
	run.report(release, err)
	// A run that is stopped still hands the calendar on.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := r.Store.Release(ctx, work.Lease, release); err != nil && !errors.Is(err, busy.ErrFenced) {
		return fmt.Errorf("release the lease: %w", err)
	}
	return nil
}

const releaseTimeout = 5 * time.Second

// run is one run under one lease.
type run struct {
	*Runner
	work  busy.Work
	began time.Time

	window busy.Span
	zone   *time.Location
	held   *busy.Held

	expanded  bool // the stored series are computed in window and zone
	full      bool // a complete listing was read
	restarted bool // the cursor had expired
	pages     int
	tally     busy.Tally
}

func (r *run) report(release busy.Release, err error) {
	if providers.FaultOf(err) == providers.Deferred {
		r.Log.Debug("sync deferred", "tenant", r.work.Tenant, "calendar", r.work.Calendar,
			"provider", r.work.Kind, "cause", causeOf(err), "next", release.DueAt.UTC())
	} else if err != nil {
		r.Log.Warn("sync failed", "tenant", r.work.Tenant, "calendar", r.work.Calendar,
			"provider", r.work.Kind, "outcome", release.Outcome, "cause", causeOf(err), "failures", r.work.Failures+1,
			"next", release.DueAt.UTC())
	} else {
		r.Log.Debug("synced", "tenant", r.work.Tenant, "calendar", r.work.Calendar, "provider", r.work.Kind,
			"outcome", release.Outcome, "full", r.full, "events", r.tally.Events, "blocks", r.tally.Blocks,
			"problems", r.tally.Problems, "next", release.DueAt.UTC())
	}
	if r.Observe == nil {
		return
	}
	r.Observe(Report{
		Kind: r.work.Kind, Outcome: release.Outcome, Full: r.full, Pages: r.pages, Tally: r.tally,
		Took: r.Now().Sub(r.began),
	})
}
