// Package providertest is the conformance suite that every provider passes. It
// tells stories of a calendar, in words that no provider's format knows, and
// looks at what an incremental reader has mirrored after each step. A provider
// brings a [Harness]: how to make an account, and how to write an [Entry] into it.
//
// Servers to run it against are in the folders beside it.
package providertest

import (
	"context"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// Harness makes accounts at a server.
type Harness struct {
	// New makes an account with one empty calendar. What it starts ends with the
	// test. A server that cannot be had fails the test.
	New func(t *testing.T) Account
	// Expand turns events into occurrences; see sync/recur.
	Expand Expander
	// Cannot are the failures that the provider's kind of server has no way of. Their
	// stories are not told.
	Cannot []Failure
}

// Expander is what the mirror computes occurrences with.
type Expander interface {
	Expand(ctx context.Context, series []busy.Event, window busy.Span, zone *time.Location) ([]busy.Occurrence, error)
}

// Account is an account with one calendar, and the owner's hands on it.
type Account interface {
	// Open opens a session of the provider.
	Open(t *testing.T) providers.Session
	// Remote is the calendar's address.
	Remote() busy.Secret
	// Put writes an entry under a name, made of letters and digits, and replaces
	// the one there was. Marks that must not pass the provider go with it.
	Put(t *testing.T, name string, e Entry)
	// Remove removes an entry.
	Remove(t *testing.T, name string)
	// Requests is the number of requests that the provider has sent.
	Requests() int
}

// Breakable is an account whose server can be made to fail, for [RunFaults].
type Breakable interface {
	Account
	// Break makes the server fail in this way until Heal.
	Break(t *testing.T, f Failure)
	Heal(t *testing.T)
	// PutUnreadable writes an entry that no one can make sense of.
	PutUnreadable(t *testing.T, name string)
	// RemoveCalendar removes the calendar.
	RemoveCalendar(t *testing.T)
}

// Failure is a way for a server to fail.
type Failure string

// The failures.
const (
	Down         Failure = "every request is answered by a server error"
	Busy         Failure = "every request is throttled, for two minutes"
	Locked       Failure = "every request is refused for its credential"
	LockedOnce   Failure = "one request is refused for its credential"
	Forgetful    Failure = "the cursor is no longer known"
	Empty        Failure = "answers hold nothing, with every sign of success"
	CutOff       Failure = "answers break off within"
	Foreign      Failure = "answers are somebody's else, such as a login page"
	Missing      Failure = "the calendar is not found, and neither is anything else"
	DropsObjects Failure = "an object that is listed is missing when it is fetched"
)

// Mark is in everything that a provider must not pass on.
const Mark = "CANARY"

// Window is the span that stories play in.
var Window = busy.Span{
	Start: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
	End:   time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC),
}

// Zone reads floating times and dates in the stories.
const Zone = "Europe/Berlin"
