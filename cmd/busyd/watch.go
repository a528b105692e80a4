package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/busyd/busyd/busy"
)

// watch follows calendars that were asked for until each was read or has failed.
type watch struct {
	*session
	progress []*progress
}

type progress struct {
	before, now  busy.Calendar
	done, failed bool
}

func newWatch(s *session, before []busy.Calendar, tasks []busy.Task) *watch {
	known := map[busy.CalendarID]busy.Calendar{}
	for _, c := range before {
		known[c.ID] = c
	}
	w := &watch{session: s}
	for _, t := range tasks {
		w.progress = append(w.progress, &progress{before: known[t.Calendar], now: known[t.Calendar]})
	}
	return w
}

// lookEvery is how often the progress is read.
const lookEvery = 150 * time.Millisecond

// wait returns when all are done, the command is interrupted, or patience ends.
func (w *watch) wait(patience time.Duration) error {
	show, finish := w.bar()
	defer finish()
	end := time.After(patience)
	for {
		if err := w.look(); err != nil {
			return err
		}
		done := w.done()
		show(done)
		if done == len(w.progress) {
			return nil
		}
		select {
		case <-w.Done():
			return fmt.Errorf("stopped waiting after %d of %d; the daemon goes on", done, len(w.progress))
		case <-end:
			return fmt.Errorf("%d of %d were read within %s: is a daemon with the roles worker and sweep running?", done, len(w.progress), patience)
		case <-time.After(lookEvery):
		}
	}
}

func (w *watch) look() error {
	calendars, err := w.store.Calendars(w, w.tenant.ID)
	if err != nil {
		return err
	}
	current := map[busy.CalendarID]busy.Calendar{}
	for _, c := range calendars {
		current[c.ID] = c
	}
	for _, p := range w.progress {
		c, exists := current[p.before.ID]
		p.judge(c, exists, w.app.now())
	}
	return nil
}

// judge tells from a calendar's record whether the run that was asked for is
// over. A run that was under way then does not count: after it, the calendar
// stays due.
func (p *progress) judge(c busy.Calendar, exists bool, now time.Time) {
	if p.done {
		return
	}
	if !exists {
		p.done, p.failed = true, true // disconnected meanwhile
		return
	}
	p.now = c
	read := c.AsOf.After(p.before.AsOf)
	failed := c.Failures > p.before.Failures || !c.Connected.Polled()
	again := c.Running || c.Connected.Polled() && !c.DueAt.After(now)
	p.done, p.failed = (read || failed) && !again, failed && !read
}

func (p *progress) word() string {
	switch {
	case !p.done:
		return "not yet read"
	case p.failed && p.now.Outcome == "":
		return "failed"
	default:
		return string(p.now.Outcome)
	}
}

func (w *watch) done() (n int) {
	for _, p := range w.progress {
		if p.done {
			n++
		}
	}
	return n
}

func (w *watch) failed() (n int) {
	for _, p := range w.progress {
		if p.failed {
			n++
		}
	}
	return n
}

// bar draws a progress bar where a person can see it, and elsewhere nothing.
func (w *watch) bar() (show func(done int), finish func()) {
	out, isFile := w.cmd.ErrOrStderr().(*os.File)
	if !isFile || !term.IsTerminal(int(out.Fd())) || w.app.json {
		return func(int) {}, func() {}
	}
	return drawBar(out, len(w.progress))
}

func drawBar(out io.Writer, total int) (show func(done int), finish func()) {
	bars := mpb.New(mpb.WithOutput(out), mpb.WithWidth(40))
	bar := bars.AddBar(int64(total),
		mpb.PrependDecorators(decor.Name("reading calendars ")),
		mpb.AppendDecorators(decor.CountersNoUnit("%d/%d")))
	return func(done int) { bar.SetCurrent(int64(done)) }, func() {
		bar.Abort(false)
		bars.Wait()
	}
}
