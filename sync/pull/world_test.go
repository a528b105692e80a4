package pull_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
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

// town is a database where worlds live one after the other.
type town struct {
	*storetest.Env
	owners *pgx.Conn
	expand *recur.Expander
	worlds int // so far
}

func newTown(t *testing.T) *town {
	t.Helper()
	env := storetest.New(t)
	return &town{Env: env, owners: env.Owner(t), expand: recur.New()}
}

// world is a calendar's owner, its server, the database, and workers.
type world struct {
	*town
	t      *testing.T
	random *rand.Rand
	now    time.Time
	owner  *owner
	server server
	bug    bug        // nil: none that is known
	fates  []fateKind // that workers meet

	tenant   busy.Tenant
	resource busy.Resource
	conn     busy.Connection
	calendar busy.Calendar
	grant    busy.Secret

	redis   []busy.Task
	zombies []*zombie
	trace   []string
	seen    census
	doubts  int   // readings in a row that found nothing where there was something
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
func newWorld(t *testing.T, town *town, serverOf serverOf, seed uint64) *world {
	t.Helper()
	w := &world{town: town, t: t, random: rand.New(rand.NewPCG(seed, 1)), now: storetest.Now, fates: allFates}
	w.owner = &owner{random: w.random, entries: make(map[string]*entry), count: w.seen.count}
	w.server = serverOf(w, seed/uint64(len(serverKinds)))
	w.seen.count(string(w.server.kind()))
	for range w.random.IntN(12) {
		w.edit()
	}
	w.connect()
	return w
}

// connect goes the way that `busyd connection add` goes.
func (w *world) connect() {
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
	w.worlds++
	w.tenant = w.Tenant(w.t, fmt.Sprint("world ", w.worlds))
	w.resource = w.Resource(w.t, w.tenant.ID, "owner")
	conn, created, err := w.Store.CreateConnection(ctx, w.tenant.ID, busy.NewConnection{
		Resource: w.resource.ID, Kind: w.server.kind(), Grant: w.grant, Calendars: calendars,
	}, w.now)
	must(w.t, err)
	w.conn, w.calendar = conn, created[0]
}

// leave has the world's calendar be due no more.
func (w *world) leave() {
	must(w.t, w.Store.Select(context.Background(), w.tenant.ID, w.calendar.ID, false, w.now))
}

// holdsNothing tells whether the store has no event of the calendar.
func (w *world) holdsNothing() (nothing bool) {
	err := w.owners.QueryRow(context.Background(),
		`select not exists (select from events where calendar_id = $1)`, w.calendar.ID).Scan(&nothing)
	return nothing || err != nil
}

func (w *world) clock() time.Time { return w.now }

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, w.now.Format("02 15:04:05 ")+fmt.Sprintf(format, args...))
}

// happens notes and counts something that a run of all seeds must have seen.
func (w *world) happens(what string) {
	w.note("%s", what)
	w.seen.count(what)
}

// live goes through a time of trouble, and then a quiet one.
func (w *world) live() error {
	for range 20 + w.random.IntN(60) {
		w.happen()
		if w.broken != nil {
			return w.broken
		}
	}
	return w.converge()
}

// happenings are those that befall every provider's worlds.
var happenings = []string{
	"Redis is flushed", "the server forgets its tokens", "a resync is wanted", "the server is well", "a worker goes on",
	"the calendar is deselected, and selected again", "a task will be delivered twice",
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
		w.happens("Redis is flushed")
	case dice < 88:
		w.server.forget()
		w.happens("the server forgets its tokens")
	case dice < 91:
		_, err := w.Store.Want(context.Background(), w.tenant.ID, store.WantScope{Full: w.random.IntN(2) == 0}, w.now)
		must(w.t, err)
		w.happens("a resync is wanted")
	case dice < 93:
		w.reselect()
	case dice < 95:
		w.server.heal()
		w.happens("the server is well")
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
	e.touched, e.spans = w.now, e.busy()
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
	must(w.t, w.Store.Select(ctx, w.tenant.ID, w.calendar.ID, false, w.now))
	must(w.t, w.Store.Select(ctx, w.tenant.ID, w.calendar.ID, true, w.now))
	w.happens("the calendar is deselected, and selected again")
	w.check()
}

func (w *world) sweep() {
	tasks, err := w.Store.ClaimDue(context.Background(), w.now, 10, 10*time.Second)
	must(w.t, err)
	for _, task := range tasks {
		w.redis = append(w.redis, task)
		w.note("the sweep sends epoch %d", task.Epoch)
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
	} else {
		w.happens("a task will be delivered twice")
	}
	steps := 1 + w.random.IntN(4<<w.random.IntN(6)) // a run takes from a few to a hundred
	f := newFate(kind, steps, func() {
		if kind != lucky && w.random.IntN(6) == 0 {
			w.edit() // the owner does not wait for us
		}
	})
	f.written = w.check
	z := &zombie{fate: f, done: make(chan error, 1)}
	w.note("a worker takes epoch %d; in %d steps it %s", task.Epoch, f.steps, kind)
	runner := w.runner(f)
	go func() { z.done <- runner.Run(context.Background(), task) }()
	w.await(z)
	if f.struck() {
		w.seen.count("a worker " + kind.String())
	}
}

func (w *world) runner(f *fate) *pull.Runner {
	store, provider := pull.Store(fatedStore{w.Store, f}), w.server.provider(f)
	if w.bug != nil {
		store, provider = w.bug(store, provider)
	}
	return pull.New(pull.Config{
		Store: store, Providers: []providers.Provider{provider}, Expand: w.expand,
		Now: w.clock, Random: rand.New(rand.NewPCG(w.random.Uint64(), 2)), Log: slog.New(slog.DiscardHandler),
		Lease: simLease, PollMin: time.Minute, PollMax: 15 * time.Minute, FullEvery: 24 * time.Hour, Horizon: simHorizon,
		Observe: func(r pull.Report) {
			w.note("  the run ends: %s, %d pages, %+v", r.Outcome, r.Pages, r.Tally)
			w.seen.count("a run ends " + string(r.Outcome))
			w.doubt(r.Outcome)
		},
	})
}

// doubt ends the server's trouble before what it says is believed: that all is
// gone, so many times in a row, is true by then.
func (w *world) doubt(o busy.Outcome) {
	switch o {
	case busy.OutcomeChanged, busy.OutcomeUnchanged:
		w.doubts = 0
	case busy.OutcomeSuspicious, busy.OutcomeGone:
		w.doubts++
	}
	if w.isDoubtful() {
		w.server.heal()
		w.note("  the server is well")
	}
}

func (w *world) isDoubtful() bool { return w.doubts >= 3 }

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
	w.happens("a worker goes on")
	close(z.fate.resume)
	w.note("  the worker is done: %v", <-z.done)
}

// trouble makes the server fail for a while.
func (w *world) trouble() {
	if w.isDoubtful() {
		return
	}
	troubles := w.server.troubles()
	t := troubles[w.random.IntN(len(troubles))]
	t.begin(1 + w.random.IntN(2))
	w.note("the server will fail: %s", t.name)
	w.seen.count(troubleOf(w.server, t))
}

// converge ends the trouble, and demands that the calendar is read within the
// hour, and then is the truth.
func (w *world) converge() error {
	for len(w.zombies) > 0 {
		w.wake()
	}
	w.server.heal()
	w.note("quiet")
	quiet := w.now
	ctx := context.Background()
	grant, err := w.server.connect(w.server.provider(newFate(lucky, 0, func() {})))
	must(w.t, err)
	must(w.t, w.Store.ReplaceGrant(ctx, w.tenant.ID, w.conn.ID, grant, nil, w.now))
	for range 12 {
		w.pass(5 * time.Minute)
		w.redis = append(w.redis, w.wanted()...)
		for len(w.redis) > 0 {
			w.work(lucky)
		}
		if w.broken != nil {
			return w.broken
		}
		calendar, err := w.Store.Calendar(ctx, w.tenant.ID, w.calendar.ID)
		must(w.t, err)
		if calendar.AsOf.After(quiet) {
			return w.isTruth(calendar)
		}
	}
	return errors.New("the calendar was not read within an hour of quiet")
}

func (w *world) isTruth(c busy.Calendar) error {
	if state := c.StateFor(busy.Span{Start: w.now, End: w.now.Add(simHorizon)}, w.now, time.Hour); state != busy.StateFresh {
		return fmt.Errorf("the calendar ends %s after %s, with %d problems", state, c.Outcome, c.Problems)
	}
	truth := make([]busy.Span, 0)
	for _, e := range w.owner.entries {
		for _, s := range e.spans {
			truth = append(truth, s.Intersect(c.Covered))
		}
	}
	truth = busy.Merge(truth)
	agenda, err := w.agenda()
	must(w.t, err)
	got := mirror(agenda, c.Covered)
	if !slices.EqualFunc(got, truth, sameSpan) {
		return fmt.Errorf("the mirror has %v too much, and lacks %v", busy.Subtract(got, truth), busy.Subtract(truth, got))
	}
	return nil
}

// wanted is the task of a resync that somebody asks for.
func (w *world) wanted() []busy.Task {
	tasks, err := w.Store.Want(context.Background(), w.tenant.ID, store.WantScope{}, w.now)
	must(w.t, err)
	return tasks
}

// check demands that what the calendar claims to know is not shown free: the
// entries that were there, as they are, before the last complete reading began.
// It matters after each write to the store: nothing else changes what is shown,
// or what is claimed.
func (w *world) check() {
	if w.broken != nil {
		return
	}
	agenda, err := w.agenda()
	if err != nil || len(agenda.Calendars) == 0 || agenda.Calendars[0].AsOf.IsZero() {
		w.broken = err
		return
	}
	calendar := agenda.Calendars[0]
	mirror := mirror(agenda, calendar.Covered)
	for _, e := range w.owner.entries {
		if !e.touched.Before(calendar.AsOf) {
			continue
		}
		for _, s := range e.spans {
			s = s.Intersect(calendar.Covered)
			if left := busy.Subtract([]busy.Span{s}, mirror); !s.Empty() && len(left) > 0 {
				w.broken = fmt.Errorf("%s is busy %v, and shown free at %v, as of %v", e.name, s, left, calendar.AsOf)
				return
			}
		}
	}
}

// agenda is what a reader would be told.
func (w *world) agenda() (busy.Agenda, error) {
	all := busy.Span{Start: w.now.AddDate(-1, 0, 0), End: w.now.AddDate(1, 0, 0)}
	agendas, err := w.Store.Agendas(context.Background(), w.tenant.ID, []busy.ResourceID{w.resource.ID}, all)
	if err != nil {
		return busy.Agenda{}, err
	}
	return agendas[0], nil
}

// mirror is the busy time in the span.
func mirror(a busy.Agenda, span busy.Span) []busy.Span {
	var spans []busy.Span
	for _, b := range a.Blocks {
		spans = append(spans, busy.Span{Start: b.Start, End: b.End}.Intersect(span))
	}
	return busy.Merge(spans)
}

func sameSpan(a, b busy.Span) bool { return a.Start.Equal(b.Start) && a.End.Equal(b.End) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
