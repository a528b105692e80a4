package store

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// Agendas returns, for each of the resources in their order, its selected
// calendars, without their names, and the blocks that overlap the span. All is
// read as of one moment, in one round trip. ErrNotFound if one of the resources
// is not the tenant's.
func (s *Store) Agendas(ctx context.Context, tenant busy.TenantID, resources []busy.ResourceID, span busy.Span,
) ([]busy.Agenda, error) {
	if len(resources) == 0 {
		return nil, nil
	}
	ids := make([][16]byte, len(resources))
	for i, id := range resources {
		ids[i] = arg(id)
	}
	agendas := make([]busy.Agenda, len(resources))
	// Without the snapshot of one moment, a calendar that is being deselected
	// could be listed and its blocks be gone.
	batch := &pgx.Batch{}
	batch.Queue(`begin isolation level repeatable read read only`)
	batch.Queue(setTenant, tenant.String())
	batch.Queue(agendaResources, arg(tenant), ids).Query(func(rows pgx.Rows) error { return readResources(rows, agendas) })
	first, last := weeksOf(span)
	batch.Queue(agendaWeeks, arg(tenant), ids, first, last).
		Query(func(rows pgx.Rows) error { return readBlocks(rows, agendas, span) })
	batch.Queue(`commit`)
	if err := s.app.SendBatch(ctx, batch).Close(); err != nil {
		return nil, failed("read the agendas", err)
	}
	return agendas, nil
}

const (
	agendaResources = `
		select w.n, ` + resourceColumns + `, ` + calendarColumns + `
		from unnest($2::uuid[]) with ordinality as w (id, n)
		cross join lateral (select * from resources r where r.tenant_id = $1 and r.id = w.id limit 1) r
		left join (calendars c join connections n on n.tenant_id = $1 and n.id = c.connection_id)
			on c.tenant_id = $1 and c.resource_id = w.id and c.selected
		order by w.n, c.id`

	// One descent of the index a resource, bounded from both sides.
	agendaWeeks = `
		select w.n, b.starts, b.ends, b.all_day, b.states
		from unnest($2::uuid[]) with ordinality as w (id, n)
		cross join lateral (
			select b.starts, b.ends, b.all_day, b.states from weeks b
			where b.tenant_id = $1 and b.resource_id = w.id and b.week between $3 and $4
			order by b.week
		) b`
)

var errOrdinal = errors.New("a row belongs to no resource that was asked for")

// readResources reads a row for each calendar, and one for a resource that has none.
func readResources(rows pgx.Rows, agendas []busy.Agenda) error {
	found := make(map[int64]bool)
	for rows.Next() {
		var n int64
		var r busy.Resource
		var hours string
		var c busy.Calendar
		row := []any{&n, into(&r.ID), &r.Name, &r.Zone, &hours}
		calendar := calendarInto(&c)
		if rows.RawValues()[len(row)] == nil {
			clear(calendar) // nil: not wanted
		}
		if err := rows.Scan(append(row, calendar...)...); err != nil {
			return err
		}
		a := &agendas[n-1]
		if !c.ID.IsZero() {
			a.Calendars = append(a.Calendars, c)
		}
		if found[n] {
			continue
		}
		found[n], a.Resource = true, r
		if err := a.Resource.Hours.UnmarshalText([]byte(hours)); err != nil {
			return err
		}
	}
	if rows.Err() == nil && len(found) < len(agendas) {
		return busy.ErrNotFound
	}
	return rows.Err()
}

// readBlocks takes those blocks out of weeks that overlap the span.
func readBlocks(rows pgx.Rows, agendas []busy.Agenda, span busy.Span) error {
	from, to := span.Start.UnixMicro(), span.End.UnixMicro()
	for rows.Next() {
		raw := rows.RawValues()
		if len(raw[0]) != 8 {
			return errForm
		}
		n := binary.BigEndian.Uint64(raw[0])
		if n < 1 || n > uint64(len(agendas)) {
			return errOrdinal
		}
		of, err := readEntries(raw[1:])
		if err != nil {
			return err
		}
		a := &agendas[n-1]
		a.Blocks = slices.Grow(a.Blocks, of.n)
		for i := range of.n {
			if start, end := of.start(i), of.end(i); start < to && end > from {
				a.Blocks = append(a.Blocks, busy.Block{
					Start: time.UnixMicro(start).UTC(), End: time.UnixMicro(end).UTC(), AllDay: of.allDay(i), State: of.state(i),
				})
			}
		}
	}
	for i := range agendas {
		byStart := func(a, b busy.Block) int { return a.Start.Compare(b.Start) }
		if !slices.IsSortedFunc(agendas[i].Blocks, byStart) {
			slices.SortFunc(agendas[i].Blocks, byStart)
		}
	}
	return rows.Err()
}
