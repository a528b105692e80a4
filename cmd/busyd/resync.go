package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/booking/api"
	"github.com/busyd/busyd/busy"
)

const resyncHelp = `Have calendars read now: all that block a tenant's time, those of a connection,
or one. It returns once that is recorded; the daemon's workers do the reading.

With --wait it returns when each was read or has failed, and exits with 3 if any
failed. With --full everything is listed anew, whatever the server says changed.`

func newResyncCommand(a *app) *cobra.Command {
	var tenant, connection, calendar string
	var full, wait bool
	var patience time.Duration
	c := &cobra.Command{
		Use:   "resync --tenant T [--connection C | --calendar K] [--full] [--wait]",
		Short: "Have calendars read now",
		Long:  resyncHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				scope, err := s.scope(connection, calendar, full)
				if err != nil {
					return err
				}
				return s.resync(scope, wait, patience)
			})
		},
	}
	tenantFlag(c, &tenant)
	c.Flags().StringVar(&connection, "connection", "", "only the calendars of this connection; its `id`")
	c.Flags().StringVar(&calendar, "calendar", "", "only this calendar; its `id` or name")
	c.MarkFlagsMutuallyExclusive("connection", "calendar")
	c.Flags().BoolVar(&full, "full", false, "list everything anew")
	c.Flags().BoolVar(&wait, "wait", false, "wait until it is done")
	c.Flags().DurationVar(&patience, "timeout", 10*time.Minute, "`duration` to wait at most")
	return c
}

func (s *session) scope(connection, calendar string, full bool) (api.Scope, error) {
	scope := api.Scope{Full: full}
	if connection != "" {
		c, err := s.connection(connection)
		if err != nil {
			return scope, err
		}
		scope.Connection = c.ID
	}
	if calendar != "" {
		c, err := s.calendar(calendar)
		if err != nil {
			return scope, err
		}
		scope.Calendar = c.ID
	}
	return scope, nil
}

type resyncView struct {
	Calendars []resyncedView `json:"calendars"`
}

type resyncedView struct {
	ID       busy.CalendarID `json:"id"`
	Resource string          `json:"resource"`
	Name     string          `json:"name"`
	Provider busy.Kind       `json:"provider"`
	Done     bool            `json:"done"`
	Failed   bool            `json:"failed"`
	Outcome  busy.Outcome    `json:"outcome,omitempty"`
	AsOf     time.Time       `json:"as_of,omitzero"`
}

func (s *session) resync(scope api.Scope, wait bool, patience time.Duration) error {
	before, err := s.store.Calendars(s, s.tenant.ID)
	if err != nil {
		return err
	}
	tasks, err := s.store.Want(s, s.tenant.ID, wantScope(scope), s.app.now())
	if err != nil {
		return err
	}
	if len(tasks) == 0 {
		return marked{errors.New("no calendar is to be read: none is selected, or its connection is not active; see `busyd status`"), []error{errAttention}}
	}
	s.app.hint(s, s.config, tasks)
	watch := newWatch(s, before, tasks)
	if wait {
		err = watch.wait(patience)
	}
	if shown := s.showResync(watch, wait); shown != nil {
		return shown
	}
	if err == nil && watch.failed() > 0 {
		err = attention()
	}
	return err
}

func (s *session) showResync(w *watch, waited bool) error {
	view, rows := resyncView{Calendars: []resyncedView{}}, [][]string{}
	names, err := s.resourceNames()
	if err != nil {
		return err
	}
	for _, p := range w.progress {
		outcome := p.now.Outcome
		if !p.done {
			outcome = ""
		}
		view.Calendars = append(view.Calendars, resyncedView{p.now.ID, names[p.now.Resource], p.now.Name, p.now.Kind, p.done, p.failed, outcome, p.now.AsOf})
		rows = append(rows, []string{names[p.now.Resource], p.now.Name, string(p.now.Kind), p.word(), ago(p.now.AsOf, s.app.now()), advice(p.now, busy.Connection{ID: p.now.Connection, Kind: p.now.Kind, State: p.now.Connected})})
	}
	return s.app.show(s.cmd, view, func(out io.Writer) {
		if !waited {
			say(out, "%s to be read now.", plural(len(view.Calendars), "calendar"))
			return
		}
		table(out, "resource,calendar,provider,outcome,as of,what to do", rows)
	})
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
