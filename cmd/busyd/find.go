package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
)

func findTenant(ctx context.Context, st *store.Store, nameOrID string) (busy.Tenant, error) {
	t, err := st.FindTenant(ctx, nameOrID)
	if errors.Is(err, busy.ErrNotFound) {
		return t, missing("tenant", "tenant list")
	}
	return t, err
}

func (s *session) resource(nameOrID string) (busy.Resource, error) {
	r, err := s.store.FindResource(s, s.tenant.ID, nameOrID)
	if errors.Is(err, busy.ErrNotFound) {
		return r, missing("resource", "resource list")
	}
	return r, err
}

func (s *session) connection(id string) (busy.Connection, error) {
	parsed, err := busy.ParseID[busy.Connection](id)
	if err != nil {
		return busy.Connection{}, fmt.Errorf("the connection's %w", err)
	}
	c, err := s.store.Connection(s, s.tenant.ID, parsed)
	if errors.Is(err, busy.ErrNotFound) {
		return c, missing("connection", "connection list")
	}
	return c, err
}

// calendar finds a calendar by its id, or by its name if that is the only one
// of that name.
func (s *session) calendar(nameOrID string) (busy.Calendar, error) {
	all, err := s.store.Calendars(s, s.tenant.ID)
	if err != nil {
		return busy.Calendar{}, err
	}
	var found []busy.Calendar
	for _, c := range all {
		if c.ID.String() == strings.ToLower(nameOrID) || c.Name == nameOrID {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return busy.Calendar{}, missing("calendar", "calendar list")
	case 1:
		return found[0], nil
	default:
		return busy.Calendar{}, busy.Invalid("calendar", "is the name of several: give an id, see `busyd calendar list`")
	}
}

// missing is an ErrNotFound that tells where to look.
func missing(what, command string) error {
	return marked{fmt.Errorf("there is no such %s; `busyd %s` shows those there are", what, command), []error{busy.ErrNotFound}}
}

// resourceNames maps ids to names, for tables.
func (s *session) resourceNames() (map[busy.ResourceID]string, error) {
	all, err := s.store.Resources(s, s.tenant.ID)
	names := map[busy.ResourceID]string{}
	for _, r := range all {
		names[r.ID] = r.Name
	}
	return names, err
}
