package pull_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
	"github.com/busyd/busyd/sync/pull"
	"github.com/busyd/busyd/sync/recur"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var (
	seeds    = flag.Int("sim.seeds", 40, "how many seeds the simulation runs")
	onlySeed = flag.Uint64("sim.seed", 0, "run this seed alone, and print its trace")
)

// TestSimulation lets an owner edit a calendar while workers that die, stall and
// meet failures mirror it. After each step that had an effect, no time that the
// mirror claims to know may be shown free while the owner has it busy; and when
// the trouble ends, the mirror must be the truth. A seed gives one trace.
func TestSimulation(t *testing.T) {
	env := storetest.New(t)
	owners := env.Owner(t)
	first, last := uint64(1), uint64(*seeds)
	if *onlySeed != 0 {
		first, last = *onlySeed, *onlySeed
	}
	for seed := first; seed <= last; seed++ {
		w := newWorld(t, env, owners, serverKinds[seed%uint64(len(serverKinds))], seed, nil)
		if err := w.live(); err != nil {
			t.Fatalf("seed %d (run it alone with -sim.seed %d): %v\n%s", seed, seed, err, strings.Join(w.trace, "\n"))
		}
		if *onlySeed != 0 {
			t.Log("\n" + strings.Join(w.trace, "\n"))
		}
	}
}

// TestSimulationCatches proves that the simulation can fail: it runs workers with
// a known bug until a seed gives each away.
func TestSimulationCatches(t *testing.T) {
	for name, c := range map[string]struct {
		bug  func(pull.Store) pull.Store
		fate fateKind // that brings it out
	}{
		"cursor saved before the rows": {func(s pull.Store) pull.Store { return cursorFirst{s} }, killed},
		"a sweep for every page":       {func(s pull.Store) pull.Store { return sweepAlways{s} }, lucky},
		"empty listings believed":      {func(s pull.Store) pull.Store { return credulous{s} }, lucky},
	} {
		t.Run(name, func(t *testing.T) {
			env := storetest.New(t)
			owners := env.Owner(t)
			for seed := range uint64(400) {
				w := newWorld(t, env, owners, newDAV, seed+1, c.bug)
				w.fates = []fateKind{lucky, c.fate}
				if err := w.live(); err != nil {
					t.Logf("given away by seed %d: %v", seed+1, err)
					return
				}
			}
			t.Error("no seed gave the bug away")
		})
	}
}

// world is a calendar's owner, its server, the database, and workers.
type world struct {
	t      *testing.T
	env    *storetest.Env
	owners *pgx.Conn
	random *rand.Rand
	now    time.Time
	owner  *owner
	server server
	bug    func(pull.Store) pull.Store
	fates  []fateKind // that workers meet

	tenant   busy.Tenant
	resource busy.Resource
	conn     busy.Connection
	calendar busy.Calendar
	grant    busy.Secret

	redis   []busy.Task
	zombies []*zombie
	trace   []string
	broken  error // the first violation
}

// zombie is a worker that stands still, holding a lease it believes in.
type zombie struct {
	fate *fate
	done chan error
}

const (
	simLease   = 25 * time.Second
	simHorizon = 60 * 24 * time.Hour
)

// newWorld makes a world whose provider serverOf chooses.
func newWorld(t *testing.T, env *storetest.Env, owners *pgx.Conn, serverOf func(*world, uint64) server, seed uint64, bug func(pull.Store) pull.Store) *world {
	t.Helper()
	w := &world{
		t: t, env: env, owners: owners, random: rand.New(rand.NewPCG(seed, 1)), now: storetest.Now, bug: bug, fates: allFates,
	}
	w.owner = &owner{random: w.random, entries: make(map[string]*entry)}
	w.server = serverOf(w, seed)
	for range w.random.IntN(12) {
		w.edit()
	}
	w.connect(seed)
	return w
}

// connect goes the way that `busyd connection add` goes.
func (w *world) connect(seed uint64) {
	w.t.Helper()
	ctx := context.Background()
	provider := w.server.provider(newFate(lucky, 0, func() {}))
	var err error
	w.grant, err = w.server.connect(provider)
	must(w.t, err)
	session, err := provider.Open(ctx, providers.Account{Grant: w.grant})
	must(w.t, err)
	found, err := session.Calendars(ctx)
	must(w.t, err)
	var calendars []busy.NewCalendar
	for _, c := range found {
		if c.Name == calendarName {
			calendars = append(calendars, busy.NewCalendar{Remote: c.Remote, Name: c.Name, Zone: c.Zone, Selected: true})
		}
	}
	if len(calendars) != 1 {
		w.t.Fatalf("%d of the %d calendars have the name", len(calendars), len(found))
	}
	w.tenant = w.env.Tenant(w.t, fmt.Sprintf("%s %s %d", w.t.Name(), w.server.kind(), seed))
	w.resource = w.env.Resource(w.t, w.tenant.ID, "owner")
	conn, created, err := w.env.Store.CreateConnection(ctx, w.tenant.ID, busy.NewConnection{
		Resource: w.resource.ID, Kind: w.server.kind(), Grant: w.grant, Calendars: calendars,
	}, w.now)
	must(w.t, err)
	w.conn, w.calendar = conn, created[0]
}

// held is how many events the store holds of the calendar.
func (w *world) held() (n int) {
	err := w.owners.QueryRow(context.Background(), `select count(*) from events where calendar_id = $1`, w.calendar.ID).Scan(&n)
	if err != nil {
		return 0
	}
	return n
}

func (w *world) clock() time.Time { return w.now }

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, w.now.Format("02 15:04:05 ")+fmt.Sprintf(format, args...))
}

// live goes through a time of trouble, and then a quiet one.
func (w *world) live() error {
	for range 100 {
		w.happen()
		if w.broken != nil {
			return w.broken
		}
	}
	return w.converge()
}

// happen lets one thing happen.
func (w *world) happen() {
	w.now = w.now.Add(time.Duration(1+w.random.IntN(40)) * time.Second)
	switch dice := w.random.IntN(100); {
	case dice < 20:
		w.edit()
	case dice < 26:
		w.pass(time.Duration(1+w.random.IntN(120)) * time.Minute / 4)
	case dice < 80:
		w.sweep()
		w.work(w.fates[w.random.IntN(len(w.fates))])
	case dice < 84:
		w.wake()
	case dice < 86:
		w.redis = nil
		w.note("Redis is flushed")
	case dice < 88:
		w.server.forget()
		w.note("the server forgets its tokens")
	case dice < 91:
		_, err := w.env.Store.Want(context.Background(), w.tenant.ID, store.WantScope{Full: w.random.IntN(2) == 0}, w.now)
		must(w.t, err)
		w.note("a resync is wanted")
	case dice < 93:
		w.reselect()
	case dice < 95:
		w.server.heal()
		w.note("the server is well")
	default:
		w.trouble()
	}
}

func (w *world) edit() {
	e, gone := w.owner.edit(w.now)
	if gone {
		w.server.remove(e.name)
		w.note("the owner deletes %s", e)
		return
	}
	w.put(e)
}

func (w *world) put(e *entry) {
	e.touched = w.now
	w.owner.entries[e.name] = e
	w.server.put(e.name, e.written())
	w.note("the owner puts %s", e)
}

func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d.Truncate(time.Second))
	w.note("time passes")
}

func (w *world) reselect() {
	ctx := context.Background()
	must(w.t, w.env.Store.Select(ctx, w.tenant.ID, w.calendar.ID, false, w.now))
	must(w.t, w.env.Store.Select(ctx, w.tenant.ID, w.calendar.ID, true, w.now))
	w.note("the calendar is deselected, and selected again")
}

func (w *world) sweep() {
	tasks, err := w.env.Store.ClaimDue(context.Background(), w.now, 10, 10*time.Second)
	must(w.t, err)
	for _, task := range tasks {
		if task.Tenant == w.tenant.ID { // earlier seeds' calendars are due too
			w.redis = append(w.redis, task)
			w.note("the sweep sends epoch %d", task.Epoch)
		}
	}
}

// work lets a worker take a task. One in five tasks is delivered once more.
func (w *world) work(kind fateKind) {
	if len(w.redis) == 0 {
		return
	}
	i := w.random.IntN(len(w.redis))
	task := w.redis[i]
	if w.random.IntN(5) > 0 {
		w.redis = slices.Delete(w.redis, i, i+1)
	}
	f := newFate(kind, 1+w.random.IntN(8), func() {
		w.check()
		if kind != lucky && w.random.IntN(6) == 0 {
			w.edit() // the owner does not wait for us
		}
	})
	z := &zombie{fate: f, done: make(chan error, 1)}
	w.note("a worker takes epoch %d; in %d steps it %s", task.Epoch, f.steps, kind)
	runner := w.runner(f)
	go func() { z.done <- runner.Run(context.Background(), task) }()
	w.await(z)
}

func (w *world) runner(f *fate) *pull.Runner {
	real := pull.Store(w.env.Store)
	if w.bug != nil {
		real = w.bug(fatedStore{real, f})
	} else {
		real = fatedStore{real, f}
	}
	return pull.New(pull.Config{
		Store: real, Providers: []providers.Provider{w.server.provider(f)}, Expand: recur.New(),
		Now: w.clock, Random: rand.New(rand.NewPCG(w.random.Uint64(), 2)), Log: slog.New(slog.DiscardHandler),
		Lease: simLease, PollMin: time.Minute, PollMax: 15 * time.Minute, FullEvery: 24 * time.Hour, Horizon: simHorizon,
		Observe: func(r pull.Report) { w.note("  the run ends: %s, %d pages, %+v", r.Outcome, r.Pages, r.Tally) },
	})
}

// await waits until the worker ends or stands still, so that one thing happens
// at a time.
func (w *world) await(z *zombie) {
	select {
	case err := <-z.done:
		w.note("  the worker is done: %v", err)
	case <-z.fate.paused:
		w.note("  the worker stands still")
		w.zombies = append(w.zombies, z)
	}
}

// wake lets a worker that stood still go on.
func (w *world) wake() {
	if len(w.zombies) == 0 {
		return
	}
	z := w.zombies[0]
	w.zombies = w.zombies[1:]
	w.note("a worker goes on")
	close(z.fate.resume)
	w.note("  the worker is done: %v", <-z.done)
}

// trouble makes the server fail for a while.
func (w *world) trouble() {
	w.note("the server will fail: %s", w.server.trouble())
}

// converge ends the trouble, and demands the truth.
func (w *world) converge() error {
	for len(w.zombies) > 0 {
		w.wake()
	}
	w.server.heal()
	w.note("quiet")
	ctx := context.Background()
	grant, err := w.server.connect(w.server.provider(newFate(lucky, 0, func() {})))
	must(w.t, err)
	must(w.t, w.env.Store.ReplaceGrant(ctx, w.tenant.ID, w.conn.ID, grant, w.now))
	_, err = w.env.Store.Want(ctx, w.tenant.ID, store.WantScope{}, w.now)
	must(w.t, err)
	for range 12 {
		w.pass(5 * time.Minute)
		w.sweep()
		w.redis = append(w.redis, w.dueTask()...)
		for len(w.redis) > 0 {
			w.work(lucky)
		}
		if w.broken != nil {
			return w.broken
		}
	}
	calendar, err := w.env.Store.Calendar(ctx, w.tenant.ID, w.calendar.ID)
	must(w.t, err)
	if state := calendar.StateFor(busy.Span{Start: w.now, End: w.now.Add(simHorizon)}, w.now, time.Hour); state != busy.StateFresh {
		return fmt.Errorf("the calendar ends %s after %s, with %d problems", state, calendar.Outcome, calendar.Problems)
	}
	truth := make([]busy.Span, 0)
	for _, e := range w.owner.entries {
		for _, s := range e.busy() {
			truth = append(truth, s.Intersect(calendar.Covered))
		}
	}
	truth = busy.Merge(truth)
	got, err := w.mirror(calendar.Covered)
	must(w.t, err)
	if !slices.EqualFunc(got, truth, sameSpan) {
		return fmt.Errorf("the mirror has %v too much, and lacks %v", busy.Subtract(got, truth), busy.Subtract(truth, got))
	}
	return nil
}

// dueTask finds the world's own task where the sweep's batch was full of others.
func (w *world) dueTask() []busy.Task {
	tasks, err := w.env.Store.Want(context.Background(), w.tenant.ID, store.WantScope{}, w.now)
	must(w.t, err)
	return tasks
}

// check demands that what the calendar claims to know is not shown free: the
// entries that were there, as they are, before the last complete reading began.
func (w *world) check() {
	if w.broken != nil {
		return
	}
	calendar, err := w.env.Store.Calendar(context.Background(), w.tenant.ID, w.calendar.ID)
	if err != nil || calendar.AsOf.IsZero() {
		w.broken = err
		return
	}
	mirror, err := w.mirror(calendar.Covered)
	if err != nil {
		w.broken = err
		return
	}
	for _, e := range w.owner.entries {
		if !e.touched.Before(calendar.AsOf) {
			continue
		}
		for _, s := range e.busy() {
			s = s.Intersect(calendar.Covered)
			if left := busy.Subtract([]busy.Span{s}, mirror); !s.Empty() && len(left) > 0 {
				w.broken = fmt.Errorf("%s is busy %v, and shown free at %v, as of %v", e.name, s, left, calendar.AsOf)
				return
			}
		}
	}
}

// mirror is the busy time that a reader would be told.
func (w *world) mirror(span busy.Span) ([]busy.Span, error) {
	agendas, err := w.env.Store.Agendas(context.Background(), w.tenant.ID, []busy.ResourceID{w.resource.ID}, span)
	if err != nil {
		return nil, err
	}
	var spans []busy.Span
	for _, b := range agendas[0].Blocks {
		spans = append(spans, busy.Span{Start: b.Start, End: b.End}.Intersect(span))
	}
	return busy.Merge(spans), nil
}

func sameSpan(a, b busy.Span) bool { return a.Start.Equal(b.Start) && a.End.Equal(b.End) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The known bugs.

// cursorFirst saves the cursor in a transaction of its own.
type cursorFirst struct{ pull.Store }

func (s cursorFirst) Apply(ctx context.Context, l busy.Lease, p busy.Page, expand busy.Expand) (busy.Tally, error) {
	first := busy.Page{Cursor: p.Cursor, Window: p.Window, Zone: p.Zone}
	if _, err := s.Store.Apply(ctx, l, first, expand); err != nil {
		return busy.Tally{}, err
	}
	return s.Store.Apply(ctx, l, p, expand)
}

// sweepAlways takes each page for all there is.
type sweepAlways struct{ pull.Store }

func (s sweepAlways) Apply(ctx context.Context, l busy.Lease, p busy.Page, expand busy.Expand) (busy.Tally, error) {
	p.Seen = map[string]struct{}{}
	return s.Store.Apply(ctx, l, p, expand)
}

// credulous never notices that a listing lacks what is held.
type credulous struct{ pull.Store }

func (s credulous) Held(ctx context.Context, l busy.Lease) (busy.Held, error) {
	held, err := s.Store.Held(ctx, l)
	held.Objects = 0
	return held, err
}
