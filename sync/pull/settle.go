package pull

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

const (
	firstBackoff = 15 * time.Second
	// doubtFor is how soon a suspicious reading is looked at again; each time it
	// is confirmed, the next look is four times as far away.
	doubtFor = time.Minute
	// doubts is how many readings in a row, some 20 minutes in all, a suspicious
	// one needs before it is believed.
	doubts = 3
	// quarantine is for what a retry cannot mend: our registration, our request.
	quarantine = time.Hour
	// maxAfter bounds the pause that a provider may ask for.
	maxAfter = 6 * time.Hour
)

// settle says how the run ended and when to run next.
func (r *run) settle(err error) busy.Release {
	now := r.Now()
	if err == nil {
		return r.succeeded(now)
	}
	backoff := now.Add(r.jitter(r.backoff()))
	release := busy.Release{Outcome: busy.OutcomeFailed, DueAt: backoff, Suspicions: r.work.Suspicions}
	switch providers.FaultOf(err) {
	case providers.Revoked:
		release.Outcome = busy.OutcomeUnauthorized
		release.Connection = busy.ConnectionNeedsReconnect
		release.Reason = providers.CodeOf(err)
	case providers.AwaitingAdmin:
		release.Outcome = busy.OutcomeUnauthorized
		release.Connection = busy.ConnectionAwaitingAdmin
		release.Reason = providers.CodeOf(err)
	case providers.CalendarGone:
		release = r.gone(now)
	case providers.Throttled:
		release.Outcome = busy.OutcomeThrottled
		if after := now.Add(min(providers.AfterOf(err), maxAfter)); after.After(backoff) {
			release.DueAt = after
		}
	case providers.Deferred:
		release.Outcome = busy.OutcomeDeferred
		release.DueAt = now.Add(r.jitter(providers.AfterOf(err)))
	case providers.Operator:
		release.Outcome = busy.OutcomeOperator
		release.DueAt = now.Add(r.jitter(quarantine))
	case providers.Rejected:
		release.Outcome = busy.OutcomeRejected
		release.DueAt = now.Add(r.jitter(quarantine))
	case providers.CursorExpired, providers.Transient:
		if errors.Is(err, errSuspicious) {
			release.Outcome = busy.OutcomeSuspicious
			release.DueAt = now.Add(r.jitter(r.doubtFor()))
			release.Suspicions = r.work.Suspicions + 1
		} else if isProviders(err) {
			release.Outcome = busy.OutcomeUnreachable
		}
	}
	if release.Connection == "" && r.keepsFailing(release) {
		release.Connection = busy.ConnectionDegraded
	}
	return release
}

// keepsFailing reports whether this failure is one too many. A connection that is
// degraded already is so.
func (r *run) keepsFailing(release busy.Release) bool {
	return release.Outcome != busy.OutcomeDeferred && r.work.Failures+1 >= busy.KeepsFailing &&
		r.work.Connected == busy.ConnectionActive
}

// obey has the account's other runs, too, keep the pause that the provider asks
// for.
func (r *run) obey(ctx context.Context, err error) {
	if r.Gate != nil && providers.FaultOf(err) == providers.Throttled && providers.AfterOf(err) > 0 {
		r.Gate.Pause(ctx, r.work, min(providers.AfterOf(err), maxAfter))
	}
}

func (r *run) succeeded(now time.Time) busy.Release {
	release := busy.Release{Outcome: busy.OutcomeUnchanged, AsOf: r.began}
	if r.work.Connected == busy.ConnectionDegraded {
		release.Connection = busy.ConnectionActive
	}
	changed := r.work.ChangedAt
	if r.tally.Events+r.tally.Blocks > 0 {
		release.Outcome = busy.OutcomeChanged
		changed = r.began
	}
	if r.full {
		release.FullAt = r.began
	}
	next := r.interval(changed)
	if r.restarted {
		next = r.PollMax // a server that forgets its tokens is listed anew each time
	}
	release.DueAt = now.Add(r.jitter(next))
	return release
}

// gone keeps the blocks until enough runs have found the calendar gone. Then
// there is nothing left to mirror, and that is known as of now.
func (r *run) gone(now time.Time) busy.Release {
	release := busy.Release{Outcome: busy.OutcomeGone, Suspicions: r.work.Suspicions + 1}
	release.DueAt = now.Add(r.jitter(r.doubtFor()))
	if r.believes() {
		release.AsOf = r.began
		release.DueAt = now.Add(r.jitter(r.PollMax))
	}
	return release
}

// believes reports whether enough runs before this one have read the same.
func (r *run) believes() bool { return r.work.Suspicions >= doubts }

func (r *run) doubtFor() time.Duration { return doubtFor << (2 * min(r.work.Suspicions, doubts)) }

// interval is the time between two polls: an eighth of how long the calendar has
// been quiet, so that one that just changed is looked at often.
func (r *run) interval(changed time.Time) time.Duration {
	return min(max(r.began.Sub(changed)/8, r.PollMin), r.PollMax)
}

// backoff doubles with each failure in a row, up to the longest poll interval.
func (r *run) backoff() time.Duration {
	d := min(firstBackoff, r.PollMax)
	for range min(r.work.Failures, 16) {
		d = min(2*d, r.PollMax)
	}
	return d
}

// jitter lets calendars that were connected together drift apart.
func (r *run) jitter(d time.Duration) time.Duration {
	f := rand.Float64
	if r.Random != nil {
		f = r.Random.Float64
	}
	return busy.Jitter(d, f())
}

func isProviders(err error) bool {
	var e *providers.Error
	return errors.As(err, &e)
}

// causeOf words a failure for the log: a provider's by its code alone, since the
// text could hold data of the answer, any other in full.
func causeOf(err error) string {
	if isProviders(err) {
		return providers.CodeOf(err)
	}
	return err.Error()
}
