package store

import (
	"bytes"
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// RenewGrant replaces a live connection's grant with what f makes of the stored
// one. It holds the connection's row locked while f works, so that of all daemons
// only one renews at a time and the next one is given the result. What f returns
// is committed before RenewGrant returns it. Where f fails, nothing changes, and
// its error is returned as it is. ErrFenced if the connection is disconnected.
//
// At most half of the database connections are lent to renewals: a token endpoint
// that hangs leaves the rest to everybody else.
func (s *Store) RenewGrant(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID,
	f func(ctx context.Context, current busy.Secret) (busy.Secret, error),
) (busy.Secret, error) {
	select {
	case s.renewals <- struct{}{}:
		defer func() { <-s.renewals }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var renewed busy.Secret
	err := s.In(ctx, tenant, func(tx *Tx) error {
		current, err := tx.lockGrant(ctx, id)
		if err != nil {
			return err
		}
		if renewed, err = f(ctx, current); err != nil {
			return err
		}
		if bytes.Equal(renewed, current) {
			return nil
		}
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		sealed, err := box.Seal(grantField, string(id[:]), renewed)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update connections set grant_sealed = $3 where tenant_id = $1 and id = $2`,
			arg(tenant), arg(id), sealed)
		return failed("store the renewed grant", err)
	})
	if err != nil {
		return nil, err
	}
	return renewed, nil
}

// lockGrant reads a live connection's grant and locks its row. ErrFenced.
func (tx *Tx) lockGrant(ctx context.Context, id busy.ConnectionID) (busy.Secret, error) {
	var sealed []byte
	err := tx.QueryRow(ctx, `
		select grant_sealed from connections where tenant_id = $1 and id = $2 and state <> 'disconnected' for update`,
		arg(tx.Tenant), arg(id)).Scan(&sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, failed("read the grant", busy.ErrFenced)
	}
	if err != nil {
		return nil, failed("read the grant", err)
	}
	box, err := tx.Box(ctx)
	if err != nil {
		return nil, err
	}
	return box.Open(grantField, string(id[:]), sealed)
}
