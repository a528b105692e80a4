package main

import (
	"github.com/spf13/cobra"
)

func newServeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon, with the roles that are configured",
		Long: `Run the daemon. Its roles (api, worker, sweep) are those of the setting roles;
any number of processes may have any of them. Every process answers /livez,
/readyz and /metrics on the address of the setting listen.

SIGTERM and SIGINT stop it in order within shutdown_timeout: no new requests and
no new work, then what is under way ends, then what is left is handed back. A
second signal ends it at once. Under systemd it notifies readiness, the stop and
the watchdog.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			d := &daemon{config: c, log: newLogger(c.Log)}
			return d.run(cmd.Context())
		},
	}
}
