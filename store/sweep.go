package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// ClaimDue returns the tasks of up to limit calendars that are due, and puts them
// off until now+again: if a task gets lost, its calendar is claimed once more.
// Any number of sweeps may run at once; none gets what another one has.
//
// Tenants get equal shares of a batch, as far as they have that much to do. The
// batch is chosen from the longest overdue, four times as many; while one
// tenant's backlog fills even those, the other tenants are asked in turn, each
// batch going on where the last one stopped.
func (s *Store) ClaimDue(ctx context.Context, now time.Time, limit int, again time.Duration) ([]busy.Task, error) {
	if limit <= 0 {
		return nil, nil
	}
	now = micros(now)
	var turn busy.TenantID
	if last := s.turn.Load(); last != nil {
		turn = *last
	}
	rows, err := s.sweep.Query(ctx, claimQuery, now, limit, micros(now.Add(again)), arg(turn))
	if err != nil {
		return nil, failed("claim due calendars", err)
	}
	tasks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (busy.Task, error) {
		var t busy.Task
		var next *[16]byte
		err := row.Scan(into(&t.Tenant), into(&t.Calendar), &t.Epoch, (*string)(&t.Urgency), &next)
		s.turn.Store((*busy.TenantID)(next))
		return t, err
	})
	return tasks, failed("claim due calendars", err)
}

const claimQuery = `
	with recursive overdue as materialized (
		select tenant_id, id, due_at from calendars where due_at <= $1 order by due_at limit 4 * $2::bigint
	), visited (tenant_id, n) as (
		select $4::uuid, 0 where (select count(*) from overdue) = 4 * $2
		union all
		select (select c.tenant_id from calendars c
			where c.tenant_id > v.tenant_id and c.due_at is not null order by c.tenant_id limit 1), v.n + 1
		from visited v where v.tenant_id is not null and v.n < $2
	), candidates as (
		select * from overdue
		union
		select c.* from visited v cross join lateral (
			select tenant_id, id, due_at from calendars
			where tenant_id = v.tenant_id and due_at <= $1
			order by due_at limit (select 1 + $2 / count(*) from visited)
		) c
	), picked as materialized (
		select tenant_id, id from candidates
		order by row_number() over (partition by tenant_id order by due_at), due_at limit $2
	), locked as (
		select c.tenant_id, c.id from picked join calendars c using (tenant_id, id)
		where c.due_at <= $1
		for update of c skip locked
	)
	update calendars c set due_at = $3 from locked
	where c.tenant_id = locked.tenant_id and c.id = locked.id
	returning c.tenant_id, c.id, c.epoch, c.urgency, (select tenant_id from visited order by n desc limit 1)`

// Lag says how far behind the syncs are, over all tenants.
type Lag struct {
	Calendars int           // that are to be kept in sync
	Due       int           // of those, how many should have been looked at
	Greatest  time.Duration // for how long the worst of them has been due
	Total     time.Duration // and all of them together
	Pending   int           // calendars that were never read completely
	Oldest    time.Duration // since the oldest of the other calendars' last complete reading began
	Degraded  int           // calendars with events whose time is not fully known
	// States counts selected calendars by the state of their connection.
	States map[busy.ConnectionState]int
}

// Lag measures at now. It looks at every calendar: ask for it at most every few
// seconds.
func (s *Store) Lag(ctx context.Context, now time.Time) (Lag, error) {
	now = micros(now)
	lag := Lag{States: make(map[busy.ConnectionState]int)}
	rows, err := s.sweep.Query(ctx, `
		select n.state, count(*), count(c.due_at), count(*) filter (where c.due_at <= $1),
			coalesce(max(extract(epoch from $1 - c.due_at)) filter (where c.due_at <= $1), 0)::float8,
			coalesce(sum(extract(epoch from $1 - c.due_at)) filter (where c.due_at <= $1), 0)::float8,
			count(*) filter (where c.as_of is null), count(*) filter (where c.problems > 0), min(c.as_of)
		from calendars c join connections n on n.tenant_id = c.tenant_id and n.id = c.connection_id
		where c.selected
		group by n.state`, now)
	if err != nil {
		return Lag{}, failed("measure the lag", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := lag.add(rows, now); err != nil {
			return Lag{}, failed("measure the lag", err)
		}
	}
	return lag, failed("measure the lag", rows.Err())
}

func (l *Lag) add(rows pgx.Rows, now time.Time) error {
	var state busy.ConnectionState
	var selected, scheduled, due, pending, degraded int
	var greatest, total float64
	var oldest time.Time
	err := rows.Scan((*string)(&state), &selected, &scheduled, &due, &greatest, &total, &pending, &degraded, intoTime(&oldest))
	if err != nil {
		return err
	}
	l.States[state] += selected
	l.Calendars += scheduled
	l.Due += due
	l.Greatest = max(l.Greatest, time.Duration(greatest*float64(time.Second)))
	l.Total += time.Duration(total * float64(time.Second))
	l.Pending += pending
	l.Degraded += degraded
	if !oldest.IsZero() {
		l.Oldest = max(l.Oldest, now.Sub(oldest))
	}
	return nil
}
