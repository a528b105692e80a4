package busy

import (
	"context"
	"time"
)

// Urgency orders the pool's work.
type Urgency string

// The urgencies, most urgent first.
const (
	UrgencyWaiting Urgency = "waiting" // a person waits for it
	UrgencyPushed  Urgency = "pushed"  // the provider says that something changed
	UrgencyRoutine Urgency = "routine" // a poll
)

// Task asks for one sync run. It carries ids only, for it travels through Redis.
type Task struct {
	Tenant   TenantID
	Calendar CalendarID
	// Epoch is the calendar's when the task was made. A run that began meanwhile
	// has raised it, and the task is void.
	Epoch   int64
	Urgency Urgency
}

// Lease is the right to write to a calendar. Whoever takes the calendar over, or
// deselects or disconnects it, raises the epoch; a write under an older epoch
// fails with [ErrFenced].
type Lease struct {
	Tenant   TenantID
	Calendar CalendarID
	Epoch    int64
}

// Work is all that a run needs to begin, read while taking the lease.
type Work struct {
	Lease
	Resource   ResourceID
	Connection ConnectionID
	Kind       Kind
	Connected  ConnectionState
	Grant      Secret // as the provider's connect step returned it
	Remote     Secret // the provider's address of the calendar
	Cursor     []byte // empty: none
	Zone       string // in which floating times and dates are read; an IANA name
	Freshness
	// Expanded is the zone that the stored blocks were computed in.
	Expanded string
	// FullAt is when the last complete listing began; zero: never.
	FullAt time.Time
	// WantFull asks for a complete listing even if the cursor is good.
	WantFull bool
	// WatchedUntil is when the provider's promise to call back ends; zero: there is
	// none.
	WatchedUntil time.Time
	// Wanted counts the requests for a sync up to this lease.
	Wanted int64
	// Suspicions counts readings in a row that a Suspicious or CalendarGone
	// outcome waits to see confirmed.
	Suspicions int
}

// Expand turns the events of one series into the occurrences that block time. A
// [ErrBudget] or [ErrRule] may come with the occurrences that are known all the same.
type Expand func(ctx context.Context, series []Event) ([]Occurrence, error)

// Held is what the store holds of a calendar's objects.
type Held struct {
	Objects int // their number
	// Version returns the version under which an object is held.
	Version func(key string) (version string, held bool)
}

// Page is one transaction's worth of a run.
type Page struct {
	Change
	// Cursor replaces the stored one in the same transaction; nil keeps it, and an
	// empty one leaves none.
	Cursor []byte
	// Seen ends a complete listing: objects whose keys it does not hold are
	// removed. nil: nothing is.
	Seen map[string]struct{}
	// Reexpand computes every stored series anew: the window moved on or the
	// zone changed.
	Reexpand bool
	// Window in which blocks are kept, and Zone in which they are computed. They
	// are recorded with Reexpand, and are what is recorded without it.
	Window Span
	Zone   string
	// At is when the page is written, for what is told of it.
	At time.Time
}

// Tally counts what a page changed.
type Tally struct {
	Events   int // events inserted, changed or removed
	Blocks   int // blocks inserted or removed
	Problems int // events of the calendar whose time is not fully known
}

// Release ends a run.
type Release struct {
	Outcome Outcome
	// AsOf is when the complete reading began; zero keeps the stored one, and
	// counts the run as failed, unless it is deferred. With OutcomeChanged it is also ChangedAt.
	AsOf time.Time
	// FullAt is when a complete listing began; zero keeps the stored one.
	FullAt time.Time
	// DueAt is when to run next, unless the calendar was wanted meanwhile.
	DueAt      time.Time
	Suspicions int
	// Connection, if set, is the state that the run found the connection in: active
	// and degraded as far as this calendar tells.
	Connection ConnectionState
	Reason     string
}
