package busy

// NewConnection is an account with the calendars that were found on it.
type NewConnection struct {
	Resource  ResourceID
	Kind      Kind
	Grant     Secret
	Account   Secret // the provider's name for the account; nil: it has grants of no other use
	Calendars []NewCalendar
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
