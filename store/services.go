package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// CreateService makes a service; its id is drawn here. ErrInvalid, ErrExists if the
// tenant has one of the same name, ErrNotFound if it does not have the resources.
func (s *Store) CreateService(ctx context.Context, tenant busy.TenantID, service busy.Service) (busy.Service, error) {
	if err := checkService(service); err != nil {
		return busy.Service{}, err
	}
	id, err := busy.NewID[busy.Service](s.random)
	if err != nil {
		return busy.Service{}, err
	}
	service.ID = id
	err = s.In(ctx, tenant, func(tx *Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(`
			insert into services (tenant_id, id, name, duration, buffer_before, buffer_after, notice, horizon, slot_interval, align,
				max_per_day, max_per_week, capacity, policy, stale_after, public)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`, serviceArgs(tenant, service)...)
		queueNeeds(batch, tenant, service)
		return failed("create the service", tx.SendBatch(ctx, batch).Close())
	})
	return service, err
}

// ReplaceService changes all of a service that is not archived. Bookings that were
// made stay as they are. Errors as for CreateService, or ErrNotFound.
func (s *Store) ReplaceService(ctx context.Context, tenant busy.TenantID, service busy.Service) error {
	if err := checkService(service); err != nil {
		return err
	}
	return s.In(ctx, tenant, func(tx *Tx) error {
		tag, err := tx.Exec(ctx, `
			update services
			set name = $3, duration = $4, buffer_before = $5, buffer_after = $6, notice = $7, horizon = $8, slot_interval = $9,
				align = $10, max_per_day = $11, max_per_week = $12, capacity = $13, policy = $14, stale_after = $15,
				public = $16
			where tenant_id = $1 and id = $2 and not archived`, serviceArgs(tenant, service)...)
		if err == nil && tag.RowsAffected() == 0 {
			err = busy.ErrNotFound
		}
		if err != nil {
			return failed("change the service", err)
		}
		batch := &pgx.Batch{}
		batch.Queue(`delete from needs where tenant_id = $1 and service_id = $2`, arg(tenant), arg(service.ID))
		queueNeeds(batch, tenant, service)
		return failed("change the service", tx.SendBatch(ctx, batch).Close())
	})
}

func serviceArgs(tenant busy.TenantID, s busy.Service) []any {
	return []any{
		arg(tenant), arg(s.ID), s.Name, seconds(s.Duration), seconds(s.Before), seconds(s.After), seconds(s.Notice),
		seconds(s.Horizon), seconds(s.Interval), string(s.Align), s.MaxPerDay, s.MaxPerWeek, s.Capacity, string(s.Policy),
		seconds(s.StaleAfter), s.Public,
	}
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func queueNeeds(batch *pgx.Batch, tenant busy.TenantID, s busy.Service) {
	for i, need := range s.Needs {
		batch.Queue(`
			insert into needs (tenant_id, service_id, need, n, count, resource_id)
			select $1, $2, $3, r.n, $4, r.id from unnest($5::uuid[]) with ordinality as r (id, n)`,
			arg(tenant), arg(s.ID), i, need.Count, argIDs(need.Resources))
	}
}

// checkService accepts what can be stored and booked.
func checkService(s busy.Service) error {
	if err := checkName(s.Name); err != nil {
		return err
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"duration", s.Duration},
		{"before", s.Before},
		{"after", s.After},
		{"notice", s.Notice},
		{"horizon", s.Horizon},
		{"interval", s.Interval},
		{"stale_after", s.StaleAfter},
	} {
		if d.value < 0 || d.value%time.Second != 0 {
			return busy.Invalid(d.field, "must be whole seconds, and not negative")
		}
	}
	switch {
	case s.Duration == 0:
		return busy.Invalid("duration", "must be at least a second")
	case s.Interval == 0:
		return busy.Invalid("interval", "must be at least a second")
	case s.Duration > busy.MaxBooking || s.Before > busy.MaxBooking || s.After > busy.MaxBooking ||
		s.Duration+s.Before+s.After > busy.MaxBooking:
		return busy.Invalid("duration", "must be at most seven days, with the time before and after")
	case s.Align != busy.AlignPeriod && s.Align != busy.AlignClock:
		return busy.Invalid("align", "must be period or clock")
	case !slices.Contains(busy.Policies(), s.Policy):
		return busy.Invalid("policy", "must be treat_as_busy, reject or serve_stale")
	case s.Capacity < 1:
		return busy.Invalid("capacity", "must be at least 1")
	case s.MaxPerDay < 0 || s.MaxPerWeek < 0:
		return busy.Invalid("limits", "must not be negative")
	}
	return checkNeeds(s.Needs)
}

func checkNeeds(needs []busy.Need) error {
	if len(needs) == 0 {
		return busy.Invalid("needs", "must name at least one group of resources")
	}
	for _, need := range needs {
		ids := argIDs(need.Resources)
		slices.SortFunc(ids, func(a, b [16]byte) int { return slices.Compare(a[:], b[:]) })
		switch {
		case len(slices.Compact(ids)) < len(need.Resources):
			return busy.Invalid("needs", "must name a resource once in a group")
		case need.Count < 1 || need.Count > len(need.Resources):
			return busy.Invalid("needs", "must count at least 1 and at most the group's resources")
		}
	}
	return nil
}

const servicesQuery = `
	select s.id, s.name, s.duration, s.buffer_before, s.buffer_after, s.notice, s.horizon, s.slot_interval, s.align, s.max_per_day,
		s.max_per_week, s.capacity, s.policy, s.stale_after, s.public, n.need, n.count, n.resource_id
	from services s join needs n on n.tenant_id = $1 and n.service_id = s.id
	where s.tenant_id = $1 and ($2::uuid is null or s.id = $2) and ($3 or not s.archived)
	order by s.name, s.id, n.need, n.n`

// Service returns one service that is not archived. It is one round trip.
// ErrNotFound.
func (s *Store) Service(ctx context.Context, tenant busy.TenantID, id busy.ServiceID) (busy.Service, error) {
	return s.service(ctx, tenant, id, false)
}

// BookedService returns a service that may be archived: bookings that were made of
// it stay. It is one round trip. ErrNotFound.
func (s *Store) BookedService(ctx context.Context, tenant busy.TenantID, id busy.ServiceID) (busy.Service, error) {
	return s.service(ctx, tenant, id, true)
}

func (s *Store) service(ctx context.Context, tenant busy.TenantID, id busy.ServiceID, archived bool) (busy.Service, error) {
	found, err := s.services(ctx, tenant, id, archived)
	if err == nil && len(found) == 0 {
		err = busy.ErrNotFound
	}
	if err != nil {
		return busy.Service{}, failed("find the service", err)
	}
	return found[0], nil
}

// Services lists the services that are not archived, by name.
func (s *Store) Services(ctx context.Context, tenant busy.TenantID) ([]busy.Service, error) {
	found, err := s.services(ctx, tenant, busy.ServiceID{}, false)
	return found, failed("list services", err)
}

func (s *Store) services(ctx context.Context, tenant busy.TenantID, id busy.ServiceID, archived bool) (found []busy.Service, err error) {
	batch := &pgx.Batch{}
	batch.Queue(setTenant, tenant.String())
	batch.Queue(servicesQuery, arg(tenant), argID(id), archived).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var need busy.Need
			var n int
			one, err := scanService(rows, &n, &need)
			if err != nil {
				return err
			}
			if len(found) == 0 || found[len(found)-1].ID != one.ID {
				found = append(found, one)
			}
			last := &found[len(found)-1]
			if n == len(last.Needs) {
				last.Needs = append(last.Needs, need)
				continue
			}
			of := &last.Needs[n]
			of.Resources = append(of.Resources, need.Resources...)
		}
		return rows.Err()
	})
	return found, s.app.SendBatch(ctx, batch).Close()
}

// scanService reads a row of a service with one resource of its n-th need.
func scanService(row pgx.CollectableRow, n *int, need *busy.Need) (busy.Service, error) {
	var s busy.Service
	var duration, before, after, notice, horizon, interval, staleAfter int64
	need.Resources = make([]busy.ResourceID, 1)
	err := row.Scan(into(&s.ID), &s.Name, &duration, &before, &after, &notice, &horizon, &interval, (*string)(&s.Align), &s.MaxPerDay,
		&s.MaxPerWeek, &s.Capacity, (*string)(&s.Policy), &staleAfter, &s.Public, n, &need.Count, into(&need.Resources[0]))
	for to, from := range map[*time.Duration]int64{
		&s.Duration: duration, &s.Before: before, &s.After: after, &s.Notice: notice, &s.Horizon: horizon, &s.Interval: interval,
		&s.StaleAfter: staleAfter,
	} {
		*to = time.Duration(from) * time.Second
	}
	return s, err
}

// ArchiveService has a service neither offered nor listed any more, nor shown on a
// page; its bookings stay. ErrNotFound.
func (s *Store) ArchiveService(ctx context.Context, tenant busy.TenantID, id busy.ServiceID) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		tag, err := tx.Exec(ctx, `update services set archived = true, public = false where tenant_id = $1 and id = $2 and not archived`,
			arg(tenant), arg(id))
		if err == nil && tag.RowsAffected() == 0 {
			err = busy.ErrNotFound
		}
		return failed("archive the service", err)
	})
}
