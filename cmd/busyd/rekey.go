package main

import (
	"io"

	"github.com/spf13/cobra"
)

const rekeyHelp = `Wrap every tenant's data key under the first of the master keys, so that the
others can go. Daemons may run meanwhile, but each must have been started with
the new key: what is wrapped under it is closed to those without. It may run any
number of times.

  1. Put the new master key before the old one, with a comma, for every process,
     and restart them.
  2. busyd rekey
  3. Take the old master key away. Keep it as long as backups from before: they
     need it.`

func newRekeyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rekey",
		Short: "Wrap the tenants' keys under a new master key, so that the old one can go",
		Long:  rekeyHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, st, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer st.Close()
			n, err := st.RotateKeys(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(cmd, map[string]int{"rewrapped": n}, func(w io.Writer) {
				say(w, "%s wrapped anew. Every tenant's is under the first master key: older ones are needed for backups only.",
					plural(n, "data key"))
			})
		},
	}
}
