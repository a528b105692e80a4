package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

const connectionColumns = `n.id, n.resource_id, n.kind, n.state, n.reason, n.created_at, n.changed_at`

// Where a datum is sealed; part of what it is sealed with.
const (
	grantField   = "connections.grant"
	remoteField  = "calendars.remote"
	nameField    = "calendars.name"
	cursorField  = "calendars.cursor"
	subjectField = "events.subject"
)

// CreateConnection makes a connection and its calendars, of which the selected
// ones are due at once. ErrNotFound if the tenant has no such resource,
// ErrExists if two calendars are the same.
func (s *Store) CreateConnection(ctx context.Context, tenant busy.TenantID, c busy.NewConnection, now time.Time,
) (busy.Connection, []busy.Calendar, error) {
	now = micros(now)
	id, err := busy.NewID[busy.Connection](s.random)
	if err != nil {
		return busy.Connection{}, nil, err
	}
	connection := busy.Connection{
		ID: id, Resource: c.Resource, Kind: c.Kind, State: busy.ConnectionActive, CreatedAt: now, ChangedAt: now,
	}
	var calendars []busy.Calendar
	err = s.In(ctx, tenant, func(tx *Tx) error {
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		grant, err := box.Seal(grantField, string(id[:]), c.Grant)
		if err != nil {
			return err
		}
		account, err := s.markAccount(box, connection, c.Account)
		if err != nil {
			return err
		}
		if err := tx.checkPlan(ctx); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(`
			insert into connections (tenant_id, id, resource_id, kind, state, grant_sealed, account_sealed, account_hash, created_at,
				changed_at)
			values ($1, $2, $3, $4, $5, $6, $8, $9, $7, $7)`,
			arg(tenant), arg(id), arg(c.Resource), string(c.Kind), string(connection.State), grant, now, account.sealed, account.hash)
		for _, found := range c.Calendars {
			calendar, err := tx.queueCalendar(batch, box, connection, found, now)
			if err != nil {
				return err
			}
			calendars = append(calendars, calendar)
		}
		return failed("create the connection", tx.SendBatch(ctx, batch).Close())
	})
	if err != nil {
		return busy.Connection{}, nil, err
	}
	return connection, calendars, nil
}

// checkPlan is an ErrInvalid if the tenant's plan does not include calendars. It
// keeps the plan as it is until the transaction ends.
func (tx *Tx) checkPlan(ctx context.Context) error {
	var downgraded bool
	err := tx.QueryRow(ctx, `select downgraded_at is not null from tenants where id = $1 for share`, arg(tx.Tenant)).Scan(&downgraded)
	if err == nil && downgraded {
		return busy.Invalid("tenant", "is downgraded, and its plan includes no calendars: upgrade it first")
	}
	return failed("read the tenant's plan", err)
}

// Connections lists the tenant's connections, oldest first, disconnected ones too.
func (s *Store) Connections(ctx context.Context, tenant busy.TenantID) ([]busy.Connection, error) {
	var connections []busy.Connection
	err := s.In(ctx, tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, `
			select `+connectionColumns+` from connections n where n.tenant_id = $1 order by n.created_at, n.id`, arg(tenant))
		if err != nil {
			return failed("list connections", err)
		}
		connections, err = pgx.CollectRows(rows, scanConnection)
		return failed("list connections", err)
	})
	return connections, err
}

// Connection returns one connection. ErrNotFound.
func (s *Store) Connection(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID) (busy.Connection, error) {
	var connection busy.Connection
	err := s.In(ctx, tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, `
			select `+connectionColumns+` from connections n where n.tenant_id = $1 and n.id = $2`, arg(tenant), arg(id))
		if err != nil {
			return failed("find the connection", err)
		}
		connection, err = pgx.CollectExactlyOneRow(rows, scanConnection)
		return failed("find the connection", err)
	})
	return connection, err
}

func scanConnection(row pgx.CollectableRow) (busy.Connection, error) {
	var c busy.Connection
	err := row.Scan(into(&c.ID), into(&c.Resource), (*string)(&c.Kind), (*string)(&c.State), &c.Reason,
		intoTime(&c.CreatedAt), intoTime(&c.ChangedAt))
	return c, err
}

// ReplaceGrant reconnects: the connection is active again and its selected
// calendars are due at once. ErrNotFound, also for one that was disconnected.
func (s *Store) ReplaceGrant(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, grant busy.Secret,
	now time.Time,
) error {
	now = micros(now)
	return s.In(ctx, tenant, func(tx *Tx) error {
		if err := tx.lockConnection(ctx, id); err != nil {
			return err
		}
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		sealed, err := box.Seal(grantField, string(id[:]), grant)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(`
			update connections set grant_sealed = $3, state = 'active', reason = '',
				changed_at = case when state = 'active' then changed_at else $4 end
			where tenant_id = $1 and id = $2`, arg(tenant), arg(id), sealed, now)
		// A run with the old grant is over.
		batch.Queue(`
			update calendars set epoch = epoch + 1, lease_until = null, due_at = case when selected then $3::timestamptz end
			where tenant_id = $1 and connection_id = $2`, arg(tenant), arg(id), now)
		// What the old grant's watches are worth is not known: the runs make others.
		batch.Queue(`
			update watches set expires_at = least(expires_at, $3) where tenant_id = $1 and connection_id = $2`,
			arg(tenant), arg(id), now)
		return failed("replace the grant", tx.SendBatch(ctx, batch).Close())
	})
}

// Await notes that a live connection waits for the owner's organisation: none of
// its calendars is read until it is reconnected. One that is active stays so: its
// grant is good until a run finds otherwise. ErrNotFound.
func (s *Store) Await(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, now time.Time) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		if err := tx.lockConnection(ctx, id); err != nil {
			return err
		}
		// None of its calendars is due or being read: it was not active before.
		_, err := tx.Exec(ctx, `
			update connections set state = 'awaiting_admin', reason = 'admin_consent', changed_at = $3
			where tenant_id = $1 and id = $2 and state <> 'active'`, arg(tenant), arg(id), micros(now))
		return failed("wait for the organisation's consent", err)
	})
}

// Disconnect is final. When it returns, the connection's secret, calendars,
// events and blocks are gone, and whoever was reading it can write nothing more.
// With farewell, the provider has to be told: what that takes is left, sealed, as
// a farewell that is due. It is no error if the connection is disconnected
// already. ErrNotFound.
func (s *Store) Disconnect(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, farewell bool, now time.Time) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		if err := tx.lockConnection(ctx, id); err != nil {
			if connectionGone(ctx, tx, id) {
				return nil
			}
			return err
		}
		batch := &pgx.Batch{}
		if farewell {
			if err := tx.queueFarewell(ctx, batch, id, now); err != nil {
				return err
			}
		}
		batch.Queue(`delete from watches where tenant_id = $1 and connection_id = $2`, arg(tenant), arg(id))
		batch.Queue(`delete from consents where tenant_id = $1 and connection_id = $2`, arg(tenant), arg(id))
		batch.Queue(`
			delete from weeks b using calendars c
			where c.tenant_id = $1 and c.connection_id = $2
				and b.tenant_id = $1 and b.resource_id = c.resource_id and b.calendar_id = c.id`, arg(tenant), arg(id))
		batch.Queue(`
			delete from events e using calendars c
			where c.tenant_id = $1 and c.connection_id = $2 and e.tenant_id = $1 and e.calendar_id = c.id`, arg(tenant), arg(id))
		batch.Queue(`delete from calendars where tenant_id = $1 and connection_id = $2`, arg(tenant), arg(id))
		batch.Queue(`
			update connections set state = 'disconnected', reason = '', grant_sealed = null, account_sealed = null,
				account_hash = null, changed_at = $3
			where tenant_id = $1 and id = $2`, arg(tenant), arg(id), micros(now))
		return failed("disconnect", tx.SendBatch(ctx, batch).Close())
	})
}

// lockConnection locks a live connection and its calendars, always in this order.
// From here on nobody holds a calendar's lock in a transaction of a run.
func (tx *Tx) lockConnection(ctx context.Context, id busy.ConnectionID) error {
	tag, err := tx.Exec(ctx, `
		select from connections where tenant_id = $1 and id = $2 and state <> 'disconnected' for update`,
		arg(tx.Tenant), arg(id))
	if err != nil {
		return failed("lock the connection", err)
	}
	if tag.RowsAffected() == 0 {
		return failed("find the connection", busy.ErrNotFound)
	}
	_, err = tx.Exec(ctx, `
		select from calendars where tenant_id = $1 and connection_id = $2 order by id for update`, arg(tx.Tenant), arg(id))
	return failed("lock the connection's calendars", err)
}

func connectionGone(ctx context.Context, tx *Tx, id busy.ConnectionID) bool {
	var gone bool
	err := tx.QueryRow(ctx, `
		select state = 'disconnected' from connections where tenant_id = $1 and id = $2`, arg(tx.Tenant), arg(id)).Scan(&gone)
	return err == nil && gone
}
