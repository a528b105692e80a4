package main

import (
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/booking/api"
	"github.com/busyd/busyd/busy"
)

func newOverrideCommand(a *app) *cobra.Command {
	return group("override", "Dates on which a resource's hours are others",
		newOverrideAddCommand(a), newOverrideListCommand(a), newOverrideRemoveCommand(a))
}

type overrideView struct {
	ID       busy.OverrideID `json:"id"`
	Resource busy.ResourceID `json:"resource"`
	First    string          `json:"first"`
	Last     string          `json:"last"` // included
	Closed   bool            `json:"closed"`
	Hours    string          `json:"hours,omitempty"`
	Zone     string          `json:"timezone,omitempty"`
}

func viewOverride(o busy.Override) overrideView {
	return overrideView{o.ID, o.Resource, o.First.Format(time.DateOnly), o.Last.Format(time.DateOnly), o.Closed, busy.FormatRanges(o.Hours), o.Zone}
}

// word says what is different on the dates.
func (v overrideView) word() string {
	hours := v.Hours
	if hours == "" {
		hours = "weekly hours"
	}
	switch {
	case v.Closed:
		return "closed"
	case v.Zone != "":
		return hours + " in " + v.Zone
	default:
		return hours
	}
}

func newOverrideAddCommand(a *app) *cobra.Command {
	var tenant, resource string
	var body api.OverrideBody
	c := &cobra.Command{
		Use:   "add --tenant T --resource R --first DATE [--last DATE] {--closed | [--hours H] [--timezone ZONE]}",
		Short: "Let a resource be off, work other hours or be in another zone on some dates",
		Example: `  busyd override add --tenant acme --resource Ada --first 2026-12-24 --last 2026-12-26 --closed
  busyd override add --tenant acme --resource Ada --first 2026-06-05 --hours "10:00-12:00 13:00-15:00"
  busyd override add --tenant acme --resource Ada --first 2026-09-01 --last 2026-09-14 --timezone America/New_York`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				r, err := s.resource(resource)
				if err != nil {
					return err
				}
				o, err := body.Override(r.ID)
				if err != nil {
					return err
				}
				if o, err = s.store.CreateOverride(s, s.tenant.ID, o); err != nil {
					return err
				}
				v := viewOverride(o)
				return a.show(cmd, v, func(w io.Writer) {
					say(w, "%s, %s to %s: %s (%s).", r.Name, v.First, v.Last, v.word(), v.ID)
				})
			})
		},
	}
	tenantFlag(c, &tenant)
	f := c.Flags()
	f.StringVar(&resource, "resource", "", "name or id of the `resource`")
	f.StringVar(&body.First, "first", "", "first `date`, as 2026-12-24")
	f.StringVar(&body.Last, "last", "", "last `date`, included (default the first)")
	f.BoolVar(&body.Closed, "closed", false, "not at work on these dates")
	f.StringVar(&body.Hours, "hours", "", "`hours` of each date, as \"09:00-12:00 13:00-15:00\" (default the weekly ones)")
	f.StringVar(&body.Zone, "timezone", "", "IANA `zone` where the resource is on these dates (default its own)")
	required(c, "resource", "first")
	return c
}

func newOverrideListCommand(a *app) *cobra.Command {
	var tenant, resource string
	c := &cobra.Command{
		Use:   "list --tenant T --resource R",
		Short: "List the dates on which a resource's hours are others",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				r, err := s.resource(resource)
				if err != nil {
					return err
				}
				views, rows := []overrideView{}, [][]string{}
				for _, o := range r.Overrides {
					v := viewOverride(o)
					views = append(views, v)
					rows = append(rows, []string{v.ID.String(), v.First, v.Last, v.word()})
				}
				return a.show(cmd, views, func(w io.Writer) { table(w, "id,first,last,hours", rows) })
			})
		},
	}
	tenantFlag(c, &tenant)
	c.Flags().StringVar(&resource, "resource", "", "name or id of the `resource`")
	required(c, "resource")
	return c
}

func newOverrideRemoveCommand(a *app) *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use:   "remove OVERRIDE --tenant T",
		Short: "Back to the weekly hours",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := busy.ParseID[busy.Override](args[0])
			if err != nil {
				return err
			}
			return a.inTenant(cmd, tenant, func(s *session) error {
				err := s.store.DeleteOverride(s, s.tenant.ID, id)
				if errors.Is(err, busy.ErrNotFound) {
					return missing("override", "override list")
				}
				if err != nil {
					return err
				}
				return a.show(cmd, map[string]busy.OverrideID{"removed": id}, func(w io.Writer) { say(w, "Removed override %s.", id) })
			})
		},
	}
	tenantFlag(c, &tenant)
	return c
}
