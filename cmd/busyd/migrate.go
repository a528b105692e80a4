package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/store"
)

func newMigrateCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date",
		Long: `Bring the database's schema up to date, and make the roles that busyd works
under. It logs in with migrate_url, or with database_url where that is not set.
Run it before the daemon of a new version, any number of times. It may run while
the old one works, some of whose readings may fail until it is replaced.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			owner := c.MigrateURL
			if len(owner) == 0 {
				if err := c.NeedDatabase(); err != nil {
					return usage(err)
				}
				owner = c.DatabaseURL
			}
			applied, err := store.Migrate(cmd.Context(), string(owner))
			if err != nil && len(c.MigrateURL) == 0 {
				return fmt.Errorf("%w; this was database_url: the owner's login belongs in migrate_url (BUSYD_MIGRATE_URL)", err)
			}
			if err != nil {
				return err
			}
			return a.show(cmd, map[string]int{"applied": applied}, func(w io.Writer) {
				say(w, "%d migrations applied; the schema is up to date.", applied)
			})
		},
	}
}
