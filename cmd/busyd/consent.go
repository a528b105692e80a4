package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
)

// consentFor is how long the owner may take; the store forgets then.
const consentFor = 10 * time.Minute

// newConnectionConsentCommand connects accounts of a provider that has OAuth.
func newConnectionConsentCommand(a *app, kind busy.Kind, use, whose string) *cobra.Command {
	var tenant, resource, reconnect string
	var push, wait bool
	c := &cobra.Command{
		Use:   use + " --tenant T --resource R",
		Short: "Connect " + whose + ": prints the address at which the owner consents, and waits",
		Long: "Connect " + whose + `. Send the printed address to the owner of the calendar, or open it
yourself: it is good once, for ten minutes. The owner's browser comes back to
the daemon at public_url, which must run. busyd can read calendars then, and
change nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				r, err := s.resource(resource)
				if err != nil {
					return err
				}
				consent := busy.Consent{Tenant: s.tenant.ID, Kind: kind, Resource: r.ID, Push: push}
				if reconnect != "" {
					connection, err := s.connection(reconnect)
					if err != nil {
						return err
					}
					consent.Connection = connection.ID
				}
				return s.consent(consent, wait)
			})
		},
	}
	tenantFlag(c, &tenant)
	c.Flags().StringVar(&resource, "resource", "", "name or id of the `resource` whose time the calendars block")
	required(c, "resource")
	c.Flags().StringVar(&reconnect, "reconnect", "", "the `connection` to reconnect, in place of making a new one")
	c.Flags().BoolVar(&push, "push", false, "ask for what being told of changes takes, where the provider wants more for that")
	c.Flags().BoolVar(&wait, "wait", true, "wait for the owner")
	return c
}

type consentView struct {
	AuthorizationURL string          `json:"authorization_url"`
	Connection       *connectionView `json:"connection,omitempty"`
}

func (s *session) consent(c busy.Consent, wait bool) error {
	if s.config.PublicURL == "" {
		return usage(errors.New("public_url is missing: the owner's browser comes back to it. Set it as BUSYD_PUBLIC_URL, or in the configuration file"))
	}
	if missing := unregistered(s.config, c.Kind); missing != "" {
		return usage(fmt.Errorf("%s.client_id and %s.client_secret are missing: register busyd with the provider, see README.md", missing, missing))
	}
	before, err := s.store.Connections(s, s.tenant.ID)
	if err != nil {
		return err
	}
	began := s.app.now()
	address, err := s.accounts().Begin(s, c)
	if err != nil {
		return usage(err)
	}
	if !wait {
		return s.app.show(s.cmd, consentView{AuthorizationURL: address}, func(w io.Writer) { say(w, "%s", address) })
	}
	// To the standard error, so that what scripts read is the result alone.
	say(s.cmd.ErrOrStderr(), "The owner consents here, within ten minutes:\n\n  %s\n\nWaiting ...", address)
	connection, err := s.awaitConsent(c, before, began)
	if err != nil {
		return err
	}
	calendars, err := s.store.Calendars(s, s.tenant.ID)
	if err != nil {
		return err
	}
	own := calendars[:0]
	for _, calendar := range calendars {
		if calendar.Connection == connection.ID {
			own = append(own, calendar)
		}
	}
	return s.showConnected(connection, own)
}

// unregistered is the section of the configuration that kind lacks, or empty.
func unregistered(c configs.Config, kind busy.Kind) string {
	switch {
	case kind == busy.Google && c.Google.ClientID == "":
		return "google"
	case kind == busy.Graph && c.Microsoft.ClientID == "":
		return "microsoft"
	}
	return ""
}

// awaitConsent returns the connection that the owner's consent makes, or mends.
// Before are the connections that there were.
func (s *session) awaitConsent(c busy.Consent, before []busy.Connection, began time.Time) (busy.Connection, error) {
	end := time.After(consentFor)
	for {
		connections, err := s.store.Connections(s, s.tenant.ID)
		if err != nil {
			return busy.Connection{}, err
		}
		for _, found := range connections {
			if !answers(found, c, before, began) {
				continue
			}
			if found.State == busy.ConnectionAwaitingAdmin {
				return busy.Connection{}, s.awaitingAdmin(c, found)
			}
			return found, nil
		}
		select {
		case <-s.Done():
			return busy.Connection{}, errors.New("stopped waiting; the address stays good until its ten minutes are over")
		case <-end:
			return busy.Connection{}, fmt.Errorf("nobody consented within %s: begin anew", consentFor)
		case <-time.After(time.Second):
		}
	}
}

// answers reports whether the consent that was asked for left a connection as it
// was found: read, or waiting for the organisation.
func answers(found busy.Connection, c busy.Consent, before []busy.Connection, began time.Time) bool {
	waits := found.State == busy.ConnectionAwaitingAdmin
	if found.Kind != c.Kind || found.Resource != c.Resource || !waits && !found.State.Polled() || found.ChangedAt.Before(began) {
		return false
	}
	if !c.Connection.IsZero() {
		return found.ID == c.Connection
	}
	return waits || !slices.ContainsFunc(before, func(b busy.Connection) bool {
		return b.ID == found.ID && b.State != busy.ConnectionAwaitingAdmin
	})
}

// awaitingAdmin tells who has to do what.
func (s *session) awaitingAdmin(c busy.Consent, connection busy.Connection) error {
	where := ""
	if address := s.accounts().AdminConsentURL(c.Kind, c.Push); address != "" {
		where = " at\n\n  " + address + "\n\nand"
	}
	return marked{fmt.Errorf("the owner's organisation must consent first: ask its administrator to do so%s begin anew then, with --reconnect %s",
		where, connection.ID), []error{errAttention}}
}
