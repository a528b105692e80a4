// Command busyd mirrors calendars into busy time and answers who is free. See
// `busyd --help`; `busyd dev` runs it with nothing configured.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones must not depend on the machine

	"github.com/redis/go-redis/v9"

	"github.com/busyd/busyd/busy"
)

func main() {
	quiet()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// quiet keeps libraries from printing by themselves. net/http would quote what a
// server sends unasked, which may be anything of somebody's calendar, and go-redis
// tell of each failed dial: that Redis is away is logged once, by those who need it.
func quiet() {
	log.SetOutput(io.Discard)
	redis.SetLogger(silent{})
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// The exit codes; the help of `busyd` lists them.
const (
	exitOK        = 0
	exitFailure   = 1
	exitUsage     = 2
	exitAttention = 3
)

// run carries out one command line and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer, environ []string) int {
	root, began := newRoot(environ)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errShown) {
		_, _ = fmt.Fprintln(errs, "busyd:", err)
	}
	switch {
	case !*began: // cobra did not accept the command line
		_, _ = fmt.Fprintln(errs, "Run `busyd --help`, or --help after a command, for what there is.")
		return exitUsage
	case errors.Is(err, errUsage), errors.Is(err, busy.ErrInvalid):
		return exitUsage
	case errors.Is(err, errAttention), errors.Is(err, busy.ErrNotFound):
		return exitAttention
	default:
		return exitFailure
	}
}

var (
	// errUsage marks errors of the command line or the configuration.
	errUsage = errors.New("")
	// errAttention marks results that are true and not good: something is not
	// found, stale or misconfigured.
	errAttention = errors.New("")
	// errShown marks errors that the output has told already.
	errShown = errors.New("")
)

// marked is an error of a kind that run branches on.
type marked struct {
	error
	kinds []error
}

func (m marked) Unwrap() error { return m.error }

func (m marked) Is(target error) bool {
	for _, kind := range m.kinds {
		if kind == target {
			return true
		}
	}
	return false
}

func usage(err error) error {
	if err == nil {
		return nil
	}
	return marked{err, []error{errUsage}}
}

// attention ends a command whose output says what needs attention.
func attention() error {
	return marked{errors.New("something needs attention"), []error{errAttention, errShown}}
}
