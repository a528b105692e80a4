// Package conformance is the suite that every provider passes. It tells stories
// of a calendar, and looks at what an incremental reader has mirrored after each
// step. A provider brings a [Harness]: how to make an account, and how to write
// an entry into it.
package conformance

import (
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/providertest"
)

// Harness makes accounts at a server.
type Harness struct {
	// New makes an account with one empty calendar. What it starts ends with the
	// test. A server that cannot be had fails the test.
	New func(t *testing.T) Account
	// Expand turns events into occurrences; see sync/recur.
	Expand providertest.Expander
	// Cannot are the failures that the provider's kind of server has no way of. Their
	// stories are not told.
	Cannot []providertest.Failure
}

// Account is an account with one calendar, and the owner's hands on it.
type Account interface {
	// Open opens a session of the provider.
	Open(t *testing.T) providers.Session
	// Remote is the calendar's address.
	Remote() busy.Secret
	// Put writes an entry under a name, made of letters and digits, and replaces
	// the one there was. Marks that must not pass the provider go with it.
	Put(t *testing.T, name string, e providertest.Entry)
	// Remove removes an entry.
	Remove(t *testing.T, name string)
	// Requests is the number of requests that the provider has sent.
	Requests() int
}

// Breakable is an account whose server can be made to fail, for [RunFaults].
type Breakable interface {
	Account
	// Break makes the server fail in this way until Heal.
	Break(t *testing.T, f providertest.Failure)
	Heal(t *testing.T)
	// PutUnreadable writes an entry that no one can make sense of.
	PutUnreadable(t *testing.T, name string)
	// RemoveCalendar removes the calendar.
	RemoveCalendar(t *testing.T)
}
