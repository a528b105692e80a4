package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

const devHelp = `Run all of busyd in one process, with nothing configured: a private PostgreSQL,
a Redis, a CalDAV server with two people's sample calendars, and the daemon with
every role. It connects the sample calendars over CalDAV, reads them, and prints
what to try next. Ctrl-C stops everything; the next start finds the data again.

With --provider all it also connects one person each at stand-ins for Google,
Outlook and Exchange, which speak what the real ones speak, and a published file.

With --caldav-url or --username it connects a calendar account of yours instead,
in a tenant of its own. For iCloud the username is the Apple Account's e-mail
address and the password must be an app-specific one.`

// devOptions are the choices of `busyd dev`.
type devOptions struct {
	home     devHome
	listen   string
	zone     string
	own      *providers.Login // nil: the samples
	all      bool             // show every provider, with stand-ins for those of others
	listener net.Listener     // nil: made from listen
}

func newDevCommand(a *app) *cobra.Command {
	var home, listen, zone, shown string
	var flags loginFlags
	c := &cobra.Command{
		Use:     "dev",
		Short:   "Try busyd: everything in one process, with sample calendars or your own",
		Long:    devHelp,
		Example: "  busyd dev\n  busyd dev --username ada@icloud.com --password-file app-password --timezone Europe/Berlin",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := devOptions{home: devHome(home), listen: listen, zone: zone}
			if home == "" {
				var err error
				if o.home, err = defaultHome(); err != nil {
					return err
				}
			}
			if shown != "caldav" && shown != "all" {
				return usage(busy.Invalid("--provider", "must be caldav or all"))
			}
			o.all = shown == "all"
			if flags.url != "" || flags.username != "" {
				login, err := flags.login(cmd)
				if err != nil {
					return err
				}
				o.own = &login
			}
			return a.dev(cmd, o)
		},
	}
	c.Flags().StringVar(&home, "data", "", "`directory` that keeps everything (default ~/.local/share/busyd, for root /var/lib/busyd-dev)")
	c.Flags().StringVar(&listen, "listen", "", "`address` of the API and the page (default 127.0.0.1:8080, or a free port if that is taken)")
	c.Flags().StringVar(&zone, "timezone", "", "IANA `zone` of your calendars' owner (default this machine's)")
	c.Flags().StringVar(&shown, "provider", "caldav", "the `kind` of calendars to show: caldav, or all, with stand-ins for Google, Outlook, Exchange and a published file")
	c.Flags().StringVar(&flags.url, "caldav-url", "", "`address` of your CalDAV server, to connect your own account")
	c.Flags().StringVar(&flags.username, "username", "", "`name` that you sign in to it with")
	c.Flags().StringVar(&flags.passwordFile, "password-file", "", "`file` with the password, - for the standard input (default: ask)")
	return c
}

// dev starts the parts in the order in which they need each other.
func (a *app) dev(cmd *cobra.Command, o devOptions) error {
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	say(cmd.ErrOrStderr(), "Starting in %s ...", o.home)
	ground, err := layGround(ctx, cancel, o, a.now)
	if err != nil {
		return err
	}
	defer ground.close()
	seeded, err := a.seed(ctx, cmd, ground, o)
	if err != nil {
		return err
	}
	d := &daemon{config: ground.config, log: newLogger(ground.config.Log), devKey: seeded.token, listener: ground.listener}
	ground.listener = nil // the daemon closes it
	d.ready = func(address string) { go a.welcome(ctx, cmd, d, ground, seeded, address) }
	if err := d.run(ctx); err != nil {
		return err
	}
	if cause := context.Cause(ctx); cmd.Context().Err() == nil && cause != nil {
		return cause
	}
	say(cmd.ErrOrStderr(), "Stopped. The data is kept in %s.", o.home)
	return nil
}

// welcome waits for the first reading and says what to try.
func (a *app) welcome(ctx context.Context, cmd *cobra.Command, d *daemon, g *ground, seeded seeded, address string) {
	s := &session{Context: ctx, app: a, cmd: cmd, config: g.config, store: d.store, tenant: seeded.tenant}
	w := newWatch(s, nil, nil)
	for _, c := range seeded.calendars {
		w.progress = append(w.progress, &progress{before: c, now: c})
	}
	if err := w.wait(time.Minute); err != nil && ctx.Err() == nil {
		say(cmd.ErrOrStderr(), "The calendars are not read yet: %v", err)
	}
	if ctx.Err() == nil {
		_, _ = fmt.Fprint(cmd.OutOrStdout(), welcomeText(seeded, g, address, s.bookable(seeded.services), a.now()))
	}
}
