// Package providertest is what providers are tried with: an owner's calendar in
// words that no provider's format knows, and ways for a server to fail. The
// suite that every provider passes is in conformance; the other folders hold
// stand-ins for the providers' servers.
package providertest

import (
	"context"
	"time"

	"github.com/busyd/busyd/busy"
)

// Expander is what the mirror computes occurrences with.
type Expander interface {
	Expand(ctx context.Context, series []busy.Event, window busy.Span, zone *time.Location) ([]busy.Occurrence, error)
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
