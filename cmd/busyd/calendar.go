package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
)

func newCalendarCommand(a *app) *cobra.Command {
	return group("calendar", "Calendars of connected accounts", newCalendarListCommand(a), newCalendarSelectCommand(a), newCalendarIgnoreCommand(a))
}

type calendarView struct {
	ID              busy.CalendarID    `json:"id"`
	Connection      busy.ConnectionID  `json:"connection"`
	Resource        busy.ResourceID    `json:"resource"`
	Provider        busy.Kind          `json:"provider"`
	Name            string             `json:"name"`
	Zone            string             `json:"timezone,omitempty"`
	Selected        bool               `json:"selected"`
	IgnoreTentative bool               `json:"ignore_tentative"`
	IgnoreAllDay    bool               `json:"ignore_all_day"`
	State           busy.CalendarState `json:"state"`
	AsOf            time.Time          `json:"as_of,omitzero"`
}

// stateNow judges a calendar for an answer about this moment.
func stateNow(c busy.Calendar, now time.Time, staleAfter time.Duration) busy.CalendarState {
	return c.StateFor(busy.Span{Start: now, End: now}, now, staleAfter)
}

func (s *session) viewCalendar(c busy.Calendar) calendarView {
	return calendarView{
		c.ID, c.Connection, c.Resource, c.Kind, c.Name, c.Zone, c.Selected, c.IgnoreTentative, c.IgnoreAllDay,
		stateNow(c, s.app.now(), s.config.API.StaleAfter), c.AsOf,
	}
}

func newCalendarListCommand(a *app) *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use:   "list --tenant T",
		Short: "List a tenant's calendars, and which of them block time",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				all, err := s.store.Calendars(s, s.tenant.ID)
				if err != nil {
					return err
				}
				return s.showCalendars(all)
			})
		},
	}
	tenantFlag(c, &tenant)
	return c
}

func (s *session) showCalendars(all []busy.Calendar) error {
	names, err := s.resourceNames()
	if err != nil {
		return err
	}
	views, rows := []calendarView{}, [][]string{}
	for _, c := range all {
		v := s.viewCalendar(c)
		views = append(views, v)
		state := string(v.State)
		if !c.Selected {
			state = "-"
		}
		rows = append(rows, []string{c.ID.String(), names[c.Resource], c.Name, string(c.Kind), blocking(c), state, ago(c.AsOf, s.app.now())})
	}
	return s.app.show(s.cmd, views, func(w io.Writer) { table(w, "id,resource,name,provider,blocks time,state,as of", rows) })
}

// blocking says which events of a calendar block time.
func blocking(c busy.Calendar) string {
	switch {
	case c.Selected && c.IgnoreTentative && c.IgnoreAllDay:
		return "yes, but tentative and all-day"
	case c.Selected && c.IgnoreTentative:
		return "yes, but tentative"
	case c.Selected && c.IgnoreAllDay:
		return "yes, but all-day"
	default:
		return yesNo(c.Selected)
	}
}

func newCalendarSelectCommand(a *app) *cobra.Command {
	var off bool
	c := withOne(a, &cobra.Command{
		Use:   "select CALENDAR --tenant T [--off]",
		Short: "Let a calendar block its resource's time, or not",
		Long: `Let a calendar, named by its id or its name, block its resource's time. It is
read at once. With --off it no longer does, and what was known of it is deleted.`,
	}, (*session).calendar, func(s *session, cal busy.Calendar) error {
		if err := s.store.Select(s, s.tenant.ID, cal.ID, !off, a.now()); err != nil {
			return err
		}
		cal, err := s.store.Calendar(s, s.tenant.ID, cal.ID)
		if err != nil {
			return err
		}
		return a.show(s.cmd, s.viewCalendar(cal), func(w io.Writer) {
			if off {
				say(w, "%s no longer blocks time; what was known of it is deleted.", cal.Name)
				return
			}
			say(w, "%s blocks time; it is being read.", cal.Name)
		})
	})
	c.Flags().BoolVar(&off, "off", false, "no longer block time")
	return c
}

func newCalendarIgnoreCommand(a *app) *cobra.Command {
	var tentative, allDay bool
	c := withOne(a, &cobra.Command{
		Use:   "ignore CALENDAR --tenant T [--tentative] [--all-day]",
		Short: "Say which events of a calendar do not block time",
		Long: `Say which events of a calendar, named by its id or its name, do not block time:
those that are only tentative, those that last all day, both, or neither. What was
not said before is read anew at once; until then the calendar's time is not known.`,
	}, (*session).calendar, func(s *session, cal busy.Calendar) error {
		if err := s.store.SetIgnore(s, s.tenant.ID, cal.ID, tentative, allDay, a.now()); err != nil {
			return err
		}
		cal, err := s.store.Calendar(s, s.tenant.ID, cal.ID)
		if err != nil {
			return err
		}
		return a.show(s.cmd, s.viewCalendar(cal), func(w io.Writer) {
			say(w, "%s: tentative events block: %s; all-day events block: %s.", cal.Name, yesNo(!tentative), yesNo(!allDay))
		})
	})
	c.Flags().BoolVar(&tentative, "tentative", false, "tentative events do not block")
	c.Flags().BoolVar(&allDay, "all-day", false, "all-day events do not block")
	return c
}
