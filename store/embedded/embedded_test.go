//go:build unix

package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/busyd/busyd/store/embedded"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// directory is one that PostgreSQL's user may enter, unlike that of the testing
// package.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "busyd-embedded-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "made", "on", "the", "way")
}

func start(t *testing.T, dir string) *embedded.Postgres {
	t.Helper()
	pg, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: dir, Volatile: true})
	must(t, err)
	return pg
}

func ask(t *testing.T, url, query string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(ctx, url)
	must(t, err)
	defer func() { _ = conn.Close(ctx) }()
	must(t, conn.QueryRow(ctx, query).Scan(&answer))
	return answer
}

func TestPostgresKeepsItsData(t *testing.T) {
	dir := directory(t)
	pg := start(t, dir)
	must(t, pg.CreateDatabase(ctx, "first", ""))
	conn, err := pgx.Connect(ctx, pg.URL("first"))
	must(t, err)
	_, err = conn.Exec(ctx, `create table t as select 'kept'::text as x`)
	must(t, err)
	must(t, conn.Close(ctx))
	must(t, pg.CreateDatabase(ctx, "copy", "first"))
	must(t, pg.Stop(ctx))
	<-pg.Done()

	pg = start(t, dir)
	if got := ask(t, pg.URL("copy"), `select x from t`); got != "kept" {
		t.Fatal(got)
	}
	pg.Kill()
	pg = start(t, dir)
	if got := ask(t, pg.URL("first"), `select x from t`); got != "kept" {
		t.Fatal(got)
	}
	must(t, embedded.DropDatabase(ctx, pg.URL("postgres"), "copy"))
	must(t, embedded.DropDatabase(ctx, pg.URL("postgres"), "copy"))
	must(t, pg.Stop(ctx))
}

func TestPostgresLoginOwnsNothing(t *testing.T) {
	pg := start(t, directory(t))
	defer func() { must(t, pg.Stop(ctx)) }()
	if got := ask(t, pg.URL("postgres"), `select rolsuper::text from pg_roles where rolname = current_user`); got != "true" {
		t.Fatalf("the owner is a superuser: %s", got)
	}
	got := ask(t, pg.AppURL("postgres"), `
		select concat_ws(' ', rolsuper, rolbypassrls, rolcreaterole, rolcreatedb) || ' ' ||
			(select string_agg(r.rolname, ',' order by r.rolname) from pg_auth_members m join pg_roles r on r.oid = m.roleid where m.member = u.oid)
		from pg_roles u where rolname = current_user`)
	if want := "f f f f " + strings.Join(sorted(embedded.Roles()), ","); got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	if got := ask(t, pg.URL("postgres"), `select current_setting('listen_addresses')`); got != "" {
		t.Fatalf("it listens on %q", got)
	}
	socket := ask(t, pg.URL("postgres"), `select current_setting('unix_socket_directories')`)
	info, err := os.Stat(socket)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Fatalf("others may enter the socket's directory: %s", info.Mode())
	}
}

func sorted(roles []string) []string { return []string{roles[0], roles[2], roles[1]} }

func TestPostgresRefusesASecondStart(t *testing.T) {
	dir := directory(t)
	pg := start(t, dir)
	defer func() { must(t, pg.Stop(ctx)) }()
	_, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("error %v", err)
	}
	ask(t, pg.URL("postgres"), `select 'still there'`)
}

func TestPostgresInADirectoryWithALongName(t *testing.T) {
	dir := filepath.Join(directory(t), strings.Repeat("long", 30))
	pg := start(t, dir)
	socket := ask(t, pg.URL("postgres"), `select current_setting('unix_socket_directories')`)
	must(t, pg.Stop(ctx))
	if _, err := os.Stat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the socket's directory is left: %v", err)
	}
}

func TestPostgresExplains(t *testing.T) {
	t.Run("no binaries", func(t *testing.T) {
		t.Setenv(embedded.BinEnv, t.TempDir())
		_, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: directory(t)})
		if err == nil || !strings.Contains(err.Error(), embedded.BinEnv) {
			t.Fatalf("error %v", err)
		}
	})
	t.Run("another version's data", func(t *testing.T) {
		dir := directory(t)
		must(t, os.MkdirAll(filepath.Join(dir, "data"), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9.6\n"), 0o644))
		_, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), "9.6") || !strings.Contains(err.Error(), embedded.BinEnv) {
			t.Fatalf("error %v", err)
		}
	})
	t.Run("a setting that there is not", func(t *testing.T) {
		_, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{
			Dir: directory(t), Volatile: true, Settings: map[string]string{"no_such_setting": "1"},
		})
		if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
			t.Fatalf("error %v", err)
		}
	})
	t.Run("a start that is cut short", func(t *testing.T) {
		dir := directory(t)
		cut, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := embedded.StartPostgres(cut, embedded.PostgresConfig{Dir: dir, Volatile: true}); err == nil {
			t.Fatal("no error")
		}
		must(t, start(t, dir).Stop(ctx)) // what it left is no obstacle
	})
}

// Without root every directory is one's own, and the rule is not needed.
func TestPostgresBelowADirectoryThatItsUserMayNotEnter(t *testing.T) {
	closed, err := os.MkdirTemp("", "busyd-closed-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(closed)) })
	pg, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: filepath.Join(closed, "pg"), Volatile: true})
	if os.Geteuid() != 0 {
		must(t, err)
		must(t, pg.Stop(ctx))
		return
	}
	if err == nil || !strings.Contains(err.Error(), closed) || !strings.Contains(err.Error(), "/var/lib") {
		t.Fatalf("error %v", err)
	}
}

const parentEnv = "BUSYD_EMBEDDED_TEST_PARENT"

// TestMain is also the program that is killed: it starts a server and waits.
func TestMain(m *testing.M) {
	dir := os.Getenv(parentEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	pg, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: dir, Volatile: true})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(pg.PID())
	<-pg.Done()
}

func startParent(t *testing.T, dir string) (*exec.Cmd, int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatalf("the parent says %q", line)
	}
	return cmd, pid
}

// A server whose parent was killed stops, or is stopped by the next start, and
// keeps nobody from starting.
func TestPostgresWhoseParentIsKilled(t *testing.T) {
	dir := directory(t)
	for range 2 {
		parent, _ := startParent(t, dir)
		must(t, parent.Process.Kill())
		_ = parent.Wait()
		pg := start(t, dir)
		ask(t, pg.URL("postgres"), `select 'there'`)
		must(t, pg.Stop(ctx))
	}
	t.Run("with its parent", func(t *testing.T) {
		parent, pid := startParent(t, dir)
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		must(t, parent.Process.Kill())
		_ = parent.Wait()
		pg := start(t, dir)
		if pg.PID() == pid {
			t.Fatal("the leftover serves")
		}
		must(t, pg.Stop(ctx))
	})
}

func TestRedis(t *testing.T) {
	r, err := embedded.StartRedis(ctx, "127.0.0.1:0")
	must(t, err)
	defer r.Close()
	client := redis.NewClient(&redis.Options{Addr: r.Addr()})
	defer func() { _ = client.Close() }()
	must(t, client.Set(ctx, "kept", "x", 0).Err())
	must(t, client.Set(ctx, "expires", "x", 20*time.Millisecond).Err())
	for deadline := time.Now().Add(5 * time.Second); client.Exists(ctx, "expires").Val() != 0; {
		if time.Now().After(deadline) {
			t.Fatal("its clock stands still")
		}
	}
	if client.Exists(ctx, "kept").Val() != 1 {
		t.Fatal("a key is gone")
	}
	r.Flush()
	if client.Exists(ctx, "kept").Val() != 0 {
		t.Fatal("a key is left")
	}
	if _, err := embedded.StartRedis(ctx, r.Addr()); err == nil || !strings.Contains(err.Error(), r.Addr()) {
		t.Fatalf("error %v", err)
	}
}
