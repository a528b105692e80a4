package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
)

func (p post) listen(after busy.Mark) (types []string, last busy.Mark) {
	p.t.Helper()
	heard, err := p.Store.Listen(ctx, p.tenant, after, 100)
	must(p.t, err)
	last = after
	for _, h := range heard {
		types, last = append(types, string(h.Message.Type)), h.Mark
	}
	return types, last
}

// Whoever goes on from the last mark misses nothing, though a transaction that drew
// a lower number commits later.
func TestListenersMissNothing(t *testing.T) {
	env := storetest.New(t)
	p, other := newPost(t, env, "tenant"), newPost(t, env, "other")
	mark, err := p.Store.Present(ctx, p.tenant)
	must(t, err)

	slow, err := pgx.Connect(ctx, env.OwnerURL)
	must(t, err)
	defer func() { _ = slow.Close(ctx) }()
	begun, err := slow.Begin(ctx)
	must(t, err)
	_, err = begun.Exec(ctx, `
		insert into messages (tenant_id, id, type, at) values ($1, gen_random_uuid(), 'hold.expired', $2)`, p.tenant.String(), now)
	must(t, err)
	p.tell(busy.BookingCreated, 0) // a greater number, and committed
	other.tell(busy.BookingWasCancelled, 0)
	heard, mark := p.listen(mark)
	if len(heard) > 0 {
		t.Fatalf("heard %v, of which something before may still come", heard)
	}
	must(t, begun.Commit(ctx))
	heard, mark = p.listen(mark)
	if diff := cmp.Diff([]string{"hold.expired", "booking.created"}, heard); diff != "" {
		t.Fatalf("heard (-want +got):\n%s", diff)
	}
	p.tell(busy.BookingRescheduled, 0)
	if heard, _ = p.listen(mark); !cmp.Equal(heard, []string{"booking.rescheduled"}) {
		t.Fatalf("heard %v", heard)
	}
}

func TestAMarkThatIsKept(t *testing.T) {
	p := newPost(t, storetest.New(t), "tenant")
	kept := func(m busy.Mark) bool {
		t.Helper()
		kept, err := p.Store.Kept(ctx, p.tenant, m)
		must(t, err)
		return kept
	}
	p.tell(busy.BookingCreated, 0)
	_, first := p.listen(busy.Mark{})
	p.tell(busy.BookingWasCancelled, 0)
	_, second := p.listen(first)
	if !kept(first) || !kept(second) {
		t.Fatal("a mark that is kept is not")
	}
	if kept(busy.Mark{Transaction: first.Transaction - 1}) {
		t.Error("nothing is known of what was before the first message, and yet it is kept")
	}
	if kept(busy.Mark{Transaction: 1 << 60}) {
		t.Error("a mark of another database is kept")
	}
	_, err := p.Owner(t).Exec(ctx, `delete from messages where seq = $1`, first.Seq)
	must(t, err)
	if kept(first) || !kept(second) {
		t.Error("the first message is purged: its mark is not kept, the second one's is")
	}
}

// A listener finds its place in the index, behind row-level security too.
func TestListeningUsesTheIndex(t *testing.T) {
	env := storetest.New(t)
	p := newPost(t, env, "tenant")
	conn := env.Owner(t)
	_, err := conn.Exec(ctx, `
		insert into messages (tenant_id, id, type, at, transaction)
		select $1, gen_random_uuid(), 'booking.created', $2, n::text::xid8 from generate_series(1, 100000) n`, p.tenant.String(), now)
	must(t, err)
	_, err = conn.Exec(ctx, `vacuum analyze messages`)
	must(t, err)
	plan, text := explain(t, env, p.tenant, store.ListenQuery, p.tenant.String(), "99990", int64(0), 100)
	plan.walk(func(n node) {
		if n.Relation == "messages" && (n.Index != "messages_marks" || !strings.Contains(n.IndexCond, "ROW(transaction, seq) > ") || n.Removed > 100) {
			t.Errorf("the plan is\n%s", text)
		}
	})
}

// What becomes of a connection is told in the transaction in which it does.
func TestConnectionsTellOfThemselves(t *testing.T) {
	r := begin(t)
	told := func() []string {
		t.Helper()
		heard, err := r.Store.Listen(ctx, r.tenant.ID, busy.Mark{}, 100)
		must(t, err)
		var types []string
		for _, h := range heard {
			if h.Message.Connection.IsZero() {
				continue
			}
			if h.Message.Connection != r.calendar.Connection || h.Message.Resource != r.resource.ID {
				t.Fatalf("told of another connection or resource: %+v", h.Message)
			}
			types = append(types, string(h.Message.Type))
		}
		return types
	}
	must(t, r.Store.Release(ctx, r.work.Lease, busy.Release{
		Outcome: busy.OutcomeUnauthorized, Connection: busy.ConnectionNeedsReconnect, Reason: "invalid_grant", DueAt: now.Add(time.Hour),
	}))
	want := []string{"connection.needs_reconnect"}
	if diff := cmp.Diff(want, told()); diff != "" {
		t.Fatalf("told (-want +got):\n%s", diff)
	}
	awaitAdmin(t, r.Store, r.tenant.ID, busy.Consent{Connection: r.calendar.Connection}, "", now) // told already
	must(t, r.Store.ReplaceGrant(ctx, r.tenant.ID, r.calendar.Connection, busy.Secret("new"), nil, now))
	must(t, r.Store.Pause(ctx, r.tenant.ID, r.calendar.Connection, now))
	must(t, r.Store.Resume(ctx, r.tenant.ID, r.calendar.Connection, now))
	want = append(want, "connection.recovered")
	if diff := cmp.Diff(want, told()); diff != "" {
		t.Fatalf("told (-want +got):\n%s", diff)
	}
}
