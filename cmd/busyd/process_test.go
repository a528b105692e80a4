package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

// process is busyd as a process of its own.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines chan string // of its standard output and error
}

// startProcess starts `busyd args...`. The test's end kills it.
func startProcess(t testing.TB, environ []string, args ...string) *process {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...), lines: make(chan string, 10_000)}
	p.cmd.Env = append(append(os.Environ(), asBusyd+"=1"), environ...)
	p.cmd.Stdout, p.cmd.Stderr = write, write
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	go p.read(read)
	t.Cleanup(p.kill)
	return p
}

func (p *process) read(from io.ReadCloser) {
	defer func() { _ = from.Close() }()
	defer close(p.lines)
	for scanner := bufio.NewScanner(from); scanner.Scan(); {
		p.lines <- scanner.Text()
	}
}

// await returns the first line that holds the text.
func (p *process) await(text string) string {
	p.t.Helper()
	var seen []string
	for end := time.After(time.Minute); ; {
		select {
		case line, more := <-p.lines:
			if !more {
				p.t.Fatalf("busyd ended without %q:\n%s", text, strings.Join(seen, "\n"))
			}
			seen = append(seen, line)
			if strings.Contains(line, text) {
				return line
			}
		case <-end:
			p.t.Fatalf("no %q within a minute:\n%s", text, strings.Join(seen, "\n"))
		}
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// stop asks for an orderly end and returns the exit code.
func (p *process) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// A home that PostgreSQL's user can enter, also as root.
func openHome(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "busyd-dev-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// `busyd dev` works with nothing configured, and after kill -9 finds its data.
func TestDevSurvivesBeingKilled(t *testing.T) {
	home := openHome(t)
	args := []string{"dev", "--data", home, "--listen", freeAddress(t)}
	first := startProcess(t, nil, args...)
	ask := tried(first)
	before := sampleBusy(t, ask)
	first.kill()

	second := startProcess(t, nil, args...)
	if again := tried(second); again.token != ask.token || again.url != ask.url {
		t.Error("the second start made another tenant, key or address")
	}
	if after := sampleBusy(t, ask); after != before {
		t.Errorf("busy before: %s\nafter: %s", before, after)
	}
	m := &machine{t: t, environ: []string{"BUSYD_CONFIG=" + filepath.Join(home, "busyd.yaml")}}
	if out := m.must("status", "--tenant", demoTenant); strings.Count(out, "fresh") != 3 {
		t.Errorf("status:\n%s", out)
	}
	if code := second.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// With --provider all, one person is connected at each of the stand-ins too, and
// connected again by the next start, for they keep nothing.
func TestDevShowsEveryProvider(t *testing.T) {
	home := openHome(t)
	args := []string{"dev", "--data", home, "--listen", freeAddress(t), "--provider", "all"}
	m := &machine{t: t, environ: []string{"BUSYD_CONFIG=" + filepath.Join(home, "busyd.yaml")}}
	for range 2 {
		p := startProcess(t, nil, args...)
		p.await("Ctrl-C")
		connections := object[[]connectionView](m, "connection", "list", "--tenant", demoTenant)
		if len(connections) != 6 {
			t.Errorf("%d connections", len(connections))
		}
		for _, c := range object[[]calendarView](m, "calendar", "list", "--tenant", demoTenant) {
			if c.Selected && c.State != busy.StateFresh {
				t.Errorf("%s is %s", c.Name, c.State)
			}
		}
		if code := p.stop(); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
}

// try is a command that `busyd dev` tells to try.
type try struct{ token, url string }

func tried(p *process) try {
	p.t.Helper()
	line := p.await("/v1/busy?")
	token, rest, _ := strings.Cut(strings.SplitAfter(line, "Bearer ")[1], `"`)
	p.await("Ctrl-C")
	return try{token, strings.Trim(rest, " '")}
}

// sampleBusy is what the sample people are busy with in the span that was told.
func sampleBusy(t *testing.T, ask try) string {
	t.Helper()
	status, body := get(t, ask.url, ask.token)
	var answer struct {
		Resources []struct {
			State busy.CalendarState
			Busy  []struct{ Start, End time.Time }
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 || len(answer.Resources) != 2 {
		t.Fatalf("status %d: %s", status, body)
	}
	var all strings.Builder
	for _, r := range answer.Resources {
		if r.State != busy.StateFresh || len(r.Busy) < 3 {
			t.Errorf("%d intervals, %s", len(r.Busy), r.State)
		}
		for _, b := range r.Busy {
			all.WriteString(b.Start.Format(time.RFC3339) + "/" + b.End.Format(time.RFC3339) + " ")
		}
		all.WriteString("\n")
	}
	return all.String()
}

// `busyd dev` does the same with somebody's own account, and says what is wrong
// with it.
func TestDevWithAnAccountOfOnesOwn(t *testing.T) {
	m := newMachine(t)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(davPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"dev", "--data", openHome(t), "--listen", freeAddress(t), "--timezone", "Europe/Berlin",
		"--caldav-url", m.davURL, "--username", "ada", "--password-file",
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := startProcess(t, nil, append(args, other)...)
	wrong.await("nothing was saved: the password or username is refused")
	_ = wrong.cmd.Wait()
	if code := wrong.cmd.ProcessState.ExitCode(); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	p := startProcess(t, nil, append(args, password)...)
	ask := tried(p)
	status, body := get(t, ask.url, ask.token)
	if status != 200 || !strings.Contains(body, `"state":"fresh"`) || strings.Count(body, `"as_of"`) != 3 {
		t.Errorf("status %d: %s", status, body)
	}
}

// Whoever reads a calendar may be killed: another worker takes over.
func TestAnotherWorkerTakesOver(t *testing.T) {
	m := newMachine(t)
	gate := newGate(t, m.davURL)
	m.davURL = gate.url
	m.settled()
	gate.shut()
	doomed := startProcess(t, append(m.environ, "BUSYD_WORKER_CONCURRENCY=1"), "serve")
	gate.awaitCaller()
	began := time.Now()
	doomed.kill()
	gate.open()

	m.serve()
	if code, out, errs := m.busyd("resync", "--tenant", "acme", "--wait", "--timeout", "35s"); code != exitOK {
		t.Fatalf("exit code %d after %v\n%s%s", code, time.Since(began), out, errs)
	}
	t.Logf("taken over and read after %v, with a lease of 5 s", time.Since(began).Round(time.Millisecond))
}

// SIGTERM ends a daemon in order, within the time that is stated, also in the
// middle of a run whose server does not answer.
func TestStopInOrderWithinTheTimeStated(t *testing.T) {
	m := newMachine(t)
	gate := newGate(t, m.davURL)
	m.davURL = gate.url
	m.settled()
	gate.shut()
	p := startProcess(t, append(m.environ, "BUSYD_SHUTDOWN_TIMEOUT=6s"), "serve")
	gate.awaitCaller()
	began := time.Now()
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 7*time.Second {
		t.Errorf("took %v", took)
	}
	p.await("stopped")
}

// systemd is told when the daemon is ready, that it lives, and when it stops.
func TestSystemdIsTold(t *testing.T) {
	m := newMachine(t)
	m.settled()
	socket := filepath.Join(t.TempDir(), "notify")
	listener, err := new(net.ListenConfig).ListenPacket(t.Context(), "unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if err := listener.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	told := func() string {
		buffer := make([]byte, 200)
		n, _, err := listener.ReadFrom(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
	p := startProcess(t, append(m.environ, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=100000"), "serve")
	if state := told(); state != "READY=1" {
		t.Errorf("told %q first", state)
	}
	for range 3 {
		if state := told(); state != "WATCHDOG=1" {
			t.Errorf("told %q while it lives", state)
		}
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	last := told()
	for last == "WATCHDOG=1" {
		last = told()
	}
	if last != "STOPPING=1" {
		t.Errorf("told %q when it stopped", last)
	}
}
