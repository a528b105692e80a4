package store

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

const keyColumns = `id, name, scopes, created_at, expires_at, revoked_at`

// CreateKey makes an API key and returns its token, which is not kept and cannot
// be shown again. A zero expires is never.
func (s *Store) CreateKey(ctx context.Context, tenant busy.TenantID, name string, scopes []busy.Scope,
	expires, now time.Time,
) (busy.APIKey, string, error) {
	if err := checkKey(name, scopes, expires, now); err != nil {
		return busy.APIKey{}, "", err
	}
	id, err := busy.NewID[busy.APIKey](s.random)
	if err != nil {
		return busy.APIKey{}, "", err
	}
	secret, err := newSecret(s.random)
	if err != nil {
		return busy.APIKey{}, "", err
	}
	key := busy.APIKey{ID: id, Name: name, Scopes: slices.Clone(scopes), CreatedAt: micros(now)}
	if !expires.IsZero() {
		key.ExpiresAt = micros(expires)
	}
	hash := secret.hash()
	err = s.In(ctx, tenant, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `
			insert into api_keys (tenant_id, id, name, secret_hash, scopes, created_at, expires_at)
			values ($1, $2, $3, $4, $5, $6, $7)`,
			arg(tenant), arg(id), name, hash[:], scopeNames(scopes), key.CreatedAt, argTime(key.ExpiresAt))
		return failed("create the API key", err)
	})
	if err != nil {
		return busy.APIKey{}, "", err
	}
	return key, writeToken(id, secret), nil
}

func checkKey(name string, scopes []busy.Scope, expires, now time.Time) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(scopes) == 0 {
		return busy.Invalid("scope", "must name at least one of read, sync, admin")
	}
	for _, scope := range scopes {
		if !slices.Contains(busy.Scopes(), scope) {
			return busy.Invalid("scope", "must be read, sync or admin")
		}
	}
	if !expires.IsZero() && !expires.After(now) {
		return busy.Invalid("expires", "must be in the future")
	}
	return nil
}

func scopeNames(scopes []busy.Scope) []string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return names
}

// Authenticate returns the tenant and the key that a token belongs to. A token
// that is malformed, unknown, wrong, expired or revoked is ErrNotFound, without
// saying which.
func (s *Store) Authenticate(ctx context.Context, token string, now time.Time) (busy.TenantID, busy.APIKey, error) {
	id, secret, ok := readToken(token)
	if !ok {
		return busy.TenantID{}, busy.APIKey{}, failed("authenticate", busy.ErrNotFound)
	}
	var tenant busy.TenantID
	var key busy.APIKey
	var scopes []string
	var stored []byte
	err := s.gate.QueryRow(ctx, `select tenant_id, secret_hash, `+keyColumns+` from api_keys where id = $1`, arg(id)).
		Scan(into(&tenant), &stored, into(&key.ID), &key.Name, &scopes,
			intoTime(&key.CreatedAt), intoTime(&key.ExpiresAt), intoTime(&key.RevokedAt))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return busy.TenantID{}, busy.APIKey{}, failed("authenticate", err)
	}
	hash := secret.hash()
	same := subtle.ConstantTimeCompare(hash[:], stored) == 1
	expired := !key.ExpiresAt.IsZero() && !now.Before(key.ExpiresAt)
	if err != nil || !same || expired || !key.RevokedAt.IsZero() {
		return busy.TenantID{}, busy.APIKey{}, failed("authenticate", busy.ErrNotFound)
	}
	key.Scopes = scopesOf(scopes)
	return tenant, key, nil
}

// Keys lists the tenant's API keys, oldest first, revoked ones too.
func (s *Store) Keys(ctx context.Context, tenant busy.TenantID) ([]busy.APIKey, error) {
	var keys []busy.APIKey
	err := s.In(ctx, tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, `select `+keyColumns+` from api_keys where tenant_id = $1 order by created_at, id`,
			arg(tenant))
		if err != nil {
			return failed("list API keys", err)
		}
		keys, err = pgx.CollectRows(rows, scanKey)
		return failed("list API keys", err)
	})
	return keys, err
}

// RevokeKey makes a key's token worthless: Authenticate refuses it from then on, and
// who remembers an answer of it must not do so for longer than a second. It is no
// error if it is revoked already; ErrNotFound if the tenant has no such key.
func (s *Store) RevokeKey(ctx context.Context, tenant busy.TenantID, id busy.KeyID, now time.Time) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		tag, err := tx.Exec(ctx, `
			update api_keys set revoked_at = coalesce(revoked_at, $3) where tenant_id = $1 and id = $2`,
			arg(tenant), arg(id), micros(now))
		if err == nil && tag.RowsAffected() == 0 {
			err = busy.ErrNotFound
		}
		return failed("revoke the API key", err)
	})
}

func scanKey(row pgx.CollectableRow) (busy.APIKey, error) {
	var k busy.APIKey
	var scopes []string
	err := row.Scan(into(&k.ID), &k.Name, &scopes, intoTime(&k.CreatedAt), intoTime(&k.ExpiresAt), intoTime(&k.RevokedAt))
	k.Scopes = scopesOf(scopes)
	return k, err
}

func scopesOf(names []string) []busy.Scope {
	scopes := make([]busy.Scope, len(names))
	for i, n := range names {
		scopes[i] = busy.Scope(n)
	}
	return scopes
}
