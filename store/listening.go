package store

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// listenQuery reads messages of transactions before the oldest that still runs:
// nobody can write another one among them.
const listenQuery = `
	select m.transaction::text::bigint, m.seq, ` + messageColumns + ` from messages m
	where m.tenant_id = $1 and (m.transaction, m.seq) > ($2::text::xid8, $3)
		and m.transaction < pg_snapshot_xmin(pg_current_snapshot())
	order by m.transaction, m.seq limit $4`

// Present is the mark of this moment: what is written by transactions that have
// not ended is after it.
func (s *Store) Present(ctx context.Context, tenant busy.TenantID) (busy.Mark, error) {
	var m busy.Mark
	err := s.askOne(ctx, tenant, `select pg_snapshot_xmin(pg_current_snapshot())::text::bigint`, nil, &m.Transaction)
	return m, failed("read the present mark", err)
}

// Kept reports whether all that was written after the mark is still kept. It is
// not where a message may have been purged since, or the mark is of another
// database.
func (s *Store) Kept(ctx context.Context, tenant busy.TenantID, m busy.Mark) (bool, error) {
	var kept bool
	err := s.askOne(ctx, tenant, `
		select $2::text::xid8 < pg_snapshot_xmax(pg_current_snapshot())
			and exists (select from messages where tenant_id = $1 and (transaction, seq) <= ($2::text::xid8, $3))`,
		[]any{arg(tenant), argTransaction(m), m.Seq}, &kept)
	return kept, failed("look for the mark", err)
}

// Listen returns up to limit messages after the mark, in the order of their marks.
// What was written lately may come a moment late, but never before the last one of
// an earlier answer.
func (s *Store) Listen(ctx context.Context, tenant busy.TenantID, after busy.Mark, limit int) ([]busy.Heard, error) {
	var heard []busy.Heard
	err := s.In(ctx, tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, listenQuery, arg(tenant), argTransaction(after), after.Seq, limit)
		if err != nil {
			return failed("read messages", err)
		}
		heard, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (busy.Heard, error) {
			var h busy.Heard
			return h, row.Scan(append([]any{&h.Transaction, &h.Seq}, messageInto(&h.Message)...)...)
		})
		return failed("read messages", err)
	})
	return heard, err
}

// argTransaction is a mark's transaction as an argument of type text.
func argTransaction(m busy.Mark) string { return strconv.FormatInt(m.Transaction, 10) }
