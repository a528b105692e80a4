package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/booking/api"
	"github.com/busyd/busyd/busy"
)

func newServiceCommand(a *app) *cobra.Command {
	return group("service", "What can be booked", newServiceCreateCommand(a), newServiceListCommand(a), newServiceArchiveCommand(a))
}

// serviceView has the words of the API.
type serviceView struct {
	ID   busy.ServiceID `json:"id"`
	Name string         `json:"name"`
	api.Rules
}

func viewService(s busy.Service) serviceView { return serviceView{s.ID, s.Name, api.RulesOf(s)} }

const serviceHelp = `Create something that can be booked: how long a meeting is, by what rules it is
offered, and who serves it.

Each --need is a group, of which a meeting takes so many resources: --need "Anna"
is Anna, --need "1:Anna,Ben" is either of them, --need "2:Anna,Ben,Cem" is two of
the three. With several needs all are met together, and a resource serves one of
them only. A resource is named by its id if its name has a comma or a colon.

Durations are in whole minutes, as 30m, 2h or 60d.`

func newServiceCreateCommand(a *app) *cobra.Command {
	var tenant string
	var needs []string
	var r api.Rules
	var perDay, perWeek, capacity int
	c := &cobra.Command{
		Use:   "create NAME --tenant T --duration D --need N:RESOURCE,... ",
		Short: "Create something that can be booked",
		Long:  serviceHelp,
		Example: `  busyd service create "First visit" --tenant acme --duration 45m --after 15m --notice 2h --horizon 60d \
      --need "1:Anna,Ben" --need "Room 4"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				var err error
				if r.Needs, err = s.needs(needs); err != nil {
					return err
				}
				for flag, value := range map[string]struct {
					from int
					into **int
				}{"max-per-day": {perDay, &r.MaxPerDay}, "max-per-week": {perWeek, &r.MaxPerWeek}, "capacity": {capacity, &r.Capacity}} {
					if cmd.Flags().Changed(flag) {
						*value.into = &value.from
					}
				}
				return s.createService(args[0], r)
			})
		},
	}
	tenantFlag(c, &tenant)
	f := c.Flags()
	f.StringArrayVar(&needs, "need", nil, "`group` that serves it, as 1:Anna,Ben; repeat it for several")
	f.StringVar(&r.Duration, "duration", "", "`duration` of a meeting")
	f.StringVar(&r.Before, "before", "", "`duration` before it that is taken with it")
	f.StringVar(&r.After, "after", "", "`duration` after it that is taken with it")
	f.StringVar(&r.Notice, "notice", "", "least `duration` between booking and meeting")
	f.StringVar(&r.Horizon, "horizon", "", "greatest `duration` between them (default no bound)")
	f.StringVar(&r.Interval, "interval", "", "`duration` between starts (default 15m)")
	f.StringVar((*string)(&r.Align), "align", "", "`point` from which the interval is measured: period of working hours, or clock (default period)")
	f.IntVar(&perDay, "max-per-day", 0, "most meetings a day on a resource (default no bound)")
	f.IntVar(&perWeek, "max-per-week", 0, "most meetings a week on a resource (default no bound)")
	f.IntVar(&capacity, "capacity", 1, "seats of one meeting")
	f.StringVar((*string)(&r.Stale), "stale", "", "`policy` for calendars that are not fresh: treat_as_busy, reject or serve_stale (default treat_as_busy)")
	f.StringVar(&r.StaleAfter, "stale-after", "", "`age` at which a calendar is stale for it (default the daemon's)")
	f.BoolVar(&r.Public, "public", false, "give it a page, on which whoever has the link books it")
	required(c, "duration", "need")
	return c
}

// needs reads the groups, and finds their resources by id or name.
func (s *session) needs(groups []string) ([]api.Need, error) {
	needs := make([]api.Need, len(groups))
	for i, group := range groups {
		if number, names, ok := strings.Cut(group, ":"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(number))
			if err != nil {
				return nil, busy.Invalid("--need", "must be a number and resources, such as 1:Anna,Ben")
			}
			needs[i].Count, group = &n, names
		}
		for _, name := range strings.Split(group, ",") {
			r, err := s.resource(strings.TrimSpace(name))
			if err != nil {
				return nil, fmt.Errorf("--need: %w", err)
			}
			needs[i].Resources = append(needs[i].Resources, r.ID.String())
		}
	}
	return needs, nil
}

func (s *session) createService(name string, r api.Rules) error {
	service, err := r.Service()
	if err != nil {
		return err
	}
	service.Name = name
	service, err = s.store.CreateService(s, s.tenant.ID, service)
	if errors.Is(err, busy.ErrExists) {
		return errors.New("the tenant has a service of this name already")
	}
	if err != nil {
		return err
	}
	return s.app.show(s.cmd, viewService(service), func(w io.Writer) {
		say(w, "Created service %s (%s).", service.Name, service.ID)
		if service.Public {
			say(w, "Its page is %s on busyd's address.", api.BookingPath(s.tenant.ID, service.ID))
		}
	})
}

func newServiceListCommand(a *app) *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use:   "list --tenant T",
		Short: "List what can be booked",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				all, err := s.store.Services(s, s.tenant.ID)
				if err != nil {
					return err
				}
				names, err := s.resourceNames()
				if err != nil {
					return err
				}
				views, rows := []serviceView{}, [][]string{}
				for _, service := range all {
					v := viewService(service)
					views = append(views, v)
					rows = append(rows, []string{v.ID.String(), v.Name, v.Duration, needsText(service, names)})
				}
				return a.show(cmd, views, func(w io.Writer) { table(w, "id,name,duration,served by", rows) })
			})
		},
	}
	tenantFlag(c, &tenant)
	return c
}

// needsText is "1 of Anna, Ben and Room 4".
func needsText(s busy.Service, names map[busy.ResourceID]string) string {
	groups := make([]string, len(s.Needs))
	for i, n := range s.Needs {
		words := make([]string, len(n.Resources))
		for j, id := range n.Resources {
			words[j] = names[id]
		}
		groups[i] = strings.Join(words, ", ")
		if n.Count < len(words) {
			groups[i] = fmt.Sprintf("%d of %s", n.Count, groups[i])
		}
	}
	return strings.Join(groups, " and ")
}

func newServiceArchiveCommand(a *app) *cobra.Command {
	return withOne(a, &cobra.Command{
		Use:   "archive SERVICE --tenant T",
		Short: "Offer a service, named by its id or its name, no longer; its bookings stay",
	}, (*session).service, func(s *session, service busy.Service) error {
		if err := s.store.ArchiveService(s, s.tenant.ID, service.ID); err != nil {
			return err
		}
		return a.show(s.cmd, viewService(service), func(w io.Writer) { say(w, "%s is not offered any more.", service.Name) })
	})
}

// service finds a service by its id, or by its name if that is the only one of
// that name.
func (s *session) service(nameOrID string) (busy.Service, error) {
	all, err := s.store.Services(s, s.tenant.ID)
	if err != nil {
		return busy.Service{}, err
	}
	return only("service", all, func(service busy.Service) bool {
		return service.ID.String() == strings.ToLower(nameOrID) || service.Name == nameOrID
	})
}
