package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// Take begins a run: it raises the calendar's epoch, holds the calendar until
// now+lease and returns all that the run needs. ErrNotDue if the task is older
// than the calendar's last run, somebody else holds the calendar, or it is not
// selected or its connection is not read. It is one round trip.
func (s *Store) Take(ctx context.Context, t busy.Task, now time.Time, lease time.Duration) (busy.Work, error) {
	const query = `
		update calendars c
		set epoch = c.epoch + 1, taken_at = $4, lease_until = $5, due_at = $5, urgency = 'routine', wanted_taken = c.wanted
		from connections n, resources r, tenant_keys k
		where c.tenant_id = $1 and c.id = $2 and c.epoch = $3
			and c.selected and (c.lease_until is null or c.lease_until <= $4)
			and n.tenant_id = $1 and n.id = c.connection_id and n.state in ('active', 'degraded')
			and r.tenant_id = $1 and r.id = c.resource_id
			and k.tenant_id = $1
		returning c.epoch, c.resource_id, c.connection_id, n.kind, n.state, coalesce(nullif(c.zone, ''), r.zone),
			c.expanded_zone, c.full_at, c.want_full, c.wanted, c.suspicions,
			(select max(w.expires_at) from watches w
				where w.tenant_id = $1 and w.connection_id = c.connection_id and not w.ended
					and (w.calendar_id = c.id or w.calendar_id is null)),
			n.grant_sealed, c.remote_sealed, c.cursor_sealed, k.dek_id, k.kek_id, k.wrapped, ` + freshnessColumns
	now = micros(now)
	w := busy.Work{Lease: busy.Lease{Tenant: t.Tenant, Calendar: t.Calendar}}
	var sealed sealedWork
	err := s.askOne(ctx, t.Tenant, query, []any{arg(t.Tenant), arg(t.Calendar), t.Epoch, now, micros(now.Add(lease))},
		append(append([]any{
			&w.Epoch, into(&w.Resource), into(&w.Connection), (*string)(&w.Kind), (*string)(&w.Connected), &w.Zone,
			&w.Expanded, intoTime(&w.FullAt), &w.WantFull, &w.Wanted, &w.Suspicions, intoTime(&w.WatchedUntil),
			&sealed.grant, &sealed.remote, &sealed.cursor,
		}, sealed.key.columns()...), freshnessInto(&w.Freshness)...)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return busy.Work{}, failed("take the calendar", busy.ErrNotDue)
	}
	if err != nil {
		return busy.Work{}, failed("take the calendar", err)
	}
	if err := s.openWork(&w, sealed); err != nil {
		return busy.Work{}, failed("take the calendar", err)
	}
	return w, nil
}

// sealedWork is what a run needs to know and the database must not.
type sealedWork struct {
	grant, remote, cursor []byte
	key                   wrappedKey
}

func (s *Store) openWork(w *busy.Work, sealed sealedWork) error {
	box, err := s.unwrap(w.Tenant, sealed.key)
	if err != nil {
		return err
	}
	calendar, connection := string(w.Calendar[:]), string(w.Connection[:])
	grant, errGrant := box.Open(grantField, connection, sealed.grant)
	remote, errRemote := box.Open(remoteField, calendar, sealed.remote)
	w.Grant, w.Remote = grant, remote
	if sealed.cursor == nil {
		return errors.Join(errGrant, errRemote)
	}
	var errCursor error
	w.Cursor, errCursor = box.Open(cursorField, calendar, sealed.cursor)
	return errors.Join(errGrant, errRemote, errCursor)
}

// askOne runs a query that returns one row, as the tenant, in one round trip. Its
// errors are the driver's.
func (s *Store) askOne(ctx context.Context, tenant busy.TenantID, query string, args []any, into ...any) error {
	batch := &pgx.Batch{}
	batch.Queue(setTenant, tenant.String())
	batch.Queue(query, args...)
	results := s.app.SendBatch(ctx, batch)
	_, err := results.Exec()
	if err == nil {
		err = results.QueryRow().Scan(into...)
	}
	return errors.Join(err, results.Close())
}

// Renew holds the calendar until now+lease. ErrFenced. It is one round trip.
func (s *Store) Renew(ctx context.Context, l busy.Lease, now time.Time, lease time.Duration) error {
	const query = `
		update calendars set lease_until = $4, due_at = $4
		where tenant_id = $1 and id = $2 and epoch = $3 and lease_until is not null`
	until := micros(micros(now).Add(lease))
	return failed("renew the lease", s.bookkeep(ctx, l, query, until))
}

// bookkeep runs an update of the leased calendar in one round trip. A crash of
// the database within the next second may undo it: the lease then ends sooner or
// later than it did, which the epoch guards against.
func (s *Store) bookkeep(ctx context.Context, l busy.Lease, query string, args ...any) error {
	batch := &pgx.Batch{}
	batch.Queue(setTenant, l.Tenant.String())
	batch.Queue(`select set_config('synchronous_commit', 'off', true)`)
	batch.Queue(query, append([]any{arg(l.Tenant), arg(l.Calendar), l.Epoch}, args...)...)
	results := s.app.SendBatch(ctx, batch)
	_, errTenant := results.Exec()
	_, errCommit := results.Exec()
	tag, err := results.Exec()
	err = errors.Join(errTenant, errCommit, err, results.Close())
	if err == nil && tag.RowsAffected() == 0 {
		return busy.ErrFenced
	}
	return err
}

// releaseQuery ends a run. What was wanted while it was under way is due since.
const releaseQuery = `
	update calendars
	set lease_until = null,
		outcome = case when $4 = 'deferred' then outcome else $4 end,
		failures = case when $5 then 0 when $4 = 'deferred' then failures else failures + 1 end,
		as_of = coalesce($6, as_of),
		changed_at = case when $4 = 'changed' then coalesce($6, changed_at) else changed_at end,
		full_at = coalesce($7, full_at),
		suspicions = $8,
		want_full = want_full and ($7::timestamptz is null or wanted > wanted_taken),
		due_at = case when wanted > wanted_taken then wanted_at else coalesce($9, due_at) end
	where tenant_id = $1 and id = $2 and epoch = $3 and lease_until is not null`

func releaseArgs(r busy.Release) []any {
	succeeded := r.Outcome == busy.OutcomeUnchanged || r.Outcome == busy.OutcomeChanged
	return []any{
		string(r.Outcome), succeeded, argTime(r.AsOf), argTime(r.FullAt), r.Suspicions, argTime(r.DueAt),
	}
}

// Release ends a run; the lease is worth nothing afterwards. If the calendar was
// wanted meanwhile it is due at once, and else at r.DueAt (if that is zero, when
// the lease would have ended). With a state of the connection that is read, the
// connection is degraded or active afterwards, as all its calendars are; any other
// state ends the runs of its other calendars, and none of them is due until it is
// active again. ErrFenced. It is one round trip unless the connection's state is
// given.
func (s *Store) Release(ctx context.Context, l busy.Lease, r busy.Release) error {
	if r.Connection == "" {
		return failed("release the calendar", s.bookkeep(ctx, l, releaseQuery, releaseArgs(r)...))
	}
	return s.In(ctx, l.Tenant, func(tx *Tx) error { return tx.releaseConnection(ctx, l, r) })
}

func (tx *Tx) releaseConnection(ctx context.Context, l busy.Lease, r busy.Release) error {
	var connection busy.ConnectionID
	var began time.Time
	err := tx.QueryRow(ctx, `
		select connection_id, taken_at from calendars
		where tenant_id = $1 and id = $2 and epoch = $3 and lease_until is not null`,
		arg(l.Tenant), arg(l.Calendar), l.Epoch).Scan(into(&connection), intoTime(&began))
	if errors.Is(err, pgx.ErrNoRows) {
		return failed("release the calendar", busy.ErrFenced)
	}
	if err != nil {
		return failed("release the calendar", err)
	}
	c, err := tx.lockConnection(ctx, connection)
	if errors.Is(err, busy.ErrNotFound) {
		err = busy.ErrFenced
	}
	if err != nil {
		return failed("release the calendar", err)
	}
	tag, err := tx.Exec(ctx, releaseQuery, append([]any{arg(l.Tenant), arg(l.Calendar), l.Epoch}, releaseArgs(r)...)...)
	if err == nil && tag.RowsAffected() == 0 {
		err = busy.ErrFenced
	}
	if err != nil {
		return failed("release the calendar", err)
	}
	if r.Connection.Polled() {
		return tx.judge(ctx, c, began)
	}
	if err := tx.move(ctx, c, r.Connection, r.Reason, began); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, stopCalendars, arg(l.Tenant), arg(connection))
	return failed("release the calendar", err)
}
