package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"github.com/busyd/busyd/busy"
)

// consentFor is how long an owner may take at the provider's consent page, and for
// how long at least how that ended is known.
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
		_, err = tx.Exec(ctx, `
			insert into consents (tenant_id, state_hash, kind, resource_id, connection_id, verifier_sealed, push, expires_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8)`,
			arg(tenant), hash[:], string(c.Kind), arg(c.Resource), argID(c.Connection), sealed, c.Push, micros(now.Add(consentFor)))
		return failed("note the consent that is asked for", err)
	})
	return state, err
}

// TakeConsent returns the consent that the state was made for, which is good no
// more then. A state that is unknown, used or expired is an ErrNotFound.
func (s *Store) TakeConsent(ctx context.Context, state string, now time.Time) (busy.Consent, error) {
	const doing = "find the consent"
	var c busy.Consent
	raw, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil || len(raw) != len(c.Tenant)+32 {
		return busy.Consent{}, failed(doing, busy.ErrNotFound)
	}
	c.Tenant = busy.TenantID(raw)
	hash := sha256.Sum256([]byte(state))
	err = s.In(ctx, c.Tenant, func(tx *Tx) error {
		var sealed []byte
		var connection *[16]byte
		// The verifier is returned as it was, before it is gone.
		err := tx.QueryRow(ctx, `
			update consents c set taken_at = $3, expires_at = $4, verifier_sealed = null
			from (
				select verifier_sealed from consents
				where tenant_id = $1 and state_hash = $2 and taken_at is null and expires_at > $3 for update
			) was
			where c.tenant_id = $1 and c.state_hash = $2
			returning c.kind, c.resource_id, c.connection_id, was.verifier_sealed, c.push`,
			arg(c.Tenant), hash[:], micros(now), micros(now.Add(consentFor))).
			Scan((*string)(&c.Kind), into(&c.Resource), &connection, &sealed, &c.Push)
		if err != nil {
			return failed(doing, err)
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

// EndConsent notes how a consent that was taken ended. It is no error if it is
// forgotten already, with its connection.
func (s *Store) EndConsent(ctx context.Context, tenant busy.TenantID, state string, end busy.ConsentEnd) error {
	hash := sha256.Sum256([]byte(state))
	return s.In(ctx, tenant, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `
			update consents set ended = $3, ended_connection = $4, problem = $5
			where tenant_id = $1 and state_hash = $2 and taken_at is not null`,
			arg(tenant), hash[:], string(end.State), argID(end.Connection), end.Problem)
		return failed("note how the consent ended", err)
	})
}

// ConsentEnd tells how far a consent is. ErrNotFound if it is forgotten: its time
// was over, or its connection is. It is one round trip.
func (s *Store) ConsentEnd(ctx context.Context, tenant busy.TenantID, state string) (busy.ConsentEnd, error) {
	var end busy.ConsentEnd
	var connection *[16]byte
	hash := sha256.Sum256([]byte(state))
	err := s.askOne(ctx, tenant, `
		select coalesce(ended, case when taken_at is null then 'asked' else 'taken' end), taken_at, ended_connection, coalesce(problem, '')
		from consents where tenant_id = $1 and state_hash = $2`, []any{arg(tenant), hash[:]},
		(*string)(&end.State), intoTime(&end.Since), &connection, &end.Problem)
	if err != nil {
		return busy.ConsentEnd{}, failed("look how the consent ended", err)
	}
	if connection != nil {
		end.Connection = *connection
	}
	return end, nil
}
