package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var (
	ctx = context.Background()
	now = storetest.Now
	// window is what the tests keep blocks in.
	window = busy.Span{Start: now.AddDate(0, 0, -1), End: now.AddDate(0, 0, 90)}
)

const lease = time.Minute

// run is a calendar under a lease.
type run struct {
	*storetest.Env
	t        testing.TB
	tenant   busy.Tenant
	resource busy.Resource
	calendar busy.Calendar
	work     busy.Work
	failure  map[string]error // by first recurrence line, what expanding it says
	expanded int              // series
}

func begin(t testing.TB) *run {
	t.Helper()
	return beginIn(t, storetest.New(t), "tenant")
}

func beginIn(t testing.TB, env *storetest.Env, name string) *run {
	t.Helper()
	r := &run{Env: env, t: t, failure: make(map[string]error)}
	r.tenant, r.resource, r.calendar = env.Calendar(t, name)
	r.take()
	return r
}

func (r *run) task() busy.Task { return r.taskAt(r.work.Epoch) }

func (r *run) taskAt(epoch int64) busy.Task {
	return busy.Task{Tenant: r.tenant.ID, Calendar: r.calendar.ID, Epoch: epoch, Urgency: busy.UrgencyRoutine}
}

// take takes the calendar as if the last lease had run out.
func (r *run) take() busy.Work {
	r.t.Helper()
	epoch := r.epoch()
	work, err := r.Store.Take(ctx, r.taskAt(epoch), now.Add(time.Duration(epoch)*time.Hour), lease)
	must(r.t, err)
	r.work = work
	return work
}

func (r *run) epoch() int64 {
	var epoch int64
	must(r.t, r.Owner(r.t).QueryRow(ctx, `select epoch from calendars where id = $1`, r.calendar.ID.String()).Scan(&epoch))
	return epoch
}

// expand understands events without a recurrence and "RRULE:COUNT=n": n days.
func (r *run) expand(_ context.Context, events []busy.Event) ([]busy.Occurrence, error) {
	r.expanded++
	var all []busy.Occurrence
	var failure error
	for i, e := range events {
		if e.State == busy.Free || e.Cancelled {
			continue
		}
		count := 1
		if len(e.Recurrence) > 0 {
			failure = errors.Join(failure, r.failure[e.Recurrence[0]])
			if _, err := fmt.Sscanf(e.Recurrence[0], "RRULE:COUNT=%d", &count); err != nil {
				count = 0
			}
		}
		for d := range count {
			start := e.Start.Wall.AddDate(0, 0, d)
			if len(e.Recurrence) > 0 && replaced(events, start) {
				continue
			}
			all = append(all, busy.Occurrence{
				Event: i, Start: start, End: start.Add(e.End.Wall.Sub(e.Start.Wall)), AllDay: e.Start.Date, State: e.State,
			})
		}
	}
	return all, failure
}

func replaced(events []busy.Event, start time.Time) bool {
	return slices.ContainsFunc(events, func(e busy.Event) bool { return e.Original.Wall.Equal(start) })
}

func (r *run) apply(p busy.Page) busy.Tally {
	r.t.Helper()
	tally, err := r.tryApply(p)
	must(r.t, err)
	return tally
}

func (r *run) tryApply(p busy.Page) (busy.Tally, error) {
	if p.Window.Empty() {
		p.Window = window
	}
	if p.Zone == "" {
		p.Zone = "Europe/Berlin"
	}
	return r.Store.Apply(ctx, r.work.Lease, p, r.expand)
}

func (r *run) events(events ...busy.Event) busy.Tally {
	r.t.Helper()
	return r.apply(busy.Page{Change: busy.Change{Events: events}})
}

// meeting is an hour of the day after the window's start.
func meeting(key string, hour int) busy.Event {
	start := time.Date(2026, 3, 3, hour, 0, 0, 0, time.UTC)
	return busy.Event{
		Key: key, Series: key, Version: "v1", Subject: "subject of " + key, State: busy.Busy,
		Start: busy.InstantOf(start), End: busy.InstantOf(start.Add(time.Hour)),
	}
}

func daily(key string, hour, count int) busy.Event {
	e := meeting(key, hour)
	e.Recurrence = []string{fmt.Sprintf("RRULE:COUNT=%d", count)}
	return e
}

// exception replaces the occurrence of the day-th day.
func exception(key, series string, hour, day, newHour int) busy.Event {
	e := meeting(key, newHour)
	e.Series = series
	e.Original = busy.InstantOf(time.Date(2026, 3, 3+day, hour, 0, 0, 0, time.UTC))
	e.Start = busy.InstantOf(time.Date(2026, 3, 3+day, newHour, 0, 0, 0, time.UTC))
	e.End = busy.InstantOf(time.Date(2026, 3, 3+day, newHour+1, 0, 0, 0, time.UTC))
	return e
}

// blocks are those of the resource in the window, as "03-03 10:00-11:00 busy".
func (r *run) blocks() []string {
	r.t.Helper()
	agendas, err := r.Store.Agendas(ctx, r.tenant.ID, []busy.ResourceID{r.resource.ID},
		busy.Span{Start: window.Start.AddDate(-1, 0, 0), End: window.End.AddDate(1, 0, 0)})
	must(r.t, err)
	var all []string
	for _, b := range agendas[0].Blocks {
		text := b.Start.Format("01-02 15:04") + b.End.Format("-15:04") + " " + b.State.String()
		if b.AllDay {
			text += " all day"
		}
		all = append(all, text)
	}
	return all
}

func (r *run) expectBlocks(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.blocks()); diff != "" {
		r.t.Fatalf("blocks (-want +got):\n%s", diff)
	}
}

// orphans counts events and blocks that belong to nothing.
func (r *run) orphans() int {
	r.t.Helper()
	var n int
	must(r.t, r.Owner(r.t).QueryRow(ctx, `
		select (select count(*) from events e where not exists
				(select from calendars c where c.tenant_id = e.tenant_id and c.id = e.calendar_id and c.selected))
			+ (select count(*) from blocks b where not exists
				(select from events e where e.tenant_id = b.tenant_id and e.id = b.event_id and e.calendar_id = b.calendar_id))
			+ (select count(*) from blocks b where not exists
				(select from calendars c where c.tenant_id = b.tenant_id and c.id = b.calendar_id and c.resource_id = b.resource_id))`).
		Scan(&n))
	return n
}

func (r *run) count(table string) int {
	r.t.Helper()
	var n int
	must(r.t, r.Owner(r.t).QueryRow(ctx, `select count(*) from `+table).Scan(&n))
	return n
}

// dump is every row of every table as text.
func dump(t testing.TB, conn *pgx.Conn) string {
	t.Helper()
	rows, err := conn.Query(ctx, `
		select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1`)
	must(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	var all strings.Builder
	for _, table := range tables {
		rows, err := conn.Query(ctx, `select t::text from `+table+` t`)
		must(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		must(t, err)
		slices.Sort(lines)
		fmt.Fprintf(&all, "%s\n%s\n", table, strings.Join(lines, "\n"))
	}
	return all.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// expandWith applies a page with another expansion.
func (r *run) expandWith(expand func([]busy.Event) []busy.Occurrence, p busy.Page) {
	r.t.Helper()
	if p.Window.Empty() {
		p.Window = window
	}
	p.Zone = "Europe/Berlin"
	_, err := r.Store.Apply(ctx, r.work.Lease, p, func(_ context.Context, events []busy.Event) ([]busy.Occurrence, error) {
		return expand(events), nil
	})
	must(r.t, err)
}
