package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/storetest"
)

func TestClaimDueOnceEach(t *testing.T) {
	env := storetest.New(t)
	const calendars = 3000
	seedCalendars(t, env, 30, calendars)
	var mu sync.Mutex
	claimed := make(map[busy.CalendarID]int)
	var sweeps sync.WaitGroup
	for range 4 {
		sweeps.Go(func() {
			s := env.Store
			for {
				tasks, err := s.ClaimDue(ctx, now, 100, time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, task := range tasks {
					claimed[task.Calendar]++
				}
				done := len(claimed) >= calendars
				mu.Unlock()
				if done {
					return
				}
			}
		})
	}
	sweeps.Wait()
	for id, n := range claimed {
		if n != 1 {
			t.Fatalf("calendar %s was claimed %d times", id, n)
		}
	}
	again, err := env.Store.ClaimDue(ctx, now.Add(time.Hour), calendars, time.Hour)
	must(t, err)
	if len(again) != calendars {
		t.Fatalf("%d of %d are due again", len(again), calendars)
	}
}

func TestClaimDueIsFair(t *testing.T) {
	env := storetest.New(t)
	// One tenant has a backlog that is older and far longer than a batch looks at.
	conn := env.Owner(t)
	seedCalendars(t, env, 41, 4100)
	_, err := conn.Exec(ctx, `
		update calendars set due_at = due_at - interval '1 day' where tenant_id = (select id from tenants where name = '0')`)
	must(t, err)
	const limit = 80
	perTenant := make(map[busy.TenantID]int)
	for range 2 {
		tasks, err := env.Store.ClaimDue(ctx, now, limit, time.Hour)
		must(t, err)
		if len(tasks) != limit {
			t.Fatalf("%d tasks, want %d", len(tasks), limit)
		}
		for _, task := range tasks {
			perTenant[task.Tenant]++
		}
	}
	if len(perTenant) != 41 {
		t.Fatalf("%d tenants got a turn, want 41", len(perTenant))
	}
	for tenant, n := range perTenant {
		if n > 8 {
			t.Fatalf("tenant %s got %d of %d", tenant, n, 2*limit)
		}
	}
}

func TestClaimDueTakesWhatIsDue(t *testing.T) {
	r := begin(t)
	r.release(busy.Release{Outcome: busy.OutcomeUnchanged, AsOf: now, DueAt: now.Add(time.Hour)})
	claim := func(at time.Time) []busy.Task {
		tasks, err := r.Store.ClaimDue(ctx, at, 10, time.Minute)
		must(t, err)
		return tasks
	}
	if got := claim(now.Add(time.Hour - time.Microsecond)); len(got) != 0 {
		t.Fatalf("%v before it is due", got)
	}
	want := []busy.Task{r.task()}
	if diff := cmp.Diff(want, claim(now.Add(time.Hour))); diff != "" {
		t.Fatal(diff)
	}
	if got := claim(now.Add(time.Hour)); len(got) != 0 {
		t.Fatalf("%v right after it was claimed", got)
	}
	if diff := cmp.Diff(want, claim(now.Add(time.Hour+time.Minute))); diff != "" {
		t.Fatal(diff)
	}
	// A worker that dies is noticed when its lease ends.
	r.take()
	if got := claim(r.at().Add(lease - time.Microsecond)); len(got) != 0 {
		t.Fatalf("%v while it is read", got)
	}
	if diff := cmp.Diff([]busy.Task{r.task()}, claim(r.at().Add(lease))); diff != "" {
		t.Fatal(diff)
	}
}

func TestLag(t *testing.T) {
	r := begin(t)
	r.apply(busy.Page{Change: busy.Change{Unreadable: []busy.Unreadable{{Key: "u", Problem: busy.ProblemUnreadable}}}})
	r.release(busy.Release{Outcome: busy.OutcomeChanged, AsOf: now, DueAt: now.Add(time.Minute)})
	for i := range 3 {
		other := beginIn(t, r.Env, fmt.Sprint("tenant ", i))
		change := busy.Release{Outcome: busy.OutcomeUnchanged, AsOf: now.Add(time.Minute), DueAt: now.Add(3 * time.Minute)}
		switch i {
		case 1:
			change.AsOf = time.Time{}
		case 2:
			change.Connection = busy.ConnectionPaused
		}
		other.release(change)
	}
	lag, err := r.Store.Lag(ctx, now.Add(4*time.Minute))
	must(t, err)
	if lag.Calendars != 3 || lag.Due != 3 || lag.Greatest != 3*time.Minute || lag.Total != 5*time.Minute ||
		lag.Pending != 1 || lag.Oldest != 4*time.Minute || lag.Degraded != 1 {
		t.Fatalf("%+v", lag)
	}
	want := map[busy.ConnectionState]int{busy.ConnectionActive: 3, busy.ConnectionPaused: 1}
	if diff := cmp.Diff(want, lag.States); diff != "" {
		t.Fatal(diff)
	}
}
