package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

const resourceColumns = `r.id, r.name, r.zone, r.hours`

// CreateResource makes a resource; its id is drawn here. ErrExists if the tenant
// has one of the same name, ErrInvalid for a zone that is not an IANA name.
func (s *Store) CreateResource(ctx context.Context, tenant busy.TenantID, r busy.Resource) (busy.Resource, error) {
	if err := checkName(r.Name); err != nil {
		return busy.Resource{}, err
	}
	if err := checkZone(r.Zone); err != nil {
		return busy.Resource{}, err
	}
	id, err := busy.NewID[busy.Resource](s.random)
	if err != nil {
		return busy.Resource{}, err
	}
	r.ID = id
	err = s.In(ctx, tenant, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `insert into resources (tenant_id, id, name, zone, hours) values ($1, $2, $3, $4, $5)`,
			arg(tenant), arg(r.ID), r.Name, r.Zone, r.Hours.String())
		return failed("create the resource", err)
	})
	return r, err
}

// ChangeResource gives a resource another name, zone and hours. Errors as for
// CreateResource, or ErrNotFound.
func (s *Store) ChangeResource(ctx context.Context, tenant busy.TenantID, r busy.Resource) error {
	if err := checkName(r.Name); err != nil {
		return err
	}
	if err := checkZone(r.Zone); err != nil {
		return err
	}
	return s.In(ctx, tenant, func(tx *Tx) error {
		if err := tx.bump(ctx, r.ID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `update resources set name = $3, zone = $4, hours = $5 where tenant_id = $1 and id = $2`,
			arg(tenant), arg(r.ID), r.Name, r.Zone, r.Hours.String())
		if err != nil {
			return failed("change the resource", err)
		}
		return tx.tellAvailability(ctx, r.ID, busy.Span{}, time.Time{})
	})
}

// bump locks a resource and raises its agenda's version: whoever changes blocks,
// claims, overrides or hours does so first, and whoever decided on what was there
// before can write no more. ErrNotFound.
func (tx *Tx) bump(ctx context.Context, id busy.ResourceID) error {
	tag, err := tx.Exec(ctx, `update resources set version = version + 1 where tenant_id = $1 and id = $2`,
		arg(tx.Tenant), arg(id))
	if err == nil && tag.RowsAffected() == 0 {
		err = busy.ErrNotFound
	}
	return failed("lock the agenda", err)
}

// Resources lists the tenant's resources by name.
func (s *Store) Resources(ctx context.Context, tenant busy.TenantID) ([]busy.Resource, error) {
	var resources []busy.Resource
	err := s.In(ctx, tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, `select `+resourceColumns+` from resources r where r.tenant_id = $1 order by r.name`,
			arg(tenant))
		if err != nil {
			return failed("list resources", err)
		}
		if resources, err = pgx.CollectRows(rows, scanResource); err != nil {
			return failed("list resources", err)
		}
		return tx.overrides(ctx, resources)
	})
	return resources, err
}

// FindResource returns the tenant's resource with the id, or the name. ErrNotFound.
func (s *Store) FindResource(ctx context.Context, tenant busy.TenantID, nameOrID string) (busy.Resource, error) {
	query, value := `select `+resourceColumns+` from resources r where r.tenant_id = $1 and r.name = $2`, any(nameOrID)
	if id, err := busy.ParseID[busy.Resource](nameOrID); err == nil {
		query, value = `select `+resourceColumns+` from resources r where r.tenant_id = $1 and r.id = $2`, arg(id)
	}
	var resource busy.Resource
	err := s.In(ctx, tenant, func(tx *Tx) error {
		rows, err := tx.Query(ctx, query, arg(tenant), value)
		if err != nil {
			return failed("find the resource", err)
		}
		found, err := pgx.CollectExactlyOneRow(rows, scanResource)
		if err != nil {
			return failed("find the resource", err)
		}
		one := []busy.Resource{found}
		err = tx.overrides(ctx, one)
		resource = one[0]
		return err
	})
	return resource, err
}

func scanResource(row pgx.CollectableRow) (busy.Resource, error) {
	var r busy.Resource
	var hours string
	if err := row.Scan(into(&r.ID), &r.Name, &r.Zone, &hours); err != nil {
		return r, err
	}
	return r, r.Hours.UnmarshalText([]byte(hours))
}

func checkZone(name string) error {
	_, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return busy.Invalid("zone", "must be an IANA time zone such as Europe/Berlin")
	}
	return nil
}
