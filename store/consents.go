package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// consentFor is how long an owner may take at the provider's consent page.
const consentFor = 10 * time.Minute

const verifierField = "consents.verifier"

// CreateConsent notes the consent that is asked for and returns the state to send
// along: it is good once, for ten minutes, and only this tenant's. ErrNotFound if
// the resource or the connection is not the tenant's.
func (s *Store) CreateConsent(ctx context.Context, tenant busy.TenantID, c busy.Consent, now time.Time) (state string, err error) {
	raw := make([]byte, len(tenant)+32)
	copy(raw, tenant[:])
	if _, err := io.ReadFull(s.random, raw[len(tenant):]); err != nil {
		return "", fmt.Errorf("draw a state: %w", err)
	}
	state = base64.RawURLEncoding.EncodeToString(raw)
	hash := sha256.Sum256([]byte(state))
	err = s.In(ctx, tenant, func(tx *Tx) error {
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		sealed, err := box.Seal(verifierField, string(hash[:]), []byte(c.Verifier))
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `delete from consents where tenant_id = $1 and expires_at <= $2`, arg(tenant), micros(now)); err != nil {
			return failed("forget expired consents", err)
		}
		_, err = tx.Exec(ctx, `
			insert into consents (tenant_id, state_hash, kind, resource_id, connection_id, verifier_sealed, push, expires_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8)`,
			arg(tenant), hash[:], string(c.Kind), arg(c.Resource), orNull(c.Connection), sealed, c.Push, micros(now.Add(consentFor)))
		return failed("note the consent that is asked for", err)
	})
	return state, err
}

// TakeConsent returns the consent that the state was made for, and voids it. A
// state that is unknown, used or expired is an ErrNotFound.
func (s *Store) TakeConsent(ctx context.Context, state string, now time.Time) (busy.Consent, error) {
	var c busy.Consent
	raw, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil || len(raw) != len(c.Tenant)+32 {
		return busy.Consent{}, failed("find the consent", busy.ErrNotFound)
	}
	c.Tenant = busy.TenantID(raw)
	hash := sha256.Sum256([]byte(state))
	err = s.In(ctx, c.Tenant, func(tx *Tx) error {
		var sealed []byte
		var connection *[16]byte
		err := tx.QueryRow(ctx, `
			delete from consents where tenant_id = $1 and state_hash = $2 and expires_at > $3
			returning kind, resource_id, connection_id, verifier_sealed, push`, arg(c.Tenant), hash[:], micros(now)).
			Scan((*string)(&c.Kind), into(&c.Resource), &connection, &sealed, &c.Push)
		if errors.Is(err, pgx.ErrNoRows) {
			return failed("find the consent", busy.ErrNotFound)
		}
		if err != nil {
			return failed("find the consent", err)
		}
		if connection != nil {
			c.Connection = *connection
		}
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		verifier, err := box.Open(verifierField, string(hash[:]), sealed)
		c.Verifier = string(verifier)
		return err
	})
	if err != nil {
		return busy.Consent{}, err
	}
	return c, nil
}

// orNull is an id as an argument; the zero id is NULL.
func orNull[Of any](id busy.ID[Of]) *[16]byte {
	if id.IsZero() {
		return nil
	}
	return (*[16]byte)(&id)
}
