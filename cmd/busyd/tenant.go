package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
)

func newTenantCommand(a *app) *cobra.Command {
	return group("tenant", "Customers", newTenantCreateCommand(a), newTenantListCommand(a),
		newTenantPlanCommand(a, true), newTenantPlanCommand(a, false), newTenantDeleteCommand(a))
}

type tenantView struct {
	ID        busy.TenantID `json:"id"`
	Name      string        `json:"name"`
	CreatedAt time.Time     `json:"created_at"`
	// DowngradedAt is null while the plan includes calendars.
	DowngradedAt *time.Time `json:"downgraded_at"`
}

func viewTenant(t busy.Tenant) tenantView {
	v := tenantView{ID: t.ID, Name: t.Name, CreatedAt: t.CreatedAt}
	if !t.DowngradedAt.IsZero() {
		v.DowngradedAt = &t.DowngradedAt
	}
	return v
}

func newTenantCreateCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "create NAME",
		Short: "Create a tenant, with an encryption key of its own",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, st, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer st.Close()
			t, err := st.CreateTenant(cmd.Context(), args[0], a.now())
			if errors.Is(err, busy.ErrExists) {
				return errors.New("there is a tenant of this name already")
			}
			if err != nil {
				return err
			}
			return a.show(cmd, viewTenant(t), func(w io.Writer) { say(w, "Created tenant %s (%s).", t.Name, t.ID) })
		},
	}
}

func newTenantListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the tenants",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, st, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer st.Close()
			all, err := st.Tenants(cmd.Context())
			if err != nil {
				return err
			}
			views, rows := []tenantView{}, [][]string{}
			for _, t := range all {
				views = append(views, viewTenant(t))
				plan := "with calendars"
				if !t.DowngradedAt.IsZero() {
					plan = "downgraded " + t.DowngradedAt.UTC().Format(time.DateTime)
				}
				rows = append(rows, []string{t.ID.String(), t.Name, t.CreatedAt.UTC().Format(time.DateTime), plan})
			}
			return a.show(cmd, views, func(w io.Writer) { table(w, "id,name,created (UTC),plan (UTC)", rows) })
		},
	}
}

func newTenantDeleteCommand(a *app) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "delete NAME",
		Short: "Erase a tenant: its encryption key first, then every row",
		Long: `Erase a tenant. Its encryption key is destroyed first, so that nothing sealed
can be read again; then every row of it is deleted, and every table is searched
for what is left. It asks for the tenant's name, unless --yes is given.

A backup from before still holds the key, wrapped: whoever has that backup and
the master key can read it, so let backups expire.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, st, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer st.Close()
			t, err := findTenant(cmd.Context(), st, args[0])
			if err != nil {
				return err
			}
			if !yes {
				if err := confirm(cmd, "This erases the tenant and everything of it, for ever.", t.Name); err != nil {
					return err
				}
			}
			s := &session{Context: cmd.Context(), app: a, cmd: cmd, config: c, store: st, tenant: t}
			return s.erase()
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// confirm has a person type a word before something that cannot be undone.
func confirm(cmd *cobra.Command, consequence, word string) error {
	errs := cmd.ErrOrStderr()
	_, _ = fmt.Fprintf(errs, "%s Type %s to go on: ", consequence, word)
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != word {
		say(errs, "")
		return usage(errors.New("nothing was done: the answer was not what was asked for (scripts give --yes)"))
	}
	return nil
}

// newTenantPlanCommand takes calendars out of a tenant's plan, or puts them back.
func newTenantPlanCommand(a *app, downgrade bool) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "upgrade NAME",
		Short: "Put calendars back into a tenant's plan",
		Args:  cobra.ExactArgs(1),
	}
	if downgrade {
		c.Use, c.Short = "downgrade NAME", "Take calendars out of a tenant's plan: every account is disconnected"
		c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.inTenant(cmd, args[0], func(s *session) error {
			if downgrade && !yes {
				if err := confirm(cmd, "This disconnects every account of the tenant.", s.tenant.Name); err != nil {
					return err
				}
			}
			if err := s.accounts().Downgrade(s, s.tenant.ID, downgrade); err != nil {
				return err
			}
			t, err := findTenant(s, s.store, s.tenant.ID.String())
			if err != nil {
				return err
			}
			return a.show(cmd, viewTenant(t), func(w io.Writer) {
				if downgrade {
					say(w, "Tenant %s is downgraded: its accounts are disconnected, and none can be connected.", t.Name)
				} else {
					say(w, "Tenant %s can connect accounts.", t.Name)
				}
			})
		})
	}
	return c
}

type erasureView struct {
	Tenant  busy.TenantID    `json:"tenant"`
	Untold  int              `json:"untold"` // providers that could not be told
	Deleted map[string]int64 `json:"deleted"`
	Left    map[string]int64 `json:"left"`
}

// erase tells the providers first: once the key is destroyed, no grant can be
// read to be withdrawn.
func (s *session) erase() error {
	before, err := s.store.CountRows(s, s.tenant.ID)
	if err != nil {
		return err
	}
	untold, err := s.accounts().DisconnectAll(s, s.tenant.ID)
	if err != nil && !errors.Is(err, busy.ErrNotFound) { // the key is destroyed already: this goes on from there
		return err
	}
	erased, err := s.store.DeleteTenant(s, s.tenant.ID)
	if err != nil {
		return err
	}
	for table, n := range before { // what disconnecting has deleted, too
		erased.Deleted[table] = max(erased.Deleted[table], n)
	}
	left, rows := int64(0), [][]string{}
	for _, name := range slices.Sorted(maps.Keys(erased.Left)) {
		left += erased.Left[name]
		rows = append(rows, []string{name, fmt.Sprint(erased.Deleted[name]), fmt.Sprint(erased.Left[name])})
	}
	if err := s.app.show(s.cmd, erasureView{s.tenant.ID, untold, erased.Deleted, erased.Left}, func(w io.Writer) {
		table(w, "table,deleted,left", rows)
		say(w, "Tenant %s is erased. Backups from before can be read with the master key: let them expire.", s.tenant.Name)
		if untold > 0 {
			say(w, "%d providers could not be reached to withdraw busyd's access: its owners can do that in their accounts.", untold)
		}
	}); err != nil {
		return err
	}
	if left > 0 {
		return fmt.Errorf("%d rows are left: this is a defect, please report it", left)
	}
	return nil
}
