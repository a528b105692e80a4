package busy

import "time"

// Booking is a meeting that somebody has asked for: held for a while, pending,
// confirmed, or over.
type Booking struct {
	ID      BookingID
	Service ServiceID
	// Resources serve the meeting, in the order of the service's needs.
	Resources []ResourceID
	Span      Span // of the meeting
	Blocked   Span // of the meeting with its buffers
	Seats     int  // of the service's capacity; at least 1
	// Session tells meetings apart: the bookings that share one have the same.
	Session SessionID
	State   BookingState
	// ExpiresAt is when a hold ceases; zero for every other state.
	ExpiresAt time.Time
	// Owner is the SHA-256 of the token that a hold's owner shows, which stays with
	// what was booked of it; nil: none.
	Owner []byte
	// Details are what the booker is known by. They are opaque, sealed at rest, and
	// nil once erased.
	Details *Details
	// Version counts the changes of this booking, from 1.
	Version   int64
	CreatedAt time.Time
	ChangedAt time.Time
}

// BookingState is where a booking is in its life.
type BookingState string

// The states of a booking.
const (
	BookingHeld      BookingState = "held"      // until it expires
	BookingPending   BookingState = "pending"   // waits to be confirmed, and takes its time
	BookingConfirmed BookingState = "confirmed" //
	BookingCancelled BookingState = "cancelled" // final
	BookingExpired   BookingState = "expired"   // final: a hold that nobody confirmed
)

// Live reports whether a booking of the state takes its time at now.
func (b Booking) Live(now time.Time) bool {
	switch b.State {
	case BookingHeld:
		return now.Before(b.ExpiresAt)
	case BookingPending, BookingConfirmed:
		return true
	default:
		return false
	}
}

// Details are what a tenant keeps of a booker: a reference of its own, and a few
// small fields that it names itself. busyd does not read them.
type Details struct {
	Reference string            `json:"reference,omitempty"`
	Fields    map[string]string `json:"fields,omitempty"`
}

// BookingFilter says which bookings to list. What is zero does not narrow.
type BookingFilter struct {
	Resource ResourceID
	Service  ServiceID
	Span     Span // with which the meeting overlaps
	States   []BookingState
	After    BookingID // of the last one that is known: the list goes on behind it
	Limit    int       // the most that are listed; 0: all
}

// Claim is the time of one resource that a live booking takes.
type Claim struct {
	Booking   BookingID
	Service   ServiceID
	Session   SessionID
	Span      Span // of the meeting
	Blocked   Span // of the meeting with its buffers
	Seats     int
	ExpiresAt time.Time // zero: it does not expire
	CreatedAt time.Time
}

// Live reports whether the claim takes time at now: it is of no hold that has
// expired.
func (c Claim) Live(now time.Time) bool { return c.ExpiresAt.IsZero() || now.Before(c.ExpiresAt) }

// AgendaVersion is a resource's agenda as somebody saw it. It changes with every
// block, booking, override and rule of hours of the resource.
type AgendaVersion struct {
	Resource ResourceID
	Version  int64
}

// Proposal is a booking's new state, which is written only if nothing that it was
// decided on has changed since: neither the agendas of the resources that it is
// about to take, nor the booking itself.
type Proposal struct {
	Booking Booking
	// Was is the booking's stored version; 0: there is none.
	Was int64
	// Seen are the agendas of all the resources that the booking takes. Empty for a
	// change that takes no time: a cancellation, say.
	Seen []AgendaVersion
	// Expired says that there were holds on those agendas that have expired by the
	// booking's ChangedAt. They are noted as such with it: nobody can then keep one
	// whose time or seat was counted as free.
	Expired bool
	// Messages are sent on if the proposal is written.
	Messages []Message
	// Once, if set, is the request's idempotency key with the answer that a repeated
	// request is given.
	Once *Once
}

// Once is a request that must not be carried out twice (the Idempotency-Key HTTP
// header field, draft-ietf-httpapi-idempotency-key-header).
type Once struct {
	Key     string // as sent, at most 255 bytes
	Request []byte // SHA-256 of what was asked: method, path, body
	// Taken tells this attempt from one that was given up: drawn when the key is
	// reserved.
	Taken int64
	// Answer is what the request is answered; nil: not known yet.
	Answer *Answer
}

// Answer is an HTTP answer as it was given.
type Answer struct {
	Status int
	Header map[string]string
	Body   []byte // sealed at rest
}

// Conflict is a block that landed on a live booking. It is open until the block
// or the booking is gone from there.
type Conflict struct {
	ID         ConflictID
	Booking    BookingID
	Resource   ResourceID
	Span       Span // of the booking's time that is blocked: the first overlap
	DetectedAt time.Time
	ResolvedAt time.Time // zero: open
}
