package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// KeepStreams prolongs the listening of a process until then, and returns what it
// still has to listen to: not what it lost because it kept silent for too long, or
// because the connection is not read any more or got another grant.
func (s *Store) KeepStreams(ctx context.Context, by busy.ListenerID, now, until time.Time) ([]busy.Stream, error) {
	// A connection that somebody has locked stays as it is until the next time.
	rows, err := s.sweep.Query(ctx, `
		with mine as (
			select tenant_id, id from connections
			where kind = 'ews' and listened_until > $2 and listener = $1 and state in ('active', 'degraded')
		), free as (
			select c.tenant_id, c.id from mine join connections c using (tenant_id, id) for update of c skip locked
		), kept as (
			update connections c set listened_until = $3 from free where c.tenant_id = free.tenant_id and c.id = free.id
		)
		select tenant_id, id from mine`, arg(by), micros(now), micros(until))
	return collectStreams(rows, err, "keep listening")
}

// ClaimStreams returns up to limit connections that nobody listens to, which the
// process does now, until then. Any number of processes may claim at once.
func (s *Store) ClaimStreams(ctx context.Context, by busy.ListenerID, now, until time.Time, limit int) ([]busy.Stream, error) {
	rows, err := s.sweep.Query(ctx, `
		with free as (
			select tenant_id, id from connections
			where kind = 'ews' and state in ('active', 'degraded') and (listened_until is null or listened_until <= $2)
			limit $4 for update skip locked
		)
		update connections c set listener = $1, listened_until = $3 from free
		where c.tenant_id = free.tenant_id and c.id = free.id
		returning c.tenant_id, c.id`, arg(by), micros(now), micros(until), limit)
	return collectStreams(rows, err, "claim what to listen to")
}

func collectStreams(rows pgx.Rows, err error, what string) ([]busy.Stream, error) {
	if err != nil {
		return nil, failed(what, err)
	}
	streams, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (busy.Stream, error) {
		var f busy.Stream
		return f, row.Scan(into(&f.Tenant), into(&f.Connection))
	})
	return streams, failed(what, err)
}

// ReleaseStreams leaves all that the process listens to to others.
func (s *Store) ReleaseStreams(ctx context.Context, by busy.ListenerID) error {
	_, err := s.sweep.Exec(ctx, `
		update connections set listener = null, listened_until = null
		where kind = 'ews' and listened_until is not null and listener = $1`, arg(by))
	return failed("stop listening", err)
}

// StreamGrant returns the grant to listen with. ErrFenced if the connection is
// disconnected.
func (s *Store) StreamGrant(ctx context.Context, f busy.Stream) (busy.Secret, error) {
	var grant busy.Secret
	err := s.In(ctx, f.Tenant, func(tx *Tx) (err error) {
		grant, err = tx.lockGrant(ctx, f.Connection)
		return err
	})
	return grant, err
}

// Streamed takes in that something has changed in the connection: its calendars are
// due, and their tasks are returned. There are none if it is not read.
func (s *Store) Streamed(ctx context.Context, f busy.Stream, now time.Time) ([]busy.Task, error) {
	var tasks []busy.Task
	err := s.In(ctx, f.Tenant, func(tx *Tx) (err error) {
		tasks, err = tx.want(ctx, (*[16]byte)(&f.Connection), nil, busy.UrgencyPushed, false, now)
		return err
	})
	return tasks, err
}
