package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/providers/caldav/caldavserver"
	"github.com/busyd/busyd/queue/redistest"
	"github.com/busyd/busyd/store/embedded"
)

// asBusyd makes the test binary be busyd, for tests that need real processes.
const asBusyd = "RUN_AS_BUSYD"

var postgres *embedded.Postgres

func TestMain(m *testing.M) {
	if os.Getenv(asBusyd) != "" {
		_ = os.Unsetenv(asBusyd)
		main()
	}
	quiet()
	os.Exit(withPostgres(m))
}

func withPostgres(m *testing.M) int {
	dir, err := os.MkdirTemp("", "busyd-test-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil { // as root, another user runs PostgreSQL
		panic(err)
	}
	if postgres, err = embedded.StartPostgres(context.Background(), embedded.PostgresConfig{Dir: filepath.Join(dir, "pg"), Volatile: true}); err != nil {
		panic(err)
	}
	defer func() { _ = postgres.Stop(context.Background()) }()
	return m.Run()
}

// machine is a database, a Redis and a CalDAV server, and busyd's environment.
type machine struct {
	t       testing.TB
	environ []string
	redis   *redistest.Server
	dav     *caldavserver.Server
	davURL  string
}

const davPassword = "open sesame"

func newMachine(t testing.TB) *machine {
	t.Helper()
	m := &machine{t: t, redis: redistest.Start(t)}
	name := fmt.Sprintf("test_%d", time.Now().UnixNano())
	if err := postgres.CreateDatabase(t.Context(), name, ""); err != nil {
		t.Fatal(err)
	}
	dav, err := sampleServer(time.Now(), davPassword)
	if err != nil {
		t.Fatal(err)
	}
	m.dav = dav
	server := httptest.NewServer(dav)
	t.Cleanup(server.Close)
	m.davURL = server.URL
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	m.environ = []string{
		"BUSYD_DATABASE_URL=" + postgres.AppURL(name),
		"BUSYD_MIGRATE_URL=" + postgres.URL(name),
		"BUSYD_REDIS_URL=" + string(m.redis.URL()),
		"BUSYD_MASTER_KEY=" + base64.StdEncoding.EncodeToString(key),
		"BUSYD_NETWORK_ALLOW=127.0.0.0/8,::1/128",
		"BUSYD_LISTEN=127.0.0.1:0",
		"BUSYD_LOG_FORMAT=text",
		"BUSYD_SYNC_LEASE=5s",
	}
	return m
}

// busyd runs a command line and returns its exit code and output.
func (m *machine) busyd(args ...string) (code int, out, errs string) {
	m.t.Helper()
	return m.busydWith("", args...)
}

func (m *machine) busydWith(in string, args ...string) (code int, out, errs string) {
	m.t.Helper()
	var o, e bytes.Buffer
	code = run(m.t.Context(), args, strings.NewReader(in), &o, &e, m.environ)
	return code, o.String(), e.String()
}

// must runs a command line that has to succeed.
func (m *machine) must(args ...string) string {
	m.t.Helper()
	code, out, errs := m.busyd(args...)
	if code != exitOK {
		m.t.Fatalf("busyd %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// object runs a command line with --json and returns the answer.
func object[T any](m *machine, args ...string) T {
	m.t.Helper()
	var v T
	out := m.must(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		m.t.Fatalf("busyd %s: %v in\n%s", strings.Join(args, " "), err, out)
	}
	return v
}

// set replaces a variable of the environment.
func (m *machine) set(name, value string) {
	for i, entry := range m.environ {
		if strings.HasPrefix(entry, name+"=") {
			m.environ[i] = name + "=" + value
			return
		}
	}
	m.environ = append(m.environ, name+"="+value)
}

// serve runs the daemon until the test ends or stop is called, and returns its
// address.
func (m *machine) serve() (address string, stop func() error) {
	m.t.Helper()
	c, err := configs.Load("", m.environ)
	if err != nil {
		m.t.Fatal(err)
	}
	ready, done := make(chan string, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	d := &daemon{config: c, log: newLogger(configs.Log{Level: 8, Format: "text"}), ready: func(a string) { ready <- a }}
	go func() { done <- d.run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	m.t.Cleanup(func() {
		if err := stop(); err != nil {
			m.t.Errorf("stop the daemon: %v", err)
		}
	})
	select {
	case address = <-ready:
	case err := <-done:
		done <- err
		m.t.Fatalf("start the daemon: %v", err)
	}
	m.set("BUSYD_LISTEN", address)
	return address, stop
}

// get asks the daemon.
func get(t testing.TB, url, token string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(content)
}

// settled gives the machine a tenant with a resource whose calendars are
// connected, and returns a key that may do everything.
func (m *machine) settled() (token string) {
	m.t.Helper()
	m.must("migrate")
	m.must("tenant", "create", "acme")
	m.must("resource", "create", "Ada", "--tenant", "acme", "--timezone", "Europe/Berlin")
	m.connect("ada")
	return strings.TrimSpace(m.must("key", "create", "--tenant", "acme", "--scope", "admin"))
}

func (m *machine) connect(user string) {
	m.t.Helper()
	code, out, errs := m.busydWith(davPassword+"\n", "connection", "add", "caldav", "--tenant", "acme", "--resource", "Ada",
		"--url", m.davURL, "--username", user, "--password-file", "-")
	if code != exitOK {
		m.t.Fatalf("connection add: exit code %d\n%s%s", code, out, errs)
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
