// Package redistest starts real Redis servers for tests.
package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/busyd/busyd/busy"
)

// Server is a Redis server of one test, on a free port of this machine.
type Server struct {
	t    testing.TB
	port int
	args []string
	cmd  *exec.Cmd
}

// Start runs a server until the test ends. A machine without redis-server fails
// the test.
func Start(t testing.TB) *Server {
	t.Helper()
	return start(t, "--save", "", "--appendonly", "no")
}

func start(t testing.TB, args ...string) *Server {
	t.Helper()
	port := freePort(t)
	s := &Server{t: t, port: port, args: append(args, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", t.TempDir())}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// StartCluster runs a cluster of one server, which knows its own address only
// and answers as clusters do.
func StartCluster(t testing.TB) busy.Secret {
	t.Helper()
	// A port above 55535 leaves no room for the cluster's own, 10,000 higher.
	s := start(t, "--save", "", "--appendonly", "no", "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(freePort(t)))
	client := s.client()
	defer func() { _ = client.Close() }()
	if err := client.ClusterAddSlotsRange(context.Background(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	await(t, "the cluster", func(ctx context.Context) bool {
		return strings.Contains(client.ClusterInfo(ctx).Val(), "cluster_state:ok")
	})
	return busy.Secret("redis-cluster://" + s.address())
}

// StartSentinel runs a server and a Sentinel that names it "main".
func StartSentinel(t testing.TB) busy.Secret {
	t.Helper()
	s := Start(t)
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	config := fmt.Sprintf("port %d\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 %d 1\n", port, s.port)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := &Server{t: t, port: port, args: []string{file, "--sentinel"}}
	sentinel.Restart()
	t.Cleanup(sentinel.Kill)
	return busy.Secret("redis-sentinel://" + sentinel.address() + "/0?master=main")
}

func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func (s *Server) address() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

func (s *Server) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.address(), MaxRetries: -1})
}

// URL is the server's address.
func (s *Server) URL() busy.Secret { return busy.Secret("redis://" + s.address() + "/0") }

// Kill ends the server as kill -9 does.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Restart starts the server, empty, on its port, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.cmd = exec.Command("redis-server", s.args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start redis-server (install redis): %v", err)
	}
	client := s.client()
	defer func() { _ = client.Close() }()
	await(s.t, "redis-server", func(ctx context.Context) bool { return client.Ping(ctx).Err() == nil })
}

func await(t testing.TB, what string, done func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for !done(ctx) {
		if ctx.Err() != nil {
			t.Fatalf("%s did not answer within 20 s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Flush forgets everything, as FLUSHALL does.
func (s *Server) Flush() {
	s.t.Helper()
	client := s.client()
	defer func() { _ = client.Close() }()
	if err := client.FlushAll(context.Background()).Err(); err != nil {
		s.t.Fatal(err)
	}
}
