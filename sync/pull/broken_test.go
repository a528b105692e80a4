package pull_test

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestListingBrokenOff: a complete listing of a calendar that has grown breaks off,
// at whichever step, and then the calendar goes back to what it was. Nothing may
// be left of what was written, though the calendar is as the last cursor marks it.
func TestListingBrokenOff(t *testing.T) {
	town := newTown(t)
	for _, serverOf := range serverKinds {
		w := newWorld(t, town, serverOf, 0)
		t.Run(string(w.server.kind()), func(t *testing.T) {
			for step := 2; step <= 16; step++ {
				if err := brokenOff(w, step); err != nil {
					t.Errorf("broken off at step %d: %v", step, err)
				}
			}
		})
		w.leave()
	}
}

func brokenOff(w *world, step int) error {
	clearOut(w)
	w.read(newFate(lucky, 0, func() {}))
	for i := range 9 {
		w.put(&entry{name: fmt.Sprint("grown", i), zone: "Asia/Tokyo", start: at(24 * i), length: time.Hour, count: 1})
	}
	w.read(newFate(fails, step, func() {}))
	clearOut(w)
	return w.converge()
}

// clearOut deletes all that the owner has.
func clearOut(w *world) {
	for name := range w.owner.entries {
		w.server.remove(name)
		delete(w.owner.entries, name)
	}
}

// read lets a worker with this fate read the calendar.
func (w *world) read(f *fate) {
	w.pass(5 * time.Minute)
	task := w.wanted()[0]
	w.note("a worker reads; in %d steps it %s", f.steps, f.kind)
	if err := w.runner(f).Run(context.Background(), task); err != nil {
		w.note("  %v", err)
	}
	w.pass(2 * simLease)
}
