package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

const (
	urlField    = "endpoints.url"
	secretField = "endpoints.secret"
)

const (
	// mostEndpoints is how many a tenant may have.
	mostEndpoints = 10
	// longestURL of an endpoint, in bytes.
	longestURL = 2048
	// SecretOverlap is for how long the secret before the current one signs along.
	SecretOverlap = 24 * time.Hour
)

// CreateEndpoint makes an endpoint and returns its secret, which is sealed and
// cannot be shown again. The endpoint gets the messages of what happens from now
// on. An ErrInvalid names what is wrong with its URL or types.
func (s *Store) CreateEndpoint(ctx context.Context, tenant busy.TenantID, e busy.Endpoint, now time.Time) (busy.Endpoint, string, error) {
	if err := checkEndpoint(e); err != nil {
		return busy.Endpoint{}, "", err
	}
	var err error
	if e.ID, err = busy.NewID[busy.Endpoint](s.random); err != nil {
		return busy.Endpoint{}, "", err
	}
	secret, err := s.newSigningSecret()
	if err != nil {
		return busy.Endpoint{}, "", err
	}
	e.CreatedAt = micros(now)
	err = s.In(ctx, tenant, func(tx *Tx) error {
		if err := tx.checkEndpoints(ctx); err != nil {
			return err
		}
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		address, err := box.Seal(urlField, string(e.ID[:]), []byte(e.URL))
		if err != nil {
			return err
		}
		sealed, err := box.Seal(secretField, string(e.ID[:]), []byte(secret))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into endpoints (tenant_id, id, url_sealed, secret_sealed, types, created_at, due_at)
			values ($1, $2, $3, $4, $5, $6, $6)`, arg(tenant), arg(e.ID), address, sealed, typeNames(e.Types), e.CreatedAt)
		return failed("create the endpoint", err)
	})
	if err != nil {
		return busy.Endpoint{}, "", err
	}
	return e, secret, nil
}

// newSigningSecret draws a secret as Standard Webhooks writes it.
func (s *Store) newSigningSecret() (string, error) {
	var raw [32]byte
	if _, err := io.ReadFull(s.random, raw[:]); err != nil {
		return "", fmt.Errorf("draw a secret: %w", err)
	}
	return "whsec_" + base64.StdEncoding.EncodeToString(raw[:]), nil
}

func checkEndpoint(e busy.Endpoint) error {
	u, err := url.Parse(e.URL)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return busy.Invalid("url", "must be an https address such as https://example.com/busyd")
	case u.User != nil || u.Fragment != "":
		return busy.Invalid("url", "must have no user, password or fragment")
	case len(e.URL) > longestURL:
		return busy.Invalid("url", "must have at most 2048 bytes")
	}
	for _, t := range e.Types {
		if !slices.Contains(busy.MessageTypes(), t) {
			return busy.Invalid("types", "must be of "+joined(busy.MessageTypes()))
		}
	}
	return nil
}

func joined(types []busy.MessageType) string {
	text := ""
	for i, t := range types {
		if i > 0 {
			text += ", "
		}
		text += string(t)
	}
	return text
}

// checkEndpoints is an ErrInvalid if the tenant has as many as it may. It lets
// nobody else make one until the transaction ends.
func (tx *Tx) checkEndpoints(ctx context.Context) error {
	if _, err := tx.Exec(ctx, `select from tenants where id = $1 for no key update`, arg(tx.Tenant)); err != nil {
		return failed("lock the tenant", err)
	}
	var n int
	err := tx.QueryRow(ctx, `select count(*) from endpoints where tenant_id = $1`, arg(tx.Tenant)).Scan(&n)
	if err == nil && n >= mostEndpoints {
		return busy.Invalid("url", "would be the tenant's eleventh endpoint, and it may have ten: remove one first")
	}
	return failed("count the endpoints", err)
}

func typeNames(types []busy.MessageType) []string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return names
}

// Endpoints lists the tenant's, oldest first, disabled ones too.
func (s *Store) Endpoints(ctx context.Context, tenant busy.TenantID) ([]busy.Endpoint, error) {
	var endpoints []busy.Endpoint
	err := s.In(ctx, tenant, func(tx *Tx) error {
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			select id, url_sealed, types, disabled_at, reason, failing_since, code, created_at
			from endpoints where tenant_id = $1 order by created_at, id`, arg(tenant))
		if err != nil {
			return failed("list endpoints", err)
		}
		endpoints, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (busy.Endpoint, error) { return scanEndpoint(box, row) })
		return failed("list endpoints", err)
	})
	return endpoints, err
}

func scanEndpoint(box *seal.Box, row pgx.CollectableRow) (busy.Endpoint, error) {
	var e busy.Endpoint
	var sealed []byte
	var types []string
	err := row.Scan(into(&e.ID), &sealed, &types, intoTime(&e.DisabledAt), &e.Reason, intoTime(&e.FailingSince), &e.Code, intoTime(&e.CreatedAt))
	if err != nil {
		return e, err
	}
	for _, t := range types {
		e.Types = append(e.Types, busy.MessageType(t))
	}
	address, err := box.Open(urlField, string(e.ID[:]), sealed)
	e.URL = string(address)
	return e, err
}

// DeleteEndpoint removes an endpoint with all that waits for it. A message that is
// being sent to it at this moment may still arrive. ErrNotFound.
func (s *Store) DeleteEndpoint(ctx context.Context, tenant busy.TenantID, id busy.EndpointID) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		tag, err := tx.Exec(ctx, `delete from endpoints where tenant_id = $1 and id = $2`, arg(tenant), arg(id))
		if err == nil && tag.RowsAffected() == 0 {
			err = busy.ErrNotFound
		}
		if err != nil {
			return failed("remove the endpoint", err)
		}
		_, err = tx.Exec(ctx, `delete from deliveries where tenant_id = $1 and endpoint_id = $2`, arg(tenant), arg(id))
		return failed("remove what waits for the endpoint", err)
	})
}

// RotateSecret gives an endpoint a new secret and returns it; it cannot be shown
// again. The one before it signs along for SecretOverlap, any older one no more.
// ErrNotFound.
func (s *Store) RotateSecret(ctx context.Context, tenant busy.TenantID, id busy.EndpointID, now time.Time) (string, error) {
	secret, err := s.newSigningSecret()
	if err != nil {
		return "", err
	}
	err = s.In(ctx, tenant, func(tx *Tx) error {
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		sealed, err := box.Seal(secretField, string(id[:]), []byte(secret))
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			update endpoints set previous_sealed = secret_sealed, previous_until = $4, secret_sealed = $3
			where tenant_id = $1 and id = $2`, arg(tenant), arg(id), sealed, micros(now.Add(SecretOverlap)))
		if err == nil && tag.RowsAffected() == 0 {
			err = busy.ErrNotFound
		}
		return failed("rotate the secret", err)
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// Replay sends an endpoint its messages again: those that were given up, or, with
// since, all that were written from then on and are still kept. An endpoint that
// was disabled is not any more. It returns how many are sent. ErrNotFound.
func (s *Store) Replay(ctx context.Context, tenant busy.TenantID, id busy.EndpointID, since, now time.Time) (int, error) {
	now = micros(now)
	replayed := 0
	err := s.In(ctx, tenant, func(tx *Tx) error {
		// Whoever is sending at this moment has no say in what follows.
		var types []string
		err := tx.QueryRow(ctx, `
			update endpoints
			set epoch = epoch + 1, due_at = $3, failures = 0, failing_since = null, code = '', disabled_at = null, reason = ''
			where tenant_id = $1 and id = $2 returning types`, arg(tenant), arg(id), now).Scan(&types)
		if err != nil {
			return failed("find the endpoint", err)
		}
		query, args := `
			update deliveries set due_at = $3, attempts = 0
			where tenant_id = $1 and endpoint_id = $2 and due_at is null`, []any{arg(tenant), arg(id), now}
		if !since.IsZero() {
			query, args = `
				insert into deliveries (tenant_id, seq, endpoint_id, created_at, due_at)
				select tenant_id, seq, $2, at, $3 from messages
				where tenant_id = $1 and at >= $4 and (cardinality($5::text[]) = 0 or type = any($5))
				on conflict (tenant_id, seq, endpoint_id) do update set due_at = $3, attempts = 0`,
				append(args, micros(since), types)
		}
		tag, err := tx.Exec(ctx, query, args...)
		replayed = int(tag.RowsAffected())
		return failed("replay the messages", err)
	})
	return replayed, err
}
