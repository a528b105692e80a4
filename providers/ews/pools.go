package ews

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pools keeps the connections of each credential apart from all others.
type pools struct {
	make func() http.RoundTripper
	now  func() time.Time

	mu    sync.Mutex
	held  map[[sha256.Size]byte]*pool
	swept time.Time
}

// pool is the connections of one credential.
type pool struct {
	base http.RoundTripper
	// proven is when a connection last answered as an authenticated one, in Unix
	// nanoseconds; zero: never.
	proven atomic.Int64
	used   time.Time
}

// idle is how long an authenticated connection is hoped to stay open.
const idle = 20 * time.Second

// open reports whether the pool's connection is probably authenticated still.
func (p *pool) open(now time.Time) bool {
	at := p.proven.Load()
	return at != 0 && now.Sub(time.Unix(0, at)) < idle
}

// unused is how long a pool is kept that nobody asks for. Its connections close
// by themselves, long before.
const unused = 10 * time.Minute

// of returns the pool of a credential, given as its parts.
func (p *pools) of(parts ...string) *pool {
	key := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.sweep(now)
	found := p.held[key]
	if found == nil {
		if p.held == nil {
			p.held = map[[sha256.Size]byte]*pool{}
		}
		found = &pool{base: p.make()}
		p.held[key] = found
	}
	found.used = now
	return found
}

func (p *pools) sweep(now time.Time) {
	if now.Sub(p.swept) < time.Minute {
		return
	}
	p.swept = now
	for key, pool := range p.held {
		if now.Sub(pool.used) > unused {
			pool.close()
			delete(p.held, key)
		}
	}
}

func (p *pools) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pool := range p.held {
		pool.close()
	}
	clear(p.held)
}

func (p *pool) close() {
	p.proven.Store(0)
	if c, ok := p.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
