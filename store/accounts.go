package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

// mark is how a connection's account is known.
type mark struct{ sealed, hash []byte }

func (s *Store) markAccount(box *seal.Box, c busy.Connection, account busy.Secret) (mark, error) {
	if len(account) == 0 {
		return mark{}, nil
	}
	sealed, err := box.Seal(accountField, string(c.ID[:]), account)
	if err != nil {
		return mark{}, err
	}
	hashes, err := s.accountHashes(c.Kind, account)
	if err != nil {
		return mark{}, err
	}
	return mark{sealed: sealed, hash: hashes[0][:]}, nil
}

// accountHashes are the hashes that the account may be known by, one for each
// master key; the current one's first.
func (s *Store) accountHashes(kind busy.Kind, account busy.Secret) ([]seal.Hash, error) {
	return s.keys.Hashes(accountField, string(kind)+" "+string(account))
}

// account opens a connection's account; nil: it has none.
func (tx *Tx) account(ctx context.Context, box *seal.Box, id busy.ConnectionID) (busy.Secret, error) {
	var sealed []byte
	err := tx.QueryRow(ctx, `select account_sealed from connections where tenant_id = $1 and id = $2`,
		arg(tx.Tenant), arg(id)).Scan(&sealed)
	if err != nil || sealed == nil {
		return nil, failed("read the account", err)
	}
	return box.Open(accountField, string(id[:]), sealed)
}

// Account is the provider's name for the account that a live connection reads;
// nil: it has none. ErrNotFound.
func (s *Store) Account(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID) (busy.Secret, error) {
	var account busy.Secret
	err := s.In(ctx, tenant, func(tx *Tx) error {
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		account, err = tx.account(ctx, box, id)
		return err
	})
	return account, err
}

// hasConnections reports whether any connection, of whatever tenant, reads the
// account.
func (s *Store) hasConnections(ctx context.Context, kind busy.Kind, account busy.Secret) (bool, error) {
	if len(account) == 0 {
		return false, nil
	}
	hashes, err := s.accountHashes(kind, account)
	if err != nil {
		return false, err
	}
	var shared bool
	err = s.gate.QueryRow(ctx, `select exists (select from connections where account_hash = any($1))`, bytesOf(hashes)).
		Scan(&shared)
	return shared, failed("look for other connections of the account", err)
}

// remarkAccounts hashes the accounts of a tenant's connections with the current
// master key.
func (tx *Tx) remarkAccounts(ctx context.Context, box *seal.Box) error {
	rows, err := tx.Query(ctx, `
		select id, kind, account_sealed from connections where tenant_id = $1 and account_sealed is not null for update`,
		arg(tx.Tenant))
	if err != nil {
		return failed("read accounts", err)
	}
	type marked struct {
		busy.Connection
		sealed []byte
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (marked, error) {
		var m marked
		return m, row.Scan(into(&m.ID), (*string)(&m.Kind), &m.sealed)
	})
	if err != nil {
		return failed("read accounts", err)
	}
	batch := &pgx.Batch{}
	for _, m := range found {
		account, err := box.Open(accountField, string(m.ID[:]), m.sealed)
		if err != nil {
			return err
		}
		fresh, err := tx.store.markAccount(box, m.Connection, account)
		if err != nil {
			return err
		}
		batch.Queue(`update connections set account_hash = $3 where tenant_id = $1 and id = $2`, arg(tx.Tenant), arg(m.ID), fresh.hash)
	}
	return failed("hash accounts anew", tx.SendBatch(ctx, batch).Close())
}
