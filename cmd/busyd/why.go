package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

const whyHelp = `Tell why a resource cannot be booked at a time: the event that blocks it, the
booking that takes it, the hours or the override it lies outside of, or the rule
or policy that forbids it. With --service the meeting is one of that service;
without, it is a minute under no rules but the hours.

No subject is shown. An event's subject is its owner's, and who may run this
command on the machine is not its owner: time and state are enough to find it.

Exits with 0 if the resource can be booked then, and with 3 if it cannot.`

func newWhyCommand(a *app) *cobra.Command {
	var tenant, resource, at, service string
	c := &cobra.Command{
		Use:     "why --tenant T --resource R --at TIME [--service S]",
		Short:   "Tell why a resource cannot be booked at a time",
		Long:    whyHelp,
		Example: `  busyd why --tenant acme --resource Ada --at 2026-03-05T10:00 --service "First visit"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				r, err := s.resource(resource)
				if err != nil {
					return err
				}
				start, err := parseAt(at, r.Zone)
				if err != nil {
					return err
				}
				asked := booking.AnyOf([]busy.ResourceID{r.ID}, time.Minute, time.Minute, busy.TreatAsBusy)
				asked.Align = busy.AlignClock
				if service != "" {
					if asked, err = s.service(service); err != nil {
						return err
					}
				}
				return s.why(r, asked, start)
			})
		},
	}
	tenantFlag(c, &tenant)
	c.Flags().StringVar(&resource, "resource", "", "name or id of the `resource`")
	c.Flags().StringVar(&at, "at", "", "`time`, as 2026-03-05T10:00 on the resource's clock, or with an offset")
	c.Flags().StringVar(&service, "service", "", "name or id of the `service`")
	required(c, "resource", "at")
	return c
}

// parseAt reads a time, on the clock of the zone if it has no offset.
func parseAt(text, zone string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return time.Time{}, err
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, location); err == nil {
			return t, nil
		}
	}
	return time.Time{}, busy.Invalid("--at", "must be a time such as 2026-03-05T10:00 or 2026-03-05T10:00:00+01:00")
}

type whyView struct {
	Resource busy.ResourceID `json:"resource"`
	At       time.Time       `json:"at"`
	Free     bool            `json:"free"`
	Reasons  []reasonView    `json:"reasons"`
}

type reasonView struct {
	Cause    booking.Cause   `json:"cause"`
	Start    time.Time       `json:"start,omitzero"`
	End      time.Time       `json:"end,omitzero"`
	State    string          `json:"state,omitempty"` // of an event, or of a calendar that the policy minds, or disconnected
	Booking  busy.BookingID  `json:"booking,omitzero"`
	Override busy.OverrideID `json:"override,omitzero"`
	Calendar busy.CalendarID `json:"calendar,omitzero"`
}

func (s *session) why(r busy.Resource, service busy.Service, at time.Time) error {
	q := booking.Question{
		Service: service, Span: busy.Span{Start: at, End: at.Add(service.Duration)}, Now: s.app.now(), StaleAfter: s.config.API.StaleAfter,
	}
	agendas, err := s.store.Agendas(s, s.tenant.ID, []busy.ResourceID{r.ID}, q.Reads())
	if err != nil {
		return err
	}
	reasons, err := booking.Explain(agendas[0], q, at)
	if err != nil {
		return err
	}
	view := whyView{r.ID, at.UTC(), len(reasons) == 0, []reasonView{}}
	for _, why := range reasons {
		view.Reasons = append(view.Reasons, viewReason(why))
	}
	if err := s.app.show(s.cmd, view, func(w io.Writer) { view.tell(w, r) }); err != nil {
		return err
	}
	if !view.Free {
		return attention()
	}
	return nil
}

func viewReason(r booking.Reason) reasonView {
	v := reasonView{Cause: r.Cause, Start: r.Span.Start, End: r.Span.End, Booking: r.Booking, Override: r.Override, Calendar: r.Calendar}
	switch r.Cause {
	case booking.CauseBlock:
		v.State = r.State.String()
	case booking.CausePolicy:
		v.State = string(r.Standing)
	}
	return v
}

func (v whyView) tell(w io.Writer, r busy.Resource) {
	zone, err := time.LoadLocation(r.Zone)
	if err != nil {
		zone = time.UTC
	}
	at := v.At.In(zone).Format("Monday 2006-01-02 15:04 MST")
	if v.Free {
		say(w, "%s can be booked on %s.", r.Name, at)
		return
	}
	say(w, "%s cannot be booked on %s:", r.Name, at)
	for _, reason := range v.Reasons {
		say(w, "  - %s", reason.sentence(zone))
	}
}

func (v reasonView) sentence(zone *time.Location) string {
	span := ""
	if !v.Start.IsZero() && !v.End.IsZero() {
		span = " from " + v.Start.In(zone).Format("2006-01-02 15:04") + " to " + v.End.In(zone).Format("2006-01-02 15:04")
	}
	switch v.Cause {
	case booking.CauseBlock:
		return "an event (" + v.State + ") blocks the time" + span
	case booking.CauseBooking:
		return "booking " + v.Booking.String() + " takes the time" + span
	case booking.CauseHours:
		return "it lies outside of the working hours"
	case booking.CauseOverride:
		return "override " + v.Override.String() + " closes the time" + span
	case booking.CauseBegun:
		return "it would begin in the past"
	case booking.CauseNotice:
		return "the notice is too short"
	case booking.CauseHorizon:
		return "it is too far ahead"
	case booking.CauseDay:
		return "the date has as many bookings of the service as it may have"
	case booking.CauseWeek:
		return "the week has as many bookings of the service as it may have"
	case booking.CauseInterval:
		return "it lies between two starts of the service's interval"
	case booking.CauseUnknown:
		return "nothing is known of that time: it is not mirrored"
	case booking.CausePolicy:
		if v.Calendar.IsZero() {
			return "all its accounts are disconnected, which the policy does not accept: connect one, or have its hours alone " +
				"decide with `busyd connection forget`"
		}
		return "calendar " + v.Calendar.String() + " is " + v.State + ", which the policy does not accept"
	case booking.CauseForeign:
		return "the resource does not serve the service"
	default:
		return string(v.Cause)
	}
}
