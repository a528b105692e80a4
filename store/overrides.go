package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

const overrideColumns = `o.id, o.resource_id, o.first_date, o.last_date, o.closed, o.hours, o.zone`

// CreateOverride makes a resource's hours on some dates others than the weekly
// ones; its id is drawn here. ErrInvalid, or ErrNotFound if the tenant has no such
// resource.
func (s *Store) CreateOverride(ctx context.Context, tenant busy.TenantID, o busy.Override) (busy.Override, error) {
	hours, err := writeRanges(o.Hours)
	if err != nil {
		return busy.Override{}, err
	}
	if err := checkOverride(o); err != nil {
		return busy.Override{}, err
	}
	if o.ID, err = busy.NewID[busy.Override](s.random); err != nil {
		return busy.Override{}, err
	}
	o.First, o.Last = dateOf(o.First), dateOf(o.Last)
	err = s.In(ctx, tenant, func(tx *Tx) error {
		if err := tx.bump(ctx, o.Resource); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			insert into overrides (tenant_id, id, resource_id, first_date, last_date, closed, hours, zone)
			values ($1, $2, $3, $4, $5, $6, $7, $8)`,
			arg(tenant), arg(o.ID), arg(o.Resource), o.First, o.Last, o.Closed, hours, o.Zone)
		if err != nil {
			return failed("create the override", err)
		}
		return tx.tellAvailability(ctx, o.Resource, reach(o), time.Time{})
	})
	return o, err
}

func checkOverride(o busy.Override) error {
	switch {
	case o.First.IsZero() || o.Last.IsZero() || dateOf(o.Last).Before(dateOf(o.First)):
		return busy.Invalid("dates", "must be a first date and a last one that is not before it")
	case !o.Closed && len(o.Hours) == 0 && o.Zone == "":
		return busy.Invalid("override", "must close the dates, or give them hours or a zone")
	case o.Zone != "":
		return checkZone(o.Zone)
	}
	return nil
}

// dateOf is the midnight of t's date, in UTC.
func dateOf(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// reach is a span that holds every instant of the override's dates, in whatever
// zone, and of hours that end on the date after.
func reach(o busy.Override) busy.Span {
	return busy.Span{Start: o.First.AddDate(0, 0, -1), End: o.Last.AddDate(0, 0, 3)}
}

// DeleteOverride lets the weekly hours apply again. ErrNotFound.
func (s *Store) DeleteOverride(ctx context.Context, tenant busy.TenantID, id busy.OverrideID) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, `select `+overrideColumns+` from overrides o where o.tenant_id = $1 and o.id = $2`,
			arg(tenant), arg(id))
		if err != nil {
			return failed("find the override", err)
		}
		o, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (busy.Override, error) { return scanOverride(row) })
		if err != nil {
			return failed("find the override", err)
		}
		if err := tx.bump(ctx, o.Resource); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `delete from overrides where tenant_id = $1 and id = $2`, arg(tenant), arg(id))
		if err == nil && tag.RowsAffected() == 0 {
			err = busy.ErrNotFound
		}
		if err != nil {
			return failed("delete the override", err)
		}
		return tx.tellAvailability(ctx, o.Resource, reach(o), time.Time{})
	})
}

// overrides reads those of the resources, in all their dates.
func (tx *Tx) overrides(ctx context.Context, resources []busy.Resource) error {
	at := make(map[busy.ResourceID]int, len(resources))
	ids := make([]busy.ResourceID, len(resources))
	for i, r := range resources {
		at[r.ID], ids[i] = i, r.ID
	}
	rows, err := tx.Query(ctx, `
		select `+overrideColumns+` from overrides o where o.tenant_id = $1 and o.resource_id = any($2)
		order by o.first_date, o.id`, arg(tx.Tenant), argIDs(ids))
	if err != nil {
		return failed("read overrides", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (busy.Override, error) { return scanOverride(row) })
	for _, o := range found {
		r := &resources[at[o.Resource]]
		r.Overrides = append(r.Overrides, o)
	}
	return failed("read overrides", err)
}

// scanOverride scans what is ahead of the override's columns, and these.
func scanOverride(row pgx.CollectableRow, ahead ...any) (busy.Override, error) {
	var o busy.Override
	var hours string
	err := row.Scan(append(ahead, into(&o.ID), into(&o.Resource), &o.First, &o.Last, &o.Closed, &hours, &o.Zone)...)
	if err != nil {
		return o, err
	}
	o.Hours, err = busy.ParseRanges(hours)
	return o, err
}

// writeRanges writes the hours of a date, if they can be read again.
func writeRanges(ranges []busy.Range) (string, error) {
	text := busy.FormatRanges(ranges)
	_, err := busy.ParseRanges(text)
	return text, err
}
