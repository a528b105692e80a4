package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

const (
	farewellField = "farewells.sealed"
	accountField  = "connections.account"
)

// parting is what a farewell seals.
type parting struct {
	Grant   []byte
	Account []byte
	Watches []partingWatch
}

type partingWatch struct {
	ID     string
	Handle []byte
}

// queueFarewell notes what the provider has to be told of a connection that is
// about to go. It must come before the watches are removed.
func (tx *Tx) queueFarewell(ctx context.Context, batch *pgx.Batch, id busy.ConnectionID, now time.Time) error {
	grant, err := tx.lockGrant(ctx, id)
	if err != nil {
		return err
	}
	watches, err := tx.watches(ctx, id, nil)
	if err != nil {
		return err
	}
	box, err := tx.Box(ctx)
	if err != nil {
		return err
	}
	account, err := tx.account(ctx, box, id)
	if err != nil {
		return err
	}
	p := parting{Grant: grant, Account: account}
	for _, w := range watches {
		p.Watches = append(p.Watches, partingWatch{ID: w.ID, Handle: w.Handle})
	}
	plain, err := json.Marshal(p)
	if err != nil {
		return err
	}
	drawn, err := busy.NewID[busy.Farewell](tx.store.random)
	if err != nil {
		return err
	}
	sealed, err := box.Seal(farewellField, string(drawn[:]), plain)
	if err != nil {
		return err
	}
	batch.Queue(`
		insert into farewells (tenant_id, id, connection_id, kind, sealed, due_at, created_at)
		select $1, $3, id, kind, $4, $5, $5 from connections where tenant_id = $1 and id = $2`,
		arg(tx.Tenant), arg(id), arg(drawn), sealed, micros(now))
	return nil
}

// ClaimFarewells returns up to limit farewells that are due, and puts each off
// until now+again.
func (s *Store) ClaimFarewells(ctx context.Context, now time.Time, limit int, again time.Duration) ([]busy.FarewellID, error) {
	rows, err := s.sweep.Query(ctx, `
		with due as (
			select tenant_id, id from farewells where due_at <= $1 order by due_at limit $2 for update skip locked
		)
		update farewells f set due_at = $3 from due
		where f.tenant_id = due.tenant_id and f.id = due.id
		returning f.tenant_id, f.id`, micros(now), limit, micros(now.Add(again)))
	if err != nil {
		return nil, failed("claim farewells", err)
	}
	ids, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (busy.FarewellID, error) {
		var id busy.FarewellID
		return id, row.Scan(into(&id.Tenant), into(&id.ID))
	})
	return ids, failed("claim farewells", err)
}

// Farewells lists a tenant's.
func (s *Store) Farewells(ctx context.Context, tenant busy.TenantID) ([]busy.FarewellID, error) {
	var ids []busy.FarewellID
	err := s.In(ctx, tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, `select id from farewells where tenant_id = $1 order by created_at`, arg(tenant))
		if err != nil {
			return failed("list farewells", err)
		}
		ids, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (busy.FarewellID, error) {
			id := busy.FarewellID{Tenant: tenant}
			return id, row.Scan(into(&id.ID))
		})
		return failed("list farewells", err)
	})
	return ids, err
}

// Farewell opens a farewell. ErrNotFound.
func (s *Store) Farewell(ctx context.Context, id busy.FarewellID) (busy.Farewell, error) {
	var f busy.Farewell
	var p parting
	err := s.In(ctx, id.Tenant, func(tx *Tx) error {
		var sealed []byte
		err := tx.QueryRow(ctx, `select kind, sealed, attempts from farewells where tenant_id = $1 and id = $2`,
			arg(id.Tenant), arg(id.ID)).Scan((*string)(&f.Kind), &sealed, &f.Attempts)
		if err != nil {
			return failed("find the farewell", err)
		}
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		plain, err := box.Open(farewellField, string(id.ID[:]), sealed)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(plain, &p); err != nil {
			return seal.ErrCorrupt
		}
		return nil
	})
	if err != nil {
		return busy.Farewell{}, err
	}
	f.Grant = p.Grant
	for _, w := range p.Watches {
		f.Watches = append(f.Watches, busy.Watch{ID: w.ID, Handle: w.Handle})
	}
	f.Shared, err = s.hasConnections(ctx, f.Kind, p.Account)
	return f, err
}

// Settle ends a farewell that was said, or puts one that failed off until next.
func (s *Store) Settle(ctx context.Context, id busy.FarewellID, said bool, next time.Time) error {
	return s.In(ctx, id.Tenant, func(tx *Tx) error {
		query, args := `update farewells set attempts = attempts + 1, due_at = $3 where tenant_id = $1 and id = $2`,
			[]any{arg(id.Tenant), arg(id.ID), micros(next)}
		if said {
			query, args = `delete from farewells where tenant_id = $1 and id = $2`, args[:2]
		}
		_, err := tx.Exec(ctx, query, args...)
		return failed("settle the farewell", err)
	})
}
