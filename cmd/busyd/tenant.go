package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
)

func newTenantCommand(a *app) *cobra.Command {
	return group("tenant", "Customers", newTenantCreateCommand(a), newTenantListCommand(a), newTenantDeleteCommand(a))
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
				rows = append(rows, []string{t.ID.String(), t.Name, t.CreatedAt.UTC().Format(time.DateTime)})
			}
			return a.show(cmd, views, func(w io.Writer) { table(w, "id,name,created (UTC)", rows) })
		},
	}
}

func newTenantDeleteCommand(a *app) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "delete NAME",
		Short: "Erase a tenant: its encryption key first, then every row",
		Long: `Erase a tenant. Its encryption key is destroyed first, so that nothing sealed
can be read again, not even from a backup; then every row of it is deleted, and
every table is searched for what is left. It asks for the tenant's name, unless
--yes is given.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, st, err := a.open(cmd.Context())
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
			return a.erase(cmd.Context(), cmd, st, t)
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

type erasureView struct {
	Tenant  busy.TenantID    `json:"tenant"`
	Deleted map[string]int64 `json:"deleted"`
	Left    map[string]int64 `json:"left"`
}

func (a *app) erase(ctx context.Context, cmd *cobra.Command, st *store.Store, t busy.Tenant) error {
	erased, err := st.DeleteTenant(ctx, t.ID)
	if err != nil {
		return err
	}
	left, rows := int64(0), [][]string{}
	for _, name := range slices.Sorted(maps.Keys(erased.Left)) {
		left += erased.Left[name]
		rows = append(rows, []string{name, fmt.Sprint(erased.Deleted[name]), fmt.Sprint(erased.Left[name])})
	}
	if err := a.show(cmd, erasureView{t.ID, erased.Deleted, erased.Left}, func(w io.Writer) {
		table(w, "table,deleted,left", rows)
		say(w, "Tenant %s is erased. Its encryption key was destroyed first: backups of it cannot be read.", t.Name)
	}); err != nil {
		return err
	}
	if left > 0 {
		return fmt.Errorf("%d rows are left: this is a defect, please report it", left)
	}
	return nil
}
