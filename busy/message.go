package busy

import "time"

// Message is something that happened, as tenants' endpoints and listening
// frontends are told. It is thin: ids and times, never a subject or a booker's data.
type Message struct {
	ID         MessageID
	Type       MessageType
	At         time.Time
	Booking    BookingID    // zero: not about one
	Resource   ResourceID   // zero: not about one
	Connection ConnectionID // zero: not about one
	Span       Span         // empty: not about a time
}

// MessageType says what happened; a stable code.
type MessageType string

// The types of messages.
const (
	BookingCreated         MessageType = "booking.created"
	BookingRescheduled     MessageType = "booking.rescheduled"
	BookingWasCancelled    MessageType = "booking.cancelled"
	HoldExpired            MessageType = "hold.expired"
	ConflictDetected       MessageType = "booking.conflict_detected"
	AvailabilityChanged    MessageType = "availability.changed"
	ConnectionReconnectDue MessageType = "connection.needs_reconnect"
	ConnectionHasRecovered MessageType = "connection.recovered"
)

// MessageTypes lists every type.
func MessageTypes() []MessageType {
	return []MessageType{
		BookingCreated, BookingRescheduled, BookingWasCancelled, HoldExpired, ConflictDetected, AvailabilityChanged,
		ConnectionReconnectDue, ConnectionHasRecovered,
	}
}

// Endpoint is where a tenant wants its messages (Standard Webhooks).
type Endpoint struct {
	ID    EndpointID
	URL   string
	Types []MessageType // none: all
	// DisabledAt is when messages ceased to be sent; zero: they are sent.
	DisabledAt time.Time
	Reason     string // a stable code for why it is disabled
	// FailingSince is when messages ceased to arrive, and Code, which is stable, how
	// the last attempt failed; zero: the last one arrived.
	FailingSince time.Time
	Code         string
	CreatedAt    time.Time
}
