package booking

import (
	"errors"

	"github.com/busyd/busyd/busy"
)

// Refusal is the error of a request that cannot be granted as it is.
type Refusal struct {
	Cause Cause
	// Alternatives are the nearest slots that can be had, by start: a few before
	// and a few after.
	Alternatives []Slot
	// Standings are those of the service's resources, to which the Resources of the
	// alternatives are indexes.
	Standings []Standing
}

func (r *Refusal) Error() string { return "refused: " + string(r.Cause) }

// What else a desk answers.
var (
	// ErrVersion: the booking is not the version that the caller has seen.
	ErrVersion = errors.New("the booking has changed")
	// ErrToken: the token is not that of the hold.
	ErrToken = errors.New("the token is not that of the hold")
	// ErrOver: the booking is cancelled, or the hold has expired.
	ErrOver = errors.New("the booking is over")
)

var errUnbuilt = errors.New("unbuilt")

var _ = busy.ErrTaken
