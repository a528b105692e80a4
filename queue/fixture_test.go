package queue_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTask(t testing.TB, urgency busy.Urgency) busy.Task {
	t.Helper()
	tenant, err := busy.NewID[busy.Tenant](rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	calendar, err := busy.NewID[busy.Calendar](rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return busy.Task{Tenant: tenant, Calendar: calendar, Epoch: 7, Urgency: urgency}
}

func open(t testing.TB, address busy.Secret) queue.Redis {
	t.Helper()
	r, err := queue.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func inProcess(t testing.TB) queue.Redis {
	t.Helper()
	return open(t, busy.Secret("redis://"+miniredis.RunT(t).Addr()+"/0"))
}

// logs collects what is logged, for several goroutines.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// serve runs a server until the test ends, or until stop is called, which
// returns what Run returned.
func serve(t testing.TB, r queue.Redis, c queue.ServerConfig, h queue.Handler) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- queue.NewServer(r, c, h).Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came within 30 s")
		panic("unreachable")
	}
}
