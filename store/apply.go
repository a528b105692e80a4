package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// Apply writes a page of a run in one transaction: events, the blocks that expand
// computes from them, and the cursor, together or not at all. It writes the
// difference to what is stored, and nothing where there is none. ErrFenced.
//
// An error of expand other than ErrBudget and ErrRule ends it. With one of these
// the series' blocks are those that expand returned and those that were stored
// before, and its events have a problem: nothing becomes free because a rule
// could not be followed.
func (s *Store) Apply(ctx context.Context, l busy.Lease, p busy.Page, expand busy.Expand) (busy.Tally, error) {
	if p.Window.Empty() {
		return busy.Tally{}, busy.Invalid("window", "must not be empty")
	}
	var tally busy.Tally
	err := s.In(ctx, l.Tenant, func(tx *Tx) error {
		m, err := tx.readMirror(ctx, l)
		if err != nil {
			return err
		}
		a := newApplication(tx, l, p, m)
		if err := a.readRows(ctx); err != nil {
			return err
		}
		a.compareEvents()
		if err := a.readForExpansion(ctx); err != nil {
			return err
		}
		if err := a.expand(ctx, expand); err != nil {
			return err
		}
		tally, err = a.write(ctx)
		return err
	})
	if err != nil {
		return busy.Tally{}, err
	}
	return tally, nil
}

// write writes the difference. Its first statement compares the epoch and locks
// the calendar's row.
func (a *application) write(ctx context.Context) (busy.Tally, error) {
	blocks := a.compareBlocks()
	next := a.mirror.advance(a.page, blocks.changed(), a.mirror.problems+a.newProblems())
	tally := busy.Tally{Events: a.changedEvents(), Blocks: blocks.count, Problems: next.problems}
	events := a.eventWrites()
	if !blocks.changed() && !events.changed() && next.equal(a.mirror) {
		return tally, nil
	}
	if err := a.tx.writeMirror(ctx, a.lease, &next); err != nil {
		return busy.Tally{}, err
	}
	// Bookings: lock the resource here, before blocks change, and flag conflicts
	// at the end, after they have.
	if err := a.insertEvents(ctx, events.insert); err != nil {
		return busy.Tally{}, err
	}
	batch := &pgx.Batch{}
	if err := a.queueEvents(batch, events); err != nil {
		return busy.Tally{}, err
	}
	a.queueBlocks(batch, blocks)
	if batch.Len() == 0 {
		return tally, nil
	}
	return tally, failed("write a page", a.tx.SendBatch(ctx, batch).Close())
}
