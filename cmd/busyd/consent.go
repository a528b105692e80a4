package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/store"
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
	before, err := s.store.Connections(s, s.tenant.ID)
	if err != nil {
		return err
	}
	w := &consentWait{session: s, consent: c, before: before, began: s.app.now()}
	if _, w.grant, err = w.glance(); err != nil {
		return err
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
	if w.state, err = stateIn(address); err != nil {
		return err
	}
	connection, err := w.wait()
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

// consentWait waits for what an owner's consent leads to. The consent ends in the
// daemon, and is seen here by what it leaves in the database.
type consentWait struct {
	*session
	consent busy.Consent
	state   string            // goes with the owner, and is good once
	before  []busy.Connection // that there were
	began   time.Time

	grant []byte    // of the connection that is reconnected, sealed, while the state was good
	used  time.Time // when the state was found used up; zero: the owner is awaited
}

// settleWithin is how long a consent that came back may take to become a connection:
// the provider is asked for the grant and the calendars in between.
const settleWithin = 10 * time.Second

var errNotGiven = errors.New("the owner did not consent, or not to all that is needed, or as another account: begin anew")

// wait returns the connection that the consent makes, or mends.
func (w *consentWait) wait() (busy.Connection, error) {
	end := time.After(consentWithin)
	for {
		found, done, err := w.look()
		if err != nil || done {
			return found, err
		}
		if !w.used.IsZero() && w.app.now().Sub(w.used) > settleWithin {
			return busy.Connection{}, errNotGiven
		}
		select {
		case <-w.Done():
			return busy.Connection{}, errors.New("stopped waiting; the address stays good until its ten minutes are over")
		case <-end:
			return busy.Connection{}, fmt.Errorf("nobody consented within %s: begin anew", consentWithin)
		case <-time.After(time.Second):
		}
	}
}

// look tells whether the consent led to a connection by now.
func (w *consentWait) look() (found busy.Connection, done bool, err error) {
	asked, grant, err := w.glance()
	if err != nil {
		return found, false, err
	}
	if asked {
		w.grant = grant
		return found, false, nil
	}
	if w.used.IsZero() {
		w.used = w.app.now()
	}
	connections, err := w.store.Connections(w, w.tenant.ID)
	if err != nil {
		return found, false, err
	}
	i := slices.IndexFunc(connections, func(c busy.Connection) bool { return w.answers(c, !bytes.Equal(grant, w.grant)) })
	if i < 0 {
		return found, false, nil
	}
	if connections[i].State == busy.ConnectionAwaitingAdmin {
		return found, true, w.awaitingAdmin(w.consent, connections[i])
	}
	return connections[i], true, nil
}

// glance tells whether the owner is still awaited, and the grant of the connection
// that is reconnected, as it is sealed: a connection that was active stays so, and
// shows by nothing else that it has been reconnected.
func (w *consentWait) glance() (asked bool, grant []byte, err error) {
	hash := sha256.Sum256([]byte(w.state))
	err = w.store.In(w, w.tenant.ID, func(tx *store.Tx) error {
		return tx.QueryRow(w, `
			select exists (select from consents where tenant_id = $1 and state_hash = $2),
				(select grant_sealed from connections where tenant_id = $1 and id = $3)`,
			w.tenant.ID.String(), hash[:], w.consent.Connection.String()).Scan(&asked, &grant)
	})
	if err != nil {
		return false, nil, fmt.Errorf("look whether the owner has consented: %w", err)
	}
	return asked, grant, nil
}

// answers reports whether the consent left a connection as it was found: read, or
// waiting for the organisation. Granted: the one that is reconnected has a new grant.
func (w *consentWait) answers(found busy.Connection, granted bool) bool {
	waits, since := found.State == busy.ConnectionAwaitingAdmin, !found.ChangedAt.Before(w.began)
	if !w.consent.Connection.IsZero() {
		return found.ID == w.consent.Connection && (waits && since || granted && found.State.Polled())
	}
	if found.Kind != w.consent.Kind || found.Resource != w.consent.Resource || !since {
		return false
	}
	return waits || found.State.Polled() && !slices.ContainsFunc(w.before, func(b busy.Connection) bool {
		return b.ID == found.ID && b.State != busy.ConnectionAwaitingAdmin
	})
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
func (s *session) awaitingAdmin(c busy.Consent, connection busy.Connection) error {
	where := ""
	if address := s.accounts().AdminConsentURL(c.Kind, c.Push); address != "" {
		where = " at\n\n  " + address + "\n\nand"
	}
	return marked{fmt.Errorf("the owner's organisation must consent first: ask its administrator to do so%s begin anew then, with --reconnect %s",
		where, connection.ID), []error{errAttention}}
}
