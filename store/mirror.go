package store

import (
	"bytes"
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

// mirror is what a calendar's row says of how far the calendar has been read.
type mirror struct {
	box      *seal.Box
	resource busy.ResourceID
	cursor   []byte // opened; nil: none
	covered  busy.Span
	zone     string // in which the blocks were computed
	problems int

	ignoreTentative, ignoreAllDay bool
}

// readMirror reads the leased calendar's row. ErrFenced. It takes no lock: only
// the holder of the lease writes, and whoever ends a lease raises the epoch,
// which is compared once more when something is written.
func (tx *Tx) readMirror(ctx context.Context, l busy.Lease) (*mirror, error) {
	m := &mirror{}
	var key wrappedKey
	var cursor []byte
	err := tx.QueryRow(ctx, `
		select c.resource_id, c.cursor_sealed, c.covered_from, c.covered_to, c.expanded_zone, c.problems,
			c.ignore_tentative, c.ignore_all_day, k.dek_id, k.kek_id, k.wrapped
		from calendars c join tenant_keys k on k.tenant_id = c.tenant_id
		where c.tenant_id = $1 and c.id = $2 and c.epoch = $3 and c.lease_until is not null`,
		arg(l.Tenant), arg(l.Calendar), l.Epoch).
		Scan(append([]any{
			into(&m.resource), &cursor, intoTime(&m.covered.Start), intoTime(&m.covered.End), &m.zone, &m.problems,
			&m.ignoreTentative, &m.ignoreAllDay,
		}, key.columns()...)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, failed("read the calendar", busy.ErrFenced)
	}
	if err != nil {
		return nil, failed("read the calendar", err)
	}
	if m.box, err = tx.store.unwrap(tx.Tenant, key); err != nil {
		return nil, err
	}
	if cursor != nil {
		m.cursor, err = m.box.Open(cursorField, string(l.Calendar[:]), cursor)
	}
	return m, err
}

// advance returns the mirror after a page. What is covered is where the blocks of
// every series are kept: a page that computes only some of them anew, in another
// window, leaves what both windows have in common.
func (m *mirror) advance(p busy.Page, blocksChanged bool, problems int) mirror {
	next := *m
	next.problems = problems
	if p.Cursor != nil {
		next.cursor = p.Cursor
	}
	window := busy.Span{Start: micros(p.Window.Start), End: micros(p.Window.End)}
	first := m.covered.Start.IsZero()
	switch {
	case first || p.Reexpand:
		next.covered, next.zone = window, p.Zone
	case blocksChanged:
		next.covered = m.covered.Intersect(window)
		if next.covered.Empty() {
			next.covered = busy.Span{Start: window.Start, End: window.Start}
		}
	}
	return next
}

func (m *mirror) equal(o *mirror) bool {
	return m.covered == o.covered && m.zone == o.zone && m.problems == o.problems &&
		bytes.Equal(m.cursor, o.cursor) && (m.cursor == nil) == (o.cursor == nil)
}

// writeMirror writes the row and locks it until the transaction ends. ErrFenced.
func (tx *Tx) writeMirror(ctx context.Context, l busy.Lease, m *mirror) error {
	var cursor []byte
	if m.cursor != nil {
		var err error
		if cursor, err = m.box.Seal(cursorField, string(l.Calendar[:]), m.cursor); err != nil {
			return err
		}
	}
	tag, err := tx.Exec(ctx, `
		update calendars
		set cursor_sealed = $4, covered_from = $5, covered_to = $6, expanded_zone = $7, problems = $8
		where tenant_id = $1 and id = $2 and epoch = $3 and lease_until is not null`,
		arg(l.Tenant), arg(l.Calendar), l.Epoch, cursor, argTime(m.covered.Start), argTime(m.covered.End), m.zone, m.problems)
	if err == nil && tag.RowsAffected() == 0 {
		err = busy.ErrFenced
	}
	return failed("write the calendar", err)
}
