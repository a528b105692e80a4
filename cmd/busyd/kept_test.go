package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/busyd/busyd/store/seal"
)

// query runs f as a superuser.
func (j *journey) query(f func(*pgx.Conn) error) {
	j.t.Helper()
	conn, err := pgx.Connect(j.t.Context(), j.postgres.URL("canary"))
	if err != nil {
		j.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := f(conn); err != nil {
		j.t.Fatal(err)
	}
}

// kept keeps what the database and Redis hold at the moment.
func (j *journey) kept(when string) {
	j.t.Helper()
	j.keptInRedis(when)
	j.query(func(conn *pgx.Conn) error {
		rows, err := conn.Query(j.t.Context(), `
			select format('%I.%I', n.nspname, c.relname), coalesce(array_agg(quote_ident(a.attname)) filter (where a.atttypid = 'bytea'::regtype), '{}')
			from pg_class c join pg_namespace n on n.oid = c.relnamespace
				join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
			where c.relkind in ('r', 'p', 'm', 'v') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
			group by 1`)
		if err != nil {
			return err
		}
		type table struct {
			Name  string
			Bytes []string
		}
		tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
		if err != nil {
			return err
		}
		if len(tables) < 8 {
			j.t.Errorf("there are %d tables", len(tables))
		}
		for _, t := range tables {
			j.keepTable(conn, when, fmt.Sprintf(`select t::text from %s t`, t.Name))
			for _, column := range t.Bytes {
				j.keepTable(conn, when, fmt.Sprintf(`select %s from %s`, column, t.Name))
			}
		}
		return nil
	})
}

func (j *journey) keepTable(conn *pgx.Conn, when, query string) {
	j.t.Helper()
	rows, err := conn.Query(j.t.Context(), query, pgx.QueryExecModeExec)
	if err != nil {
		j.t.Fatal(err)
	}
	var all bytes.Buffer
	for rows.Next() {
		all.Write(rows.RawValues()[0])
		all.WriteByte('\n')
	}
	if err := rows.Err(); err != nil {
		j.t.Fatal(err)
	}
	j.trail.add(query+", "+when, all.Bytes())
}

// opened keeps what is sealed of events: a subject may be there, and no more.
func (j *journey) opened() {
	j.t.Helper()
	key, err := seal.ParseKey(j.masterKey())
	if err != nil {
		j.t.Fatal(err)
	}
	type event struct {
		Tenant            [16]byte
		DEK, KEK, Wrapped []byte
		ID                int64
		Subject           []byte
	}
	var events []event
	j.query(func(conn *pgx.Conn) error {
		rows, err := conn.Query(j.t.Context(), `
			select tenant_id, dek_id, kek_id, wrapped, id, subject_sealed
			from events join tenant_keys using (tenant_id) where subject_sealed is not null`)
		if err != nil {
			return err
		}
		events, err = pgx.CollectRows(rows, pgx.RowToStructByPos[event])
		return err
	})
	var all bytes.Buffer
	for _, e := range events {
		box, err := seal.NewKeyring(key).Box(rand.Reader, e.Tenant, seal.Wrapped{
			DEK: seal.KeyID(e.DEK), KEK: seal.KeyID(e.KEK), Sealed: e.Wrapped,
		})
		if err != nil {
			j.t.Fatal(err)
		}
		text, err := box.Open("events.subject", string(binary.BigEndian.AppendUint64(nil, uint64(e.ID))), e.Subject)
		if err != nil {
			j.t.Fatal(err)
		}
		all.WriteString(string(text) + "\n")
	}
	j.trail.add("the opened subjects", all.Bytes())
}

func (j *journey) redisOptions() *redis.Options {
	options, err := redis.ParseURL(string(j.redis.URL()))
	if err != nil {
		j.t.Fatal(err)
	}
	return options
}

// watchRedis keeps every command that Redis is sent, by whomever.
func (j *journey) watchRedis() {
	conn, err := new(net.Dialer).DialContext(j.t.Context(), "tcp", j.redisOptions().Addr)
	if err != nil {
		j.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "MONITOR\r\n"); err != nil {
		j.t.Fatal(err)
	}
	j.lines.Go(func() {
		all, _ := io.ReadAll(conn) // until the server is killed
		j.trail.add("what Redis was sent", all)
		if !bytes.Contains(all, []byte("sync.1")) {
			j.t.Error("Redis was sent no task")
		}
	})
}

// keptInRedis keeps every key with its content, and the file that Redis saves.
func (j *journey) keptInRedis(when string) {
	j.t.Helper()
	ctx := j.t.Context()
	client := redis.NewClient(j.redisOptions())
	defer func() { _ = client.Close() }()
	if err := client.ConfigSet(ctx, "rdbcompression", "no").Err(); err != nil {
		j.t.Fatal(err)
	}
	var all bytes.Buffer
	keys := client.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		all.WriteString(keys.Val() + "\n" + client.Dump(ctx, keys.Val()).Val() + "\n")
	}
	directory, err := client.ConfigGet(ctx, "dir").Result()
	if err := errors.Join(keys.Err(), err, client.Save(ctx).Err()); err != nil {
		j.t.Fatal(err)
	}
	if all.Len() == 0 {
		j.t.Errorf("Redis is empty %s", when)
	}
	j.trail.add("the keys of Redis "+when, all.Bytes())
	j.trail.addFiles("Redis's file "+when, directory["dir"])
}

// close ends everything and keeps what is left on disk: tables, indexes, the
// write-ahead log with all that was ever written, and the log of statements.
func (j *journey) close() {
	if code := j.process.stop(); code != exitOK {
		j.t.Errorf("exit code %d", code)
	}
	j.redis.Kill()
	j.lines.Wait()
	if err := j.postgres.Stop(context.Background()); err != nil {
		j.t.Fatal(err)
	}
	j.trail.addFiles("PostgreSQL's file", j.dir)
	// That the files hold what is no secret proves that they are the right ones.
	j.trail.mustHold("PostgreSQL's file /data/base", "Europe/Berlin")
	j.trail.mustHold("PostgreSQL's file /data/pg_wal", "Europe/Berlin")
	j.trail.mustHold("PostgreSQL's file /postgres.log", "DETAIL:  parameters: $1 = ")
	j.trail.mustHold("the keys of Redis while a calendar is read", "sync.1")
	j.trail.mustHold("Redis's file while a calendar is read", "sync.1")
	j.trail.mustHold("GET /metrics", "busyd_runs_total")
	j.trail.mustHold("GET /week", "Europe/Berlin")
}
