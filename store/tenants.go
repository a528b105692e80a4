package store

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// Tenants lists every tenant by name.
func (s *Store) Tenants(ctx context.Context) ([]busy.Tenant, error) {
	rows, err := s.gate.Query(ctx, `select id, name, created_at, downgraded_at from tenants order by name`)
	if err != nil {
		return nil, failed("list tenants", err)
	}
	tenants, err := pgx.CollectRows(rows, scanTenant)
	return tenants, failed("list tenants", err)
}

// FindTenant returns the tenant with the id, or the name. ErrNotFound.
func (s *Store) FindTenant(ctx context.Context, nameOrID string) (busy.Tenant, error) {
	query, value := `select id, name, created_at, downgraded_at from tenants where name = $1`, any(nameOrID)
	if id, err := busy.ParseID[busy.Tenant](nameOrID); err == nil {
		query, value = `select id, name, created_at, downgraded_at from tenants where id = $1`, arg(id)
	}
	rows, err := s.gate.Query(ctx, query, value)
	if err != nil {
		return busy.Tenant{}, failed("find the tenant", err)
	}
	tenant, err := pgx.CollectExactlyOneRow(rows, scanTenant)
	return tenant, failed("find the tenant", err)
}

func scanTenant(row pgx.CollectableRow) (busy.Tenant, error) {
	var t busy.Tenant
	err := row.Scan(into(&t.ID), &t.Name, intoTime(&t.CreatedAt), intoTime(&t.DowngradedAt))
	return t, err
}

// CreateTenant makes a tenant with a data key of its own. ErrExists if the name
// is taken, ErrInvalid if it is not a name.
func (s *Store) CreateTenant(ctx context.Context, name string, now time.Time) (busy.Tenant, error) {
	if err := checkName(name); err != nil {
		return busy.Tenant{}, err
	}
	id, err := busy.NewID[busy.Tenant](s.random)
	if err != nil {
		return busy.Tenant{}, err
	}
	key, err := s.keys.NewDataKey(s.random, id)
	if err != nil {
		return busy.Tenant{}, err
	}
	tenant := busy.Tenant{ID: id, Name: name, CreatedAt: micros(now)}
	err = s.In(ctx, id, func(tx *Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(`insert into tenants (id, name, created_at) values ($1, $2, $3)`, arg(id), name, tenant.CreatedAt)
		batch.Queue(`insert into tenant_keys (tenant_id, dek_id, kek_id, wrapped) values ($1, $2, $3, $4)`,
			arg(id), key.DEK[:], key.KEK[:], key.Sealed)
		return failed("create the tenant", tx.SendBatch(ctx, batch).Close())
	})
	return tenant, err
}

// Downgrade notes whether the tenant's plan includes calendars. A downgraded
// tenant cannot connect any; ending the connections there are is the caller's.
// ErrNotFound.
func (s *Store) Downgrade(ctx context.Context, tenant busy.TenantID, downgraded bool, now time.Time) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		tag, err := tx.Exec(ctx, `
			update tenants set downgraded_at = case when $2 then coalesce(downgraded_at, $3) end where id = $1`,
			arg(tenant), downgraded, micros(now))
		if err == nil && tag.RowsAffected() == 0 {
			err = busy.ErrNotFound
		}
		return failed("change the tenant's plan", err)
	})
}

// longestName bounds the names that people give, in characters.
const longestName = 200

// checkName accepts names that can be told from ids and shown on a terminal.
func checkName(name string) error {
	switch {
	case name == "" || strings.TrimSpace(name) != name:
		return busy.Invalid("name", "must not be empty or begin or end with a space")
	case utf8.RuneCountInString(name) > longestName:
		return busy.Invalid("name", "must have at most 200 characters")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return busy.Invalid("name", "must be text without control characters")
	}
	if _, err := busy.ParseID[busy.Tenant](name); err == nil {
		return busy.Invalid("name", "must not look like an id")
	}
	return nil
}
