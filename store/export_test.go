package store

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/busyd/busyd/busy"
)

// What the tests need to see of the package's inside.
var OpenTuned = open

const (
	AgendaResources  = agendaResources
	AgendaWeeks      = agendaWeeks
	AgendaClaims     = agendaClaims
	AgendaOverrides  = agendaOverrides
	BumpSeen         = bumpSeen
	ExpireHoldsQuery = expireHolds
	CollisionQuery   = collisionQuery
	ResolveConflicts = resolveConflicts
	ClaimQuery       = claimQuery
	DispatchQuery    = dispatchQuery
	ListenQuery      = listenQuery
)

func TenantTables() []string { return tenantTables() }

// Pool is the application's.
func Pool(s *Store) *pgxpool.Pool { return s.app }

// FetchWeeks sends a query for rows as AgendaWeeks returns them behind the tenant's
// door, and reads them as Agendas does.
func FetchWeeks(ctx context.Context, s *Store, tenant busy.TenantID, resources int, span busy.Span, query string, args ...any,
) ([]busy.Agenda, error) {
	agendas := make([]busy.Agenda, resources)
	batch := &pgx.Batch{}
	batch.Queue(`begin isolation level repeatable read read only`)
	batch.Queue(setTenant, tenant.String())
	batch.Queue(query, args...).Query(func(rows pgx.Rows) error { return readBlocks(rows, agendas, span) })
	batch.Queue(`commit`)
	return agendas, s.app.SendBatch(ctx, batch).Close()
}

// FetchRows sends a query for rows of an ordinal, start, end, all-day and state,
// one a block, and reads them into agendas.
func FetchRows(ctx context.Context, s *Store, resources int, query string, args ...any) ([]busy.Agenda, error) {
	agendas := make([]busy.Agenda, resources)
	rows, err := s.app.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		raw := rows.RawValues()
		start, errStart := decodeTime(raw[1])
		end, errEnd := decodeTime(raw[2])
		if errStart != nil || errEnd != nil {
			return nil, errForm
		}
		a := &agendas[binary.BigEndian.Uint64(raw[0])-1]
		a.Blocks = append(a.Blocks, busy.Block{Start: start, End: end, AllDay: raw[3][0] != 0, State: busy.State(raw[4][1])})
	}
	return agendas, rows.Err()
}

// WeeksOf are the bounds of AgendaWeeks.
func WeeksOf(span busy.Span) (first, last time.Time) { return weeksOf(span) }

// SignToken adds its check to the body of a token.
func SignToken(body string) string { return body + "_" + checkDigits(body) }

// Tell writes a message, and returns it as it will be read.
func Tell(ctx context.Context, tx *Tx, m busy.Message) (busy.Message, error) {
	var err error
	if m.ID, err = busy.NewID[busy.Message](tx.store.random); err != nil {
		return m, err
	}
	batch := &pgx.Batch{}
	queueMessage(batch, tx.Tenant, m)
	return m, tx.SendBatch(ctx, batch).Close()
}

// SealProposal seals what a proposal has sealed: the details and the answer.
func SealProposal(ctx context.Context, s *Store, tenant busy.TenantID, p busy.Proposal) (details, answer []byte, err error) {
	sealed, err := s.sealProposal(ctx, tenant, p)
	return sealed.details, sealed.once.answer, err
}

// ProposeUnguarded writes a new booking as Propose does, on whatever agenda, and
// locks none.
func ProposeUnguarded(ctx context.Context, s *Store, tenant busy.TenantID, p busy.Proposal) error {
	sealed, err := s.sealProposal(ctx, tenant, p)
	if err != nil {
		return err
	}
	p.Seen = nil
	batch := &pgx.Batch{}
	batch.Queue(setTenant, tenant.String())
	queueProposal(batch, tenant, p, sealed)
	return s.app.SendBatch(ctx, batch).Close()
}
