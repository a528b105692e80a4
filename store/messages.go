package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// writeMessage writes a message, and with it what waits for the tenant's endpoints
// because of it: there is no step in between that could lose something. Without a
// time it is now, by the database's clock.
const writeMessage = `
	with told as (
		insert into messages (tenant_id, id, type, at, booking_id, resource_id, connection_id, starts_at, ends_at)
		values ($1, $2, $3, coalesce($4, now()), $5, $6, $7, $8, $9) returning seq, type, at
	)` + deliverTold

// deliverTold has the messages told, with columns seq, type and at, wait for the
// endpoints.
const deliverTold = `
	insert into deliveries (tenant_id, seq, endpoint_id, created_at, due_at)
	select $1, told.seq, e.id, told.at, told.at from told, endpoints e
	where e.tenant_id = $1 and e.disabled_at is null and (cardinality(e.types) = 0 or told.type = any(e.types))`

func messageArgs(tenant busy.TenantID, m busy.Message) []any {
	return []any{
		arg(tenant), arg(m.ID), string(m.Type), argTime(micros(m.At)), argID(m.Booking), argID(m.Resource), argID(m.Connection),
		argTime(micros(m.Span.Start)), argTime(micros(m.Span.End)),
	}
}

// queueMessage tells what happened, if the transaction commits.
func queueMessage(batch *pgx.Batch, tenant busy.TenantID, m busy.Message) {
	batch.Queue(writeMessage, messageArgs(tenant, m)...)
}

// tellAvailability tells that a resource's time may have become free or taken: in
// the span, or whenever if that is empty. A zero at is now, by the database's clock.
func (tx *Tx) tellAvailability(ctx context.Context, resource busy.ResourceID, span busy.Span, at time.Time) error {
	return tx.tell(ctx, busy.Message{Type: busy.AvailabilityChanged, At: at, Resource: resource, Span: span})
}

// tell writes a message that has no id yet.
func (tx *Tx) tell(ctx context.Context, m busy.Message) (err error) {
	if m.ID, err = busy.NewID[busy.Message](tx.store.random); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, writeMessage, messageArgs(tx.Tenant, m)...)
	return failed("write a message", err)
}
