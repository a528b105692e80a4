package store

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/busyd/busyd/busy"
)

// What the tests need to see of the package's inside.
var OpenTuned = open

const (
	AgendaBlocks = agendaBlocks
	ClaimQuery   = claimQuery
)

func TenantTables() []string { return tenantTables() }

// Pool is the application's.
func Pool(s *Store) *pgxpool.Pool { return s.app }

// FetchBlocks sends a query for rows as AgendaBlocks returns them, on a connection
// of any role, and reads them as Agendas does. With a tenant it does so behind the
// door.
func FetchBlocks(ctx context.Context, on interface {
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}, tenant *busy.TenantID, resources int, query string, args ...any,
) ([]busy.Agenda, error) {
	agendas := make([]busy.Agenda, resources)
	batch := &pgx.Batch{}
	if tenant != nil {
		batch.Queue(`begin isolation level repeatable read read only`)
		batch.Queue(setTenant, tenant.String())
	}
	batch.Queue(query, args...).Query(func(rows pgx.Rows) error { return readBlocks(rows, agendas) })
	if tenant != nil {
		batch.Queue(`commit`)
	}
	return agendas, on.SendBatch(ctx, batch).Close()
}

// SignToken adds its check to the body of a token.
func SignToken(body string) string { return body + "_" + checkDigits(body) }
