package graph

import (
	"net/http"
	"sync"
	"time"

	"github.com/busyd/busyd/providers"
)

// breakers keep accounts from the sign-in service that it says ask in a loop
// (AADSTS50196): it goes on refusing them for as long as they go on asking.
type breakers struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (b *breakers) guard(account string, now func() time.Time, next http.RoundTripper) http.RoundTripper {
	return &guarded{breakers: b, account: account, now: now, next: next}
}

type guarded struct {
	breakers *breakers
	account  string
	now      func() time.Time
	next     http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (g *guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if pause := g.breakers.left(g.account, g.now()); pause > 0 {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, &providers.Error{Fault: providers.Throttled, Code: codeOf(loops), After: pause}
	}
	resp, err := g.next.RoundTrip(r)
	if err != nil && providers.CodeOf(err) == codeOf(loops) {
		g.breakers.trip(g.account, g.now().Add(loopPause))
	}
	return resp, err
}

func (b *breakers) trip(account string, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until == nil {
		b.until = make(map[string]time.Time)
	}
	b.until[account] = until
}

func (b *breakers) left(account string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	until, tripped := b.until[account]
	if tripped && !now.Before(until) {
		delete(b.until, account)
	}
	return until.Sub(now)
}
