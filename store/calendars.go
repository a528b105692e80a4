package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

func (tx *Tx) queueCalendar(batch *pgx.Batch, box *seal.Box, connection busy.Connection, found busy.NewCalendar, now time.Time,
) (busy.Calendar, error) {
	if found.Zone != "" {
		if err := checkZone(found.Zone); err != nil {
			return busy.Calendar{}, err
		}
	}
	id, err := busy.NewID[busy.Calendar](tx.store.random)
	if err != nil {
		return busy.Calendar{}, err
	}
	remote, err := box.Seal(remoteField, string(id[:]), found.Remote)
	if err != nil {
		return busy.Calendar{}, err
	}
	name, err := box.Seal(nameField, string(id[:]), []byte(found.Name))
	if err != nil {
		return busy.Calendar{}, err
	}
	calendar := busy.Calendar{
		ID: id, Connection: connection.ID, Resource: connection.Resource, Kind: connection.Kind,
		Name: found.Name, Zone: found.Zone, Selected: found.Selected, Connected: connection.State,
	}
	if found.Selected {
		calendar.DueAt = now
	}
	hash := box.Hash(remoteField, string(connection.ID[:]), string(found.Remote))
	batch.Queue(`
		insert into calendars (tenant_id, id, connection_id, resource_id, remote_hash, remote_sealed, name_sealed, zone,
			selected, due_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		arg(tx.Tenant), arg(id), arg(connection.ID), arg(connection.Resource), hash[:], remote, name, found.Zone,
		found.Selected, argTime(calendar.DueAt))
	return calendar, nil
}

// A freshness is read from these columns of calendars c, and a calendar from
// those and connections n.
const (
	freshnessColumns = `c.as_of, c.changed_at, c.covered_from, c.covered_to, c.problems, c.outcome, c.failures, c.due_at,
		c.lease_until is not null`
	calendarColumns = `c.id, c.connection_id, c.resource_id, n.kind, c.zone, c.selected,
		c.ignore_tentative, c.ignore_all_day, n.state, ` + freshnessColumns
	fromCalendars = ` from calendars c join connections n on n.tenant_id = c.tenant_id and n.id = c.connection_id `
)

func freshnessInto(f *busy.Freshness) []any {
	return []any{
		intoTime(&f.AsOf), intoTime(&f.ChangedAt), intoTime(&f.Covered.Start), intoTime(&f.Covered.End), &f.Problems, (*string)(&f.Outcome),
		&f.Failures, intoTime(&f.DueAt), &f.Running,
	}
}

func calendarInto(c *busy.Calendar) []any {
	return append([]any{
		into(&c.ID), into(&c.Connection), into(&c.Resource), (*string)(&c.Kind), &c.Zone, &c.Selected,
		&c.IgnoreTentative, &c.IgnoreAllDay, (*string)(&c.Connected),
	}, freshnessInto(&c.Freshness)...)
}

// Calendars lists the calendars of the tenant's live connections, selected or
// not, by connection.
func (s *Store) Calendars(ctx context.Context, tenant busy.TenantID) ([]busy.Calendar, error) {
	var calendars []busy.Calendar
	err := s.In(ctx, tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, `select c.name_sealed, `+calendarColumns+fromCalendars+`
			where c.tenant_id = $1 order by n.created_at, n.id, c.id`, arg(tenant))
		if err != nil {
			return failed("list calendars", err)
		}
		calendars, err = tx.collectCalendars(ctx, rows)
		return failed("list calendars", err)
	})
	return calendars, err
}

// Calendar returns one calendar of a live connection. ErrNotFound.
func (s *Store) Calendar(ctx context.Context, tenant busy.TenantID, id busy.CalendarID) (busy.Calendar, error) {
	var calendar busy.Calendar
	err := s.In(ctx, tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, `select c.name_sealed, `+calendarColumns+fromCalendars+`
			where c.tenant_id = $1 and c.id = $2`, arg(tenant), arg(id))
		if err != nil {
			return failed("find the calendar", err)
		}
		found, err := tx.collectCalendars(ctx, rows)
		if err == nil && len(found) == 0 {
			err = busy.ErrNotFound
		}
		if err == nil {
			calendar = found[0]
		}
		return failed("find the calendar", err)
	})
	return calendar, err
}

// collectCalendars reads rows of name_sealed and calendarColumns.
func (tx *Tx) collectCalendars(ctx context.Context, rows pgx.Rows) ([]busy.Calendar, error) {
	var names [][]byte
	calendars, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (busy.Calendar, error) {
		var c busy.Calendar
		var name []byte
		err := row.Scan(append([]any{&name}, calendarInto(&c)...)...)
		names = append(names, name)
		return c, err
	})
	if err != nil || len(calendars) == 0 {
		return nil, err
	}
	box, err := tx.Box(ctx)
	if err != nil {
		return nil, err
	}
	for i := range calendars {
		name, err := box.Open(nameField, string(calendars[i].ID[:]), names[i])
		if err != nil {
			return nil, err
		}
		calendars[i].Name = string(name)
	}
	return calendars, nil
}

// Select decides whether a calendar blocks its resource's time. Deselecting
// removes all that was read from it and fences whoever is reading it; selecting
// makes it due at once. Nothing happens if it is so already. ErrNotFound.
func (s *Store) Select(ctx context.Context, tenant busy.TenantID, id busy.CalendarID, selected bool, now time.Time) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		c, err := tx.lockCalendar(ctx, id)
		if err != nil || c.selected == selected {
			return err
		}
		if err := tx.bump(ctx, c.resource); err != nil {
			return err
		}
		if selected {
			err = tx.read(ctx, id, c.connection, now)
		} else {
			err = errors.Join(tx.deselect(ctx, id), tx.judge(ctx, c.connection, now), tx.flagConflicts(ctx, c.resource, always, now))
		}
		if err != nil {
			return err
		}
		return tx.tellAvailability(ctx, c.resource, busy.Span{}, now)
	})
}

// SetIgnore decides whether events of a calendar that are only tentative, or last
// all day, do not block. What was read of a selected calendar is forgotten, and it
// is due at once: until it has been read it offers nothing. Nothing happens if it
// is so already. ErrNotFound.
func (s *Store) SetIgnore(ctx context.Context, tenant busy.TenantID, id busy.CalendarID, tentative, allDay bool, now time.Time) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		c, err := tx.lockCalendar(ctx, id)
		if err != nil || c.ignoreTentative == tentative && c.ignoreAllDay == allDay {
			return err
		}
		if err := tx.bump(ctx, c.resource); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			update calendars set ignore_tentative = $3, ignore_all_day = $4 where tenant_id = $1 and id = $2`,
			arg(tenant), arg(id), tentative, allDay)
		if err != nil || !c.selected {
			return failed("change the calendar", err)
		}
		if err := errors.Join(tx.deselect(ctx, id), tx.read(ctx, id, c.connection, now)); err != nil {
			return err
		}
		return tx.tellAvailability(ctx, c.resource, busy.Span{}, now)
	})
}

// lockedCalendar is a calendar whose row, and whose connection's, are locked.
type lockedCalendar struct {
	connection                              locked
	resource                                busy.ResourceID
	selected, ignoreTentative, ignoreAllDay bool
}

func (tx *Tx) lockCalendar(ctx context.Context, id busy.CalendarID) (lockedCalendar, error) {
	var c lockedCalendar
	var connection busy.ConnectionID
	err := tx.QueryRow(ctx, `select connection_id from calendars where tenant_id = $1 and id = $2`,
		arg(tx.Tenant), arg(id)).Scan(into(&connection))
	if err != nil {
		return c, failed("find the calendar", err)
	}
	if c.connection, err = tx.lockConnection(ctx, connection); err != nil {
		return c, err
	}
	err = tx.QueryRow(ctx, `
		select resource_id, selected, ignore_tentative, ignore_all_day from calendars where tenant_id = $1 and id = $2`,
		arg(tx.Tenant), arg(id)).Scan(into(&c.resource), &c.selected, &c.ignoreTentative, &c.ignoreAllDay)
	return c, failed("find the calendar", err)
}

// read has a calendar block its resource's time, and be read at once if its
// connection is.
func (tx *Tx) read(ctx context.Context, id busy.CalendarID, c locked, now time.Time) error {
	var due time.Time
	if c.state.Polled() {
		due = now
	}
	_, err := tx.Exec(ctx, `
		update calendars set selected = true, epoch = epoch + 1, due_at = $3 where tenant_id = $1 and id = $2`,
		arg(tx.Tenant), arg(id), argTime(micros(due)))
	return failed("select the calendar", err)
}

func (tx *Tx) deselect(ctx context.Context, id busy.CalendarID) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		update calendars set selected = false, epoch = epoch + 1, due_at = null, lease_until = null, urgency = 'routine',
			want_full = false, cursor_sealed = null, as_of = null, changed_at = null, full_at = null, covered_from = null, covered_to = null,
			expanded_zone = '', outcome = '', failures = 0, suspicions = 0, problems = 0
		where tenant_id = $1 and id = $2`, arg(tx.Tenant), arg(id))
	batch.Queue(`
		delete from weeks b using calendars c
		where c.tenant_id = $1 and c.id = $2
			and b.tenant_id = $1 and b.resource_id = c.resource_id and b.calendar_id = c.id`, arg(tx.Tenant), arg(id))
	batch.Queue(`delete from events where tenant_id = $1 and calendar_id = $2`, arg(tx.Tenant), arg(id))
	return failed("deselect the calendar", tx.SendBatch(ctx, batch).Close())
}
