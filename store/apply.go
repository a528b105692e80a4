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
	if a.agendaChanges(blocks, &next) {
		if err := a.tx.bump(ctx, a.mirror.resource); err != nil {
			return busy.Tally{}, err
		}
	}
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
	if err := a.tx.SendBatch(ctx, batch).Close(); err != nil {
		return busy.Tally{}, failed("write a page", err)
	}
	return tally, a.tellBlocks(ctx, blocks)
}

// agendaChanges reports whether the resource's agenda says something else after
// the page: another time is taken, known or doubtful.
func (a *application) agendaChanges(w blockWrites, next *mirror) bool {
	return w.changed() || next.covered != a.mirror.covered || next.problems != a.mirror.problems
}

// tellBlocks says which time the page has taken or freed, and flags the bookings on
// which a block has landed. They are those that were committed before the resource
// was locked; whoever is later decides on the page's blocks.
func (a *application) tellBlocks(ctx context.Context, w blockWrites) error {
	if !w.changed() {
		return nil
	}
	changed := w.span()
	if err := a.tx.flagConflicts(ctx, a.mirror.resource, changed, a.page.At); err != nil {
		return err
	}
	return a.tx.tellAvailability(ctx, a.mirror.resource, changed, a.page.At)
}
