package providers

import (
	"errors"
	"fmt"
	"time"
)

// Fault is the kind of a provider's failure; it decides what happens next.
type Fault uint8

// The faults.
const (
	// Transient: try again later, with backoff. The zero value, so that an
	// unknown error never disconnects anybody.
	Transient Fault = iota
	// CursorExpired: begin a complete listing.
	CursorExpired
	// Revoked: the credential is refused for good; the owner must reconnect.
	Revoked
	// CalendarGone: the account has no such calendar any more.
	CalendarGone
	// Throttled: the provider asks for a pause, of After if it said how long.
	Throttled
	// Operator: busyd's own registration or configuration is refused; the owner
	// of the account can do nothing about it.
	Operator
	// Rejected: the provider calls the request wrong; retrying repeats the bug.
	Rejected
	// AwaitingAdmin: the owner's organisation must consent before busyd may read.
	AwaitingAdmin
	// Deferred: busyd itself puts the request off, by After, so that one account or
	// server does not keep the others waiting. Nothing failed.
	Deferred
)

func (f Fault) String() string {
	switch f {
	case Transient:
		return "transient"
	case CursorExpired:
		return "cursor_expired"
	case Revoked:
		return "revoked"
	case CalendarGone:
		return "calendar_gone"
	case Throttled:
		return "throttled"
	case Operator:
		return "operator"
	case Rejected:
		return "rejected"
	case AwaitingAdmin:
		return "awaiting_admin"
	case Deferred:
		return "deferred"
	default:
		return "unknown"
	}
}

// Error is a failure at a provider.
type Error struct {
	Fault Fault
	// Code is stable, safe to store and to log: it holds nothing of the answer.
	Code string
	// After is how long the provider asks us to wait; zero if it did not say.
	After time.Duration
	// Err is the cause. Adapters keep bodies, URLs and credentials out of it.
	Err error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s (%s)", e.Code, e.Fault)
	}
	return fmt.Sprintf("%s (%s): %v", e.Code, e.Fault, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// FaultOf returns the fault of an error: that of the [Error] in its chain, else
// Transient.
func FaultOf(err error) Fault {
	var e *Error
	if errors.As(err, &e) {
		return e.Fault
	}
	return Transient
}

// CodeOf returns the stable code of an error, and "failed" where it has none.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Code != "" {
		return e.Code
	}
	return "failed"
}

// AfterOf returns how long the provider asked us to wait; zero if it did not say.
func AfterOf(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.After
	}
	return 0
}
