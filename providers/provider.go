// Package providers is the contract between busyd and the calendars it reads. A
// provider answers one question, "what changed?", and nothing that it returns
// carries more than subject, dates and times. README.md tells how to add one.
package providers

import (
	"context"
	"time"

	"github.com/busyd/busyd/busy"
)

// Provider reads one kind of calendar. It is safe for concurrent use.
type Provider interface {
	Kind() busy.Kind
	// Open prepares a session. It does not use the network. A grant it cannot
	// decode is an error of kind Revoked.
	Open(ctx context.Context, account Account) (Session, error)
}

// ByKind finds providers by their kind.
func ByKind(all []Provider) map[busy.Kind]Provider {
	found := make(map[busy.Kind]Provider, len(all))
	for _, p := range all {
		found[p.Kind()] = p
	}
	return found
}

// Account is the right to read somebody's calendars.
type Account struct {
	// Grant is what connecting returned, or what Renew stored last.
	Grant busy.Secret
	// Renew replaces the stored grant, under a lock that all daemons share. It
	// calls f with the grant as it is stored now, which another daemon may have
	// renewed meanwhile; what f returns is committed before Renew returns it.
	// Where f fails, the stored grant stays. nil for an account without storage.
	Renew func(ctx context.Context, f func(ctx context.Context, current busy.Secret) (busy.Secret, error)) (busy.Secret, error)
}

// Session reads the calendars of one account. One goroutine uses it at a time. It
// is closed after use if it is an io.Closer.
type Session interface {
	// Calendars lists the account's calendars that can hold events.
	Calendars(ctx context.Context) ([]Calendar, error)
	// Changes returns the next page of what changed since q.Cursor. The caller
	// goes on, with the cursor of each page, until a page has no More.
	//
	// A listing that failed or may be incomplete is an error, never a short or
	// an empty page. Errors are [Error]; anything else counts as Transient.
	Changes(ctx context.Context, q Query) (Page, error)
}

// Connector is a provider whose accounts are connected with a password.
type Connector interface {
	// Connect verifies the login against the server and returns the grant to
	// store, with all that discovery found, so that Open need not look again. An
	// error is a [busy.Violation] where the login is wrong, and says what to do.
	Connect(ctx context.Context, login Login) (busy.Secret, error)
}

// Login is what a person types to connect an account.
type Login struct {
	URL      string // an address to start discovery at; may be empty if the username tells
	Username string
	Password busy.Secret
	// Mailbox is the e-mail address of the mailbox to read, where it is not the
	// user's own; empty, or the provider has none.
	Mailbox string
}

// Calendar is one calendar of an account.
type Calendar struct {
	Remote busy.Secret // the provider's address of it, for Query; may be personal
	Name   string
	Zone   string // an IANA name; empty if the provider does not tell
	// Blocking is whether it should block time unless somebody says otherwise.
	Blocking bool
}

// Query asks for a page of changes of one calendar.
type Query struct {
	Remote busy.Secret
	Cursor Cursor    // nil: everything, as a complete listing
	Window busy.Span // a hint: events that cannot touch it may be left out
	Zone   string    // reads floating times, and zones that nothing defines
	// Version returns the version under which the caller holds an object, so
	// that a listing need not fetch it again. It is never nil.
	Version func(key string) (version string, held bool)
}

// Cursor is a provider's mark in a calendar's history. Only its provider can
// read it; it is sealed at rest.
type Cursor []byte

// Page is a page of changes.
type Page struct {
	busy.Change
	// Same are keys of a listing whose objects the caller holds in their present
	// version.
	Same []string
	// Cursor to go on from. A caller that loses it between the pages of a Full
	// listing begins anew.
	Cursor Cursor
	// More: another page follows.
	More bool
	// Full: the page is part of a complete listing, and what none of its pages
	// mention in Events, Same or Unreadable no longer exists. The last page is
	// proof that the listing was complete.
	Full bool
}

// Bounds of a provider call, for every adapter.
const (
	// RequestTimeout bounds one request with its body.
	RequestTimeout = 60 * time.Second
	// MaxObject bounds one calendar object, in bytes.
	MaxObject = 1 << 20
)
