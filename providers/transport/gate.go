package transport

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// Limiter keeps the buckets and the pauses that all daemons share. It answers
// even while it cannot ask the others.
type Limiter interface {
	// Take takes a token out of the bucket. If there is none, wait is how long
	// until there will be.
	Take(ctx context.Context, b busy.Bucket) (wait time.Duration)
	// Pause has the requests under a key wait for d, unless they wait longer.
	Pause(ctx context.Context, key string, d time.Duration)
	// Paused is how long those have to wait; zero: they need not.
	Paused(ctx context.Context, key string) time.Duration
}

// Budgets bounds the requests of a provider.
type Budgets struct {
	// Of names the buckets that a request takes tokens from, the narrowest first.
	// The account is that of the run, as in [Gate.Admit]; empty: unknown.
	Of func(r *http.Request, account string) []busy.Bucket
	// InFlight bounds the requests that this process has under way at one host;
	// zero: any number.
	InFlight int
}

// Gate keeps requests within the budgets that all daemons share, and the workers
// of this one from all waiting for the same account or server. Whom it does not
// let pass must not stay: the worker goes on with something else meanwhile.
type Gate struct {
	limiter Limiter
	servers *servers
	lanes   Accounts // of servers
	most    int      // runs of one account at a time

	mu    sync.Mutex
	runs  map[string]int       // under way, by account
	heads map[string]bool      // lines at whose head a run waits
	terms map[string]time.Time // that are free next, by line
}

// NewGate returns the gate of a process with so many workers.
func NewGate(l Limiter, workers int) *Gate {
	most := max(1, workers/2)
	return &Gate{
		limiter: l, servers: newServers(most, max(1, workers/8)), most: most,
		runs: make(map[string]int), heads: make(map[string]bool), terms: make(map[string]time.Time),
	}
}

// Codes of the errors of a gate. [CodeSilent] is transient.
const (
	CodePaused = "paused"          // the provider asked for a pause, of another run
	CodeBudget = "over_budget"     // too many requests in too short a time
	CodeShare  = "account_is_busy" // enough runs of the account are under way
	CodeSilent = "server_silent"   // the server does not answer those who wait already
)

var (
	errPaused = errors.New("the provider asked for a pause")
	errBudget = errors.New("the provider gets as many requests as it should")
	errShare  = errors.New("the account is being read as much as it should")
	errSilent = errors.New("the server has stopped answering")
)

const (
	// A request waits for a token as long as the work that its run has done is
	// worth; one that is the run's first hardly at all.
	longestWait = 10 * time.Second
	firstWait   = 250 * time.Millisecond
	// busyInterval is the time between two runs of an account that has too many.
	busyInterval = 100 * time.Millisecond
	// longestTerm bounds how far ahead a run is put off.
	longestTerm = 15 * time.Minute
)

// run is who sends a request, where that is a run.
type run struct {
	tenant, account string
	begun           atomic.Bool // a request has passed
}

// line is where the runs of one tenant queue for the same thing. Those of another
// do not have to wait behind a great many of them.
func (r *run) line(thing string) string { return r.tenant + " " + thing }

type runKey struct{}

func runOf(ctx context.Context) *run {
	r, _ := ctx.Value(runKey{}).(*run)
	return r
}

// Admit lets a run begin. Its requests must carry the context that is returned,
// and when that is done the run is over. The error is Deferred.
func (g *Gate) Admit(ctx context.Context, w busy.Work) (context.Context, error) {
	r := &run{tenant: w.Tenant.String(), account: w.Connection.String()}
	if !g.enter(r.account) {
		return nil, g.put(r, CodeShare, errShare, r.account, busyInterval)
	}
	context.AfterFunc(ctx, func() { g.leave(r.account) })
	return context.WithValue(ctx, runKey{}, r), nil
}

// Pause has the account of a run wait for d.
func (g *Gate) Pause(ctx context.Context, w busy.Work, d time.Duration) {
	g.limiter.Pause(ctx, w.Connection.String(), d)
}

func (g *Gate) enter(account string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.runs[account] >= g.most {
		return false
	}
	g.runs[account]++
	return true
}

func (g *Gate) leave(account string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.runs[account]--; g.runs[account] == 0 {
		delete(g.runs, account)
	}
}

// Limit returns base behind the gate.
func (g *Gate) Limit(base http.RoundTripper, b Budgets) http.RoundTripper {
	if b.InFlight > 0 {
		base = g.lanes.LimitServers(b.InFlight, base)
	}
	return &gated{gate: g, base: base, budgets: b}
}

type gated struct {
	gate    *Gate
	base    http.RoundTripper
	budgets Budgets
}

// RoundTrip implements [http.RoundTripper].
func (l *gated) RoundTrip(r *http.Request) (*http.Response, error) {
	run, account := runOf(r.Context()), ""
	if run != nil {
		account = run.account
	}
	if err := l.gate.pass(r.Context(), run, l.budgets.Of(r, account)); err != nil {
		closeBody(r)
		return nil, err
	}
	resp, err := l.gate.servers.send(l.base, r, run)
	if err != nil {
		return nil, err
	}
	if run != nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		l.gate.limiter.Pause(r.Context(), account, RetryAfter(resp.Header, time.Now()))
	}
	return resp, nil
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] reach the pools.
func (l *gated) CloseIdleConnections() { closeIdle(l.base) }

// pass takes a token out of each bucket.
func (g *Gate) pass(ctx context.Context, r *run, buckets []busy.Bucket) error {
	if r != nil {
		if d := g.limiter.Paused(ctx, r.account); d > 0 {
			return &providers.Error{Fault: providers.Throttled, Code: CodePaused, After: d, Err: errPaused}
		}
	}
	begins, left := r != nil && !r.begun.Load(), longestWait
	if begins {
		left = firstWait
	}
	for _, b := range buckets {
		if err := g.take(ctx, r, b, begins, &left); err != nil {
			return err
		}
	}
	if begins {
		r.begun.Store(true)
	}
	return nil
}

// take takes a token and waits for it as long as is left. A run that begins waits
// at the head of its tenant's line or not at all: so a tenant holds one worker
// there, and takes turns with the others, however many of its runs come.
func (g *Gate) take(ctx context.Context, r *run, b busy.Bucket, begins bool, left *time.Duration) error {
	if begins && g.isHeaded(r.line(b.Key)) {
		return g.put(r, CodeBudget, errBudget, b.Key, b.Interval())
	}
	wait := g.limiter.Take(ctx, b)
	if wait > 0 && begins {
		if !g.head(r.line(b.Key)) {
			return g.put(r, CodeBudget, errBudget, b.Key, b.Interval())
		}
		defer g.leaveHead(r.line(b.Key))
	}
	for wait > 0 {
		if *left -= wait; *left < 0 {
			return g.put(r, CodeBudget, errBudget, b.Key, b.Interval())
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		wait = g.limiter.Take(ctx, b)
	}
	return nil
}

func (g *Gate) isHeaded(line string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.heads[line]
}

// head reports whether the caller is at the head of the line now, to leave it.
func (g *Gate) head(line string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.heads[line] {
		return false
	}
	g.heads[line] = true
	return true
}

func (g *Gate) leaveHead(line string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.heads, line)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// put puts a run off. Runs of one tenant that come for the same thing get terms
// an interval apart, so that a great many do not come again at once, and the few
// of another tenant do not have to wait behind them. Who is not a run is told to
// come again soon.
func (g *Gate) put(r *run, code string, cause error, thing string, interval time.Duration) error {
	if r == nil {
		return &providers.Error{Fault: providers.Throttled, Code: code, After: longestWait, Err: cause}
	}
	after := g.appoint(r.line(thing), interval)
	return &providers.Error{Fault: providers.Deferred, Code: code, After: after, Err: cause}
}

// appoint returns the time until the next free term, at least a second.
func (g *Gate) appoint(line string, interval time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	soon, last := now.Add(time.Second), now.Add(longestTerm)
	if len(g.terms) > 1000 {
		for k, at := range g.terms {
			if at.Before(now) {
				delete(g.terms, k)
			}
		}
	}
	term := g.terms[line]
	if term.Before(soon) {
		term = soon
	}
	if term.After(last) {
		term = last
	}
	g.terms[line] = term.Add(interval)
	return term.Sub(now)
}
