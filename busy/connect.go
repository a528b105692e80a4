package busy

import "time"

// NewConnection is an account with the calendars that were found on it.
type NewConnection struct {
	Resource  ResourceID
	Kind      Kind
	Grant     Secret
	Account   Secret // the provider's name for the account; nil: it has grants of no other use
	Calendars []NewCalendar
	// Waiting is the connection that has waited for this consent, if it is known:
	// another is not made in its place when it is disconnected meanwhile.
	Waiting ConnectionID
}

// NewCalendar is a calendar that was found on an account.
type NewCalendar struct {
	Remote   Secret // the provider's address of it
	Name     string
	Zone     string // an IANA name; empty: the provider does not tell
	Selected bool
}

// Consent is an owner on the way to a provider's consent page and back.
type Consent struct {
	Tenant     TenantID
	Kind       Kind
	Resource   ResourceID
	Connection ConnectionID // to reconnect; zero: a new one
	Verifier   string       // of PKCE; sealed at rest
	Push       bool
}

// ConsentState is how far a consent is.
type ConsentState string

const (
	ConsentAsked         ConsentState = "asked" // the owner is on the way
	ConsentTaken         ConsentState = "taken" // the owner came back, and the account is being connected
	ConsentGiven         ConsentState = "given"
	ConsentAwaitingAdmin ConsentState = "awaiting_admin" // the owner's organisation must consent first
	ConsentFailed        ConsentState = "failed"
)

// ConsentEnd tells how far a consent is, and what it led to.
type ConsentEnd struct {
	State      ConsentState
	Since      time.Time    // zero while it is asked for
	Connection ConnectionID // that was connected or waits for the organisation; it may be gone by now
	Problem    string       // why it failed; empty: only the log tells
}

// FarewellID names a farewell.
type FarewellID struct {
	Tenant TenantID
	ID     ID[Farewell]
}

// Stream is a live connection whose provider tells of changes as long as somebody
// listens.
type Stream struct {
	Tenant     TenantID
	Connection ConnectionID
}

// ListenerID names a process that listens.
type ListenerID = ID[Stream]
