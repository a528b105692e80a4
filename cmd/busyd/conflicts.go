package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
)

type conflictView struct {
	ID         busy.ConflictID `json:"id"`
	Booking    busy.BookingID  `json:"booking"`
	Resource   busy.ResourceID `json:"resource"`
	Start      time.Time       `json:"start"`
	End        time.Time       `json:"end"`
	DetectedAt time.Time       `json:"detected_at"`
	ResolvedAt time.Time       `json:"resolved_at,omitzero"`
}

func newConflictsCommand(a *app) *cobra.Command {
	var tenant string
	var all bool
	c := &cobra.Command{
		Use:   "conflicts --tenant T [--all]",
		Short: "List the bookings that a calendar's event landed on",
		Long: `List the bookings that a calendar's event landed on, with the first part of their
time that is blocked. A conflict is open until the event or the booking is gone
from there; with --all the others are listed, too. Exits with 3 if any is open.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error { return s.showConflicts(!all) })
		},
	}
	tenantFlag(c, &tenant)
	c.Flags().BoolVar(&all, "all", false, "those that are over, too")
	return c
}

func (s *session) showConflicts(open bool) error {
	const limit = 500
	names, err := s.resourceNames()
	if err != nil {
		return err
	}
	views, rows := []conflictView{}, [][]string{}
	unsolved := false
	for after, more := (busy.ConflictID{}), true; more; {
		page, err := s.store.Conflicts(s, s.tenant.ID, open, after, limit)
		if err != nil {
			return err
		}
		for _, c := range page {
			views = append(views, conflictView{c.ID, c.Booking, c.Resource, c.Span.Start, c.Span.End, c.DetectedAt, c.ResolvedAt})
			state := "open"
			if !c.ResolvedAt.IsZero() {
				state = "resolved " + ago(c.ResolvedAt, s.app.now())
			}
			unsolved = unsolved || c.ResolvedAt.IsZero()
			rows = append(rows, []string{c.Booking.String(), names[c.Resource], when(c.Span.Start, c.Span.End), ago(c.DetectedAt, s.app.now()), state})
			after = c.ID
		}
		more = len(page) == limit
	}
	err = s.app.show(s.cmd, views, func(w io.Writer) { table(w, "booking,resource,blocked,found,state", rows) })
	if err == nil && unsolved {
		err = attention()
	}
	return err
}
