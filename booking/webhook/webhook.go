// Package webhook sends a tenant's messages to its endpoints, signed as Standard
// Webhooks has it. A message that waits for an endpoint is a row in the store,
// written by the transaction of what the message tells, and stays until the
// endpoint has answered: each is sent at least once, with the same webhook-id on
// each attempt. An endpoint gets its messages one after another.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/busyd/busyd/busy"
)

// Store knows what waits for whom.
type Store interface {
	// TakeEndpoint begins a round, and keeps others away for the lease.
	// busy.ErrNotDue if the dispatch is old, or the endpoint disabled or gone.
	TakeEndpoint(ctx context.Context, d busy.Dispatch, now time.Time, lease time.Duration) (busy.Round, error)
	// Waiting returns the messages that are due for the endpoint, the longest
	// overdue first.
	Waiting(ctx context.Context, d busy.Dispatch, now time.Time, limit int) ([]busy.Delivery, error)
	// Delivered notes that a message arrived.
	Delivered(ctx context.Context, d busy.Dispatch, seq int64) error
	// Undelivered notes that an attempt failed, and when to try again; zero: never.
	Undelivered(ctx context.Context, d busy.Dispatch, seq int64, next time.Time) error
	// EndRound ends it. busy.ErrFenced if it took longer than its lease.
	EndRound(ctx context.Context, d busy.Dispatch, end busy.RoundEnd, now time.Time) error
}

// Courier sends what waits for an endpoint.
type Courier struct {
	Store Store
	// HTTP follows no redirect, and reaches nobody but whom it may.
	HTTP interface {
		Do(*http.Request) (*http.Response, error)
	}
	// CodeOf is the stable code of an error of HTTP, which names no host.
	CodeOf func(error) string
	// Observe, if set, is told the code of each attempt: "delivered", or how it failed.
	Observe func(code string)
	Now     func() time.Time
	Random  func() float64 // in [0, 1)
}

var errScheme = errors.New("an endpoint's address must be an https URL")

// batch is how many messages are read at once.
const batch = 100

// Run is one round. It has recorded in the store whatever happened by the time it
// returns.
func (c *Courier) Run(ctx context.Context, d busy.Dispatch) error {
	began := c.Now()
	round, err := c.Store.TakeEndpoint(ctx, d, began, lease)
	if errors.Is(err, busy.ErrNotDue) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("begin to send: %w", err)
	}
	t := &tour{Courier: c, Round: round, last: began.Add(roundFor)}
	err = t.deliver(ctx)
	// The end is noted even where the daemon is being stopped.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if ended := c.Store.EndRound(ctx, round.Dispatch, t.end(), c.Now()); ended != nil && !errors.Is(ended, busy.ErrFenced) {
		err = errors.Join(err, fmt.Errorf("note the end of sending: %w", ended))
	}
	return err
}

// tour is a round under way.
type tour struct {
	*Courier
	busy.Round
	last time.Time // after it, no further request begins

	arrived bool   // a message, since the last that did not
	failed  int    // messages in a row
	worst   result // of the last failure
}

// deliver sends until nothing is due, the endpoint is at fault, or the round has
// lasted long enough.
func (t *tour) deliver(ctx context.Context) error {
	for {
		waiting, err := t.Store.Waiting(ctx, t.Dispatch, t.Now(), batch)
		if err != nil {
			return fmt.Errorf("read what to send: %w", err)
		}
		for _, w := range waiting {
			if t.over() || stopped(ctx) {
				return nil
			}
			if err := t.attempt(ctx, w); err != nil {
				return err
			}
		}
		if len(waiting) < batch {
			return nil
		}
	}
}

// stopped reports whether the daemon is being stopped.
func stopped(ctx context.Context) bool { return ctx.Err() != nil }

func (t *tour) over() bool {
	return t.worst.away || t.worst.gone || t.failed >= inARow || t.Now().After(t.last)
}

func (t *tour) attempt(ctx context.Context, w busy.Delivery) error {
	r := t.send(ctx, t.Round, w.Message)
	if r.code != "" && stopped(ctx) {
		return nil // it was cut off, which is nobody's fault
	}
	t.note(r)
	ctx = context.WithoutCancel(ctx) // what was sent is noted
	if r.code == "" {
		return t.Store.Delivered(ctx, t.Dispatch, w.Seq)
	}
	var next time.Time // never
	if w.Attempts+1 < MostAttempts {
		next = t.Now().Add(max(pause(w.Attempts+1, longestPause, t.Random()), r.after))
	}
	return t.Store.Undelivered(ctx, t.Dispatch, w.Seq, next)
}

func (t *tour) note(r result) {
	code := r.code
	if code == "" {
		code, t.arrived, t.failed = "delivered", true, 0
	} else {
		t.failed++
	}
	t.worst = r
	if t.Observe != nil {
		t.Observe(code)
	}
}

// end says what becomes of the endpoint.
func (t *tour) end() busy.RoundEnd {
	now := t.Now()
	switch {
	case t.worst.gone:
		return busy.RoundEnd{DueAt: now, Code: t.worst.code, Disabled: ReasonGone}
	case t.worst.code == "" && t.arrived:
		return busy.RoundEnd{DueAt: now}
	case t.worst.code == "": // nothing was sent
		return busy.RoundEnd{DueAt: now, Failures: t.Failures, FailingSince: t.FailingSince, Code: t.Code}
	}
	end := busy.RoundEnd{Failures: t.Failures + 1, FailingSince: t.FailingSince, Code: t.worst.code}
	if t.arrived {
		end.Failures, end.FailingSince = 1, time.Time{}
	}
	if end.FailingSince.IsZero() {
		end.FailingSince = now
	}
	end.DueAt = now
	if t.worst.away || t.failed >= inARow {
		end.DueAt = now.Add(max(pause(end.Failures, longestRest, t.Random()), t.worst.after))
	}
	if now.Sub(end.FailingSince) >= DisableAfter {
		end.Disabled = ReasonFailing
	}
	return end
}
