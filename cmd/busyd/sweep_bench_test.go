package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/queue/redistest"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/embedded"
	"github.com/busyd/busyd/store/seal"
)

// BenchmarkSweep claims due calendars in Postgres and enqueues them in Redis, a
// batch an operation, out of a million that are due, of a thousand tenants. Both
// servers are real; Postgres keeps its promises about durability.
func BenchmarkSweep(b *testing.B) {
	ctx := b.Context()
	url := millionDue(b)
	st, err := store.Open(ctx, store.Config{URL: url, Keys: seal.NewKeyring(seal.MasterKey{1})})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	r, err := queue.Open(redistest.Start(b).URL())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	client := queue.NewClient(r, time.Now)

	calendars := 0
	for b.Loop() {
		tasks, err := st.ClaimDue(ctx, time.Now(), queue.Batch, time.Hour)
		if err != nil {
			b.Fatal(err)
		}
		if err := client.Enqueue(ctx, tasks); err != nil {
			b.Fatal(err)
		}
		calendars += len(tasks)
	}
	if calendars != b.N*queue.Batch {
		b.Fatalf("%d batches brought %d calendars", b.N, calendars)
	}
	b.ReportMetric(float64(calendars)/b.Elapsed().Seconds(), "calendars/s")
}

// millionDue returns the application's URL of a database with a million due
// calendars.
func millionDue(b *testing.B) (url string) {
	b.Helper()
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "busyd-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	server, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: filepath.Join(dir, "pg")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Stop(ctx) })
	if err := server.CreateDatabase(ctx, "bench", ""); err != nil {
		b.Fatal(err)
	}
	if _, err := store.Migrate(ctx, server.URL("bench")); err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, server.URL("bench"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range []string{
		`insert into tenants (id, name, created_at)
			select gen_random_uuid(), 'tenant ' || i, now() from generate_series(1, 1000) i`,
		`insert into resources (tenant_id, id, name, zone, hours)
			select id, gen_random_uuid(), 'resource', 'UTC', 'always' from tenants`,
		`insert into connections (tenant_id, id, resource_id, kind, state, grant_sealed, created_at, changed_at)
			select tenant_id, gen_random_uuid(), id, 'caldav', 'active', '', now(), now() from resources`,
		`insert into calendars (tenant_id, id, connection_id, resource_id, remote_hash, remote_sealed, name_sealed, zone, selected, due_at)
			select tenant_id, gen_random_uuid(), id, resource_id, decode(md5(i || id::text), 'hex'), '', '', '', true,
				now() - random() * interval '1 hour'
			from connections, generate_series(1, 1000) i`,
		`vacuum analyze`,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			b.Fatal(err)
		}
	}
	return server.AppURL("bench")
}
