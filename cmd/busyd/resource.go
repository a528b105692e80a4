package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
)

func newResourceCommand(a *app) *cobra.Command {
	return group("resource", "People and rooms that can be booked", newResourceCreateCommand(a), newResourceListCommand(a))
}

type resourceView struct {
	ID    busy.ResourceID `json:"id"`
	Name  string          `json:"name"`
	Zone  string          `json:"timezone"`
	Hours busy.Hours      `json:"hours"`
}

func resourceViewOf(r busy.Resource) resourceView {
	return resourceView{ID: r.ID, Name: r.Name, Zone: r.Zone, Hours: r.Hours}
}

func newResourceCreateCommand(a *app) *cobra.Command {
	var tenant, zone, hours string
	c := &cobra.Command{
		Use:   "create NAME --tenant T --timezone ZONE [--hours HOURS]",
		Short: "Create a resource with its time zone and weekly working hours",
		Example: `  busyd resource create "Dr. Weber" --tenant acme --timezone Europe/Berlin \
      --hours "mon-thu 09:00-12:00 13:00-17:00; fri 09:00-12:00"
  busyd resource create "Room 4" --tenant acme --timezone Europe/Berlin --hours always`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			parsed, err := busy.ParseHours(hours)
			if err != nil {
				return err
			}
			location, err := zoneFlag("--timezone", zone)
			if err != nil {
				return err
			}
			return a.inTenant(cmd, tenant, func(s *session) error {
				r, err := s.store.CreateResource(s, s.tenant.ID, busy.Resource{Name: args[0], Zone: location.String(), Hours: parsed})
				if errors.Is(err, busy.ErrExists) {
					return errors.New("the tenant has a resource of this name already")
				}
				if err != nil {
					return err
				}
				return a.show(cmd, resourceViewOf(r), func(w io.Writer) { say(w, "Created resource %s (%s).", r.Name, r.ID) })
			})
		},
	}
	tenantFlag(c, &tenant)
	c.Flags().StringVar(&zone, "timezone", "", "IANA `zone`, such as Europe/Berlin")
	c.Flags().StringVar(&hours, "hours", "mon-fri 09:00-17:00", "weekly working `hours` in that zone, or always")
	required(c, "timezone")
	return c
}

func newResourceListCommand(a *app) *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use:   "list --tenant T",
		Short: "List a tenant's resources",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				all, err := s.store.Resources(s, s.tenant.ID)
				if err != nil {
					return err
				}
				views, rows := []resourceView{}, [][]string{}
				for _, r := range all {
					views = append(views, resourceViewOf(r))
					rows = append(rows, []string{r.ID.String(), r.Name, r.Zone, r.Hours.String()})
				}
				return a.show(cmd, views, func(w io.Writer) { table(w, "id,name,timezone,hours", rows) })
			})
		},
	}
	tenantFlag(c, &tenant)
	return c
}
