package store

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

// wrappedKey is a row of tenant_keys.
type wrappedKey struct{ dek, kek, sealed []byte }

// columns are the destinations of dek_id, kek_id and wrapped.
func (k *wrappedKey) columns() []any { return []any{&k.dek, &k.kek, &k.sealed} }

func (k *wrappedKey) wrapped() (seal.Wrapped, error) {
	if len(k.dek) != len(seal.KeyID{}) || len(k.kek) != len(seal.KeyID{}) {
		return seal.Wrapped{}, seal.ErrCorrupt
	}
	return seal.Wrapped{DEK: seal.KeyID(k.dek), KEK: seal.KeyID(k.kek), Sealed: k.sealed}, nil
}

// unwrap is done anew for each transaction: nothing keeps a data key in memory
// after the tenant's row of it is destroyed.
func (s *Store) unwrap(tenant busy.TenantID, key wrappedKey) (*seal.Box, error) {
	wrapped, err := key.wrapped()
	if err != nil {
		return nil, err
	}
	return s.keys.Box(s.random, tenant, wrapped)
}

// box is that of [Tx.Box] for what is sealed before its transaction begins, so that
// it can be sent in one message. It remembers data keys as they are in the
// database, wrapped. A tenant has one data key for ever; once that is destroyed,
// nothing of the tenant can be written.
func (s *Store) box(ctx context.Context, tenant busy.TenantID) (*seal.Box, error) {
	key, known := s.wrapped.get(tenant)
	if !known {
		err := s.askOne(ctx, tenant, `select dek_id, kek_id, wrapped from tenant_keys where tenant_id = $1`,
			[]any{arg(tenant)}, key.columns()...)
		if err != nil {
			return nil, failed("read the data key", err)
		}
		s.wrapped.put(tenant, key)
	}
	return s.unwrap(tenant, key)
}

// wrappedKeys are data keys that were read lately.
type wrappedKeys struct {
	mu   sync.Mutex
	keys map[busy.TenantID]wrappedKey
}

const mostWrappedKeys = 10_000

func (w *wrappedKeys) get(tenant busy.TenantID) (wrappedKey, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key, known := w.keys[tenant]
	return key, known
}

func (w *wrappedKeys) put(tenant busy.TenantID, key wrappedKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.keys == nil || len(w.keys) >= mostWrappedKeys {
		w.keys = make(map[busy.TenantID]wrappedKey)
	}
	w.keys[tenant] = key
}

func (w *wrappedKeys) forget(tenant busy.TenantID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.keys, tenant)
}

// RotateKeys wraps every tenant's data key under the current master key and
// returns how many were not. Afterwards the older master keys are needed for
// nothing but backups. It can run while others work.
func (s *Store) RotateKeys(ctx context.Context) (int, error) {
	tenants, err := s.Tenants(ctx)
	if err != nil {
		return 0, err
	}
	rotated := 0
	for _, t := range tenants {
		done, err := s.rotateKey(ctx, t.ID)
		if errors.Is(err, busy.ErrNotFound) { // deleted meanwhile
			continue
		}
		if err != nil {
			return rotated, err
		}
		if done {
			rotated++
		}
	}
	return rotated, nil
}

func (s *Store) rotateKey(ctx context.Context, tenant busy.TenantID) (rotated bool, err error) {
	err = s.In(ctx, tenant, func(tx *Tx) error {
		var key wrappedKey
		err := tx.QueryRow(ctx, `select dek_id, kek_id, wrapped from tenant_keys where tenant_id = $1 for update`,
			arg(tenant)).Scan(key.columns()...)
		if err != nil {
			return failed("read the data key", err)
		}
		old, err := key.wrapped()
		if err != nil || old.KEK == s.keys.Current() {
			return err
		}
		fresh, err := s.keys.Rewrap(s.random, tenant, old)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update tenant_keys set kek_id = $2, wrapped = $3 where tenant_id = $1`,
			arg(tenant), fresh.KEK[:], fresh.Sealed)
		if err != nil {
			return failed("write the data key", err)
		}
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		rotated = true
		return tx.remarkAccounts(ctx, box)
	})
	return rotated && err == nil, err
}

// checkMasterKeys fails if data is sealed under a master key that is not
// configured.
func (s *Store) checkMasterKeys(ctx context.Context) error {
	rows, err := s.gate.Query(ctx, `select distinct kek_id from tenant_keys`)
	if err != nil {
		return failed("read which master keys are in use", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return failed("read which master keys are in use", err)
	}
	for _, id := range ids {
		if len(id) != len(seal.KeyID{}) || !s.keys.Has(seal.KeyID(id)) {
			return s.keys.Missing(seal.KeyID(append(id, make([]byte, 8)...)))
		}
	}
	return nil
}
