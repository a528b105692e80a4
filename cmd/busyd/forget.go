package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
)

const forgetHelp = `Forget a connection that is disconnected: nothing says any more that there was one.

Of a resource whose accounts are all disconnected nothing is known, and it is
treated like one whose calendars cannot be read. When the last of them is
forgotten, it is a resource without calendars: its working hours alone decide
when it can be booked.`

func newConnectionForgetCommand(a *app) *cobra.Command {
	return withOne(a, &cobra.Command{
		Use:   "forget ID --tenant T",
		Short: "Forget a disconnected account, so that working hours alone decide where there is no other",
		Long:  forgetHelp,
	}, (*session).connection, func(s *session, connection busy.Connection) error {
		if err := s.store.Forget(s, s.tenant.ID, connection.ID); err != nil {
			return err
		}
		return a.show(s.cmd, map[string]busy.ConnectionID{"forgotten": connection.ID}, func(w io.Writer) {
			say(w, "Forgot %s.", connection.ID)
		})
	})
}
