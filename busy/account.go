package busy

import "time"

// Tenant is a customer. Every record belongs to exactly one.
type Tenant struct {
	ID        TenantID
	Name      string
	CreatedAt time.Time
	// DowngradedAt is when the tenant's plan ceased to include calendars; zero: it
	// includes them.
	DowngradedAt time.Time
}

// Resource is somebody or something that can be booked: a person, a room.
type Resource struct {
	ID   ResourceID
	Name string
	// Zone is an IANA name: working hours, floating times and all-day events
	// without a zone of their own are read in it.
	Zone  string
	Hours Hours
	// Overrides are the dates on which the hours are others, by First.
	Overrides []Override
}

// Scope is what an API key may do.
type Scope string

// The scopes.
const (
	ScopeRead  Scope = "read"  // ask for busy time, availability and the tenant's records
	ScopeSync  Scope = "sync"  // ask for a resync
	ScopeBook  Scope = "book"  // hold, book, reschedule and cancel; includes read
	ScopeAdmin Scope = "admin" // change calendars and connections; includes the others
)

// Scopes lists every scope, widest last.
func Scopes() []Scope { return []Scope{ScopeRead, ScopeSync, ScopeBook, ScopeAdmin} }

// APIKey is a bearer token of a tenant, without its secret.
type APIKey struct {
	ID        KeyID
	Name      string
	Scopes    []Scope
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not revoked
}

// Allows reports whether the key has the scope.
func (k APIKey) Allows(s Scope) bool {
	for _, have := range k.Scopes {
		if have == s || have == ScopeAdmin || have == ScopeBook && s == ScopeRead {
			return true
		}
	}
	return false
}
