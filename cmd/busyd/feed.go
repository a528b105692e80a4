package main

import (
	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
)

// newConnectionFeedCommand connects a calendar that is published as a file.
func newConnectionFeedCommand(a *app) *cobra.Command {
	var tenant, resource string
	var flags loginFlags
	c := &cobra.Command{
		Use:   "feed --tenant T --resource R --url-file F",
		Short: "Connect a calendar that is published as an .ics file (https or webcal)",
		Long: `Connect a calendar that is published as an .ics file. Its address is mostly its
password as well: give it in a file, or through the standard input, to keep it
out of the list of processes. It is sealed in the database.`,
		Example: `  busyd connection add feed --tenant acme --resource "Room 2" --url-file room2.url`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			login, err := flags.published(cmd)
			if err != nil {
				return err
			}
			return a.inTenant(cmd, tenant, func(s *session) error {
				r, err := s.resource(resource)
				if err != nil {
					return err
				}
				connection, calendars, err := s.connect(busy.Feed, r.ID, login)
				if err != nil {
					return err
				}
				return s.showConnected(connection, calendars)
			})
		},
	}
	tenantFlag(c, &tenant)
	c.Flags().StringVar(&resource, "resource", "", "name or id of the `resource` whose time the calendar blocks")
	required(c, "resource")
	c.Flags().StringVar(&flags.urlFile, "url-file", "", "`file` with the address, - for the standard input")
	c.Flags().StringVar(&flags.url, "url", "", "the `address`, where it is no secret")
	c.Flags().StringVar(&flags.username, "username", "", "`name`, where the server asks for one")
	c.Flags().StringVar(&flags.passwordFile, "password-file", "", "`file` with the password, - for the standard input (default: ask)")
	return c
}
