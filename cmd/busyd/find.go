package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

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
	return only("calendar", all, func(c busy.Calendar) bool {
		return c.ID.String() == strings.ToLower(nameOrID) || c.Name == nameOrID
	})
}

// only returns the one of all that is meant.
func only[T any](what string, all []T, meant func(T) bool) (one T, err error) {
	found := 0
	for _, c := range all {
		if meant(c) {
			one, found = c, found+1
		}
	}
	switch found {
	case 0:
		return one, missing(what, what+" list")
	case 1:
		return one, nil
	default:
		return one, busy.Invalid(what, "is the name of several: give an id, see `busyd "+what+" list`")
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

// withOne is a command on one thing of a tenant, which its argument names.
func withOne[T any](a *app, c *cobra.Command, find func(s *session, name string) (T, error), do func(s *session, one T) error) *cobra.Command {
	var tenant string
	c.Args = cobra.ExactArgs(1)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.inTenant(cmd, tenant, func(s *session) error {
			one, err := find(s, args[0])
			if err != nil {
				return err
			}
			return do(s, one)
		})
	}
	tenantFlag(c, &tenant)
	return c
}
