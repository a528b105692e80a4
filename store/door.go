package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

// Tx is a transaction that sees the records of one tenant and of nobody else.
type Tx struct {
	pgx.Tx
	Tenant busy.TenantID

	store  *Store
	box    *seal.Box
	passed []passage // told of once they are committed
}

// setTenant opens the door within a batch of statements, which run as one
// transaction: it must come first.
const setTenant = `select set_config('busyd.tenant', $1, true)`

// In runs f in a transaction as the tenant. It commits if f returns nil, and
// else rolls back and returns f's error as it is.
func (s *Store) In(ctx context.Context, tenant busy.TenantID, f func(tx *Tx) error) error {
	// One message; an id's text is hexadecimal digits and hyphens.
	begin := "begin; select set_config('busyd.tenant', '" + tenant.String() + "', true)"
	tx, err := s.app.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return failed("begin a transaction", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing after the commit
	own := &Tx{Tx: tx, Tenant: tenant, store: s}
	if err := f(own); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return failed("commit", err)
	}
	for _, p := range own.passed {
		s.observe(p.kind, p.from, p.to)
	}
	return nil
}

// Box opens and seals what is the tenant's. It is ErrNotFound once the tenant's
// data key is destroyed.
func (tx *Tx) Box(ctx context.Context) (*seal.Box, error) {
	if tx.box != nil {
		return tx.box, nil
	}
	var key wrappedKey
	err := tx.QueryRow(ctx, `select dek_id, kek_id, wrapped from tenant_keys where tenant_id = $1`,
		arg(tx.Tenant)).Scan(key.columns()...)
	if err != nil {
		return nil, failed("read the data key", err)
	}
	tx.box, err = tx.store.unwrap(tx.Tenant, key)
	return tx.box, err
}
