package booking_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/embedded"
	"github.com/busyd/busyd/store/storetest"
)

var stormAttempts = flag.Int64("storm.attempts", 20_000, "how many attempts at contended time the storm makes")

// storm is a database that several daemons fight over.
type storm struct {
	t      *testing.T
	dir    string
	pg     *embedded.Postgres
	env    *storetest.Env
	orders orders

	attempts atomic.Int64
	readings atomic.Int64 // of all rows, from the first to the last query
	mu       sync.Mutex
	did      map[string]int // what was granted, by kind
	wrong    []string
}

// TestStorm lets daemons hold, book, confirm, reschedule and cancel at the same
// time on six resources, with seats, limits and several together, while calendars
// change, daemons, no two of whose clocks agree, are killed and the database is
// restarted; and reads the rows all the while. Whatever the moment, nobody is booked
// twice, no block is on a booking without a conflict that says so, and nothing that
// was granted is gone.
func TestStorm(t *testing.T) {
	s := newStorm(t)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { s.keepWorker(stop) })
	}
	all.Go(func() { s.watch(stop) })
	restart := time.NewTicker(12 * time.Second)
	defer restart.Stop()
	told := time.NewTicker(time.Minute)
	defer told.Stop()
	for begun, restarts := time.Now(), 0; s.attempts.Load() < *stormAttempts || restarts == 0; {
		select {
		case <-restart.C:
			s.restart(restarts%2 == 0)
			restarts++
		case <-told.C:
			s.vacuum()
			t.Logf("%d attempts in %v, %d restarts", s.attempts.Load(), time.Since(begun).Round(time.Second), restarts)
		case <-time.After(100 * time.Millisecond):
		}
		if time.Since(begun) > 5*time.Hour {
			s.report("the attempts do not come to an end")
		}
		if s.failed() {
			break
		}
	}
	close(stop)
	all.Wait()
	if !s.check(s.env.Owner(t)) {
		t.Error("the last reading did not come to an end")
	}
	for _, wrong := range s.wrong {
		t.Error(wrong)
	}
	s.tell()
}

func newStorm(t *testing.T) *storm {
	t.Helper()
	s := &storm{t: t, dir: storetest.Dir(t), did: make(map[string]int)}
	s.start()
	t.Cleanup(func() { must(t, s.pg.Stop(context.Background())) })
	must(t, s.pg.CreateDatabase(t.Context(), "storm", ""))
	_, err := store.Migrate(t.Context(), s.pg.URL("storm"))
	must(t, err)
	s.env = storetest.Use(t, s.pg.URL("storm"), s.pg.AppURL("storm"))
	s.orders = settle(t, s.env)
	_, err = s.env.Owner(t).Exec(t.Context(), `create index on bookings (state) where state in ('held', 'pending', 'confirmed')`) // the check's
	must(t, err)
	return s
}

func (s *storm) start() {
	var err error
	s.pg, err = embedded.StartPostgres(context.Background(), embedded.PostgresConfig{Dir: s.dir, Volatile: true})
	must(s.t, err)
}

// restart takes the database away, by force or in order, and brings it back.
func (s *storm) restart(byForce bool) {
	if byForce {
		s.pg.Kill()
	} else {
		must(s.t, s.pg.Stop(context.Background()))
	}
	s.start()
}

// vacuum does what the test's database leaves out otherwise. It may be away.
func (s *storm) vacuum() {
	ctx := context.Background()
	if conn, err := pgx.Connect(ctx, s.env.OwnerURL); err == nil {
		_, _ = conn.Exec(ctx, `vacuum analyze`)
		_ = conn.Close(ctx)
	}
}

// settle makes a tenant with six resources that are always open, a calendar that
// has been read for each, and services of every kind.
func settle(t *testing.T, env *storetest.Env) orders {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	tenant := env.Tenant(t, "tenant")
	o := orders{
		URL: env.AppURL, Key: env.Key.Encode(), Tenant: tenant.ID, Days: 2, Clients: 6,
		From: now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 3).Add(9 * time.Hour),
	}
	var resources []busy.ResourceID
	for i := range 6 {
		r, err := env.Store.CreateResource(ctx, tenant.ID, busy.Resource{Name: fmt.Sprint("r", i), Zone: "UTC", Hours: busy.AlwaysOpen()})
		must(t, err)
		resources = append(resources, r.ID)
		_, calendars := env.Connection(t, tenant.ID, r.ID, fmt.Sprint("calendar ", i))
		o.Calendars = append(o.Calendars, calendars[0].ID)
		work, err := env.Store.Take(ctx, busy.Task{Tenant: tenant.ID, Calendar: calendars[0].ID}, now, time.Minute)
		must(t, err)
		page := pageOf(busy.Change{}, o.From, now)
		page.Seen = map[string]struct{}{}
		_, err = env.Store.Apply(ctx, work.Lease, page, expandSingles)
		must(t, err)
		must(t, env.Store.Release(ctx, work.Lease, busy.Release{Outcome: busy.OutcomeChanged, AsOf: now, FullAt: now, DueAt: now.Add(time.Hour)}))
	}
	for _, service := range []busy.Service{
		{Name: "any of three", Duration: 30 * time.Minute, Before: 5 * time.Minute, After: 10 * time.Minute, Capacity: 1, MaxPerDay: 3, Needs: []busy.Need{{Count: 1, Resources: resources[:3]}}},
		{Name: "one", Duration: time.Hour, Capacity: 1, MaxPerDay: 2, Needs: []busy.Need{{Count: 1, Resources: resources[:1]}}},
		{Name: "two of three and a room", Duration: 30 * time.Minute, Capacity: 1, Needs: []busy.Need{{Count: 2, Resources: resources[1:4]}, {Count: 1, Resources: resources[4:5]}}},
		{Name: "a course of three", Duration: 90 * time.Minute, Capacity: 3, Needs: []busy.Need{{Count: 1, Resources: resources[4:]}}},
		{Name: "as many as you like", Duration: time.Hour, Capacity: 1, Needs: []busy.Need{{Count: 1, Resources: resources[5:]}}},
	} {
		service.Interval, service.Align, service.Policy = 30*time.Minute, busy.AlignClock, busy.TreatAsBusy
		made, err := env.Store.CreateService(ctx, tenant.ID, service)
		must(t, err)
		o.Services = append(o.Services, made.ID)
	}
	return o
}

// maxSkew is how far a worker's clock is wrong, at most: longer than most holds last.
// The check for blocks allows for it.
const maxSkew = time.Second

// keepWorker runs a worker process, kills it after a while, and runs the next.
func (s *storm) keepWorker(stop <-chan struct{}) {
	for {
		o := s.orders
		o.Skew = rand.N(2*maxSkew) - maxSkew
		order, err := json.Marshal(o)
		if err != nil {
			s.report(err.Error())
			return
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), workerEnv+"="+string(order), "GORACE=halt_on_error=1")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			s.report(err.Error())
			return
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			for lines := bufio.NewScanner(out); lines.Scan(); {
				s.hear(lines.Text())
			}
		}()
		stopped, died := false, false
		select {
		case <-stop:
			stopped = true
		case <-read:
			died = true
		case <-time.After(time.Duration(4000+rand.IntN(6000)) * time.Millisecond):
		}
		_ = cmd.Process.Kill()
		<-read
		if err := cmd.Wait(); died {
			s.report(fmt.Sprint("a worker ended by itself: ", err))
		}
		if stopped || s.failed() {
			return
		}
	}
}

func (s *storm) hear(line string) {
	var n int64
	if _, err := fmt.Sscanf(line, "attempts %d", &n); err == nil {
		s.attempts.Add(n)
		return
	}
	if kind, did := strings.CutPrefix(line, "did "); did {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.did[kind]++
		return
	}
	if strings.HasPrefix(line, "wrong") {
		s.report("a worker failed: " + line)
	}
}

func (s *storm) report(wrong string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) < 20 {
		s.wrong = append(s.wrong, wrong)
	}
}

func (s *storm) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.wrong) > 0
}

// watch reads the rows again and again; each reading is of one moment. It leaves the
// machine to the storm for three times as long as they took to read.
func (s *storm) watch(stop <-chan struct{}) {
	ctx := context.Background()
	var conn *pgx.Conn
	pause := time.Duration(0)
	for {
		select {
		case <-stop:
			return
		case <-time.After(max(30*time.Millisecond, pause)):
		}
		begun := time.Now()
		if conn == nil || conn.IsClosed() {
			conn, _ = pgx.Connect(ctx, s.env.OwnerURL)
		}
		if conn != nil {
			s.check(conn)
		}
		pause = 3 * time.Since(begun)
	}
}

// The check knows nothing of the code that books. Each query finds rows that must
// not be there.
var mustNotBe = map[string]string{
	"two meetings of a resource overlap": `
		select count(*) from claims a join claims b
			on b.tenant_id = a.tenant_id and b.resource_id = a.resource_id and b.booking_id > a.booking_id
		where a.live and b.live and a.session_id <> b.session_id and a.blocked_from < b.blocked_to and b.blocked_from < a.blocked_to`,
	"a meeting has more bookings than seats": `
		select count(*) from (
			select sum(c.seats) as taken, min(s.capacity) as seats from claims c join services s on s.tenant_id = c.tenant_id and s.id = c.service_id
			where c.live group by c.tenant_id, c.resource_id, c.session_id) x
		where taken > seats`,
	"bookings of one meeting differ": `
		select count(*) from (
			select from claims where live group by tenant_id, session_id
			having count(distinct (service_id, starts_at, ends_at)) > 1) x`,
	// A hold that is over by some worker's clock may lie under a block: its owner is
	// refused.
	"a block is on a booking and nothing says so": `
		select count(*) from claims c join blocks b
			on b.tenant_id = c.tenant_id and b.resource_id = c.resource_id and b.starts_at < c.blocked_to and b.ends_at > c.blocked_from
		where c.live and (c.expires_at is null or c.expires_at > clock_timestamp() + interval '1 second') and b.state <> 0 and not exists (
			select from conflicts f where f.tenant_id = c.tenant_id and f.booking_id = c.booking_id and f.resource_id = c.resource_id
				and f.resolved_at is null)`,
	"a conflict is open and nothing is in the way": `
		select count(*) from conflicts f where f.resolved_at is null and not exists (
			select from claims c join blocks b
				on b.tenant_id = c.tenant_id and b.resource_id = c.resource_id and b.starts_at < c.blocked_to and b.ends_at > c.blocked_from
			where c.tenant_id = f.tenant_id and c.booking_id = f.booking_id and c.resource_id = f.resource_id and c.live)`,
	"a booking does not have all of its resources": `
		select count(*) from bookings b
		join (select tenant_id, service_id, sum(count) as needed from (select distinct tenant_id, service_id, need, count from needs) n group by 1, 2) s
			on s.tenant_id = b.tenant_id and s.service_id = b.service_id
		where b.state in ('held', 'pending', 'confirmed')
			and s.needed <> (select count(*) from claims c where c.tenant_id = b.tenant_id and c.booking_id = b.id and c.live)`,
	// Claims of a hold that has expired stay until somebody writes on their resource.
	"time is taken that no booking has": `
		select count(*) from claims c join bookings b on b.tenant_id = c.tenant_id and b.id = c.booking_id
		where c.live and (b.state = 'cancelled' or b.state = 'expired' and c.expires_at is null
			or (b.starts_at, b.ends_at, b.blocked_from, b.blocked_to, b.session_id)
				<> (c.starts_at, c.ends_at, c.blocked_from, c.blocked_to, c.session_id))`,
	"a day has more meetings than it may": `
		select count(*) from (
			select count(distinct c.session_id) as meetings, s.max_per_day
			from claims c join services s on s.tenant_id = c.tenant_id and s.id = c.service_id
			where c.live and s.max_per_day > 0 group by c.tenant_id, c.resource_id, s.id, s.max_per_day, (c.starts_at at time zone 'UTC')::date) x
		where meetings > max_per_day`,
}

// check reads all rows as of one moment, and reports whether it could: the database
// may be away.
func (s *storm) check(conn *pgx.Conn) bool {
	ctx := context.Background()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return false
	}
	defer func() { _ = tx.Rollback(ctx) }()
	found, err := whatMustNotBe(ctx, tx)
	if err != nil && !expected(err) {
		s.report(err.Error())
	}
	for _, wrong := range found {
		s.report(wrong)
	}
	if err == nil {
		s.readings.Add(1)
	}
	return err == nil
}

func whatMustNotBe(ctx context.Context, tx pgx.Tx) (found []string, err error) {
	for wrong, query := range mustNotBe {
		var n int
		if err := tx.QueryRow(ctx, query).Scan(&n); err != nil {
			return found, fmt.Errorf("look whether %s: %w", wrong, err)
		}
		if n > 0 {
			found = append(found, wrong)
		}
	}
	return found, nil
}

// tell logs what the storm was, and wants it to have been one.
func (s *storm) tell() {
	var conflicts, resolved, deadlocks int
	err := s.env.Owner(s.t).QueryRow(s.t.Context(), `
		select count(*), count(resolved_at), (select sum(deadlocks) from pg_stat_database) from conflicts`).Scan(&conflicts, &resolved, &deadlocks)
	must(s.t, err)
	s.t.Logf("%d attempts, of which were granted %v; conflicts %d, of which are resolved %d; deadlocks %d; %d readings of all rows",
		s.attempts.Load(), s.did, conflicts, resolved, deadlocks, s.readings.Load())
	for _, kind := range []string{"book", "book pending", "hold", "book a hold", "renew", "confirm", "reschedule", "cancel", "sync"} {
		if s.did[kind] == 0 {
			s.t.Errorf("nothing was granted of: %s", kind)
		}
	}
	if conflicts == resolved || resolved == 0 || s.readings.Load() < 20 {
		s.t.Error("the storm proves nothing")
	}
}

// Each of the things that must not be is found where it is.
func TestTheCheckFindsWhatMustNotBe(t *testing.T) {
	env := storetest.New(t)
	w, ctx := newWorker(settle(t, env), env.Store), t.Context()
	for _, b := range []struct{ service, hour int }{{0, 0}, {1, 2}, {1, 4}, {2, 0}, {3, 0}, {3, 0}} {
		_, err := w.desk.Book(ctx, w.Tenant, booking.BookRequest{Service: w.Services[b.service], Start: w.From.Add(time.Duration(b.hour) * time.Hour)})
		must(t, err)
	}
	tasks, err := env.Store.Want(ctx, w.Tenant, store.WantScope{Calendar: &w.Calendars[0]}, time.Now())
	must(t, err)
	work, err := env.Store.Take(ctx, tasks[0], time.Now(), time.Minute)
	must(t, err)
	change := busy.Change{Events: []busy.Event{{
		Key: "late", Series: "late", State: busy.Busy,
		Start: busy.InstantOf(w.From.Add(2 * time.Hour)), End: busy.InstantOf(w.From.Add(3 * time.Hour)),
	}}}
	_, err = env.Store.Apply(ctx, work.Lease, pageOf(change, w.From, time.Now()), expandSingles)
	must(t, err)
	for wrong, statement := range map[string]string{
		"": `select`,
		"two meetings of a resource overlap": `
			alter table claims drop constraint claims_overlap;
			update claims set session_id = booking_id where session_id in (select session_id from claims group by 1 having count(distinct booking_id) > 1)`,
		"a meeting has more bookings than seats":       `update services set capacity = 1`,
		"bookings of one meeting differ":               `update claims set ends_at = ends_at + random() * interval '1 hour'`,
		"a block is on a booking and nothing says so":  `delete from conflicts`,
		"a conflict is open and nothing is in the way": `delete from weeks`,
		"a booking does not have all of its resources": `delete from claims where n = 2`,
		"time is taken that no booking has":            `update bookings set state = 'cancelled'`,
		"a day has more meetings than it may":          `update services set max_per_day = 1 where max_per_day = 2`,
	} {
		tx, err := env.Owner(t).Begin(ctx)
		must(t, err)
		_, err = tx.Exec(ctx, statement)
		must(t, err)
		found, err := whatMustNotBe(ctx, tx)
		must(t, err)
		if wrong == "" && len(found) > 0 || wrong != "" && !slices.Contains(found, wrong) {
			t.Errorf("of %q is found %q", wrong, found)
		}
		must(t, tx.Rollback(ctx))
	}
}

// The same storm finds what is wrong with desks as most build them: a check and
// then the booking, with and without a constraint of the database behind it.
func TestStormCatchesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		prepare, want string
		services      []int
	}{
		"a naive check":                           {`alter table claims drop constraint claims_overlap`, "two meetings of a resource overlap", []int{0, 1, 2, 3}},
		"the constraint and no more":              {`select`, "a block is on a booking and nothing says so", []int{0, 1, 2, 3}},
		"the constraint and no more, with seats":  {`select`, "a meeting has more bookings than seats", []int{3}},
		"the constraint and no more, with limits": {`select`, "a day has more meetings than it may", []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			env := storetest.New(t)
			s := &storm{t: t, env: env, orders: settle(t, env)}
			services := s.orders.Services
			s.orders.Careless, s.orders.Services = true, nil
			for _, n := range c.services {
				s.orders.Services = append(s.orders.Services, services[n])
			}
			_, err := env.Owner(t).Exec(t.Context(), c.prepare)
			must(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var all sync.WaitGroup
			for range 2 {
				w := newWorker(s.orders, env.Open(t, env.Keys))
				all.Go(func() { _ = w.run(ctx) })
			}
			for conn := env.Owner(t); ctx.Err() == nil && !strings.Contains(strings.Join(s.wrong, "\n"), c.want); {
				s.check(conn)
				if len(s.wrong) == 20 {
					s.wrong = nil
				}
			}
			caught := ctx.Err() == nil
			cancel()
			all.Wait()
			if !caught {
				t.Fatalf("not caught; what was: %q", s.wrong)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
