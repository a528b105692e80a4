package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// newConnectionFeedCommand connects a calendar that is published as a file.
func newConnectionFeedCommand(a *app) *cobra.Command {
	var tenant, resource, address, addressFile, username, passwordFile string
	c := &cobra.Command{
		Use:   "feed --tenant T --resource R --url-file F",
		Short: "Connect a calendar that is published as an .ics file (https or webcal)",
		Long: `Connect a calendar that is published as an .ics file. Its address is mostly its
password as well: give it in a file, or through the standard input, to keep it
out of the list of processes. It is sealed in the database.`,
		Example: `  busyd connection add feed --tenant acme --resource "Room 2" --url-file room2.url`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			login := providers.Login{URL: address, Username: username}
			if (address == "") == (addressFile == "") {
				return usage(errors.New("give the address with --url-file, or with --url, and not with both"))
			}
			if addressFile != "" {
				content, err := readPassword(cmd, addressFile)
				if err != nil {
					return err
				}
				login.URL = strings.TrimSpace(string(content))
			}
			if username != "" {
				password, err := readPassword(cmd, passwordFile)
				if err != nil {
					return err
				}
				login.Password = password
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
	c.Flags().StringVar(&addressFile, "url-file", "", "`file` with the address, - for the standard input")
	c.Flags().StringVar(&address, "url", "", "the `address`, where it is no secret")
	c.Flags().StringVar(&username, "username", "", "`name`, where the server asks for one")
	c.Flags().StringVar(&passwordFile, "password-file", "", "`file` with the password, - for the standard input (default: ask)")
	return c
}
