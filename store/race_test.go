package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
)

// Whatever ends the lease while a page is being computed, the page is not written.
func TestALeaseThatIsLostWhileAPageIsComputed(t *testing.T) {
	for name, lose := range map[string]func(*run) error{
		"taken over": func(r *run) error {
			_, err := r.Store.Take(ctx, r.task(), r.at().Add(lease), lease)
			return err
		},
		"deselected": func(r *run) error { return r.Store.Select(ctx, r.tenant.ID, r.calendar.ID, false, now) },
		"deselected and selected": func(r *run) error {
			must(r.t, r.Store.Select(ctx, r.tenant.ID, r.calendar.ID, false, now))
			return r.Store.Select(ctx, r.tenant.ID, r.calendar.ID, true, now)
		},
		"disconnected": func(r *run) error {
			return r.Store.Disconnect(ctx, r.tenant.ID, r.calendar.Connection, false, now)
		},
		"reconnected": func(r *run) error {
			return r.Store.ReplaceGrant(ctx, r.tenant.ID, r.calendar.Connection, busy.Secret("new"), nil, now)
		},
		"released": func(r *run) error {
			return r.Store.Release(ctx, r.work.Lease, busy.Release{Outcome: busy.OutcomeUnchanged, DueAt: now})
		},
		"erased": func(r *run) error { _, err := r.Store.DeleteTenant(ctx, r.tenant.ID); return err },
	} {
		t.Run(name, func(t *testing.T) {
			r := begin(t)
			r.apply(change(meeting("a", 10)))
			var after string
			p := change(meeting("a", 11), meeting("b", 12))
			p.Window, p.Cursor = window, []byte("late")
			_, err := r.Store.Apply(ctx, r.work.Lease, p, func(ctx context.Context, events []busy.Event) ([]busy.Occurrence, error) {
				if after == "" {
					must(t, lose(r))
					after = dump(t, r.Owner(t))
				}
				return r.expand(ctx, events)
			})
			expect(t, err, busy.ErrFenced)
			if got := dump(t, r.Owner(t)); got != after {
				t.Fatal("the page was written")
			}
			if n := r.orphans(); n != 0 {
				t.Fatalf("%d orphans", n)
			}
		})
	}
}

// A page that is being written ends before its calendar's connection does, and
// nothing of it survives.
func TestAPageThatIsBeingWrittenWhileItsConnectionEnds(t *testing.T) {
	r := begin(t)
	written, fenced := 0, 0
	for n := 0; written < 5 || fenced < 5; n++ {
		if n == 400 {
			t.Fatalf("%d written and %d fenced of %d", written, fenced, n)
		}
		connection, calendars := r.Connection(t, r.tenant.ID, r.resource.ID, "another")
		other := *r
		other.calendar = calendars[0]
		other.take()
		ended := make(chan error, 1)
		end := sync.OnceFunc(func() {
			go func() { ended <- r.Store.Disconnect(ctx, r.tenant.ID, connection.ID, false, now) }()
		})
		if n%2 == 0 {
			end()
		}
		p := change(singles(200)...)
		p.Window, p.Zone = window, "UTC"
		_, err := r.Store.Apply(ctx, other.work.Lease, p, func(ctx context.Context, events []busy.Event) ([]busy.Occurrence, error) {
			end()
			return other.expand(ctx, events)
		})
		must(t, <-ended)
		if err == nil {
			written++
		} else {
			expect(t, err, busy.ErrFenced)
			fenced++
		}
		if n := r.count("events") + r.count("blocks"); n != 0 {
			t.Fatalf("%d rows are left", n)
		}
	}
}

// What a connection of the pool was told of one tenant ends with the transaction.
func TestTheDoorClosesBehindTheTransaction(t *testing.T) {
	env := storetest.New(t)
	s, err := store.Open(ctx, store.Config{URL: env.AppURL, Keys: env.Keys, MaxConns: 1})
	must(t, err)
	defer s.Close()
	tenant, resource, calendar := env.Calendar(t, "tenant")
	var work busy.Work
	for _, used := range []struct {
		name string
		use  func() error
	}{
		{"In", func() error { _, err := s.Resources(ctx, tenant.ID); return err }},
		{"Agendas", func() error { _, err := s.Agendas(ctx, tenant.ID, []busy.ResourceID{resource.ID}, window); return err }},
		{"Take", func() (err error) {
			work, err = s.Take(ctx, busy.Task{Tenant: tenant.ID, Calendar: calendar.ID}, now, lease)
			return err
		}},
		{"Renew", func() error { return s.Renew(ctx, work.Lease, now, lease) }},
	} {
		must(t, used.use())
		var n int
		must(t, store.Pool(s).QueryRow(ctx, `select count(*) from resources`).Scan(&n))
		if n != 0 {
			t.Fatalf("after %s the next statement sees the tenant's rows", used.name)
		}
	}
}

// An answer is of one moment: a calendar that is deselected while it is read is
// either in it, with its blocks, or not.
func TestAgendasAreOfOneMoment(t *testing.T) {
	r := begin(t)
	r.apply(change(meeting("a", 10)))
	s, err := store.Open(ctx, store.Config{URL: r.AppURL, Keys: r.Keys, MaxConns: 1})
	must(t, err)
	defer s.Close()
	_, err = s.Agendas(ctx, r.tenant.ID, []busy.ResourceID{r.resource.ID}, window) // prepares the statements
	must(t, err)
	conn, watcher := r.Owner(t), r.Owner(t)
	tx, err := conn.Begin(ctx)
	must(t, err)
	_, err = tx.Exec(ctx, `lock table weeks in access exclusive mode`)
	must(t, err)
	type answer struct {
		agendas []busy.Agenda
		err     error
	}
	done := make(chan answer, 1)
	go func() {
		agendas, err := s.Agendas(ctx, r.tenant.ID, []busy.ResourceID{r.resource.ID}, window)
		done <- answer{agendas, err}
	}()
	awaitLock(t, watcher)
	_, err = tx.Exec(ctx, `update calendars set selected = false, due_at = null`)
	must(t, err)
	_, err = tx.Exec(ctx, `delete from weeks`)
	must(t, err)
	must(t, tx.Commit(ctx))
	got := <-done
	must(t, got.err)
	if a := got.agendas[0]; len(a.Calendars) != 1 || len(a.Blocks) != 1 {
		t.Fatalf("%d calendars with %d blocks", len(a.Calendars), len(a.Blocks))
	}
}

// awaitLock returns when somebody in the database waits for a lock.
func awaitLock(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		var waiting bool
		must(t, conn.QueryRow(ctx, `
			select exists (select from pg_locks l join pg_database d on d.oid = l.database
				where d.datname = current_database() and not l.granted)`).Scan(&waiting))
		if waiting {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for the lock")
		}
	}
}
