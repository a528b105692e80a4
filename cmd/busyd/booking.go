package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
)

func newBookingCommand(a *app) *cobra.Command {
	return group("booking", "Bookings and holds",
		newBookingListCommand(a), newBookingShowCommand(a), newBookingCancelCommand(a), newBookingEraseCommand(a))
}

// bookingView has what is known of the booker where one booking is shown, and
// never in a list.
type bookingView struct {
	ID        busy.BookingID    `json:"id"`
	Service   busy.ServiceID    `json:"service"`
	Resources []busy.ResourceID `json:"resources"`
	Start     time.Time         `json:"start"`
	End       time.Time         `json:"end"`
	Seats     int               `json:"seats"`
	State     busy.BookingState `json:"state"`
	ExpiresAt time.Time         `json:"expires_at,omitzero"`
	Version   int64             `json:"version"`
	CreatedAt time.Time         `json:"created_at"`
	ChangedAt time.Time         `json:"changed_at"`
	Details   *busy.Details     `json:"personal_data,omitempty"`
}

func viewBooking(b busy.Booking, now time.Time) bookingView {
	if b.State == busy.BookingHeld && !b.Live(now) {
		b.State = busy.BookingExpired
	}
	return bookingView{
		ID: b.ID, Service: b.Service, Resources: b.Resources, Start: b.Span.Start, End: b.Span.End, Seats: b.Seats, State: b.State,
		ExpiresAt: b.ExpiresAt, Version: b.Version, CreatedAt: b.CreatedAt, ChangedAt: b.ChangedAt,
	}
}

// newDesk is where commands and requests book.
func newDesk(st *store.Store, staleAfter time.Duration) *booking.Desk {
	return &booking.Desk{Store: st, Now: storedNow, Random: rand.Reader, StaleAfter: staleAfter}
}

// storedNow is now as the database keeps it, so that a booking is answered at once
// as it is answered later.
func storedNow() time.Time { return time.Now().Truncate(time.Microsecond) }

// when is a meeting's time on the machine's clock, which is the operator's.
func when(start, end time.Time) string {
	start, end = start.Local(), end.Local()
	layout := "15:04 MST"
	if start.Format(time.DateOnly) != end.Format(time.DateOnly) {
		layout = "2006-01-02 15:04 MST"
	}
	return start.Format("2006-01-02 15:04") + "-" + end.Format(layout)
}

func newBookingListCommand(a *app) *cobra.Command {
	var tenant, resource, service string
	var all bool
	c := &cobra.Command{
		Use:   "list --tenant T [--resource R] [--service S] [--all]",
		Short: "List the bookings that are to come, without the bookers' data",
		Long: `List the bookings and holds of meetings that are not over, by start, without the
bookers' data. With --all also those that are over, cancelled or expired.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				filter := busy.BookingFilter{Limit: 500}
				if !all {
					filter.Span.Start = a.now()
					filter.States = []busy.BookingState{busy.BookingHeld, busy.BookingPending, busy.BookingConfirmed}
				}
				if err := s.narrow(&filter, resource, service); err != nil {
					return err
				}
				return s.listBookings(filter)
			})
		},
	}
	tenantFlag(c, &tenant)
	c.Flags().StringVar(&resource, "resource", "", "only those of this `resource`; its name or id")
	c.Flags().StringVar(&service, "service", "", "only those of this `service`; its name or id")
	c.Flags().BoolVar(&all, "all", false, "those that are over, too")
	return c
}

func (s *session) narrow(f *busy.BookingFilter, resource, service string) error {
	if resource != "" {
		r, err := s.resource(resource)
		if err != nil {
			return err
		}
		f.Resource = r.ID
	}
	if service != "" {
		found, err := s.service(service)
		if err != nil {
			return err
		}
		f.Service = found.ID
	}
	return nil
}

func (s *session) listBookings(filter busy.BookingFilter) error {
	names, err := s.resourceNames()
	if err != nil {
		return err
	}
	services, err := s.serviceNames()
	if err != nil {
		return err
	}
	views := []bookingView{}
	for {
		page, err := s.store.Bookings(s, s.tenant.ID, filter)
		if err != nil {
			return err
		}
		for _, b := range page {
			views = append(views, viewBooking(b, s.app.now()))
		}
		if len(page) < filter.Limit {
			break
		}
		filter.After = page[len(page)-1].ID
	}
	slices.SortStableFunc(views, func(a, b bookingView) int { return a.Start.Compare(b.Start) })
	rows := [][]string{}
	for _, v := range views {
		rows = append(rows, []string{v.ID.String(), when(v.Start, v.End), services[v.Service], namesOf(v.Resources, names), v.word(s.app.now())})
	}
	return s.app.show(s.cmd, views, func(w io.Writer) { table(w, "id,when,service,with,state", rows) })
}

func (v bookingView) word(now time.Time) string {
	if v.State == busy.BookingHeld {
		return "held, expires " + until(v.ExpiresAt, now)
	}
	return string(v.State)
}

func namesOf(ids []busy.ResourceID, names map[busy.ResourceID]string) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = names[id]
	}
	return strings.Join(words, ", ")
}

// serviceNames maps ids to names, for tables; one that is archived has its id.
func (s *session) serviceNames() (map[busy.ServiceID]string, error) {
	all, err := s.store.Services(s, s.tenant.ID)
	names := map[busy.ServiceID]string{}
	for _, service := range all {
		names[service.ID] = service.Name
	}
	return names, err
}

// booking finds a booking by its id.
func (s *session) booking(id string) (busy.Booking, error) {
	parsed, err := busy.ParseID[busy.Booking](id)
	if err != nil {
		return busy.Booking{}, fmt.Errorf("the booking's %w", err)
	}
	b, err := s.store.Booking(s, s.tenant.ID, parsed)
	if errors.Is(err, busy.ErrNotFound) {
		return b, missing("booking", "booking list --all")
	}
	return b, err
}

func newBookingShowCommand(a *app) *cobra.Command {
	return withOne(a, &cobra.Command{
		Use:   "show BOOKING --tenant T",
		Short: "Show a booking with what is kept of its booker",
	}, (*session).booking, func(s *session, b busy.Booking) error {
		v := viewBooking(b, s.app.now())
		v.Details = b.Details
		names, err := s.resourceNames()
		if err != nil {
			return err
		}
		service, err := s.store.BookedService(s, s.tenant.ID, b.Service)
		if err != nil {
			return err
		}
		return s.app.show(s.cmd, v, func(w io.Writer) {
			rows := [][]string{
				{"id", v.ID.String()},
				{"when", when(v.Start, v.End)},
				{"service", service.Name},
				{"with", namesOf(v.Resources, names)},
				{"state", v.word(s.app.now())},
				{"seats", fmt.Sprint(v.Seats)},
				{"made", ago(v.CreatedAt, s.app.now())},
				{"changed", fmt.Sprintf("%s, version %d", ago(v.ChangedAt, s.app.now()), v.Version)},
			}
			table(w, "booking,", append(rows, detailRows(v.Details)...))
		})
	})
}

func detailRows(d *busy.Details) [][]string {
	if d == nil {
		return [][]string{{"personal data", "none"}}
	}
	rows := [][]string{{"personal data", d.Reference}}
	for _, name := range slices.Sorted(maps.Keys(d.Fields)) {
		rows = append(rows, []string{"  " + name, d.Fields[name]})
	}
	return rows
}

func newBookingCancelCommand(a *app) *cobra.Command {
	return withOne(a, &cobra.Command{
		Use:   "cancel BOOKING --tenant T",
		Short: "Cancel a booking or a hold; its time is free at once",
	}, (*session).booking, func(s *session, b busy.Booking) error {
		desk := newDesk(s.store, s.config.API.StaleAfter)
		b, err := desk.Cancel(s, s.tenant.ID, b.ID, 0, nil)
		if errors.Is(err, booking.ErrOver) {
			return marked{errors.New("the booking is over: it was cancelled, or the hold has expired"), []error{errAttention}}
		}
		if err != nil {
			return err
		}
		return s.app.show(s.cmd, viewBooking(b, s.app.now()), func(w io.Writer) { say(w, "Cancelled booking %s.", b.ID) })
	})
}

func newBookingEraseCommand(a *app) *cobra.Command {
	return withOne(a, &cobra.Command{
		Use:   "erase-details BOOKING --tenant T",
		Short: "Erase what is kept of a booker; the booking stays, with its times",
	}, (*session).booking, func(s *session, b busy.Booking) error {
		if err := s.store.EraseDetails(s, s.tenant.ID, b.ID, s.app.now()); err != nil {
			return err
		}
		return s.app.show(s.cmd, map[string]busy.BookingID{"erased": b.ID}, func(w io.Writer) {
			say(w, "Nothing is kept of the booker of %s any more.", b.ID)
		})
	})
}
