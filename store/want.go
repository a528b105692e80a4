package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// WantScope says which calendars to sync: those of a connection, one calendar,
// or, with neither, all of the tenant's.
type WantScope struct {
	Connection *busy.ConnectionID
	Calendar   *busy.CalendarID
	Full       bool // read them completely, whatever their cursors say
}

// Want asks for a sync now of the selected calendars in the scope whose
// connections are read, and returns their tasks, to be enqueued so that nobody
// waits for the sweep. A calendar that is being read is due again as soon as
// that run ends. ErrNotFound if the scope names what the tenant does not have.
func (s *Store) Want(ctx context.Context, tenant busy.TenantID, scope WantScope, now time.Time) ([]busy.Task, error) {
	var tasks []busy.Task
	err := s.In(ctx, tenant, func(tx *Tx) error {
		connection, calendar := scope.args()
		if err := tx.checkScope(ctx, connection, calendar); err != nil {
			return err
		}
		var err error
		tasks, err = tx.want(ctx, connection, calendar, busy.UrgencyWaiting, scope.Full, now)
		return err
	})
	return tasks, err
}

// want makes selected calendars of connections that are read due at now; NULL is any.
func (tx *Tx) want(ctx context.Context, connection, calendar *[16]byte, urgency busy.Urgency, full bool, now time.Time) ([]busy.Task, error) {
	rows, err := tx.Query(ctx, `
		with wanted as (
			select c.id from calendars c join connections n on n.tenant_id = c.tenant_id and n.id = c.connection_id
			where c.tenant_id = $1 and c.selected and n.state in ('active', 'degraded')
				and ($2::uuid is null or c.connection_id = $2) and ($3::uuid is null or c.id = $3)
			order by c.id for update of c
		)
		update calendars c
		set wanted = c.wanted + 1, wanted_at = $4, want_full = c.want_full or $5, urgency = $6,
			due_at = case when c.lease_until > $4 then c.due_at else least(c.due_at, $4) end
		from wanted where c.tenant_id = $1 and c.id = wanted.id
		returning c.id, c.epoch`, arg(tx.Tenant), connection, calendar, micros(now), full, string(urgency))
	if err != nil {
		return nil, failed("ask for a sync", err)
	}
	tasks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (busy.Task, error) {
		t := busy.Task{Tenant: tx.Tenant, Urgency: urgency}
		return t, row.Scan(into(&t.Calendar), &t.Epoch)
	})
	return tasks, failed("ask for a sync", err)
}

// args are the scope's ids as arguments; NULL is any.
func (w WantScope) args() (connection, calendar *[16]byte) {
	return (*[16]byte)(w.Connection), (*[16]byte)(w.Calendar)
}

func (tx *Tx) checkScope(ctx context.Context, connection, calendar *[16]byte) error {
	var ok bool
	err := tx.QueryRow(ctx, `
		select ($2::uuid is null or exists (select from connections where tenant_id = $1 and id = $2))
			and ($3::uuid is null or exists (select from calendars where tenant_id = $1 and id = $3
				and ($2::uuid is null or connection_id = $2)))`, arg(tx.Tenant), connection, calendar).Scan(&ok)
	if err == nil && !ok {
		err = busy.ErrNotFound
	}
	return failed("find what to sync", err)
}
