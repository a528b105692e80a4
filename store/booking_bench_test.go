package store_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/embedded"
	"github.com/busyd/busyd/store/storetest"
)

// durableServer is one that loses nothing: a booking waits for the disk, as it does
// where it counts.
func durableServer(b *testing.B) *embedded.Postgres {
	b.Helper()
	pg, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: storetest.Dir(b)})
	must(b, err)
	b.Cleanup(func() { must(b, pg.Stop(ctx)) })
	return pg
}

// openOfficeOn opens an office in a new database, and the store as its clients have it.
func openOfficeOn(b *testing.B, pg *embedded.Postgres, database string, resources int) (office, *store.Store) {
	b.Helper()
	must(b, pg.CreateDatabase(ctx, database, ""))
	_, err := store.Migrate(ctx, pg.URL(database))
	must(b, err)
	o := openOfficeIn(b, storetest.Use(b, pg.URL(database), pg.AppURL(database)), "tenant", resources)
	s, err := store.Open(ctx, store.Config{URL: o.AppURL, Keys: o.Keys, MaxConns: clients})
	must(b, err)
	b.Cleanup(s.Close)
	return o, s
}

const clients = 16

// each calls f from so many clients at once until it was called n times.
func each(n int, f func(client, i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				f(client, i-1)
			}
		})
	}
	all.Wait()
}

// BenchmarkBooking has 16 clients book 200 resources, all of it: what was seen is
// compared, the agenda locked, the constraint asked, and the booking, its claim, its
// message and the request's answer are written, behind the tenant's door. In turn
// they INSERT the same four rows, a statement each, in one transaction and one round
// trip, into tables with the same columns and B-trees and without any check: no
// version, lock, security, foreign key or constraint. Both seal what is sealed.
// times-insert is the ratio of the rates; times-one is that to a single INSERT, of
// the booking alone; times-unguarded is that to the very same statements, in a
// database of the same kind, without what keeps bookings apart: the versions, the
// locks and the exclusion constraint.
func BenchmarkBooking(b *testing.B) {
	pg := durableServer(b)
	o, s := openOfficeOn(b, pg, "busyd", 200)
	loose, unguarded := openOfficeOn(b, pg, "unguarded", 200)
	_, err := loose.Owner(b).Exec(ctx, `alter table claims drop constraint claims_overlap`)
	must(b, err)
	plain := plainTables(b, o)
	const batch = 4000
	slots := make(map[busy.ResourceID]int)
	next := func(o office, i int) (busy.Booking, []busy.AgendaVersion) {
		resource := o.resources[i%len(o.resources)]
		start := at(0).Start.Add(time.Duration(slots[resource]) * time.Hour)
		slots[resource]++
		return o.booking(busy.Span{Start: start, End: start.Add(time.Hour)}, resource),
			[]busy.AgendaVersion{{Resource: resource, Version: int64(slots[resource])}}
	}
	// A resource's bookings come one after the other, each on the version before.
	proposals := func(o office) []busy.Proposal {
		all := make([]busy.Proposal, batch)
		for i := range all {
			booking, seen := next(o, i)
			all[i] = busy.Proposal{
				Booking: booking, Seen: seen,
				Messages: []busy.Message{{ID: newID[busy.Message](b), Type: busy.BookingCreated, At: now, Booking: booking.ID}},
				Once:     o.reserve(booking.ID.String()),
			}
			all[i].Once.Answer = &busy.Answer{Status: 201, Body: make([]byte, 500)}
		}
		return all
	}
	run := func(took *durations, all []busy.Proposal, write func(p busy.Proposal)) {
		took.time(func() {
			each(len(o.resources), func(_, r int) {
				for i := r; i < len(all); i += len(o.resources) {
					write(all[i])
				}
			})
		})
	}
	var ours, inserts, one, open durations
	ways := []func(all []busy.Proposal){
		func(all []busy.Proposal) {
			run(&ours, all, func(p busy.Proposal) { must(b, s.Propose(ctx, o.tenant, p)) })
		},
		func(all []busy.Proposal) {
			run(&inserts, all, func(p busy.Proposal) { must(b, plain.insert(s, o.tenant, p, true)) })
		},
		func(all []busy.Proposal) {
			run(&one, all, func(p busy.Proposal) { must(b, plain.insert(s, o.tenant, p, false)) })
		},
	}
	for i := 0; b.Loop(); i++ {
		all, others := proposals(o), proposals(loose)
		run(&open, others, func(p busy.Proposal) { must(b, store.ProposeUnguarded(ctx, unguarded, loose.tenant, p)) })
		for n := range ways {
			ways[(i+n)%len(ways)](all)
			if n < len(ways)-1 {
				_, err := plain.pool.Exec(ctx, `truncate plain.bookings, plain.claims, plain.messages, plain.requests`)
				must(b, err)
			}
		}
		_, err := plain.pool.Exec(ctx, `truncate plain.bookings, plain.claims, plain.messages, plain.requests`)
		must(b, err)
	}
	b.ReportMetric(batch/ours.median()*1e9, "bookings/s")
	b.ReportMetric(inserts.median()/ours.median(), "times-insert")
	b.ReportMetric(one.median()/ours.median(), "times-one")
	b.ReportMetric(open.median()/ours.median(), "times-unguarded")
	b.ReportMetric(0, "ns/op")
}

// plainStore writes without any check.
type plainStore struct{ pool *pgxpool.Pool }

func plainTables(b *testing.B, o office) plainStore {
	b.Helper()
	config, err := pgxpool.ParseConfig(o.OwnerURL)
	must(b, err)
	config.MaxConns = clients
	pool, err := pgxpool.NewWithConfig(ctx, config)
	must(b, err)
	b.Cleanup(pool.Close)
	for _, statement := range []string{
		`create schema plain`,
		`create table plain.bookings (like bookings, primary key (tenant_id, id))`,
		`create table plain.claims (like claims, primary key (tenant_id, booking_id, resource_id))`,
		`create index on plain.claims (tenant_id, resource_id, blocked_from)`,
		`create table plain.messages (like messages including identity including defaults including indexes)`,
		`create table plain.requests (like requests, primary key (tenant_id, key))`,
	} {
		_, err := pool.Exec(ctx, statement)
		must(b, err)
	}
	return plainStore{pool}
}

// insert writes a booking and, with all, what comes with it.
func (p plainStore) insert(s *store.Store, tenant busy.TenantID, w busy.Proposal, all bool) error {
	details, answer, err := store.SealProposal(ctx, s, tenant, w)
	if err != nil {
		return err
	}
	b := w.Booking
	batch := &pgx.Batch{}
	batch.Queue(`
		insert into plain.bookings (tenant_id, id, service_id, starts_at, ends_at, blocked_from, blocked_to, seats, session_id, state,
			details_sealed, version, created_at, changed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $13)`,
		[16]byte(tenant), [16]byte(b.ID), [16]byte(b.Service), b.Span.Start, b.Span.End, b.Blocked.Start, b.Blocked.End, b.Seats,
		[16]byte(b.Session), string(b.State), details, b.CreatedAt, b.ChangedAt)
	if all {
		batch.Queue(`
			insert into plain.claims (tenant_id, booking_id, resource_id, n, service_id, session_id, starts_at, ends_at, blocked_from,
				blocked_to, seats, created_at, live)
			values ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10, $11, true)`,
			[16]byte(tenant), [16]byte(b.ID), [16]byte(b.Resources[0]), [16]byte(b.Service), [16]byte(b.Session), b.Span.Start,
			b.Span.End, b.Blocked.Start, b.Blocked.End, b.Seats, b.CreatedAt)
		m := w.Messages[0]
		batch.Queue(`insert into plain.messages (tenant_id, id, type, at, booking_id) values ($1, $2, $3, $4, $5)`,
			[16]byte(tenant), [16]byte(m.ID), string(m.Type), m.At, [16]byte(b.ID))
		batch.Queue(`
			insert into plain.requests (tenant_id, key, request, taken, taken_at, answer_sealed, booking_id)
			values ($1, $2, $3, $4, $5, $6, $7)`,
			[16]byte(tenant), b.ID[:], w.Once.Request, w.Once.Taken, now, answer, [16]byte(b.ID))
	}
	return p.pool.SendBatch(ctx, batch).Close()
}

// BenchmarkOneHotSlot has 16 clients decide about one resource, nearly always for a
// slot that is taken: they read the agenda, and propose if it is free.
func BenchmarkOneHotSlot(b *testing.B) {
	o, s := openOfficeOn(b, durableServer(b), "busyd", 1)
	var taken, late atomic.Int64
	b.ResetTimer()
	start := time.Now()
	each(b.N, func(_, i int) {
		slot := at(8 + i/1000%1000) // a new one is wanted a thousand times
		agendas, err := s.Agendas(ctx, o.tenant, o.resources, slot)
		must(b, err)
		for _, c := range agendas[0].Claims {
			if c.Blocked.Overlaps(slot) {
				return
			}
		}
		err = s.Propose(ctx, o.tenant, busy.Proposal{Booking: o.booking(slot, o.resources[0]), Seen: versionsOf(agendas)})
		switch {
		case err == nil:
			taken.Add(1)
		case errors.Is(err, busy.ErrChanged):
			late.Add(1)
		default:
			b.Error(err)
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "decisions/s")
	b.ReportMetric(float64(taken.Load()), "bookings")
	b.ReportMetric(float64(late.Load()), "late")
	b.ReportMetric(0, "ns/op")
}
