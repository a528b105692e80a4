package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
)

const statusHelp = `Show how fresh what is known of each calendar is, when it is read next, how the
last reading ended, and what to do about what is not well. Who has no calendar
any more, because every account is disconnected, is listed too.

LAG is how long a reading is overdue. Exit code 3: something needs attention.`

func newStatusCommand(a *app) *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use:   "status [--tenant T]",
		Short: "Show how fresh each calendar is, and what to do about what is not well",
		Long:  statusHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			c, st, err := a.open(ctx)
			if err != nil {
				return err
			}
			defer st.Close()
			tenants, err := st.Tenants(ctx)
			if tenant != "" {
				var one busy.Tenant
				one, err = findTenant(ctx, st, tenant)
				tenants = []busy.Tenant{one}
			}
			if err != nil {
				return err
			}
			var all []statusView
			for _, t := range tenants {
				s := &session{Context: ctx, app: a, cmd: cmd, config: c, store: st, tenant: t}
				views, err := s.status()
				if err != nil {
					return err
				}
				all = append(all, views...)
			}
			return a.showStatus(cmd, all)
		},
	}
	c.Flags().StringVar(&tenant, "tenant", "", "only this `tenant`; its name or id")
	return c
}

type statusView struct {
	Tenant   string             `json:"tenant"`
	Resource string             `json:"resource"`
	Calendar busy.CalendarID    `json:"calendar,omitzero"` // none: the resource's are all disconnected
	Name     string             `json:"name"`
	Provider busy.Kind          `json:"provider"`
	State    busy.CalendarState `json:"state"`
	// Connection is the state of the calendar's connection.
	Connection busy.ConnectionState `json:"connection"`
	AsOf       time.Time            `json:"as_of,omitzero"`
	Running    bool                 `json:"running"`
	NextAt     time.Time            `json:"next_at,omitzero"`
	Lag        float64              `json:"lag_seconds"`
	Outcome    busy.Outcome         `json:"outcome,omitempty"`
	Failures   int                  `json:"failures"`
	Problems   int                  `json:"problems"`
	Advice     string               `json:"advice,omitempty"`
}

func (s *session) status() ([]statusView, error) {
	names, err := s.resourceNames()
	if err != nil {
		return nil, err
	}
	connections, err := s.store.Connections(s, s.tenant.ID)
	if err != nil {
		return nil, err
	}
	of := map[busy.ConnectionID]busy.Connection{}
	for _, c := range connections {
		of[c.ID] = c
	}
	calendars, err := s.store.Calendars(s, s.tenant.ID)
	if err != nil {
		return nil, err
	}
	now := s.app.now()
	var views []statusView
	for _, c := range calendars {
		if !c.Selected {
			continue
		}
		views = append(views, statusView{
			Tenant: s.tenant.Name, Resource: names[c.Resource], Calendar: c.ID, Name: c.Name, Provider: c.Kind,
			State: stateNow(c, now, s.config.API.StaleAfter), Connection: c.Connected, AsOf: c.AsOf, Running: c.Running, NextAt: c.DueAt,
			Lag: lag(c, now).Seconds(), Outcome: c.Outcome, Failures: c.Failures, Problems: c.Problems,
			Advice: advice(c, of[c.Connection]),
		})
	}
	gone, err := s.disconnected(connections, names)
	return append(views, gone...), err
}

// disconnected has a view of each resource of which nothing is known, because its
// accounts are all disconnected.
func (s *session) disconnected(connections []busy.Connection, names map[busy.ResourceID]string) ([]statusView, error) {
	last := map[busy.ResourceID]busy.Connection{}
	var resources []busy.ResourceID
	for _, c := range connections {
		if c.State != busy.ConnectionDisconnected {
			continue
		}
		if _, known := last[c.Resource]; !known {
			resources = append(resources, c.Resource)
		}
		last[c.Resource] = c
	}
	standings, err := s.store.Standings(s, s.tenant.ID, resources)
	if err != nil {
		return nil, err
	}
	var views []statusView
	for _, a := range standings {
		if !a.Disconnected {
			continue
		}
		views = append(views, statusView{
			Tenant: s.tenant.Name, Resource: names[a.Resource.ID], Provider: last[a.Resource.ID].Kind, State: busy.StateDisconnected, Connection: busy.ConnectionDisconnected,
			Advice: "nothing is offered unless the service's policy is serve_stale: connect an account, or have the hours alone decide: " +
				"busyd connection forget " + last[a.Resource.ID].ID.String(),
		})
	}
	return views, nil
}

// lag is how long a calendar's next reading is overdue.
func lag(c busy.Calendar, now time.Time) time.Duration {
	if c.Running || c.DueAt.IsZero() || c.DueAt.After(now) {
		return 0
	}
	return now.Sub(c.DueAt)
}

// tolerable is a lag that needs nobody: workers are busy.
const tolerable = 2 * time.Minute

// advice says what a person can do; nothing if there is nothing to do.
func advice(c busy.Calendar, of busy.Connection) string {
	switch c.Connected {
	case busy.ConnectionNeedsReconnect, busy.ConnectionAwaitingAdmin:
		return of.Explain() + " " + reconnecting(of)
	case busy.ConnectionPaused:
		return "paused: busyd connection resume " + of.ID.String()
	}
	switch c.Outcome {
	case busy.OutcomeGone:
		return "the server has no such calendar any more: busyd calendar select --off, or connect the account anew"
	case busy.OutcomeSuspicious:
		return "the server suddenly lists almost nothing; waiting for it to say so again"
	case busy.OutcomeThrottled:
		return "the server asks for a pause"
	case busy.OutcomeUnreachable:
		return "the server cannot be reached; trying again"
	case busy.OutcomeOperator:
		return "busyd's own registration is refused: see the log"
	case busy.OutcomeRejected, busy.OutcomeFailed:
		return "see the log for this calendar's id"
	}
	if c.Problems > 0 {
		return fmt.Sprintf("%s could not be understood; their time counts as busy where it is known", plural(c.Problems, "event"))
	}
	return ""
}

// reconnecting is the command that reconnects an account.
func reconnecting(c busy.Connection) string {
	switch c.Kind {
	case busy.Google:
		return "busyd connection add google --reconnect " + c.ID.String()
	case busy.Graph:
		return "busyd connection add outlook --reconnect " + c.ID.String()
	default:
		return "busyd connection reconnect " + c.ID.String()
	}
}

func needsAttention(v statusView) bool {
	if v.Connection != busy.ConnectionActive {
		return true
	}
	switch v.State {
	case busy.StateStale, busy.StateNeedsReconnect, busy.StatePaused, busy.StateDegraded:
		return true
	case busy.StatePending:
		return v.Failures > 0 || v.Lag > tolerable.Seconds()
	default:
		return v.Lag > tolerable.Seconds()
	}
}

func (a *app) showStatus(cmd *cobra.Command, all []statusView) error {
	now, worry, rows := a.now(), false, [][]string{}
	for _, v := range all {
		worry = worry || needsAttention(v)
		next := until(v.NextAt, now)
		if v.Running {
			next = "being read"
		}
		rows = append(rows, []string{
			v.Tenant, v.Resource, v.Name, string(v.Provider), string(v.State), string(v.Connection), ago(v.AsOf, now),
			short(time.Duration(v.Lag * float64(time.Second))), string(v.Outcome), next, v.Advice,
		})
	}
	if all == nil {
		all = []statusView{}
	}
	if err := a.show(cmd, all, func(w io.Writer) {
		if len(rows) == 0 {
			say(w, "No calendars are connected; see `busyd connection add --help`.")
			return
		}
		table(w, "tenant,resource,calendar,provider,state,connection,as of,lag,last outcome,next,what to do", rows)
	}); err != nil {
		return err
	}
	if worry {
		return attention()
	}
	return nil
}
