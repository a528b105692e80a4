package api

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/busyd/busyd/busy"
)

// remembered is for how long a key that was good is taken as good without asking:
// a revoked one is refused within a second.
const remembered = 500 * time.Millisecond

// mostAdmissions bounds the memory that is spent on keys.
const mostAdmissions = 10_000

// admissions are the keys that were good a moment ago. A key that was refused is
// not among them.
type admissions struct {
	mu sync.RWMutex
	of map[[sha256.Size]byte]admission
}

type admission struct {
	tenant busy.TenantID
	key    busy.APIKey
	until  time.Time
}

func (a *admissions) find(token string, now time.Time) (admission, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	found, is := a.of[sha256.Sum256([]byte(token))]
	return found, is && now.Before(found.until) && (found.key.ExpiresAt.IsZero() || now.Before(found.key.ExpiresAt))
}

func (a *admissions) remember(token string, tenant busy.TenantID, key busy.APIKey, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of == nil || len(a.of) >= mostAdmissions {
		a.of = make(map[[sha256.Size]byte]admission)
	}
	a.of[sha256.Sum256([]byte(token))] = admission{tenant, key, now.Add(remembered)}
}
