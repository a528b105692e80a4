package busy

import (
	"errors"
	"fmt"
)

// Kinds of failure that callers branch on, with errors.Is.
var (
	// ErrNotFound: there is no such record in this tenant.
	ErrNotFound = errors.New("not found")
	// ErrInvalid: an argument is wrong; see [Violation].
	ErrInvalid = errors.New("invalid")
	// ErrExists: a record with this name exists already.
	ErrExists = errors.New("exists already")
	// ErrFenced: the lease was taken over, or the calendar was deselected or
	// disconnected meanwhile; nothing was written and nothing more may be.
	ErrFenced = errors.New("the lease is no longer held")
	// ErrNotDue: there is no work: another worker holds the calendar, or the task
	// is older than the calendar's last run.
	ErrNotDue = errors.New("not due")
	// ErrBudget: expanding a series took more steps than allowed.
	ErrBudget = errors.New("the recurrence rule takes too many steps")
	// ErrChanged: what a [Proposal] was decided on has changed meanwhile; nothing
	// was written.
	ErrChanged = errors.New("changed meanwhile")
	// ErrTaken: the database refuses a booking that overlaps another one.
	ErrTaken = errors.New("taken")
	// ErrInFlight: another attempt of the request is under way; see [Once].
	ErrInFlight = errors.New("another attempt is under way")
	// ErrOtherRequest: the key was sent with another request before.
	ErrOtherRequest = errors.New("the key belongs to another request")
	// ErrRule: a recurrence line cannot be understood.
	ErrRule = errors.New("the recurrence rule cannot be understood")
)

// Violation is an ErrInvalid that names the field and the form it must have. It
// is safe to show: it never repeats the value.
type Violation struct {
	Field  string
	Detail string
}

// Invalid returns a Violation as an error.
func Invalid(field, detail string) error { return &Violation{Field: field, Detail: detail} }

func (v *Violation) Error() string { return fmt.Sprintf("%s %s", v.Field, v.Detail) }

// Is makes errors.Is(v, ErrInvalid) true.
func (v *Violation) Is(target error) bool { return target == ErrInvalid }
