package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
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
// ones are due at once. A connection of the resource that waits for its first
// consent (see Await) becomes this one, and keeps its id. ErrNotFound if the tenant
// has no such resource, ErrExists if two calendars are the same, ErrInvalid if the
// resource has the account already.
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
		if err := tx.checkPlan(ctx); err != nil {
			return err
		}
		if err := tx.place(ctx, &connection); err != nil {
			return err
		}
		if !c.Waiting.IsZero() && connection.ID != c.Waiting {
			return busy.Invalid("connection", "was disconnected meanwhile, which is final: begin anew")
		}
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		if err := tx.checkAccount(ctx, connection, c.Account); err != nil {
			return err
		}
		grant, err := box.Seal(grantField, string(connection.ID[:]), c.Grant)
		if err != nil {
			return err
		}
		account, err := s.markAccount(box, connection, c.Account)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(`
			update connections set grant_sealed = $3, account_sealed = $4, account_hash = $5 where tenant_id = $1 and id = $2`,
			arg(tenant), arg(connection.ID), grant, account.sealed, account.hash)
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

// place makes room for a connection without a secret yet, in its state: in that
// of the same kind that waits for the resource's first consent, whose id and age it
// keeps, or in a new row. Its resource is locked from here on.
func (tx *Tx) place(ctx context.Context, c *busy.Connection) error {
	waiting := func() error {
		return tx.QueryRow(ctx, `
			select id, created_at from connections
			where tenant_id = $1 and resource_id = $2 and kind = $3 and state = 'awaiting_admin' and grant_sealed is null
			for update`, arg(tx.Tenant), arg(c.Resource), string(c.Kind)).Scan(into(&c.ID), intoTime(&c.CreatedAt))
	}
	if err := waiting(); err != nil && !errors.Is(err, pgx.ErrNoRows) { // before the resource, as everybody locks them
		return failed("look for a connection that waits", err)
	}
	if err := tx.bump(ctx, c.Resource); err != nil {
		return err
	}
	err := waiting() // another may have come meanwhile
	if err == nil {
		return tx.move(ctx, locked{id: c.ID, kind: c.Kind, state: busy.ConnectionAwaitingAdmin}, c.State, c.Reason, c.ChangedAt)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return failed("look for a connection that waits", err)
	}
	_, err = tx.Exec(ctx, `
		insert into connections (tenant_id, id, resource_id, kind, state, reason, created_at, changed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $7)`,
		arg(tx.Tenant), arg(c.ID), arg(c.Resource), string(c.Kind), string(c.State), c.Reason, c.CreatedAt)
	tx.passed = append(tx.passed, passage{kind: c.Kind, to: c.State})
	return failed("create the connection", err)
}

// rename has a locked connection read the account, unless that is nil, and all of it
// anew: what was remembered of the old one does not tell what has changed.
func (tx *Tx) rename(ctx context.Context, box *seal.Box, c locked, account busy.Secret) error {
	if account == nil {
		return nil
	}
	connection := busy.Connection{ID: c.id, Kind: c.kind}
	var err error
	if connection.Resource, err = tx.bumpResource(ctx, c.id); err != nil { // which no other gets the account meanwhile
		return err
	}
	if err := tx.checkAccount(ctx, connection, account); err != nil {
		return err
	}
	mark, err := tx.store.markAccount(box, connection, account)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(`update connections set account_sealed = $3, account_hash = $4 where tenant_id = $1 and id = $2`,
		arg(tx.Tenant), arg(c.id), mark.sealed, mark.hash)
	batch.Queue(`update calendars set want_full = true where tenant_id = $1 and connection_id = $2 and selected`, arg(tx.Tenant), arg(c.id))
	return failed("note the account", tx.SendBatch(ctx, batch).Close())
}

// checkAccount is an ErrInvalid if another connection of the resource reads the
// account already: its entries would be read twice.
func (tx *Tx) checkAccount(ctx context.Context, c busy.Connection, account busy.Secret) error {
	if len(account) == 0 {
		return nil
	}
	hashes, err := tx.store.accountHashes(c.Kind, account)
	if err != nil {
		return err
	}
	var id busy.ConnectionID
	err = tx.QueryRow(ctx, `
		select id from connections where tenant_id = $1 and resource_id = $2 and kind = $3 and account_hash = any($4) and id <> $5
		limit 1`, arg(tx.Tenant), arg(c.Resource), string(c.Kind), bytesOf(hashes), arg(c.ID)).Scan(into(&id))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return failed("look for the account", err)
	}
	return busy.Invalid("account", "is connected to this resource already, as the connection "+id.String()+": reconnect that one")
}

// checkPlan is an ErrInvalid if the tenant's plan does not include calendars. It
// keeps the plan as it is until the transaction ends.
func (tx *Tx) checkPlan(ctx context.Context) error {
	var downgraded bool
	err := tx.QueryRow(ctx, `select downgraded_at is not null from tenants where id = $1 for share`, arg(tx.Tenant)).Scan(&downgraded)
	if err == nil && downgraded {
		return busy.Invalid("tenant", "is downgraded, and its plan includes no calendars: upgrade it first, with `busyd tenant upgrade`")
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
// calendars are due at once. An account that is not nil is what it reads from now on,
// and an ErrInvalid if another connection of its resource does. ErrNotFound, also for
// one that was disconnected.
func (s *Store) ReplaceGrant(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, grant, account busy.Secret,
	now time.Time,
) error {
	now = micros(now)
	return s.In(ctx, tenant, func(tx *Tx) error {
		c, err := tx.lockConnection(ctx, id)
		if err != nil {
			return err
		}
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		if err := tx.rename(ctx, box, c, account); err != nil {
			return err
		}
		sealed, err := box.Seal(grantField, string(id[:]), grant)
		if err != nil {
			return err
		}
		if err := tx.move(ctx, c, busy.ConnectionActive, "", now); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		// Whoever reads or listens with the old grant is at an end.
		batch.Queue(`
			update connections set grant_sealed = $3, listener = null, listened_until = null where tenant_id = $1 and id = $2`,
			arg(tenant), arg(id), sealed)
		batch.Queue(startCalendars, arg(tenant), arg(id), now)
		// What the old grant's watches are worth is not known: the runs make others.
		batch.Queue(`
			update watches set expires_at = least(expires_at, $3) where tenant_id = $1 and connection_id = $2`,
			arg(tenant), arg(id), now)
		return failed("replace the grant", tx.SendBatch(ctx, batch).Close())
	})
}

// Await notes that an owner's organisation must consent first, for the reason.
// The connection that was to be reconnected waits for that; one whose grant may
// be good stays as it is, until a run finds otherwise. Without one, a connection
// that has no secret and no calendars waits, one for each kind and resource. It
// returns the connection's id. ErrNotFound.
func (s *Store) Await(ctx context.Context, tenant busy.TenantID, c busy.Consent, reason string, now time.Time) (busy.ConnectionID, error) {
	now = micros(now)
	waiting := busy.Connection{
		ID: c.Connection, Resource: c.Resource, Kind: c.Kind, State: busy.ConnectionAwaitingAdmin, Reason: reason, CreatedAt: now, ChangedAt: now,
	}
	err := s.In(ctx, tenant, func(tx *Tx) (err error) {
		if !c.Connection.IsZero() {
			return tx.await(ctx, c.Connection, reason, now)
		}
		if err := tx.checkPlan(ctx); err != nil {
			return err
		}
		if waiting.ID, err = busy.NewID[busy.Connection](s.random); err != nil {
			return err
		}
		return tx.place(ctx, &waiting)
	})
	if err != nil {
		return busy.ConnectionID{}, err
	}
	return waiting.ID, nil
}

func (tx *Tx) await(ctx context.Context, id busy.ConnectionID, reason string, now time.Time) error {
	c, err := tx.lockConnection(ctx, id)
	if err != nil {
		return err
	}
	if c.state != busy.ConnectionNeedsReconnect && c.state != busy.ConnectionAwaitingAdmin {
		return nil
	}
	// None of its calendars is due or being read: it was not active before.
	return tx.move(ctx, c, busy.ConnectionAwaitingAdmin, reason, now)
}

// Disconnect is final. When it returns, the connection's secret, calendars,
// events and blocks are gone, and whoever was reading it can write nothing more.
// With farewell, the provider has to be told: what that takes is left, sealed, as
// a farewell that is due. It is no error if the connection is disconnected
// already. ErrNotFound.
func (s *Store) Disconnect(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, farewell bool, now time.Time) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		c, err := tx.lockConnection(ctx, id)
		if err != nil {
			if connectionGone(ctx, tx, id) {
				return nil
			}
			return err
		}
		resource, err := tx.bumpResource(ctx, id)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		if farewell && c.granted {
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
			update connections set grant_sealed = null, account_sealed = null, account_hash = null, listener = null, listened_until = null
			where tenant_id = $1 and id = $2`, arg(tenant), arg(id))
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return failed("disconnect", err)
		}
		return errors.Join(tx.move(ctx, c, busy.ConnectionDisconnected, "", now), tx.flagConflicts(ctx, resource, always, now),
			tx.tellAvailability(ctx, resource, busy.Span{}, now))
	})
}

// Forget removes what is left of a disconnected connection: the note that there
// was one. A resource whose connections are all forgotten is one that never had a
// calendar, and is offered in its working hours. ErrInvalid if the connection is
// not disconnected, or its provider has not been told so yet. ErrNotFound.
func (s *Store) Forget(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		var state busy.ConnectionState
		var resource busy.ResourceID
		var parting bool
		err := tx.QueryRow(ctx, `
			select n.state, n.resource_id, exists (select from farewells f where f.tenant_id = $1 and f.connection_id = n.id)
			from connections n where n.tenant_id = $1 and n.id = $2 for update`, arg(tenant), arg(id)).
			Scan((*string)(&state), into(&resource), &parting)
		switch {
		case err != nil:
			return failed("find the connection", err)
		case state != busy.ConnectionDisconnected:
			return busy.Invalid("connection", "must be disconnected to be forgotten: it is "+string(state))
		case parting:
			return busy.Invalid("connection", "cannot be forgotten before its provider has been told that it ended: try again in a while")
		}
		if err := tx.bump(ctx, resource); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		// Somebody may have set out to reconnect it when it was gone already.
		batch.Queue(`delete from consents where tenant_id = $1 and connection_id = $2`, arg(tenant), arg(id))
		batch.Queue(`delete from connections where tenant_id = $1 and id = $2`, arg(tenant), arg(id))
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return failed("forget the connection", err)
		}
		return tx.tellAvailability(ctx, resource, busy.Span{}, time.Time{})
	})
}

// bumpResource locks the agenda of a locked connection's resource; see bump.
func (tx *Tx) bumpResource(ctx context.Context, id busy.ConnectionID) (busy.ResourceID, error) {
	var resource busy.ResourceID
	err := tx.QueryRow(ctx, `select resource_id from connections where tenant_id = $1 and id = $2`, arg(tx.Tenant), arg(id)).
		Scan(into(&resource))
	if err != nil {
		return resource, failed("find the connection", err)
	}
	return resource, tx.bump(ctx, resource)
}

func connectionGone(ctx context.Context, tx *Tx, id busy.ConnectionID) bool {
	var gone bool
	err := tx.QueryRow(ctx, `
		select state = 'disconnected' from connections where tenant_id = $1 and id = $2`, arg(tx.Tenant), arg(id)).Scan(&gone)
	return err == nil && gone
}
