package recur

import (
	"context"

	"github.com/busyd/busyd/busy"
)

// Bounds of one expansion. A calendar within reason stays far below them: every
// five minutes for two months are 20,000 occurrences.
const (
	// MaxSteps bounds the days and periods looked at.
	MaxSteps = 1 << 19
	// MaxOccurrences bounds the occurrences of a series within a window.
	MaxOccurrences = 20_000
)

// budget is what an expansion may still spend. Once it is used up, it stays so.
type budget struct {
	ctx   context.Context
	steps int
	room  int // for instances
	spent int // since the context was last asked
	err   error
}

// often is how many steps may pass before the context is asked again.
const often = 4096

// step spends n steps and reports whether there were as many.
func (b *budget) step(n int) bool {
	if b.err != nil {
		return false
	}
	b.steps -= n
	if b.steps < 0 {
		b.err = busy.ErrBudget
		return false
	}
	if b.spent += n; b.spent < often {
		return true
	}
	b.spent = 0
	b.err = b.ctx.Err()
	return b.err == nil
}

// instance spends the room for one instance and reports whether there was any.
func (b *budget) instance() bool {
	if b.err != nil {
		return false
	}
	if b.room--; b.room < 0 {
		b.err = busy.ErrBudget
	}
	return b.err == nil
}
