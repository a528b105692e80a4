package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// readForExpansion reads, in one round trip, the stored blocks of the touched
// series, the events of them that the page does not bring, and ids for new rows.
func (a *application) readForExpansion(ctx context.Context) error {
	batch := &pgx.Batch{}
	a.queueOldBlocks(batch)
	events := a.queueEventsNeeded(batch)
	a.queueIDs(batch)
	if batch.Len() == 0 {
		return nil
	}
	if err := a.tx.SendBatch(ctx, batch).Close(); err != nil {
		return failed("read the series", err)
	}
	for _, e := range a.rows {
		if e.event == nil && e.id != 0 {
			e.event = events[e.id]
		}
	}
	return nil
}

func (a *application) queueEventsNeeded(batch *pgx.Batch) map[int64]*busy.Event {
	events := make(map[int64]*busy.Event)
	var keys [][]byte
	for _, of := range a.series {
		if !of.touched {
			continue
		}
		for _, e := range of.rows {
			if e.fate == kept && e.event == nil && e.known() {
				keys = append(keys, e.key[:])
			}
		}
	}
	switch {
	case len(keys) == 0:
	case a.page.Reexpand:
		a.tx.readEvents(batch, a.lease.Calendar, nil, events)
	default:
		a.tx.readEvents(batch, a.lease.Calendar, keys, events)
	}
	return events
}

// known reports whether more than a key is known.
func (r *row) known() bool { return r.content != [16]byte{} }

func (a *application) queueIDs(batch *pgx.Batch) {
	var fresh []*entry
	for _, e := range a.rows {
		if e.fate == inserted {
			fresh = append(fresh, e)
		}
	}
	if len(fresh) == 0 {
		return
	}
	batch.Queue(`select nextval('events_id_seq') from generate_series(1, $1)`, len(fresh)).Query(func(rows pgx.Rows) error {
		for n := 0; rows.Next() && n < len(fresh); n++ {
			if err := rows.Scan(&fresh[n].id); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// expand computes what the blocks of the touched series must be.
func (a *application) expand(ctx context.Context, expand busy.Expand) error {
	var stored map[int64][]block // by event, made when first needed
	for _, of := range a.series {
		if !of.touched {
			continue
		}
		rows, events := a.expandable(of)
		if len(rows) == 0 {
			continue
		}
		occurrences, err := expand(ctx, events)
		problem := expansionProblem(err)
		if err != nil && problem == busy.ProblemNone {
			return failed("expand a series", err)
		}
		for _, e := range rows {
			e.expansion = problem
		}
		for _, o := range occurrences {
			if o.Event < 0 || o.Event >= len(rows) {
				return failed("expand a series", errors.New("an occurrence names no event of its series"))
			}
			a.addBlocks(rows[o.Event].id, o)
		}
		if problem != busy.ProblemNone {
			if stored == nil {
				stored = a.oldByEvent()
			}
			a.keepBlocks(of, rows, stored)
		}
	}
	return nil
}

// expandable returns the rows of a series of which something is known, with their
// events under the names that the database knows them by.
func (a *application) expandable(of *series) ([]*entry, []busy.Event) {
	rows := make([]*entry, 0, len(of.rows))
	events := make([]busy.Event, 0, len(of.rows))
	for _, e := range of.rows {
		if e.fate == removed || e.event == nil {
			continue
		}
		event := *e.event
		event.Key, event.Series = string(e.key[:]), string(e.series[:])
		rows, events = append(rows, e), append(events, event)
	}
	return rows, events
}

func expansionProblem(err error) busy.Problem {
	switch {
	case errors.Is(err, busy.ErrBudget):
		return busy.ProblemBudget
	case errors.Is(err, busy.ErrRule):
		return busy.ProblemBadRule
	default:
		return busy.ProblemNone
	}
}

// keepBlocks lets what was stored of a series stand. The blocks of a row that is
// removed go to the first that stays.
func (a *application) keepBlocks(of *series, rows []*entry, stored map[int64][]block) {
	for _, e := range of.rows {
		heir := e.id
		if e.fate == removed {
			heir = rows[0].id
		}
		for _, b := range stored[e.id] {
			b.event = heir
			a.fresh = appendClipped(a.fresh, b, a.page.Window)
		}
	}
}
