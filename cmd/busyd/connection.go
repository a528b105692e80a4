package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/sync/connect"
)

func newConnectionCommand(a *app) *cobra.Command {
	return group("connection", "Connected accounts",
		group("add", "Connect an account", newConnectionCalDAVCommand(a), newConnectionExchangeCommand(a), newConnectionFeedCommand(a),
			newConnectionConsentCommand(a, busy.Google, "google", "a Google account"),
			newConnectionConsentCommand(a, busy.Graph, "outlook", "an Outlook.com or Microsoft 365 account")),
		newConnectionListCommand(a), newConnectionShowCommand(a), newConnectionReconnectCommand(a),
		newConnectionPauseCommand(a, true), newConnectionPauseCommand(a, false), newConnectionDisconnectCommand(a),
		newConnectionForgetCommand(a))
}

// loginFlags are how an account with a password is named.
type loginFlags struct {
	url, urlFile, username, passwordFile, mailbox string
}

func (f *loginFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.url, "url", "", "`address` of the server, a principal or a calendar; may be left out where the username is an e-mail address")
	c.Flags().StringVar(&f.username, "username", "", "`name` that the account signs in with")
	c.Flags().StringVar(&f.passwordFile, "password-file", "", "`file` with the password, - for the standard input (default: ask)")
}

func (f *loginFlags) addMailbox(c *cobra.Command) {
	c.Flags().StringVar(&f.mailbox, "mailbox", "", "e-mail `address` of the mailbox to read on an Exchange Server, where it is not the user's own")
}

func (f *loginFlags) login(cmd *cobra.Command) (providers.Login, error) {
	password, err := readPassword(cmd, f.passwordFile)
	return providers.Login{URL: f.url, Username: f.username, Password: password, Mailbox: f.mailbox}, err
}

// again is the login with which a connection of the kind is reconnected. An owner's
// consent takes none, and nothing is asked for one.
func (f *loginFlags) again(cmd *cobra.Command, kind busy.Kind) (providers.Login, error) {
	switch {
	case kind == busy.Google || kind == busy.Graph:
		return providers.Login{}, nil
	case kind == busy.Feed:
		return f.published(cmd)
	case f.urlFile != "":
		return providers.Login{}, usage(errors.New("--url-file is for a feed: give the server's address with --url"))
	case f.username == "":
		return providers.Login{}, usage(errors.New("give the name that the account signs in with again, with --username"))
	default:
		return f.login(cmd)
	}
}

// published is the login of a feed: its address, which is mostly its password as
// well, and a name and a password where the server asks for them.
func (f *loginFlags) published(cmd *cobra.Command) (providers.Login, error) {
	login := providers.Login{URL: f.url, Username: f.username}
	if (f.url == "") == (f.urlFile == "") {
		return login, usage(errors.New("give the feed's address with --url-file, or with --url, and not with both"))
	}
	if f.urlFile != "" {
		content, err := readPassword(cmd, f.urlFile)
		if err != nil {
			return login, err
		}
		login.URL = strings.TrimSpace(string(content))
	}
	if f.username == "" {
		return login, nil
	}
	var err error
	login.Password, err = readPassword(cmd, f.passwordFile)
	return login, err
}

func readPassword(cmd *cobra.Command, file string) (busy.Secret, error) {
	var content []byte
	var err error
	switch in, isFile := cmd.InOrStdin().(*os.File); {
	case file == "-":
		content, err = readSmall(cmd.InOrStdin())
	case file != "":
		content, err = readSmallFile(file)
	case isFile && term.IsTerminal(int(in.Fd())):
		_, _ = fmt.Fprint(cmd.ErrOrStderr(), "Password (for iCloud an app-specific one): ")
		content, err = term.ReadPassword(int(in.Fd()))
		say(cmd.ErrOrStderr(), "")
	default:
		return nil, busy.Invalid("--password-file", "must name a file with the password, or be - for the standard input")
	}
	if err != nil {
		return nil, usage(fmt.Errorf("read the file or input with the secret: %w", err))
	}
	return busy.Secret(strings.TrimRight(string(content), "\r\n")), nil
}

func readSmallFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return readSmall(file)
}

// readSmall refuses what is too long for a password: the wrong file, probably.
func readSmall(r io.Reader) ([]byte, error) {
	const most = 1024
	content, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && len(content) > most {
		err = fmt.Errorf("it is longer than %d bytes", most)
	}
	return content, err
}

// reconnect gives a connection another login, after it was tried.
func (s *session) reconnect(id busy.ConnectionID, login providers.Login) error {
	return ofLogin(s.accounts().Reconnect(s, s.tenant.ID, id, login))
}

// accounts connects and disconnects.
func (s *session) accounts() *connect.Service {
	return newConnect(s.config, s.store, newProviders(s.config, nil, nil), slog.New(slog.DiscardHandler))
}

// parting is what is left to an account's owner.
func parting(kind busy.Kind) string {
	switch kind {
	case busy.CalDAV, busy.Exchange:
		return " Remove the app password at the provider too, or change the password."
	case busy.Graph:
		return " Microsoft keeps the consent until the owner removes it: https://myapps.microsoft.com."
	default:
		return ""
	}
}

// ofLogin words an error of a login that was tried. One of the login itself begins
// with the field that is wrong.
func ofLogin(err error) error {
	failure := (*providers.Error)(nil)
	switch {
	case errors.Is(err, busy.ErrInvalid):
		return fmt.Errorf("nothing was saved: the %w", err)
	case errors.As(err, &failure):
		return fmt.Errorf("nothing was saved, for the server could not be asked; try again later: %w", err)
	default:
		return err
	}
}

// connect verifies a login, stores the account and has it read at once.
func (s *session) connect(kind busy.Kind, resource busy.ResourceID, login providers.Login) (busy.Connection, []busy.Calendar, error) {
	done, err := s.accounts().Password(s, s.tenant.ID, resource, kind, login)
	return done.Connection, done.Calendars, ofLogin(err)
}

func newConnectionCalDAVCommand(a *app) *cobra.Command {
	c := newConnectionPasswordCommand(a, busy.CalDAV)
	c.Use = "caldav --tenant T --resource R --url U --username N --password-file F"
	c.Short = "Connect a CalDAV account: iCloud, Nextcloud, Fastmail, Radicale, ..."
	c.Long = `Connect a CalDAV account. The login is tried against the server before anything
is saved. For iCloud the username is the Apple Account's e-mail address, the URL
may be left out, and the password must be an app-specific one, made at
account.apple.com. The password is sealed in the database; it is not needed again.`
	c.Example = `  busyd connection add caldav --tenant acme --resource "Dr. Weber" \
      --url https://cloud.example.com --username weber --password-file weber.password`
	return c
}

func newConnectionExchangeCommand(a *app) *cobra.Command {
	c := newConnectionPasswordCommand(a, busy.Exchange)
	c.Use = "exchange --tenant T --resource R --username N --password-file F [--url U] [--mailbox M]"
	c.Short = "Connect a mailbox on an Exchange Server of your own (not Microsoft 365: that is outlook)"
	c.Long = `Connect a mailbox on an Exchange Server, over Exchange Web Services. The login is
tried before anything is saved: NTLM where the server offers it, else Basic. The
URL may be left out where the domain has Autodiscover. With --mailbox a service
account reads another's mailbox; give it the right to read that calendar only.`
	c.Example = `  busyd connection add exchange --tenant acme --resource "Dr. Weber" \
      --url https://mail.example.com --username 'EXAMPLE\busyd' --mailbox weber@example.com --password-file busyd.password`
	return c
}

// newConnectionPasswordCommand connects an account with a password.
func newConnectionPasswordCommand(a *app, kind busy.Kind) *cobra.Command {
	var tenant, resource string
	var flags loginFlags
	c := &cobra.Command{
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			login, err := flags.login(cmd)
			if err != nil {
				return err
			}
			return a.inTenant(cmd, tenant, func(s *session) error {
				r, err := s.resource(resource)
				if err != nil {
					return err
				}
				connection, calendars, err := s.connect(kind, r.ID, login)
				if err != nil {
					return err
				}
				return s.showConnected(connection, calendars)
			})
		},
	}
	tenantFlag(c, &tenant)
	c.Flags().StringVar(&resource, "resource", "", "name or id of the `resource` whose time the calendars block")
	required(c, "resource")
	flags.add(c)
	required(c, "username")
	if kind == busy.Exchange {
		flags.addMailbox(c)
	}
	return c
}

func (s *session) showConnected(connection busy.Connection, calendars []busy.Calendar) error {
	view := s.viewConnection(connection, calendars)
	selected, rows := 0, [][]string{}
	for _, c := range calendars {
		if c.Selected {
			selected++
		}
		rows = append(rows, []string{c.ID.String(), c.Name, yesNo(c.Selected)})
	}
	return s.app.show(s.cmd, view, func(w io.Writer) {
		block := "block"
		if selected == 1 {
			block = "blocks"
		}
		say(w, "Connected (%s). %s, of which %d %s time:\n", connection.ID, plural(len(calendars), "calendar"), selected, block)
		table(w, "id,name,blocks time", rows)
		say(w, "\nChange that with `busyd calendar select`; follow the first reading with `busyd resync --wait`.")
	})
}

type connectionView struct {
	ID        busy.ConnectionID    `json:"id"`
	Resource  busy.ResourceID      `json:"resource"`
	Provider  busy.Kind            `json:"provider"`
	State     busy.ConnectionState `json:"state"`
	Reason    string               `json:"reason,omitempty"`
	Detail    string               `json:"detail,omitempty"`
	AdminURL  string               `json:"admin_consent_url,omitempty"`
	CreatedAt time.Time            `json:"created_at"`
	ChangedAt time.Time            `json:"changed_at"`
	Calendars []calendarView       `json:"calendars,omitempty"`
}

func (s *session) viewConnection(c busy.Connection, calendars []busy.Calendar) connectionView {
	v := connectionView{
		ID: c.ID, Resource: c.Resource, Provider: c.Kind, State: c.State, Reason: c.Reason, Detail: c.Explain(),
		AdminURL: s.adminURL(c), CreatedAt: c.CreatedAt, ChangedAt: c.ChangedAt,
	}
	for _, cal := range calendars {
		v.Calendars = append(v.Calendars, s.viewCalendar(cal))
	}
	return v
}

// adminURL is where the administrator consents that a connection waits for; empty
// if it waits for none.
func (s *session) adminURL(c busy.Connection) string {
	if c.State != busy.ConnectionAwaitingAdmin {
		return ""
	}
	return s.accounts().AdminConsentURL(c.Kind, false)
}

func newConnectionListCommand(a *app) *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use:   "list --tenant T",
		Short: "List a tenant's connections",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				all, err := s.store.Connections(s, s.tenant.ID)
				if err != nil {
					return err
				}
				names, err := s.resourceNames()
				if err != nil {
					return err
				}
				views, rows := []connectionView{}, [][]string{}
				for _, c := range all {
					views = append(views, s.viewConnection(c, nil))
					rows = append(rows, []string{c.ID.String(), names[c.Resource], string(c.Kind), string(c.State), ago(c.ChangedAt, a.now()), c.Explain()})
				}
				return a.show(cmd, views, func(w io.Writer) { table(w, "id,resource,provider,state,since,why", rows) })
			})
		},
	}
	tenantFlag(c, &tenant)
	return c
}

func newConnectionShowCommand(a *app) *cobra.Command {
	return withOne(a, &cobra.Command{
		Use:   "show ID --tenant T",
		Short: "Show a connection and its calendars",
	}, (*session).connection, (*session).showConnection)
}

func (s *session) showConnection(connection busy.Connection) error {
	all, err := s.store.Calendars(s, s.tenant.ID)
	if err != nil {
		return err
	}
	var own []busy.Calendar
	for _, c := range all {
		if c.Connection == connection.ID {
			own = append(own, c)
		}
	}
	if s.app.json {
		return s.app.show(s.cmd, s.viewConnection(connection, own), nil)
	}
	names, err := s.resourceNames()
	if err != nil {
		return err
	}
	w := s.cmd.OutOrStdout()
	state := string(connection.State)
	if connection.Reason != "" {
		state += " (" + connection.Reason + ")"
	}
	table(w, "resource,provider,state,since", [][]string{
		{names[connection.Resource], string(connection.Kind), state, ago(connection.ChangedAt, s.app.now())},
	})
	if why := connection.Explain(); why != "" {
		say(w, "\n%s", why)
	}
	if address := s.adminURL(connection); address != "" {
		say(w, "The administrator does that here: %s", address)
	}
	say(w, "")
	return s.showCalendars(own)
}

const reconnectHelp = `Give a connection a new password, and keep what is known of its calendars. The
username, and the URL and the mailbox where they were given, are given again as
they were: nothing sealed is shown or reused, and another account is another
connection. The login is tried before anything is saved.

A feed is given its address, which may be a new one, in a file or through the
standard input: it is mostly a password as well. An account at Google, or at
Microsoft, is reconnected by its owner: use busyd connection add google, or
outlook, with --reconnect ID.`

func newConnectionReconnectCommand(a *app) *cobra.Command {
	var flags loginFlags
	c := withOne(a, &cobra.Command{
		Use:   "reconnect ID --tenant T (--username N --password-file F [--url U] [--mailbox M] | --url-file F)",
		Short: "Give a connection a new password, or a feed its new address, keeping what is known of it",
		Long:  reconnectHelp,
		Example: `  busyd connection reconnect ID --tenant acme --url https://cloud.example.com --username weber --password-file weber.password
  busyd connection reconnect ID --tenant acme --url-file room2.url`,
	}, (*session).connection, func(s *session, connection busy.Connection) error {
		if connection.State == busy.ConnectionDisconnected {
			return errFinal
		}
		login, err := flags.again(s.cmd, connection.Kind)
		if err != nil {
			return err
		}
		if err := s.reconnect(connection.ID, login); err != nil {
			return err
		}
		return a.show(s.cmd, map[string]busy.ConnectionID{"reconnected": connection.ID}, func(w io.Writer) {
			say(w, "Reconnected %s; its calendars are being read.", connection.ID)
		})
	})
	flags.add(c)
	flags.addMailbox(c)
	c.Flags().StringVar(&flags.urlFile, "url-file", "", "of a feed: `file` with the address, - for the standard input")
	return c
}

var errFinal = usage(errors.New("the connection is disconnected, which is final: add the account anew with `busyd connection add`"))

// newConnectionPauseCommand pauses a connection, or resumes it.
func newConnectionPauseCommand(a *app, paused bool) *cobra.Command {
	c := &cobra.Command{
		Use:   "resume ID --tenant T",
		Short: "Have a paused account read again",
	}
	if paused {
		c.Use, c.Short = "pause ID --tenant T", "Have nothing of an account read until it is resumed; what is known stays, and grows stale"
	}
	return withOne(a, c, (*session).connection, func(s *session, connection busy.Connection) error {
		if connection.State == busy.ConnectionDisconnected {
			return errFinal
		}
		connection, err := s.accounts().Pause(s, s.tenant.ID, connection.ID, paused)
		if err != nil {
			return err
		}
		return a.show(s.cmd, s.viewConnection(connection, nil), func(w io.Writer) {
			say(w, "%s is %s now.", connection.ID, connection.State)
		})
	})
}

func newConnectionDisconnectCommand(a *app) *cobra.Command {
	var yes bool
	c := withOne(a, &cobra.Command{
		Use:   "disconnect ID --tenant T",
		Short: "Disconnect an account: its password and all that was read of it are deleted",
	}, (*session).connection, func(s *session, connection busy.Connection) error {
		result := map[string]busy.ConnectionID{"disconnected": connection.ID}
		if connection.State == busy.ConnectionDisconnected {
			return a.show(s.cmd, result, func(w io.Writer) {
				say(w, "%s was disconnected already, %s. Nothing of it is kept.", connection.ID, ago(connection.ChangedAt, a.now()))
			})
		}
		if !yes {
			if err := confirm(s.cmd, "This deletes the account's password and all that was read of it.", "disconnect"); err != nil {
				return err
			}
		}
		if err := s.accounts().Disconnect(s, s.tenant.ID, connection.ID); err != nil {
			return err
		}
		last, err := s.lastOf(connection)
		if err != nil {
			return err
		}
		return a.show(s.cmd, result, func(w io.Writer) {
			say(w, "Disconnected %s. Nothing of it is kept.%s%s", connection.ID, parting(connection.Kind), last)
		})
	})
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// lastOf says what it means that a connection was its resource's last one; empty
// if it was not. One that waits for its first consent has no calendars, and does not
// count.
func (s *session) lastOf(gone busy.Connection) (string, error) {
	left, err := s.store.Calendars(s, s.tenant.ID)
	if err != nil || slices.ContainsFunc(left, func(c busy.Calendar) bool { return c.Resource == gone.Resource }) {
		return "", err
	}
	names, err := s.resourceNames()
	return fmt.Sprintf("\nIt was the last of %[1]s: %[1]s is not offered any more until a calendar is connected, or `busyd connection forget %[2]s` lets the working hours alone decide.",
		names[gone.Resource], gone.ID), err
}
