package main

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const rootHelp = `busyd mirrors the calendars of people and rooms into busy time, keeping only
subject, date, time and duration, and answers over HTTP who is free.

    busyd dev        try it: everything in one process, with sample calendars
    busyd serve      the daemon

Configuration: a file named by --config or BUSYD_CONFIG, under BUSYD_...
environment variables. configs/busyd.example.yaml lists every setting.

Exit codes: 0 done; 1 failed; 2 the command line, an argument or the
configuration is wrong; 3 the answer is not the one hoped for: what was named does
not exist or is over, or something needs attention.`

// newRoot returns the command tree. began becomes true when a command line was
// accepted and its command runs.
func newRoot(environ []string) (root *cobra.Command, began *bool) {
	a := &app{environ: environ, now: time.Now}
	root = &cobra.Command{
		Use:           "busyd",
		Short:         "Busy time out of calendars",
		Long:          rootHelp,
		Version:       version(),
		Args:          noSuchCommand,
		RunE:          showHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&a.configPath, "config", "", "configuration `file` (default $BUSYD_CONFIG)")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON, for scripts")
	root.AddCommand(
		newDevCommand(a), newServeCommand(a), newMigrateCommand(a),
		newTenantCommand(a), newKeyCommand(a), newResourceCommand(a), newConnectionCommand(a), newCalendarCommand(a),
		newServiceCommand(a), newOverrideCommand(a), newBookingCommand(a), newConflictsCommand(a), newWhyCommand(a),
		newWebhookCommand(a),
		newResyncCommand(a), newStatusCommand(a), newDoctorCommand(a), newRekeyCommand(a), newExpandCommand(),
	)
	began = new(bool)
	noteBeginning(root, began)
	return root, began
}

func noteBeginning(c *cobra.Command, began *bool) {
	if do := c.RunE; do != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			*began = true
			return do(c, args)
		}
	}
	for _, child := range c.Commands() {
		noteBeginning(child, began)
	}
}

// version is that of the module, or the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: noSuchCommand, RunE: showHelp}
	g.AddCommand(commands...)
	return g
}

func showHelp(c *cobra.Command, _ []string) error { return c.Help() }

// noSuchCommand refuses a word after a group that is none of its commands.
func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	err := fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
	}
	return err
}
