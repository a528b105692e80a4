package busy

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// MarshalJSON writes the message as endpoints and listeners get it: its type, its
// time, and the ids and times that it is about.
func (m Message) MarshalJSON() ([]byte, error) {
	type data struct {
		Booking    BookingID    `json:"booking,omitzero"`
		Resource   ResourceID   `json:"resource,omitzero"`
		Connection ConnectionID `json:"connection,omitzero"`
		Start      time.Time    `json:"start,omitzero"`
		End        time.Time    `json:"end,omitzero"`
	}
	return json.Marshal(struct {
		Type      MessageType `json:"type"`
		Timestamp time.Time   `json:"timestamp"`
		Data      data        `json:"data"`
	}{m.Type, m.At.UTC(), data{m.Booking, m.Resource, m.Connection, m.Span.Start.UTC(), m.Span.End.UTC()}})
}

// Dispatch asks for the messages that wait for an endpoint to be sent. It carries
// ids only, for it travels through Redis.
type Dispatch struct {
	Tenant   TenantID
	Endpoint EndpointID
	// Epoch is the endpoint's when the dispatch was made. A round that began
	// meanwhile has raised it, and the dispatch is void.
	Epoch int64
}

// Round is the right to send to an endpoint, and all that it takes.
type Round struct {
	Dispatch
	URL Secret // it may carry a secret of its own
	// Secrets sign each message, all of them: the current one first, then the one
	// before it while that still counts. As they were shown: whsec_...
	Secrets []Secret
	// Failures counts the rounds since one in which a message arrived.
	Failures int
	// FailingSince is when the first of them failed; zero: none has.
	FailingSince time.Time
	Code         string // how the last of them failed
}

// Delivery is a message that waits for an endpoint.
type Delivery struct {
	Seq      int64 // the message's
	Message  Message
	Attempts int // that failed
}

// RoundEnd is how a round ended.
type RoundEnd struct {
	// DueAt is when to send to the endpoint next, if anything waits by then.
	DueAt time.Time
	// Failures and FailingSince replace those of the endpoint.
	Failures     int
	FailingSince time.Time
	// Code says how the last attempt failed; empty if it did not.
	Code string
	// Disabled is the reason for which nothing more is sent; empty: it goes on.
	Disabled string
}

// Mark is a place in a tenant's messages. What is after a mark stays after it, and
// what a listener was told before it is complete: numbers alone do not have that,
// for a transaction that drew a lower one may commit later.
type Mark struct {
	Transaction int64 // that wrote the message
	Seq         int64 // of the message; 0: before the first of the transaction
}

// String returns the form that ParseMark reads.
func (m Mark) String() string {
	return strconv.FormatInt(m.Transaction, 10) + "." + strconv.FormatInt(m.Seq, 10)
}

// ParseMark reads a mark. The error is an [ErrInvalid] that does not repeat the input.
func ParseMark(s string) (Mark, error) {
	transaction, seq, _ := strings.Cut(s, ".")
	t, errT := strconv.ParseUint(transaction, 10, 63)
	n, errN := strconv.ParseUint(seq, 10, 63)
	if errT != nil || errN != nil {
		return Mark{}, Invalid("mark", "must be the id of an event")
	}
	return Mark{int64(t), int64(n)}, nil
}

// Heard is a message as a listener hears it.
type Heard struct {
	Mark
	Message Message
}
