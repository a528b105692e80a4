package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/busyd/busyd/store/embedded"
)

// URLEnv names the environment variable that says which running server to use.
const URLEnv = "BUSYD_TEST_DATABASE_URL"

// server is the PostgreSQL that the tests of this process share.
type server struct {
	owner    string // URL of a superuser
	template string // name of the migrated database

	postgres *embedded.Postgres // nil: not ours
	dir      string
	watchdog *exec.Cmd
	leash    io.Closer
}

var shared struct {
	once    sync.Once
	running *server
	err     error
}

// Main runs a package's tests and stops the server afterwards.
func Main(m *testing.M) {
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "storetest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func stop() error {
	shared.once.Do(func() { shared.err = errors.New("the tests are over") })
	if shared.running == nil || shared.running.postgres == nil {
		return nil
	}
	return shared.running.stop()
}

func start(ctx context.Context) (*server, error) {
	shared.once.Do(func() {
		shared.running, shared.err = startServer(ctx)
		if shared.err == nil {
			shared.running.template, shared.err = prepare(ctx, shared.running.owner)
		}
	})
	return shared.running, shared.err
}

func startServer(ctx context.Context) (*server, error) {
	if owner := os.Getenv(URLEnv); owner != "" {
		return &server{owner: owner}, nil
	}
	dir, err := os.MkdirTemp("", "busyd-test-")
	if err != nil {
		return nil, fmt.Errorf("make a data directory: %w", err)
	}
	s := &server{dir: dir}
	s.postgres, err = embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: dir, Volatile: true})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.owner = s.postgres.URL("postgres")
	return s, s.guard()
}

// guard starts a process that clears up when this one dies without having done
// so: in a panic, a time-out or by a kill. It hears of it by the end of its input.
func (s *server) guard() error {
	s.watchdog = exec.Command("sh", "-c", //nolint:gosec // both arguments are ours
		`cat >/dev/null; kill -INT "$1" 2>/dev/null; while kill -0 "$1" 2>/dev/null; do sleep 0.1; done; rm -rf -- "$2"`,
		"watchdog", strconv.Itoa(s.postgres.PID()), s.dir)
	s.watchdog.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	leash, err := s.watchdog.StdinPipe()
	if err != nil {
		return fmt.Errorf("start the watchdog: %w", err)
	}
	s.leash = leash
	if err := s.watchdog.Start(); err != nil {
		return fmt.Errorf("start the watchdog: %w", err)
	}
	return nil
}

func (s *server) stop() error {
	_ = s.watchdog.Process.Kill()
	_ = s.watchdog.Wait()
	_ = s.leash.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(s.postgres.Stop(ctx), os.RemoveAll(s.dir))
}

// onDatabase is the URL with another database in it.
func onDatabase(owner, database string) (string, error) {
	u, err := url.Parse(owner)
	if err != nil {
		return "", fmt.Errorf("%s: %w", URLEnv, err)
	}
	u.Path = "/" + database
	return u.String(), nil
}
