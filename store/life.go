package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// locked is a live connection whose row, and whose calendars' rows, are locked.
type locked struct {
	id      busy.ConnectionID
	kind    busy.Kind
	state   busy.ConnectionState
	granted bool // there is a secret: an owner has consented
}

// lockConnection locks a live connection and its calendars, always in this order.
// From here on nobody holds a calendar's lock in a transaction of a run.
func (tx *Tx) lockConnection(ctx context.Context, id busy.ConnectionID) (locked, error) {
	c := locked{id: id}
	err := tx.QueryRow(ctx, `
		select kind, state, grant_sealed is not null from connections
		where tenant_id = $1 and id = $2 and state <> 'disconnected' for update`,
		arg(tx.Tenant), arg(id)).Scan((*string)(&c.kind), (*string)(&c.state), &c.granted)
	if err != nil {
		return locked{}, failed("find the connection", err)
	}
	_, err = tx.Exec(ctx, `
		select from calendars where tenant_id = $1 and connection_id = $2 order by id for update`, arg(tx.Tenant), arg(id))
	return c, failed("lock the connection's calendars", err)
}

// passage is a connection's going from one state into another.
type passage struct {
	kind     busy.Kind
	from, to busy.ConnectionState
}

// move is the one way from a state into another. In the state that it has, a
// connection gets the reason alone; one that waits, waits anew.
func (tx *Tx) move(ctx context.Context, c locked, to busy.ConnectionState, reason string, at time.Time) error {
	if c.state != to && !c.state.May(to) {
		return fmt.Errorf("a connection cannot go from %s to %s", c.state, to)
	}
	var resource busy.ResourceID
	err := tx.QueryRow(ctx, `
		update connections set state = $3, reason = $4, changed_at = case when state = $3 and $3 <> 'awaiting_admin' then changed_at else $5 end
		where tenant_id = $1 and id = $2 returning resource_id`,
		arg(tx.Tenant), arg(c.id), string(to), reason, micros(at)).Scan(into(&resource))
	if err != nil || c.state == to {
		return failed("change the connection's state", err)
	}
	tx.passed = append(tx.passed, passage{c.kind, c.state, to})
	return tx.tellState(ctx, c, to, busy.Message{At: at, Connection: c.id, Resource: resource})
}

// tellState tells the tenant's endpoints that a connection needs its owner, and
// that it is read again after that. A first consent that was waited for is no recovery.
func (tx *Tx) tellState(ctx context.Context, c locked, to busy.ConnectionState, m busy.Message) error {
	needs := func(s busy.ConnectionState) bool {
		return s == busy.ConnectionNeedsReconnect || s == busy.ConnectionAwaitingAdmin
	}
	switch {
	case needs(to) && !needs(c.state):
		m.Type = busy.ConnectionReconnectDue
	case needs(c.state) && to.Polled() && c.granted:
		m.Type = busy.ConnectionHasRecovered
	default:
		return nil
	}
	return tx.tell(ctx, m)
}

// judge has a connection that is read be degraded while one of its calendars keeps
// failing, and active else.
func (tx *Tx) judge(ctx context.Context, c locked, at time.Time) error {
	if !c.state.Polled() {
		return nil
	}
	var outcome string
	err := tx.QueryRow(ctx, `
		select outcome from calendars
		where tenant_id = $1 and connection_id = $2 and selected and failures >= $3
		order by failures desc, id limit 1`, arg(tx.Tenant), arg(c.id), busy.KeepsFailing).Scan(&outcome)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return tx.move(ctx, c, busy.ConnectionActive, "", at)
	case err != nil:
		return failed("judge the connection", err)
	default:
		return tx.move(ctx, c, busy.ConnectionDegraded, outcome, at)
	}
}

// start has a connection's selected calendars read at once; stop has none of them
// read. Either ends the runs that are under way.
const (
	startCalendars = `
		update calendars set epoch = epoch + 1, lease_until = null, due_at = case when selected then $3::timestamptz end
		where tenant_id = $1 and connection_id = $2`
	stopCalendars = `
		update calendars set epoch = epoch + 1, lease_until = null, due_at = null
		where tenant_id = $1 and connection_id = $2`
)

// Pause has nothing of a connection read until Resume. An ErrInvalid for one that
// is not read anyway, ErrNotFound for one that is disconnected.
func (s *Store) Pause(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, now time.Time) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		c, err := tx.lockConnection(ctx, id)
		if err != nil || c.state == busy.ConnectionPaused {
			return err
		}
		if !c.state.May(busy.ConnectionPaused) {
			return busy.Invalid("connection", "must be active or degraded to be paused: it is "+string(c.state))
		}
		if err := tx.move(ctx, c, busy.ConnectionPaused, "", now); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, stopCalendars, arg(tenant), arg(id))
		return failed("pause the calendars", err)
	})
}

// Resume has a paused connection read again, at once. An ErrInvalid for one that
// needs more than that, ErrNotFound for one that is disconnected.
func (s *Store) Resume(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, now time.Time) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		c, err := tx.lockConnection(ctx, id)
		if err != nil || c.state.Polled() {
			return err
		}
		if c.state != busy.ConnectionPaused {
			return busy.Invalid("connection", "must be paused to be resumed: it is "+string(c.state))
		}
		if err := tx.move(ctx, c, busy.ConnectionActive, "", now); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, startCalendars, arg(tenant), arg(id), micros(now))
		return failed("resume the calendars", err)
	})
}
