package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
)

// consentWithin is how long the owner may take; the store forgets then.
const consentWithin = 10 * time.Minute

// newConnectionConsentCommand connects accounts of a provider that has OAuth.
func newConnectionConsentCommand(a *app, kind busy.Kind, use, whose string) *cobra.Command {
	var tenant, resource, reconnect string
	var push, wait bool
	c := &cobra.Command{
		Use:   use + " --tenant T (--resource R | --reconnect ID)",
		Short: "Connect " + whose + ": prints the address at which the owner consents, and waits",
		Long: "Connect " + whose + `. Send the printed address to the owner of the calendar, or open it
yourself: it is good once, for ten minutes. The owner's browser comes back to
the daemon at public_url, which must run. busyd can read calendars then, and
change nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				consent, err := s.consentFor(resource, reconnect)
				if err != nil {
					return err
				}
				consent.Kind, consent.Push = kind, push
				return s.consent(consent, wait)
			})
		},
	}
	tenantFlag(c, &tenant)
	c.Flags().StringVar(&resource, "resource", "", "name or id of the `resource` whose time the calendars block")
	c.Flags().StringVar(&reconnect, "reconnect", "", "the `connection` to reconnect, in place of making a new one; its resource need not be named")
	c.MarkFlagsOneRequired("resource", "reconnect")
	c.Flags().BoolVar(&push, "push", false, "ask for what being told of changes takes, where the provider wants more for that")
	c.Flags().BoolVar(&wait, "wait", true, "wait for the owner")
	return c
}

// consentFor is the consent that connects the resource, or reconnects the
// connection, whose resource need not be named.
func (s *session) consentFor(resource, reconnect string) (busy.Consent, error) {
	consent := busy.Consent{Tenant: s.tenant.ID}
	if resource != "" {
		r, err := s.resource(resource)
		if err != nil {
			return consent, err
		}
		consent.Resource = r.ID
	}
	if reconnect == "" {
		return consent, nil
	}
	connection, err := s.connection(reconnect)
	if err != nil {
		return consent, err
	}
	consent.Connection = connection.ID
	if resource == "" {
		consent.Resource = connection.Resource
	}
	if connection.State == busy.ConnectionDisconnected {
		return consent, errFinal
	}
	return consent, nil
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
	address, err := s.accounts().Begin(s, c)
	if err != nil {
		return usage(err)
	}
	if !wait {
		return s.app.show(s.cmd, consentView{AuthorizationURL: address}, func(w io.Writer) { say(w, "%s", address) })
	}
	// To the standard error, so that what scripts read is the result alone.
	say(s.cmd.ErrOrStderr(), "The owner consents here, within ten minutes:\n\n  %s\n\nWaiting ...", address)
	state, err := stateIn(address)
	if err != nil {
		return err
	}
	id, err := s.awaitConsent(c, state)
	if err != nil {
		return err
	}
	connection, err := s.store.Connection(s, s.tenant.ID, id)
	if err != nil {
		return err
	}
	if connection.State == busy.ConnectionDisconnected {
		return errFinal
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

// finishWithin is how long the daemon may take to connect an account whose owner
// came back.
const finishWithin = time.Minute

// awaitConsent waits for the daemon to end the consent, and returns what it
// connected.
func (s *session) awaitConsent(c busy.Consent, state string) (busy.ConnectionID, error) {
	over := s.app.now().Add(consentWithin)
	for came := false; ; {
		end, err := s.store.ConsentEnd(s, s.tenant.ID, state)
		switch {
		case errors.Is(err, busy.ErrNotFound):
			return busy.ConnectionID{}, errors.New("the consent is not awaited any more: what it was to reconnect is disconnected, or an older version of the daemon took it. See `busyd connection list`")
		case err != nil:
			return busy.ConnectionID{}, err
		case end.State == busy.ConsentGiven:
			return end.Connection, nil
		case end.State == busy.ConsentAwaitingAdmin:
			return end.Connection, s.awaitingAdmin(c, end.Connection)
		case end.State == busy.ConsentFailed:
			return end.Connection, notGiven(end.Problem)
		case end.State == busy.ConsentTaken && !came:
			came, over = true, s.app.now().Add(finishWithin)
		}
		if s.app.now().After(over) {
			return busy.ConnectionID{}, notEnded(came)
		}
		select {
		case <-s.Done():
			return busy.ConnectionID{}, errors.New("stopped waiting; the address stays good until its ten minutes are over, or it was used")
		case <-time.After(time.Second):
		}
	}
}

// notEnded is the error of a consent that nobody hears of.
func notEnded(came bool) error {
	if came {
		return errors.New("the owner came back, and the daemon did not come to an end with it: look at its log, and begin anew")
	}
	return fmt.Errorf("nobody consented within %s: begin anew", consentWithin)
}

// notGiven is the error of a consent that failed, with what its owner was told to do.
func notGiven(problem string) error {
	if problem == "" {
		return errors.New("the account could not be connected: the daemon's log tells why. Begin anew")
	}
	return fmt.Errorf("nothing was connected: the %s", problem)
}

// stateIn is the state that an owner is sent away with.
func stateIn(address string) (string, error) {
	at, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("read the address of the consent: %w", err)
	}
	return at.Query().Get("state"), nil
}

// awaitingAdmin tells who has to do what.
func (s *session) awaitingAdmin(c busy.Consent, connection busy.ConnectionID) error {
	where := ""
	if address := s.accounts().AdminConsentURL(c.Kind, c.Push); address != "" {
		where = " at\n\n  " + address + "\n\nand"
	}
	return marked{fmt.Errorf("the owner's organisation must consent first: ask its administrator to do so%s begin anew then, with --reconnect %s",
		where, connection), []error{errAttention}}
}
