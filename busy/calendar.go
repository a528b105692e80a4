package busy

import "time"

// Kind names a provider.
type Kind string

// The providers.
const (
	CalDAV   Kind = "caldav"
	Google   Kind = "google"
	Graph    Kind = "graph"
	Exchange Kind = "ews"
	Feed     Kind = "feed"
)

// Calendar is one calendar of a connection.
type Calendar struct {
	ID         CalendarID
	Connection ConnectionID
	Resource   ResourceID
	Kind       Kind
	Name       string // what the owner calls it; sealed at rest
	Zone       string // the provider's; empty: the resource's applies
	Selected   bool   // blocks its resource's time
	// IgnoreTentative and IgnoreAllDay: events of this calendar that are only
	// tentative, or last all day, do not block.
	IgnoreTentative, IgnoreAllDay bool

	Connected ConnectionState
	Freshness
}

// Freshness is what is known of how well a calendar's blocks mirror its provider.
type Freshness struct {
	// AsOf is when the last complete reading of the provider began; zero: never.
	AsOf time.Time
	// ChangedAt is AsOf of the last reading that found something new.
	ChangedAt time.Time
	// Covered is the span in which blocks are kept.
	Covered Span
	// Problems counts events whose time is not fully known.
	Problems int
	// Outcome of the last run; empty before the first.
	Outcome Outcome
	// Failures counts runs since the last that succeeded.
	Failures int
	// DueAt is when the next run is planned. While a run is under way, it is when
	// the run's lease ends.
	DueAt   time.Time
	Running bool
}

// Outcome is how a run ended; a stable code.
type Outcome string

// The outcomes of a run. A failed one leaves blocks and cursor as they were.
const (
	OutcomeUnchanged    Outcome = "unchanged"
	OutcomeChanged      Outcome = "changed"
	OutcomeThrottled    Outcome = "throttled"
	OutcomeUnauthorized Outcome = "unauthorized"  // the credential was refused
	OutcomeGone         Outcome = "calendar_gone" // the provider has no such calendar
	OutcomeSuspicious   Outcome = "suspicious"    // an emptied listing waits for a second reading
	OutcomeOperator     Outcome = "operator"      // busyd's own registration is refused
	OutcomeRejected     Outcome = "rejected"      // the provider calls our request wrong
	OutcomeUnreachable  Outcome = "unreachable"
	OutcomeInterrupted  Outcome = "interrupted" // the worker was stopped
	OutcomeFailed       Outcome = "failed"      // anything else; see the log
	// OutcomeDeferred is not recorded: nothing was tried, for the sake of others.
	OutcomeDeferred Outcome = "deferred"
)

// CalendarState is the word for a calendar's freshness in answers.
type CalendarState string

// The states of a calendar or a resource, best first. A resource has the worst
// state of its selected calendars; only a resource is disconnected, see [Agenda].
const (
	StateFresh          CalendarState = "fresh"
	StateStale          CalendarState = "stale"           // read, but too long ago
	StateDegraded       CalendarState = "degraded"        // some events could not be understood
	StateUncovered      CalendarState = "uncovered"       // the span asked for is not mirrored
	StateNeedsReconnect CalendarState = "needs_reconnect" // the provider refuses the credential
	StatePaused         CalendarState = "paused"          // an operator must act
	StatePending        CalendarState = "pending"         // never read completely
	StateDisconnected   CalendarState = "disconnected"    // all accounts are gone, and nothing is known
)

var severity = map[CalendarState]int{
	StateFresh: 0, StateStale: 1, StateDegraded: 2, StateUncovered: 3,
	StateNeedsReconnect: 4, StatePaused: 5, StatePending: 6, StateDisconnected: 7,
}

// Worse returns the worse of two states. An empty state is better than any.
func (s CalendarState) Worse(o CalendarState) CalendarState {
	if s == "" || o != "" && severity[o] > severity[s] {
		return o
	}
	return s
}

// StateFor judges the calendar at now for an answer about span: a calendar whose
// last complete reading is older than staleAfter is stale.
func (c Calendar) StateFor(span Span, now time.Time, staleAfter time.Duration) CalendarState {
	switch {
	case c.AsOf.IsZero():
		return StatePending
	case c.Connected == ConnectionPaused:
		return StatePaused
	case !c.Connected.Polled():
		return StateNeedsReconnect
	case !c.Covered.Contains(span):
		return StateUncovered
	case c.Problems > 0:
		return StateDegraded
	case now.Sub(c.AsOf) > staleAfter:
		return StateStale
	default:
		return StateFresh
	}
}

// Agenda is a resource with what its calendars say of a span of time.
type Agenda struct {
	Resource  Resource
	Calendars []Calendar // the selected ones
	// Disconnected: there are no selected calendars, because the accounts that the
	// resource had are disconnected, and none has been connected since. Nothing is
	// known of its time; it is not free for that. Where false, a resource without
	// calendars has its working hours alone.
	Disconnected bool
	Blocks       []Block // overlapping the span, by Start; not merged, not clipped
	// Claims are the live bookings of the resource whose time, with its buffers,
	// overlaps the span or the eight days before or after it: a week's limit is
	// counted over whole weeks. By Span.Start.
	Claims []Claim
	// Version is the agenda's version; see [AgendaVersion].
	Version int64
}
