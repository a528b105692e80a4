package queue_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/queue/redistest"
)

// slowly gives a burst, and then hardly anything for as long as a test takes.
func slowly(burst int) busy.Bucket {
	return busy.Bucket{Key: "test", Rate: busy.Rate{Requests: 1, Per: time.Hour, Burst: burst}}
}

// taken takes from the bucket at the same time in many places.
func taken(t *testing.T, b busy.Bucket, by ...*queue.Limits) (tokens int64) {
	t.Helper()
	var got atomic.Int64
	var all sync.WaitGroup
	for _, l := range by {
		for range 8 {
			all.Go(func() {
				for range b.Burst {
					switch wait := l.Take(t.Context(), b); {
					case wait == 0:
						got.Add(1)
					case wait > time.Hour+time.Second:
						t.Errorf("a token is %s away, and one comes each hour", wait)
					}
				}
			})
		}
	}
	all.Wait()
	return got.Load()
}

func TestTwoDaemonsShareABucket(t *testing.T) {
	for name, address := range map[string]func(testing.TB) busy.Secret{
		"one server": func(t testing.TB) busy.Secret { return redistest.Start(t).URL() },
		"cluster":    redistest.StartCluster,
	} {
		t.Run(name, func(t *testing.T) {
			at := address(t)
			first, second := queue.NewLimits(open(t, at), time.Now), queue.NewLimits(open(t, at), time.Now)
			if got := taken(t, slowly(50), first, second); got != 50 {
				t.Errorf("two daemons took %d tokens of a bucket of 50", got)
			}
		})
	}
}

// busyd dev has a Redis in its own process.
func TestBucketInTheRedisOfDev(t *testing.T) {
	l := queue.NewLimits(inProcess(t), time.Now)
	if got := taken(t, slowly(20), l); got != 20 {
		t.Errorf("%d tokens of a bucket of 20", got)
	}
	l.Pause(t.Context(), "x", time.Minute)
	if d := l.Paused(t.Context(), "x"); d <= 0 {
		t.Error("a pause is not kept")
	}
}

func TestPausesAreShared(t *testing.T) {
	server := redistest.Start(t)
	first, second := queue.NewLimits(open(t, server.URL()), time.Now), queue.NewLimits(open(t, server.URL()), time.Now)
	between := func(l *queue.Limits, least, most time.Duration) {
		t.Helper()
		if d := l.Paused(t.Context(), "account"); d <= least || d > most {
			t.Errorf("paused for %s, want between %s and %s", d, least, most)
		}
	}
	between(first, -1, 0)
	first.Pause(t.Context(), "account", 10*time.Minute)
	between(second, 9*time.Minute, 10*time.Minute)
	second.Pause(t.Context(), "account", time.Minute) // a shorter one does not end it
	between(first, 9*time.Minute, 10*time.Minute)
	between(second, 9*time.Minute, 10*time.Minute)
	between(queue.NewLimits(open(t, server.URL()), time.Now), 9*time.Minute, 10*time.Minute)
	second.Pause(t.Context(), "account", time.Hour)
	third := queue.NewLimits(open(t, server.URL()), time.Now)
	between(third, 59*time.Minute, time.Hour)
	if d := first.Paused(t.Context(), "another"); d != 0 {
		t.Errorf("another account is paused for %s", d)
	}

	second.Pause(t.Context(), "account", time.Minute)
	server.Flush() // who was told keeps to it
	between(first, 9*time.Minute, 10*time.Minute)
	between(second, 59*time.Minute, time.Hour)
	between(third, -1, 0)
}

// While Redis is away each process keeps to the budgets by itself, and waits for
// Redis hardly at all.
func TestLimitsWithoutRedis(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for name, address := range map[string]string{"refused": "127.0.0.1:1", "silent": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			l := queue.NewLimits(open(t, busy.Secret("redis://"+address+"/0")), time.Now)
			began := time.Now()
			if got := taken(t, slowly(30), l); got != 30 {
				t.Errorf("%d tokens of a bucket of 30", got)
			}
			l.Pause(t.Context(), "account", time.Hour)
			if d := l.Paused(t.Context(), "account"); d < time.Hour/2 {
				t.Errorf("paused for %s, want an hour", d)
			}
			if d := l.Paused(t.Context(), "another"); d != 0 {
				t.Errorf("another account is paused for %s", d)
			}
			if took := time.Since(began); took > 4*time.Second { // each command by itself may take that long
				t.Errorf("240 tokens were waited for %s", took)
			}
		})
	}
}

func TestLimitsFindRedisAgain(t *testing.T) {
	server := redistest.Start(t)
	var ahead atomic.Int64 // of the clock
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	pools := []queue.Redis{open(t, server.URL()), open(t, server.URL())}
	first, second := queue.NewLimits(pools[0], clock), queue.NewLimits(pools[1], clock)
	b := slowly(5)
	server.Kill()
	if got := taken(t, b, first, second); got != 10 {
		t.Errorf("%d tokens while each daemon is by itself, want 5 each", got)
	}
	server.Restart()
	for _, r := range pools { // a pool that failed often looks for the server once a second
		for r.Ping(t.Context()).Err() != nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
	ahead.Add(int64(time.Minute))
	if got := taken(t, b, first, second); got != 5 {
		t.Errorf("%d tokens of a bucket of 5 once Redis is back", got)
	}
	server.Kill()
	if got := taken(t, b, first); got != 5 {
		t.Errorf("%d tokens of the daemon's own bucket, which begins full, want 5", got)
	}
}

// Who gives up waiting does not have all others do without Redis.
func TestLimitsOfACallerThatGaveUp(t *testing.T) {
	server := redistest.Start(t)
	first, second := queue.NewLimits(open(t, server.URL()), time.Now), queue.NewLimits(open(t, server.URL()), time.Now)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	first.Take(gone, slowly(5))
	if got := taken(t, slowly(5), first, second); got != 5 {
		t.Errorf("%d tokens of a bucket of 5", got)
	}
}
