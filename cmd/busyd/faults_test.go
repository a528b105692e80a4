package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/providers/providertest/caldavreal"
	"github.com/busyd/busyd/store/embedded"
)

// takeover bounds the time from the death of a worker to a completed reading of
// the calendar that it held.
const takeover = 35 * time.Second

// The suite of faults: two processes, a PostgreSQL and a Redis of their own and a
// real Radicale, each of which is killed, stopped or broken in turn. After each
// fault the calendar's owner adds an entry, and both processes must come to show
// exactly what the owner has. Somebody asks both all the time, and must never see
// time free that was known to be busy.
func TestFaults(t *testing.T) {
	f := newField(t)
	f.owner.add()
	f.awaitTruth("the first reading")
	stop := f.watch()
	for _, fault := range []struct {
		name string
		do   func()
	}{
		{"the worker is killed in the middle of a run", f.killMidRun},
		{"Redis is flushed in the middle of a run", f.flushMidRun},
		{"Redis is killed and comes back empty", f.killRedis},
		{"PostgreSQL is killed in the middle of a run, all of it", f.killPostgres},
		{"PostgreSQL is restarted in order", f.restartPostgres},
		{"the server answers 500", func() { f.trouble(answers500) }},
		{"the server answers with nothing", func() { f.trouble(answersNothing) }},
		{"the server lists nothing", func() { f.trouble(ofMembers(answersNothing)) }},
		{"listings are cut off", func() { f.trouble(ofMembers(cutsOff)) }},
		{"listings break off", func() { f.trouble(ofMembers(breaksOff)) }},
		{"connections are dropped", func() { f.trouble(drops) }},
		{"the worker is stopped in the middle of a run", f.stopMidRun},
	} {
		fault.do()
		f.owner.add()
		f.awaitTruth(fault.name)
	}
	stop()
	f.mirrorIsTheTruth()
	f.allIsWell()
}

// field is where the faults happen.
type field struct {
	*machine
	dir       string
	postgres  *embedded.Postgres
	owner     *owner
	server    *unsteady
	addresses []string
	processes []*process // that serve at the addresses
	all       []*process // that ever did
	token     string
	resource  busy.ResourceID

	spans []busy.Span // that are asked about
	mu    sync.Mutex
	known []busy.Span // busy time that has been shown, and must be from then on
}

func newField(t *testing.T) *field {
	f := &field{machine: newMachine(t), dir: filepath.Join(openHome(t), "pg")}
	f.startPostgres()
	t.Cleanup(func() { _ = f.postgres.Stop(context.Background()) })
	if err := f.postgres.CreateDatabase(t.Context(), "faults", ""); err != nil {
		t.Fatal(err)
	}
	f.owner = newOwner(t, caldavreal.Radicale(t))
	for days := 0; days < 360; days += 90 {
		f.spans = append(f.spans, busy.Span{Start: f.owner.monday.AddDate(0, 0, days), End: f.owner.monday.AddDate(0, 0, days+90)})
	}
	f.server = newUnsteady(t, f.owner.radicale.URL)
	for name, value := range map[string]string{
		"DATABASE_URL": f.postgres.AppURL("faults"), "MIGRATE_URL": f.postgres.URL("faults"),
		"SYNC_LEASE":    configs.Default().Sync.Lease.String(),
		"SYNC_POLL_MIN": "1s", "SYNC_POLL_MAX": "2s", "SYNC_FULL_EVERY": "5s",
		"SHUTDOWN_TIMEOUT": "6s",
	} {
		f.set("BUSYD_"+name, value)
	}
	f.token, f.resource = f.connectRadicale()
	for i := range 2 {
		f.addresses, f.processes = append(f.addresses, freeAddress(t)), append(f.processes, nil)
		f.start(i)
	}
	return f
}

func (f *field) startPostgres() {
	f.t.Helper()
	var err error
	if f.postgres, err = embedded.StartPostgres(context.Background(), embedded.PostgresConfig{Dir: f.dir}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *field) connectRadicale() (token string, resource busy.ResourceID) {
	f.t.Helper()
	f.must("migrate")
	f.must("tenant", "create", "acme")
	r := object[resourceView](f.machine, "resource", "create", "Ada", "--tenant", "acme", "--timezone", "Europe/Berlin", "--hours", "always")
	code, out, errs := f.busydWith(f.owner.radicale.Password, "connection", "add", "caldav", "--tenant", "acme", "--resource", "Ada",
		"--url", f.server.url, "--username", f.owner.radicale.Username, "--password-file", "-")
	if code != exitOK {
		f.t.Fatalf("connection add: exit code %d\n%s%s", code, out, errs)
	}
	return strings.TrimSpace(f.must("key", "create", "--tenant", "acme", "--scope", "read")), r.ID
}

func (f *field) start(i int) {
	f.t.Helper()
	f.processes[i] = startProcess(f.t, append(slices.Clone(f.environ), "BUSYD_LISTEN="+f.addresses[i]), "serve")
	f.all = append(f.all, f.processes[i])
	f.processes[i].await("msg=ready")
}

// awaitTruth returns once both processes show exactly what the owner has.
func (f *field) awaitTruth(after string) {
	f.t.Helper()
	began := time.Now()
	for _, address := range f.addresses {
		for _, span := range f.spans {
			var shown []busy.Span
			f.await("the truth at "+address+" after "+after, func() bool {
				var err error
				shown, err = f.busyAt(f.t.Context(), address, span)
				return err == nil && same(shown, f.owner.truth(span))
			})
		}
	}
	f.mu.Lock()
	f.known = slices.Clone(f.owner.owned)
	f.mu.Unlock()
	f.t.Logf("%s: both show the truth %v after the entry", after, time.Since(began).Round(100*time.Millisecond))
}

// await waits up to a minute.
func (f *field) await(what string, done func() bool) {
	f.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(end) {
			_, status, _ := f.busyd("status")
			f.t.Fatalf("not within a minute: %s\n%s", what, status)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

var errNoAnswer = errors.New("no answer that claims to be one")

// ask returns the body of a 200.
func (f *field) ask(ctx context.Context, address, path string, query url.Values, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+f.token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return errNoAnswer
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

func (f *field) about(span busy.Span) url.Values {
	return url.Values{
		"resource": {f.resource.String()},
		"from":     {span.Start.Format(time.RFC3339)}, "to": {span.End.Format(time.RFC3339)},
	}
}

func (f *field) busyAt(ctx context.Context, address string, span busy.Span) ([]busy.Span, error) {
	var answer struct{ Resources []struct{ Busy []busy.Span } }
	if err := f.ask(ctx, address, "/v1/busy", f.about(span), &answer); err != nil {
		return nil, err
	}
	if len(answer.Resources) != 1 {
		return nil, errNoAnswer
	}
	return answer.Resources[0].Busy, nil
}

// freeAt returns what is offered to those who take what was last known.
func (f *field) freeAt(ctx context.Context, address string, span busy.Span) ([]busy.Span, error) {
	query := f.about(span)
	query.Set("duration", "30m")
	query.Set("interval", "30m")
	query.Set("stale", "serve_stale")
	var answer struct{ Slots []busy.Span }
	err := f.ask(ctx, address, "/v1/availability", query, &answer)
	return answer.Slots, err
}

// watch asks every process all the time, until stop is called: no answer may show
// time free that was known to be busy.
func (f *field) watch() (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	var all sync.WaitGroup
	for _, address := range f.addresses {
		all.Go(func() {
			var s seen
			for i := 0; ctx.Err() == nil && s.wrong == nil; i++ {
				f.look(ctx, address, f.spans[i%len(f.spans)], &s)
				time.Sleep(20 * time.Millisecond) // others use the machine, too
			}
			f.t.Logf("whoever asked %s saw %+v", address, s)
			if s.wrong != nil || s.busy < 100 || s.free < 100 || s.spans == 0 || s.slots == 0 {
				f.t.Errorf("whoever asked %s saw something wrong, or too little", address)
			}
		})
	}
	stop = func() {
		cancel()
		all.Wait()
	}
	f.t.Cleanup(stop)
	return stop
}

// seen is what somebody who asks was answered.
type seen struct {
	busy, free   int // answers
	spans, slots int // in them
	wrong        error
}

// look asks what is busy and what is free. No answer is not a wrong one.
func (f *field) look(ctx context.Context, address string, span busy.Span, s *seen) {
	f.mu.Lock()
	known := united(f.known, span)
	f.mu.Unlock()
	if shown, err := f.busyAt(ctx, address, span); err == nil {
		s.busy++
		s.spans += len(shown)
		for _, k := range known {
			if !slices.ContainsFunc(shown, func(b busy.Span) bool { return b.Contains(k) }) {
				s.wrong = fmt.Errorf("busy time is shown free at %v", k)
			}
		}
	}
	if slots, err := f.freeAt(ctx, address, span); err == nil {
		s.free++
		s.slots += len(slots)
		for _, slot := range slots {
			if slices.ContainsFunc(known, slot.Overlaps) {
				s.wrong = fmt.Errorf("busy time is offered at %v", slot)
			}
		}
	}
}

// catch returns once the first process, the only one at work, waits for objects
// of the calendar; the second has joined it by then. Nobody gets any until let
// is called.
func (f *field) catch() (let func()) {
	f.t.Helper()
	if code := f.processes[1].stop(); code != exitOK {
		f.t.Errorf("exit code %d", code)
	}
	caught, let := f.server.stall(f.t)
	f.owner.add()
	caught()
	f.start(1)
	return let
}

func (f *field) killMidRun() {
	let := f.catch()
	f.processes[0].kill()
	killed := time.Now()
	let()
	f.await("another worker to take over", func() bool { return f.calendar(f.addresses[1]).AsOf.After(killed) })
	took := time.Since(killed)
	if took > takeover {
		f.t.Errorf("the calendar was read %v after its worker's death, want at most %v", took, takeover)
	}
	f.t.Logf("taken over and read %v after the kill", took.Round(100*time.Millisecond))
	f.start(0)
}

func (f *field) stopMidRun() {
	let := f.catch()
	began := time.Now()
	if code := f.processes[0].stop(); code != exitOK {
		f.t.Errorf("exit code %d", code)
	}
	stopped := time.Now()
	let()
	f.await("another worker to go on", func() bool { return f.calendar(f.addresses[1]).AsOf.After(stopped) })
	f.t.Logf("stopped within %v; read %v after that", stopped.Sub(began).Round(100*time.Millisecond), time.Since(stopped).Round(100*time.Millisecond))
	f.start(0)
}

func (f *field) flushMidRun() {
	caught, let := f.server.stall(f.t)
	f.owner.add()
	caught()
	f.redis.Flush()
	let()
}

// trouble has the server in trouble until several runs have failed: those that
// ask what changed, and those that list everything.
func (f *field) trouble(t trouble) {
	f.server.set(t)
	fail := func(runs int) {
		f.await("runs that fail", func() bool { return f.calendar(f.addresses[0]).Failures >= runs })
	}
	fail(1)
	f.must("resync", "--tenant", "acme", "--full")
	fail(4)
	f.server.set(nil)
}

func (f *field) killRedis() {
	f.redis.Kill()
	f.await("the processes to miss Redis", func() bool { return f.misses(0, "redis") && f.misses(1, "redis") })
	f.redis.Restart()
}

// killPostgres kills the server in the middle of a run, with all its children:
// left alone, they would end in order.
func (f *field) killPostgres() {
	caught, let := f.server.stall(f.t)
	f.owner.add()
	caught()
	defer let()
	out, err := exec.CommandContext(f.t.Context(), "ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		f.t.Fatal(err)
	}
	postmaster := strconv.Itoa(f.postgres.PID())
	var children []int
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[1] == postmaster {
			child, _ := strconv.Atoi(fields[0])
			children = append(children, child)
		}
	}
	if len(children) < 5 {
		f.t.Fatalf("PostgreSQL has %d children", len(children))
	}
	if err := syscall.Kill(f.postgres.PID(), syscall.SIGKILL); err != nil {
		f.t.Fatal(err)
	}
	for _, child := range children {
		_ = syscall.Kill(child, syscall.SIGKILL) // it may have ended with the others
	}
	f.postgres.Kill()
	f.missPostgres()
}

func (f *field) restartPostgres() {
	if err := f.postgres.Stop(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	f.missPostgres()
}

func (f *field) missPostgres() {
	f.t.Helper()
	f.await("the processes to miss PostgreSQL", func() bool { return f.misses(0, "database") && f.misses(1, "database") })
	f.startPostgres()
}

// misses reports whether a process says that a part is away.
func (f *field) misses(i int, part string) bool {
	_, body := get(f.t, "http://"+f.addresses[i]+"/readyz", "")
	return strings.Contains(body, fmt.Sprintf("%q:%q", part, "away"))
}

type calendarRecord struct {
	State    busy.CalendarState
	AsOf     time.Time `json:"as_of"`
	Failures int
	Problems int
}

// calendar is what a process says of the calendar; zero while it says nothing.
func (f *field) calendar(address string) (record calendarRecord) {
	var answer struct{ Calendars []calendarRecord }
	if err := f.ask(f.t.Context(), address, "/v1/calendars", nil, &answer); err == nil && len(answer.Calendars) == 1 {
		record = answer.Calendars[0]
	}
	return record
}

// mirrorIsTheTruth reads the stored blocks past everything that busyd does.
func (f *field) mirrorIsTheTruth() {
	conn, err := pgx.Connect(f.t.Context(), f.postgres.URL("faults"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(f.t.Context(), `select starts_at, ends_at from blocks`)
	if err != nil {
		f.t.Fatal(err)
	}
	stored, err := pgx.CollectRows(rows, pgx.RowToStructByPos[busy.Span])
	if err != nil {
		f.t.Fatal(err)
	}
	always := busy.Span{Start: f.owner.monday.AddDate(-100, 0, 0), End: f.owner.monday.AddDate(100, 0, 0)}
	truth := f.owner.truth(always)
	if got := united(stored, always); !same(got, truth) {
		f.t.Errorf("stored: %v\ntruth: %v", got, truth)
	}
	if got, want := length(stored), length(truth); got != want {
		f.t.Errorf("the blocks are %v long altogether, the owner is busy for %v: some are there twice", got, want)
	}
}

func length(spans []busy.Span) (sum time.Duration) {
	for _, s := range spans {
		sum += s.End.Sub(s.Start)
	}
	return sum
}

func (f *field) allIsWell() {
	for _, address := range f.addresses {
		if c := f.calendar(address); c.State != busy.StateFresh || c.Problems != 0 || c.Failures != 0 {
			f.t.Errorf("%s calls the calendar %+v", address, c)
		}
	}
	f.set("BUSYD_LISTEN", f.addresses[0])
	for _, command := range []string{"status", "doctor"} {
		if code, out, errs := f.busyd(command); code != exitOK {
			f.t.Errorf("%s: exit code %d\n%s%s", command, code, out, errs)
		}
	}
	for _, p := range f.processes {
		if code := p.stop(); code != exitOK {
			f.t.Errorf("exit code %d", code)
		}
	}
	for _, p := range f.all {
		f.logIsGood(p)
	}
}

// logIsGood reads what a process that has ended said since it was ready.
func (f *field) logIsGood(p *process) {
	for line := range p.lines {
		if strings.Contains(line, "DATA RACE") || strings.Contains(line, "panic") {
			f.t.Error(line)
		}
	}
}
