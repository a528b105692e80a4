package busy

import "time"

// State says what an event does to the time it covers.
type State uint8

// The states, in the order of RFC 5545's FBTYPE (§3.2.9).
const (
	Free        State = iota // does not block
	Busy                     // blocks
	Tentative                // blocks unless a policy says otherwise
	OutOfOffice              // blocks
)

// String returns the state's name in the API: free, busy, tentative, out_of_office.
func (s State) String() string {
	switch s {
	case Free:
		return "free"
	case Busy:
		return "busy"
	case Tentative:
		return "tentative"
	case OutOfOffice:
		return "out_of_office"
	default:
		return "unknown"
	}
}

// Why tells a person why an event has its State. It is computed while an event
// is read and never stored.
type Why string

// Reasons for a State. A provider may have others of its own.
const (
	WhyOpaque      Why = "opaque"
	WhyTentative   Why = "tentative"
	WhyCancelled   Why = "cancelled"
	WhyDeclined    Why = "declined by the calendar's owner"
	WhyTransparent Why = "transparent"
	WhyShownFree   Why = "shown as free"
	WhyOutOfOffice Why = "out of office"
	WhyElsewhere   Why = "working elsewhere"
)

// Length is the length of an event that states its duration and not its end
// (RFC 5545 §3.8.2.5). Days are nominal: a day is from one clock reading to the
// same reading on the next date, be that 23, 24 or 25 hours. Exact is elapsed
// time, added after the days.
type Length struct {
	Days  int
	Exact time.Duration
}

// Event is what busyd knows of one calendar entry: the subject, the dates and
// times, and what is needed to compute them. It has no other field, so that no
// adapter can pass more on.
//
// It is a single event, the master of a recurring series (Recurrence is set) or
// a recurrence exception (Original is set), which replaces the occurrence of its
// series that would have started then.
type Event struct {
	// Key is the provider's key of the object that the event is part of. Several
	// events may share one: a CalDAV object holds a series with its exceptions.
	Key string
	// Version changes whenever the object does (an etag); empty if unknown.
	Version string
	// Series is the key under which events are expanded together: a single or a
	// master has its own Key, an exception its master's.
	Series string

	Subject string
	State   State
	Why     Why

	Start Moment
	// End is exclusive; a zero End means that Length applies. Each occurrence of
	// a series with an End keeps its elapsed time (a date's, in whole days), one
	// with a Length its nominal length (RFC 5545 §3.8.5.3).
	End    Moment
	Length Length

	// Recurrence are the RRULE, EXRULE, RDATE and EXDATE content lines as RFC
	// 5545 §3.8.5 writes them, unfolded, without DTSTART. TZID parameters must
	// be resolved to IANA names by whoever fills this in, or left out where the
	// value is in the zone of Start. A line has no other parameters than VALUE
	// and TZID.
	Recurrence []string
	// Original is the start of the occurrence that this exception replaces
	// (RECURRENCE-ID). It may be a date where Start's series has times.
	Original Moment
	// AndFuture extends the exception to every later occurrence of the series
	// (RANGE=THISANDFUTURE, RFC 5545 §3.2.13).
	AndFuture bool
	// Cancelled, with Original: the occurrence does not take place. Only Key,
	// Series and Original need be set then.
	Cancelled bool
	// Sequence and Stamp decide between two exceptions for one occurrence: the
	// higher Sequence, then the later Stamp, wins.
	Sequence int
	Stamp    time.Time
}

// Occurrence is one time that an event takes place. Both ends are in UTC; a
// block never has a zero or negative length.
type Occurrence struct {
	// Event is the index of the event, in the slice that was expanded, which
	// gives the occurrence its subject and state.
	Event  int
	Start  time.Time
	End    time.Time
	AllDay bool
	State  State
}

// Block is time that a calendar makes busy, as availability reads it. Blocks
// are pieces of occurrences: a longer one than MaxBlock is stored split.
type Block struct {
	Start  time.Time
	End    time.Time
	AllDay bool
	State  State
}

// MaxBlock bounds the length of a stored block, so that a reader can bound
// starts_at from below. The longest local day, one with an hour or two put in,
// fits.
const MaxBlock = 26 * time.Hour

// Change is what one page of a provider's answer says of a calendar. It replaces
// key by key what was known: an object's events are exactly those listed here
// under its key.
type Change struct {
	Events []Event
	// Gone are keys that the calendar no longer has. Events whose Series is one
	// of them go too.
	Gone []string
	// Unreadable are objects that exist but could not be understood. What was
	// known of them stays, and their calendar is degraded until they are read.
	Unreadable []Unreadable
}

// Unreadable names an object that could not be understood.
type Unreadable struct {
	Key     string
	Version string
	// Problem is a stable code without any of the object's data.
	Problem Problem
}

// Problem is a stable code for why an event's time is not fully known.
type Problem string

// The problems an event can have.
const (
	ProblemNone       Problem = ""
	ProblemUnreadable Problem = "unreadable"  // the object cannot be parsed
	ProblemTooLarge   Problem = "too_large"   // the object exceeds the size cap
	ProblemBadRule    Problem = "bad_rule"    // a recurrence line cannot be parsed
	ProblemBudget     Problem = "budget"      // expanding took more than its step budget
	ProblemZone       Problem = "zone"        // a zone is unknown; the calendar's was used
	ProblemNoStart    Problem = "no_start"    // there is no start
	ProblemMissing    Problem = "unavailable" // listed, but could not be fetched
)
