package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/embedded"
)

// Nothing but subject, date, time and duration of a calendar is kept, and no
// secret is written down or shown: an account full of marks is connected, read,
// edited, broken, asked about and disconnected, and then everything that busyd
// has written or said is searched for the marks.
func TestCanary(t *testing.T) {
	j := newJourney(t)
	j.connectWrongly()
	j.connect()
	j.raiseClouds()
	j.serve("text")
	j.consent()
	j.read()
	j.heardAll()
	j.kept("after the first reading")
	j.edit()
	j.cloudsSuffer()
	j.suffer()
	j.restart("json")
	j.reconnect()
	j.ask()
	j.book()
	j.consentOf("other", busy.Google, "google") // the same account
	j.kept("before the end")
	j.disconnect()
	j.kept("after the end")
	j.ranEverything()
	j.close()
	j.tokensAreSecret()
	j.trail.judge()
}

// Where calendars' names may be: in what their own tenant is shown.
var shownNames = []string{
	"busyd connection add caldav", "busyd connection add caldav --json", "busyd connection add feed", "busyd connection add feed --json",
	"busyd connection show", "busyd connection show --json",
	"busyd calendar list", "busyd calendar list --json", "busyd calendar select", "busyd calendar select --json",
	"busyd resync", "busyd resync --json", "busyd status", "busyd status --json",
	"busyd connection add exchange",
	"GET /v1/calendars", "PATCH /v1/calendars/{id}", "POST /v1/connections", "GET /week", "GET /oauth/callback",
}

// journey is the account's way through busyd, and what is kept of it on the way.
type journey struct {
	*machine
	trail    *trail
	dir      string // PostgreSQL's
	postgres *embedded.Postgres
	server   *stuffedServer
	clouds   *clouds
	address  string
	process  *process
	lines    sync.WaitGroup // that read the processes' output

	token string
	looks int
	root  *cobra.Command
	ran   map[string]bool // commands, by path, with and without --json
}

func newJourney(t *testing.T) *journey {
	j := &journey{machine: newMachine(t), trail: newTrail(t), server: newStuffedServer(t), address: freeAddress(t), ran: map[string]bool{}}
	j.root, _ = newRoot(nil)
	for _, place := range shownNames {
		j.trail.allowed[place] = append(j.trail.allowed[place], naming)
	}
	for _, place := range []string{"busyd expand", "busyd expand --json", "the opened subjects"} {
		j.trail.allowed[place] = append(j.trail.allowed[place], subject)
	}
	j.dir = filepath.Join(openHome(t), "pg")
	var err error
	j.postgres, err = embedded.StartPostgres(t.Context(), embedded.PostgresConfig{
		Dir: j.dir,
		// Whoever runs PostgreSQL may have it log every statement with its values.
		Settings: map[string]string{"log_statement": "all", "log_parameter_max_length_on_error": "-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.postgres.Stop(context.Background()) })
	if err := j.postgres.CreateDatabase(t.Context(), "canary", ""); err != nil {
		t.Fatal(err)
	}
	j.set("BUSYD_DATABASE_URL", j.postgres.AppURL("canary"))
	j.set("BUSYD_MIGRATE_URL", j.postgres.URL("canary"))
	j.set("BUSYD_LISTEN", j.address)
	j.set("BUSYD_LOG_LEVEL", "debug")
	j.set("BUSYD_SHUTDOWN_TIMEOUT", "4s")
	j.watchRedis()
	j.secret("the master key", j.masterKey())
	return j
}

func (j *journey) masterKey() string {
	for _, entry := range j.environ {
		if key, ok := strings.CutPrefix(entry, "BUSYD_MASTER_KEY="); ok {
			return key
		}
	}
	j.t.Fatal("there is no master key")
	return ""
}

// secret adds a text to what is searched for, and the bytes that it encodes.
func (j *journey) secret(name, text string) {
	j.trail.needles = append(j.trail.needles, newNeedle(name, []byte(text)))
	if key, err := base64.StdEncoding.DecodeString(text); err == nil {
		j.trail.needles = append(j.trail.needles, newNeedle(name, key))
	}
}

// cli runs a command that must end with the code, and keeps what it says.
func (j *journey) cli(code int, in string, args ...string) string {
	j.t.Helper()
	command, _, err := j.root.Find(args)
	if err != nil {
		j.t.Fatal(err)
	}
	place := command.CommandPath()
	if slices.Contains(args, "--json") {
		place += " --json"
	}
	j.ran[place] = true
	got, out, errs := j.busydWith(in, args...)
	if got != code {
		j.t.Errorf("%s %q: exit code %d, want %d\n%s%s", place, args, got, code, out, errs)
	}
	j.trail.add(place, []byte(out+"\n"+errs))
	return out
}

// both runs a command for people and for scripts.
func (j *journey) both(code int, in string, args ...string) {
	j.t.Helper()
	j.cli(code, in, args...)
	j.cli(code, in, append(args, "--json")...)
}

// serve starts the daemon, whose every line is kept.
func (j *journey) serve(format string) {
	j.set("BUSYD_LOG_FORMAT", format)
	j.process = startProcess(j.t, j.environ, "serve")
	ready := make(chan struct{})
	p := j.process
	j.lines.Go(func() {
		var all bytes.Buffer
		began := sync.OnceFunc(func() { close(ready) })
		for line := range p.lines {
			all.WriteString(line + "\n")
			if strings.Contains(line, "ready") {
				began()
			}
		}
		j.trail.add("the log", all.Bytes())
		if all.Len() < 1000 || !strings.Contains(all.String(), "synced") {
			j.t.Errorf("the log tells too little:\n%s", all.String())
		}
	})
	select {
	case <-ready:
	case <-time.After(time.Minute):
		j.t.Fatal("the daemon is not ready within a minute")
	}
}

func (j *journey) restart(format string) {
	if code := j.process.stop(); code != exitOK {
		j.t.Errorf("exit code %d", code)
	}
	j.serve(format)
}

// resync reads all calendars of the tenant.
func (j *journey) resync(code int, more ...string) {
	j.t.Helper()
	j.cli(code, "", append([]string{"resync", "--tenant", "acme", "--wait", "--timeout", "1m"}, more...)...)
}

func (j *journey) read() {
	caught, let := j.server.stall(j.t)
	j.cli(exitOK, "", "resync", "--tenant", "acme", "--full")
	caught()
	j.keptInRedis("while a calendar is read")
	let()
	j.server.heal()
	j.resync(exitOK, "--full")
	j.resync(exitOK, "--json")
	var objects, sealed int
	j.query(func(conn *pgx.Conn) error {
		return conn.QueryRow(context.Background(), `select count(distinct (calendar_id, key)), count(subject_sealed) from events`).Scan(&objects, &sealed)
	})
	if want := 2 * len(stuffedObjects()); objects < want-4 || sealed < want/2 {
		j.t.Errorf("%d objects and %d subjects were kept of %d objects", objects, sealed, want)
	}
	j.opened()
	j.look()
}

// look has people and scripts look at how the calendars are.
func (j *journey) look() {
	j.t.Helper()
	for _, command := range []string{"status", "status --json", "doctor", "doctor --json", "rekey", "rekey --json"} {
		args := strings.Fields(command)
		_, out, errs := j.busyd(args...)
		j.trail.add("busyd "+command, []byte(out+errs))
		j.ran["busyd "+command] = true
	}
	connections := object[[]connectionView](j.machine, "connection", "list", "--tenant", "acme")
	j.both(exitOK, "", "connection", "show", connections[j.looks%len(connections)].ID.String(), "--tenant", "acme") // each in its turn
	j.looks++
	j.both(exitOK, "", "connection", "list", "--tenant", "acme")
	j.both(exitOK, "", "calendar", "list", "--tenant", "acme")
	j.call("GET", "/v1/calendars", "/v1/calendars", "")
	j.call("GET", "/metrics", "/metrics", "")
}

func (j *journey) edit() {
	objects := stuffedObjects()
	j.server.fake.Put(stuffedCalendar, "edited.ics", strings.ReplaceAll(objects["edited.ics"], "T160000Z", "T163000Z"))
	j.server.fake.Put(stuffedCalendar, "day.ics", objects["cut.ics"]) // it was readable
	j.server.fake.Put(stuffedCalendar, "words.ics", objects["single.ics"])
	j.server.fake.Delete(stuffedCalendar, "removed.ics")
	j.resync(exitOK)
	j.server.fake.ForgetTokens()
	j.resync(exitOK)
	j.look()
}

// suffer has the server fail in every way, and refuse the password in the end.
func (j *journey) suffer() {
	for name, trouble := range stuffedTroubles() {
		j.server.set(trouble)
		code, out, errs := j.busyd("resync", "--tenant", "acme", "--wait", "--timeout", "1m", "--full")
		if code != exitAttention {
			j.t.Errorf("%s: exit code %d\n%s%s", name, code, out, errs)
		}
		j.trail.add("busyd resync", []byte(out+errs))
		j.look()
	}
	j.server.heal()
	j.server.fake.SetPassword(nowhere + "changed")
	j.resync(exitAttention)
	j.look()
}

func (j *journey) reconnect() {
	for _, c := range object[[]connectionView](j.machine, "connection", "list", "--tenant", "acme") {
		if c.Provider != busy.CalDAV {
			continue
		}
		if c.State != busy.ConnectionNeedsReconnect {
			j.t.Errorf("a connection with a changed password is %s", c.State)
		}
		args := []string{
			"connection", "reconnect", c.ID.String(), "--tenant", "acme",
			"--url", j.server.url, "--username", stuffedUser, "--password-file", "-",
		}
		j.both(exitUsage, nowhere+"guess", args...)
		j.both(exitOK, nowhere+"changed", args...)
		j.both(exitOK, "", "connection", "pause", c.ID.String(), "--tenant", "acme")
		j.both(exitOK, "", "connection", "show", c.ID.String(), "--tenant", "acme")
		j.both(exitOK, "", "connection", "resume", c.ID.String(), "--tenant", "acme")
	}
	j.resync(exitOK)
}

func (j *journey) disconnect() {
	connections := object[[]connectionView](j.machine, "connection", "list", "--tenant", "acme")
	j.call("DELETE", "/v1/connections/{id}", "/v1/connections/"+connections[0].ID.String(), "")
	for i, more := range [][]string{nil, {"--json"}} {
		j.cli(exitOK, "", append([]string{"connection", "disconnect", connections[1+i].ID.String(), "--tenant", "acme", "--yes"}, more...)...)
	}
	j.both(exitOK, "", "connection", "list", "--tenant", "acme")
	for i, more := range [][]string{nil, {"--json"}} {
		j.cli(exitOK, "", append([]string{"connection", "forget", connections[1+i].ID.String(), "--tenant", "acme"}, more...)...)
	}
	j.both(exitOK, "", "tenant", "downgrade", "acme", "--yes")
	j.both(exitOK, "", "tenant", "upgrade", "acme")
	// The other tenant's connection of the same Google account goes on.
	j.cli(exitOK, "", "resync", "--tenant", "other", "--wait", "--timeout", "1m")
	j.cli(exitOK, "", "tenant", "delete", "acme", "--yes")
	j.cli(exitOK, "", "tenant", "delete", "other", "--yes", "--json")
}

// ranEverything: a command that is new must be part of the journey.
func (j *journey) ranEverything() {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, child := range c.Commands() {
			walk(child)
		}
		path := c.CommandPath()
		if c.HasSubCommands() || path == "busyd dev" || path == "busyd serve" { // which have tests of their own, and processes
			return
		}
		if !j.ran[path] || !j.ran[path+" --json"] {
			j.t.Errorf("the journey lacks %s, or its --json", path)
		}
	}
	walk(j.root)
}

// What `busyd dev` leaves in its home, and prints, holds no more than that.
func TestCanaryOfDev(t *testing.T) {
	home, server, tr := openHome(t), newStuffedServer(t), newTrail(t)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(stuffedPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, nil, "dev", "--data", home, "--listen", freeAddress(t), "--timezone", "Europe/Berlin",
		"--caldav-url", server.url, "--username", stuffedUser, "--password-file", password)
	var said bytes.Buffer
	for line := range p.lines {
		said.WriteString(line + "\n")
		if strings.Contains(line, "Ctrl-C") {
			if code := p.stop(); code != exitOK {
				t.Errorf("exit code %d", code)
			}
		}
	}
	if !bytes.Contains(said.Bytes(), []byte("/v1/busy?")) {
		t.Errorf("it said: %s", said.Bytes())
	}
	tr.add("busyd dev", said.Bytes())
	tr.addFiles("the home of busyd dev", home)
	tr.judge()
}
