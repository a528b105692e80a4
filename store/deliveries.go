package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

// ClaimDispatches returns dispatches for up to limit endpoints to which something
// is to be sent, and puts each endpoint off until now+again. Two callers never get
// the same endpoint. Tenants get equal shares. An endpoint is one dispatch, however
// much waits for it: what is looked at is the first that is due of each endpoint,
// found by going from one to the next in the index.
func (s *Store) ClaimDispatches(ctx context.Context, now time.Time, limit int, again time.Duration) ([]busy.Dispatch, error) {
	rows, err := s.sweep.Query(ctx, dispatchQuery, micros(now), limit, micros(now.Add(again)))
	if err != nil {
		return nil, failed("claim endpoints", err)
	}
	dispatches, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (busy.Dispatch, error) {
		var d busy.Dispatch
		return d, row.Scan(into(&d.Tenant), into(&d.Endpoint), &d.Epoch)
	})
	return dispatches, failed("claim endpoints", err)
}

const dispatchQuery = `
	with recursive waiting (tenant_id, endpoint_id, due_at) as (
		(select tenant_id, endpoint_id, due_at from deliveries where due_at is not null
			order by tenant_id, endpoint_id, due_at limit 1)
		union all
		select d.* from waiting w cross join lateral (
			select tenant_id, endpoint_id, due_at from deliveries
			where due_at is not null and (tenant_id, endpoint_id) > (w.tenant_id, w.endpoint_id)
			order by tenant_id, endpoint_id, due_at limit 1
		) d
	), picked as materialized (
		select e.tenant_id, e.id from waiting w join endpoints e on e.tenant_id = w.tenant_id and e.id = w.endpoint_id
		where w.due_at <= $1 and e.due_at <= $1 and e.disabled_at is null
		order by row_number() over (partition by e.tenant_id order by w.due_at), w.due_at limit $2
	), locked as (
		select e.tenant_id, e.id from picked join endpoints e using (tenant_id, id)
		where e.due_at <= $1 and e.disabled_at is null
		for update of e skip locked
	)
	update endpoints e set due_at = $3 from locked
	where e.tenant_id = locked.tenant_id and e.id = locked.id
	returning e.tenant_id, e.id, e.epoch`

// TakeEndpoint begins a round: it raises the endpoint's epoch and keeps others
// away until now+lease. ErrNotDue if the dispatch is older than the endpoint's last
// round, or the endpoint is disabled or removed.
func (s *Store) TakeEndpoint(ctx context.Context, d busy.Dispatch, now time.Time, lease time.Duration) (busy.Round, error) {
	round := busy.Round{Dispatch: d}
	err := s.In(ctx, d.Tenant, func(tx *Tx) error {
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		var address, secret, previous []byte
		err = tx.QueryRow(ctx, `
			update endpoints set epoch = epoch + 1, due_at = $5
			where tenant_id = $1 and id = $2 and epoch = $3 and disabled_at is null
			returning epoch, url_sealed, secret_sealed, case when previous_until > $4 then previous_sealed end,
				failures, failing_since, code`,
			arg(d.Tenant), arg(d.Endpoint), d.Epoch, micros(now), micros(now.Add(lease))).
			Scan(&round.Epoch, &address, &secret, &previous, &round.Failures, intoTime(&round.FailingSince), &round.Code)
		if errors.Is(err, pgx.ErrNoRows) {
			return failed("take the endpoint", busy.ErrNotDue)
		}
		if err != nil {
			return failed("take the endpoint", err)
		}
		return openRound(box, &round, address, secret, previous)
	})
	if errors.Is(err, busy.ErrNotFound) { // the tenant is being deleted
		err = failed("take the endpoint", busy.ErrNotDue)
	}
	if err != nil {
		return busy.Round{}, err
	}
	return round, nil
}

func openRound(box *seal.Box, round *busy.Round, address, secret, previous []byte) error {
	id := string(round.Endpoint[:])
	plain, err := box.Open(urlField, id, address)
	if err != nil {
		return err
	}
	round.URL = plain
	for _, sealed := range [][]byte{secret, previous} {
		if sealed == nil {
			continue
		}
		plain, err := box.Open(secretField, id, sealed)
		if err != nil {
			return err
		}
		round.Secrets = append(round.Secrets, plain)
	}
	return nil
}

// Waiting returns up to limit messages that are due for the endpoint, the longest
// overdue first.
func (s *Store) Waiting(ctx context.Context, d busy.Dispatch, now time.Time, limit int) ([]busy.Delivery, error) {
	var waiting []busy.Delivery
	err := s.In(ctx, d.Tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, `
			select d.seq, d.attempts, `+messageColumns+`
			from deliveries d join messages m on m.tenant_id = $1 and m.seq = d.seq
			where d.tenant_id = $1 and d.endpoint_id = $2 and d.due_at <= $3
			order by d.due_at, d.seq limit $4`, arg(d.Tenant), arg(d.Endpoint), micros(now), limit)
		if err != nil {
			return failed("read what waits for the endpoint", err)
		}
		waiting, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (busy.Delivery, error) {
			var w busy.Delivery
			return w, row.Scan(append([]any{&w.Seq, &w.Attempts}, messageInto(&w.Message)...)...)
		})
		return failed("read what waits for the endpoint", err)
	})
	return waiting, err
}

// Delivered notes that a message arrived. If the database crashes within the next
// second, the message may be sent once more.
func (s *Store) Delivered(ctx context.Context, d busy.Dispatch, seq int64) error {
	return failed("note a delivery", s.note(ctx, d.Tenant, `
		delete from deliveries where tenant_id = $1 and endpoint_id = $2 and seq = $3`, arg(d.Tenant), arg(d.Endpoint), seq))
}

// Undelivered notes that an attempt failed, and when to make the next one; zero:
// never, unless somebody asks for a replay.
func (s *Store) Undelivered(ctx context.Context, d busy.Dispatch, seq int64, next time.Time) error {
	return failed("note an attempt", s.note(ctx, d.Tenant, `
		update deliveries set attempts = attempts + 1, due_at = $4
		where tenant_id = $1 and endpoint_id = $2 and seq = $3 and due_at is not null`,
		arg(d.Tenant), arg(d.Endpoint), seq, argTime(next)))
}

// note runs a statement of bookkeeping in one round trip.
func (s *Store) note(ctx context.Context, tenant busy.TenantID, query string, args ...any) error {
	batch := &pgx.Batch{}
	batch.Queue(setTenant, tenant.String())
	batch.Queue(`select set_config('synchronous_commit', 'off', true)`)
	batch.Queue(query, args...)
	return s.app.SendBatch(ctx, batch).Close()
}

// EndRound ends a round and says what becomes of the endpoint. What waits for one
// that is disabled is given up, and can be replayed. ErrFenced if somebody else has
// taken the endpoint, or it was replayed, disabled or removed.
func (s *Store) EndRound(ctx context.Context, d busy.Dispatch, end busy.RoundEnd, now time.Time) error {
	return s.In(ctx, d.Tenant, func(tx *Tx) error {
		var disabled time.Time
		if end.Disabled != "" {
			disabled = micros(now)
		}
		tag, err := tx.Exec(ctx, `
			update endpoints
			set due_at = $4, failures = $5, failing_since = $6, code = $7, disabled_at = $8, reason = $9
			where tenant_id = $1 and id = $2 and epoch = $3 and disabled_at is null`,
			arg(d.Tenant), arg(d.Endpoint), d.Epoch, micros(end.DueAt), end.Failures, argTime(end.FailingSince), end.Code,
			argTime(disabled), end.Disabled)
		if err == nil && tag.RowsAffected() == 0 {
			err = busy.ErrFenced
		}
		if err != nil || end.Disabled == "" {
			return failed("end a round", err)
		}
		_, err = tx.Exec(ctx, `
			update deliveries set due_at = null where tenant_id = $1 and endpoint_id = $2 and due_at is not null`,
			arg(d.Tenant), arg(d.Endpoint))
		return failed("give up what waits", err)
	})
}

// Backlog is what has not arrived at endpoints, over all tenants.
type Backlog struct {
	Waiting  int           // messages that are still to be sent
	Oldest   time.Duration // since the oldest of them was written
	Disabled int           // endpoints
}

// Backlog measures at now. It looks at every message that waits: ask for it at most
// every few seconds.
func (s *Store) Backlog(ctx context.Context, now time.Time) (Backlog, error) {
	var b Backlog
	var oldest time.Time
	err := s.sweep.QueryRow(ctx, `
		select count(*), min(created_at), (select count(*) from endpoints where disabled_at is not null)
		from deliveries where due_at is not null`).Scan(&b.Waiting, intoTime(&oldest), &b.Disabled)
	if err == nil && !oldest.IsZero() {
		b.Oldest = max(0, now.Sub(oldest))
	}
	return b, failed("measure what waits for endpoints", err)
}

// Of the messages m, as messageInto reads them.
const messageColumns = `m.id, m.type, m.at, m.booking_id, m.resource_id, m.connection_id, m.starts_at, m.ends_at`

func messageInto(m *busy.Message) []any {
	return []any{
		into(&m.ID), (*string)(&m.Type), intoTime(&m.At), &m.Booking, &m.Resource, &m.Connection,
		intoTime(&m.Span.Start), intoTime(&m.Span.End),
	}
}
