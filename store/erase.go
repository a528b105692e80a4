package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// Erasure is the proof that nothing of a tenant is left.
type Erasure struct {
	Deleted map[string]int64 // rows by table
	// Left counts the rows that are left, by table, for every table with a column
	// tenant_id that the catalog knows.
	Left map[string]int64
}

// Clean reports whether nothing is left.
func (e Erasure) Clean() bool {
	for _, n := range e.Left {
		if n != 0 {
			return false
		}
	}
	return true
}

// tenantTables are all that hold a tenant's rows, those that refer before those
// that are referred to. The proof does not rely on it.
func tenantTables() []string {
	return []string{
		"requests", "deliveries", "messages", "endpoints", "conflicts", "claims", "bookings", "overrides", "needs", "services",
		"weeks", "events", "farewells", "watches", "consents", "calendars", "connections", "resources", "api_keys", "tenant_keys",
	}
}

// DeleteTenant erases a tenant for good. It destroys the data key first, in a
// transaction of its own: whatever happens then, nothing sealed in this database
// can be read any more. A backup from before has the key, wrapped. Then it deletes
// every row and counts what is left. A deletion that was cut short can be
// repeated. ErrNotFound.
func (s *Store) DeleteTenant(ctx context.Context, id busy.TenantID) (Erasure, error) {
	e := Erasure{Deleted: make(map[string]int64), Left: make(map[string]int64)}
	defer s.wrapped.forget(id)
	err := s.In(ctx, id, func(tx *Tx) error {
		if err := tx.exists(ctx); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `delete from tenant_keys where tenant_id = $1`, arg(id))
		e.Deleted["tenant_keys"] = tag.RowsAffected()
		return failed("destroy the data key", err)
	})
	if err != nil {
		return Erasure{}, err
	}
	if err := s.In(ctx, id, func(tx *Tx) error { return tx.deleteRows(ctx, e.Deleted) }); err != nil {
		return Erasure{}, err
	}
	err = s.In(ctx, id, func(tx *Tx) error { return tx.countRows(ctx, e.Left) })
	return e, err
}

// CountRows counts the rows of a tenant in every table.
func (s *Store) CountRows(ctx context.Context, tenant busy.TenantID) (map[string]int64, error) {
	counts := make(map[string]int64)
	return counts, s.In(ctx, tenant, func(tx *Tx) error { return tx.countRows(ctx, counts) })
}

func (tx *Tx) exists(ctx context.Context) error {
	tag, err := tx.Exec(ctx, `select from tenants where id = $1`, arg(tx.Tenant))
	if err == nil && tag.RowsAffected() == 0 {
		err = busy.ErrNotFound
	}
	return failed("find the tenant", err)
}

func (tx *Tx) deleteRows(ctx context.Context, deleted map[string]int64) error {
	// With these locked, nothing new can refer to them, and no run writes.
	for _, lock := range []string{
		`select from tenants where id = $1 for update`,
		`select from connections where tenant_id = $1 order by id for update`,
		`select from calendars where tenant_id = $1 order by id for update`,
		`select from resources where tenant_id = $1 order by id for update`,
	} {
		if _, err := tx.Exec(ctx, lock, arg(tx.Tenant)); err != nil {
			return failed("lock the tenant", err)
		}
	}
	for _, table := range tenantTables() {
		tag, err := tx.Exec(ctx, `delete from `+table+` where tenant_id = $1`, arg(tx.Tenant))
		if err != nil {
			return failed("delete from "+table, err)
		}
		deleted[table] += tag.RowsAffected()
	}
	tag, err := tx.Exec(ctx, `delete from tenants where id = $1`, arg(tx.Tenant))
	deleted["tenants"] = tag.RowsAffected()
	return failed("delete the tenant", err)
}

func (tx *Tx) countRows(ctx context.Context, left map[string]int64) error {
	rows, err := tx.Query(ctx, `
		select c.relname from pg_class c
		join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
		where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace
		order by 1`)
	if err != nil {
		return failed("list the tables", err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return failed("list the tables", err)
	}
	for _, table := range tables {
		var n int64
		err := tx.QueryRow(ctx, `select count(*) from `+pgx.Identifier{table}.Sanitize()+` where tenant_id = $1`,
			arg(tx.Tenant)).Scan(&n)
		if err != nil {
			return failed("count what is left in "+table, err)
		}
		left[table] = n
	}
	var n int64
	err = tx.QueryRow(ctx, `select count(*) from tenants where id = $1`, arg(tx.Tenant)).Scan(&n)
	left["tenants"] = n
	return failed("count what is left in tenants", err)
}
