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
// calendars, without their names, the blocks that overlap the span, the claims
// around it, the overrides of its dates, and the agenda's version. All is read as
// of one moment, in one round trip. ErrNotFound if one of the resources is not the
// tenant's.
func (s *Store) Agendas(ctx context.Context, tenant busy.TenantID, resources []busy.ResourceID, span busy.Span,
) ([]busy.Agenda, error) {
	if len(resources) == 0 {
		return nil, nil
	}
	// Without the snapshot of one moment, a calendar that is being deselected
	// could be listed and its blocks be gone.
	batch := &pgx.Batch{}
	batch.Queue(`begin isolation level repeatable read read only`)
	batch.Queue(setTenant, tenant.String())
	agendas := queueAgendas(batch, tenant, argIDs(resources), span)
	batch.Queue(`commit`)
	if err := s.app.SendBatch(ctx, batch).Close(); err != nil {
		return nil, failed("read the agendas", err)
	}
	return agendas, nil
}

// Standings returns the agendas without blocks, claims and overrides: what tells
// whether anything has changed, and how fresh the calendars are. It is read as of
// one moment, in one round trip. ErrNotFound as for Agendas.
func (s *Store) Standings(ctx context.Context, tenant busy.TenantID, resources []busy.ResourceID) ([]busy.Agenda, error) {
	if len(resources) == 0 {
		return nil, nil
	}
	agendas := make([]busy.Agenda, len(resources))
	batch := &pgx.Batch{} // one statement sees one moment
	batch.Queue(setTenant, tenant.String())
	batch.Queue(agendaResources, arg(tenant), argIDs(resources)).
		Query(func(rows pgx.Rows) error { return readResources(rows, agendas) })
	if err := s.app.SendBatch(ctx, batch).Close(); err != nil {
		return nil, failed("read the standings", err)
	}
	return agendas, nil
}

// queueAgendas reads the agendas, which are complete when the batch is.
func queueAgendas(batch *pgx.Batch, tenant busy.TenantID, ids [][16]byte, span busy.Span) []busy.Agenda {
	agendas := make([]busy.Agenda, len(ids))
	first, last := weeksOf(span)
	around := busy.Span{Start: micros(span.Start.Add(-claimsAround)), End: micros(span.End.Add(claimsAround))}
	batch.Queue(agendaResources, arg(tenant), ids).Query(func(rows pgx.Rows) error { return readResources(rows, agendas) })
	batch.Queue(agendaOverrides, arg(tenant), ids, span.Start.AddDate(0, 0, -datesAround), span.End.AddDate(0, 0, datesAround)).
		Query(func(rows pgx.Rows) error { return readOverrides(rows, agendas) })
	batch.Queue(agendaWeeks, arg(tenant), ids, first, last).
		Query(func(rows pgx.Rows) error { return readBlocks(rows, agendas, span) })
	batch.Queue(agendaClaims, arg(tenant), ids, around.Start.Add(-busy.MaxBooking), around.Start, around.End).
		Query(func(rows pgx.Rows) error { return readClaims(rows, agendas) })
	return agendas
}

const (
	claimsAround = 8 * 24 * time.Hour // see [busy.Agenda]
	datesAround  = 3                  // a date's hours lie within a day of it, on whatever clock
)

const (
	agendaResources = `
		select w.n, r.version, case when c.id is null then (` + accountsGone + `) else false end, ` + resourceColumns + `, ` +
		calendarColumns + `
		from unnest($2::uuid[]) with ordinality as w (id, n)
		cross join lateral (select * from resources r where r.tenant_id = $1 and r.id = w.id limit 1) r
		left join (calendars c join connections n on n.tenant_id = $1 and n.id = c.connection_id)
			on c.tenant_id = $1 and c.resource_id = w.id and c.selected
		order by w.n, c.id`

	// Of the accounts that the resource had, none is left. One that waits for its
	// first consent has no secret and brings no calendars yet: it changes nothing.
	accountsGone = `
		select coalesce(bool_or(n.state = 'disconnected') and bool_and(n.grant_sealed is null), false)
		from connections n where n.tenant_id = $1 and n.resource_id = r.id`

	agendaOverrides = `
		select w.n, ` + overrideColumns + `
		from unnest($2::uuid[]) with ordinality as w (id, n)
		join overrides o on o.tenant_id = $1 and o.resource_id = w.id and o.last_date >= $3 and o.first_date <= $4
		order by o.first_date, o.id`

	// One descent of the index a resource, bounded from both sides.
	agendaWeeks = `
		select w.n, b.starts, b.ends, b.all_day, b.states
		from unnest($2::uuid[]) with ordinality as w (id, n)
		cross join lateral (
			select b.starts, b.ends, b.all_day, b.states from weeks b
			where b.tenant_id = $1 and b.resource_id = w.id and b.week between $3 and $4
			order by b.week
		) b`

	// Likewise; no booking is longer than busy.MaxBooking.
	agendaClaims = `
		select w.n, c.*
		from unnest($2::uuid[]) with ordinality as w (id, n)
		cross join lateral (
			select c.booking_id, c.service_id, c.session_id, c.starts_at, c.ends_at, c.blocked_from, c.blocked_to, c.seats,
				c.expires_at, c.created_at
			from claims c
			where c.tenant_id = $1 and c.resource_id = w.id and c.live
				and c.blocked_from > $3 and c.blocked_from < $5 and c.blocked_to > $4
			order by c.blocked_from
		) c`
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
		var version int64
		var disconnected bool
		row := []any{&n, &version, &disconnected, into(&r.ID), &r.Name, &r.Zone, &hours}
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
		found[n], a.Resource, a.Version, a.Disconnected = true, r, version, disconnected
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
		a, err := agendaOf(raw[0], agendas)
		if err != nil {
			return err
		}
		of, err := readEntries(raw[1:])
		if err != nil {
			return err
		}
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

// agendaOf finds the agenda that a row's ordinal, in binary form, belongs to.
func agendaOf(raw []byte, agendas []busy.Agenda) (*busy.Agenda, error) {
	if len(raw) != 8 {
		return nil, errForm
	}
	n := binary.BigEndian.Uint64(raw)
	if n < 1 || n > uint64(len(agendas)) {
		return nil, errOrdinal
	}
	return &agendas[n-1], nil
}

func readOverrides(rows pgx.Rows, agendas []busy.Agenda) error {
	for rows.Next() {
		var n int64
		o, err := scanOverride(rows, &n)
		if err != nil {
			return err
		}
		if n < 1 || n > int64(len(agendas)) {
			return errOrdinal
		}
		r := &agendas[n-1].Resource
		r.Overrides = append(r.Overrides, o)
	}
	return rows.Err()
}

// readClaims reads the binary form of agendaClaims' columns: a popular resource has
// hundreds, and most questions are asked of several.
func readClaims(rows pgx.Rows, agendas []busy.Agenda) error {
	for rows.Next() {
		raw := rows.RawValues()
		a, err := agendaOf(raw[0], agendas)
		if err != nil {
			return err
		}
		c, err := decodeClaim(raw[1:])
		if err != nil {
			return err
		}
		a.Claims = append(a.Claims, c)
	}
	for i := range agendas {
		slices.SortStableFunc(agendas[i].Claims, func(a, b busy.Claim) int { return a.Span.Start.Compare(b.Span.Start) })
	}
	return rows.Err()
}

func decodeClaim(raw [][]byte) (c busy.Claim, err error) {
	if len(raw) != 10 || len(raw[0]) != 16 || len(raw[1]) != 16 || len(raw[2]) != 16 || len(raw[7]) != 4 {
		return c, errForm
	}
	c.Booking, c.Service, c.Session = busy.BookingID(raw[0]), busy.ServiceID(raw[1]), busy.SessionID(raw[2])
	c.Seats = int(binary.BigEndian.Uint32(raw[7]))
	for i, to := range [...]*time.Time{
		3: &c.Span.Start, 4: &c.Span.End, 5: &c.Blocked.Start, 6: &c.Blocked.End, 8: &c.ExpiresAt, 9: &c.CreatedAt,
	} {
		if to == nil || raw[i] == nil {
			continue
		}
		if *to, err = decodeTime(raw[i]); err != nil {
			return c, err
		}
	}
	return c, nil
}
