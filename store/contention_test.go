package store_test

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
)

// Many want the same slot, of two resources that they name in any order: one gets
// it, and nobody waits for a deadlock to be found.
func TestOneOfManyProposalsIsWritten(t *testing.T) {
	o := openOffice(t, 2)
	for round := range 10 {
		var written atomic.Int64
		var all sync.WaitGroup
		begin := make(chan struct{})
		for i := range 20 {
			b := o.booking(at(round), o.resources[i%2], o.resources[1-i%2])
			p := o.proposal(b)
			all.Go(func() {
				<-begin
				err := o.Store.Propose(ctx, o.tenant, p)
				switch {
				case err == nil:
					written.Add(1)
				case !errors.Is(err, busy.ErrChanged):
					t.Error(err)
				}
			})
		}
		close(begin)
		all.Wait()
		if n := written.Load(); n != 1 {
			t.Fatalf("%d proposals were written", n)
		}
	}
	o.expectNoDeadlock()
	o.expectWhole()
}

func (o office) expectNoDeadlock() {
	o.t.Helper()
	if n := query(o.t, o.Owner(o.t), `select deadlocks::text from pg_stat_database where datname = current_database()`)[0]; n != "0" {
		o.t.Errorf("%s deadlocks", n)
	}
}

// expectWhole checks, from the rows alone, what must be so of bookings and claims.
func (o office) expectWhole() {
	o.t.Helper()
	for what, sql := range map[string]string{
		"live claims of two sessions overlap": `
			select a.booking_id::text from claims a join claims b on a.tenant_id = b.tenant_id and a.resource_id = b.resource_id
			where a.live and b.live and a.session_id <> b.session_id and a.blocked_from < b.blocked_to and b.blocked_from < a.blocked_to`,
		"a claim is not as its booking, or live without it": `
			select c.booking_id::text from claims c left join bookings b on b.tenant_id = c.tenant_id and b.id = c.booking_id
			where b.id is null or c.live and (b.state not in ('held', 'pending', 'confirmed') or
				(b.starts_at, b.ends_at, b.blocked_from, b.blocked_to, b.session_id, b.service_id, b.seats, b.expires_at)
				is distinct from (c.starts_at, c.ends_at, c.blocked_from, c.blocked_to, c.session_id, c.service_id, c.seats, c.expires_at))`,
		"a booking has neither its old nor its new time": `
			select b.id::text from bookings b where state in ('held', 'pending', 'confirmed') and not exists (
				select from claims c where c.tenant_id = b.tenant_id and c.booking_id = b.id and c.live)`,
		"a claim or a booking is of a stranger": `
			select c.booking_id::text from claims c where not exists (
				select from resources r where r.tenant_id = c.tenant_id and r.id = c.resource_id)
			union all select b.id::text from bookings b where not exists (
				select from services s where s.tenant_id = b.tenant_id and s.id = b.service_id)`,
	} {
		if rows := query(o.t, o.Owner(o.t), sql); len(rows) > 0 {
			o.t.Errorf("%s: %v", what, rows)
		}
	}
}

// Bookings are made, moved between resources, cancelled, held and expired at once,
// by proposals and decisions. Nobody sees one in two places or in none.
func TestBookingsAreMovedWhileOthersBook(t *testing.T) {
	o := openOffice(t, 3)
	moving := o.book(o.booking(at(0), o.resources[0]))
	var over atomic.Bool
	var watcher, writers sync.WaitGroup
	watcher.Go(func() {
		for !over.Load() {
			claimed := 0
			agendas, err := o.Store.Agendas(ctx, o.tenant, o.resources, window)
			if err != nil {
				t.Error(err)
				return
			}
			for _, a := range agendas {
				for _, c := range a.Claims {
					if c.Booking == moving.ID {
						claimed++
					}
				}
			}
			if claimed != 1 {
				t.Errorf("the booking is in %d places", claimed)
				return
			}
		}
	})
	var done atomic.Int64
	for w := range 6 {
		random := rand.New(rand.NewPCG(1, uint64(w)))
		writers.Go(func() {
			for range 60 {
				ok, err := o.act(random, moving.ID)
				if err != nil {
					t.Error(err)
					return
				}
				if ok {
					done.Add(1)
				}
			}
		})
	}
	writers.Wait()
	over.Store(true)
	watcher.Wait()
	if done.Load() < 20 {
		t.Errorf("%d of 360 acts succeeded: the test proves little", done.Load())
	}
	o.expectNoDeadlock()
	o.expectWhole()
}

// act moves the booking, or makes another one, to a random hour and resource, if it is free
// there.
func (o office) act(random *rand.Rand, moving busy.BookingID) (bool, error) {
	to, span := o.resources[random.IntN(3)], at(random.IntN(24))
	b := o.booking(span, to)
	if random.IntN(2) == 0 {
		b.State, b.ExpiresAt, b.Owner = busy.BookingHeld, now.Add(time.Minute), make([]byte, 32)
		b.ChangedAt = now.Add(time.Duration(random.IntN(2)) * time.Hour)
		b.ExpiresAt = b.ChangedAt.Add(time.Minute)
	}
	var from []busy.ResourceID // where it is
	if random.IntN(3) == 0 {
		was, err := o.Store.Booking(ctx, o.tenant, moving)
		if err != nil {
			return false, err
		}
		b = was
		if from = was.Resources; from[0] == to {
			from = nil
		}
		b.Resources, b.Span, b.Blocked = []busy.ResourceID{to}, span, span
	}
	resources := append([]busy.ResourceID{to}, from...)
	decide := func(agendas []busy.Agenda) (busy.Proposal, error) {
		for _, c := range agendas[0].Claims {
			expired := !c.ExpiresAt.IsZero() && !b.ChangedAt.Before(c.ExpiresAt)
			if c.Booking != b.ID && !expired && c.Blocked.Overlaps(b.Blocked) {
				return busy.Proposal{}, busy.ErrExists
			}
		}
		return busy.Proposal{Booking: b, Was: b.Version, Seen: versionsOf(agendas), Expired: true}, nil
	}
	var err error
	if random.IntN(2) == 0 {
		err = o.Store.Decide(ctx, o.tenant, resources, window, decide)
	} else {
		var agendas []busy.Agenda
		if agendas, err = o.Store.Agendas(ctx, o.tenant, resources, window); err != nil {
			return false, err
		}
		var p busy.Proposal
		if p, err = decide(agendas); err == nil {
			err = o.Store.Propose(ctx, o.tenant, p)
		}
	}
	if errors.Is(err, busy.ErrExists) || errors.Is(err, busy.ErrChanged) {
		return false, nil
	}
	return err == nil, err
}

func TestAProposalIsOneRoundTrip(t *testing.T) {
	o := openOffice(t, 3)
	var count atomic.Int64
	s, err := store.OpenTuned(ctx, store.Config{URL: o.AppURL, Keys: o.Keys, MaxConns: 1}, func(c *pgxpool.Config) { countTrips(c, &count) })
	must(t, err)
	defer s.Close()
	trips := func(p busy.Proposal) int64 {
		t.Helper()
		for i := range p.Seen { // others were written since
			p.Seen[i].Version = o.versions(p.Seen[i].Resource)[0].Version
		}
		before := count.Load()
		must(t, s.Propose(ctx, o.tenant, p))
		return count.Load() - before
	}
	full := func(hour int, resources ...busy.ResourceID) busy.Proposal {
		p := o.proposal(o.booking(at(hour), resources...))
		p.Once = o.reserve(at(hour).Start.String() + p.Booking.ID.String())
		p.Once.Answer = &busy.Answer{Status: 201}
		return p
	}
	moved := func(b busy.Booking, hour int) busy.Proposal {
		b = o.stored(b.ID)
		b.Span, b.Blocked = at(hour), at(hour)
		return o.proposal(b)
	}
	first, second := full(8, o.resources[0]), full(9, o.resources...)
	trips(first) // prepares the statements
	trips(second)
	trips(moved(first.Booking, 10))
	for name, p := range map[string]busy.Proposal{
		"one resource": full(11, o.resources[0]), "several": full(12, o.resources[1:]...), "a move": moved(second.Booking, 13),
	} {
		if got := trips(p); got != 1 {
			t.Errorf("%s: %d round trips, want 1", name, got)
		}
	}
	before := count.Load()
	_, _, err = s.Reserve(ctx, o.tenant, once("prepare", "request"), now)
	must(t, err)
	prepared := count.Load()
	_, _, err = s.Reserve(ctx, o.tenant, once("count", "request"), now)
	must(t, err)
	if got := count.Load() - prepared; got != 1 || prepared == before {
		t.Errorf("%d round trips to reserve a request, want 1", got)
	}
}

// A tenant with many resources and bookings: what is locked, read and expired is
// found by its keys.
func TestBookingReadsNoMoreThanItNeeds(t *testing.T) {
	o := openOffice(t, 300)
	other := openOfficeIn(t, o.Env, "other", 300)
	conn := o.Owner(t)
	for _, of := range []office{o, other} {
		_, err := conn.Exec(ctx, `
			with made as (
				insert into bookings (tenant_id, id, service_id, starts_at, ends_at, blocked_from, blocked_to, seats, session_id, state,
					version, created_at, changed_at)
				select $1::text::uuid, gen_random_uuid(), $2::text::uuid, s, s + interval '1 hour', s, s + interval '1 hour', 1,
					gen_random_uuid(), 'confirmed', 1, s, s
				from generate_series(1, 30000) n, lateral (select $3::timestamptz + n / 300 * interval '1 day' as s) x returning *
			)
			insert into claims (tenant_id, booking_id, resource_id, n, service_id, session_id, starts_at, ends_at, blocked_from,
				blocked_to, seats, created_at, live)
			select m.tenant_id, m.id, r.id, 1, service_id, session_id, starts_at, ends_at, blocked_from, blocked_to, 1, created_at, true
			from (select *, row_number() over (partition by starts_at) as n from made) m
			join (select id, row_number() over () as n from resources where tenant_id = $1::text::uuid) r on r.n = m.n`,
			of.tenant.String(), of.service.ID.String(), now)
		must(t, err)
		_, err = conn.Exec(ctx, `
			insert into overrides (tenant_id, id, resource_id, first_date, last_date, closed, hours, zone)
			select tenant_id, gen_random_uuid(), id, $2::timestamptz::date + n, $2::timestamptz::date + n, true, '', ''
			from resources, generate_series(1, 30) n where tenant_id = $1::text::uuid`, of.tenant.String(), now)
		must(t, err)
	}
	b, err := o.Store.Bookings(ctx, o.tenant, busy.BookingFilter{Limit: 1})
	must(t, err)
	_, err = conn.Exec(ctx, `analyze`)
	must(t, err)
	ids := [][16]byte{o.resources[5], o.resources[7]}
	me := [16]byte(o.tenant)
	grows := []string{"claims", "bookings", "resources", "overrides"}
	keyed := regexp.MustCompile(`\b(resource_id|booking_id|id) =`)
	for name, q := range map[string]struct {
		sql  string
		args []any
	}{
		"the claims of agendas":  {store.AgendaClaims, []any{me, ids, now, now.AddDate(0, 0, 7), now.AddDate(0, 0, 20)}},
		"overrides of agendas":   {store.AgendaOverrides, []any{me, ids, now, now.AddDate(0, 0, 7)}},
		"agendas that were seen": {store.BumpSeen, []any{me, ids, []int64{1, 1}, [16]byte(b[0].ID), 1}},
		"holds that expire":      {store.ExpireHoldsQuery, []any{me, ids, now}},
		"collisions": {
			store.CollisionQuery,
			[]any{me, ids[0], now, now.AddDate(0, 0, -7), now, now.AddDate(0, 0, 7)},
		},
		"a booking's conflicts": {store.ResolveConflicts, []any{me, [16]byte(b[0].ID), now}},
	} {
		plan, text := explain(t, o.Env, o.tenant, q.sql, q.args...)
		reads := 0
		plan.walk(func(n node) {
			if !slices.Contains(grows, n.Relation) || n.Type == "ModifyTable" {
				return
			}
			reads++
			late := n.Index == "claims_expired" || n.Index == "claims_expiring" // no more are in these than the sweep is late
			if !late && !keyed.MatchString(n.IndexCond) {                       // nor has a bitmap's heap scan a condition
				t.Errorf("%s: %s of %s by %q\n%s", name, n.Type, n.Relation, n.IndexCond, text)
			}
		})
		if reads == 0 {
			t.Errorf("%s: nothing that grows is read\n%s", name, text)
		}
	}
}
