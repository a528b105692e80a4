package queue

import (
	"context"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"golang.org/x/time/rate"

	"github.com/busyd/busyd/busy"
)

// Limits are budgets of requests, and pauses, that all daemons on one Redis share.
// While Redis does not answer, each process keeps to the budgets by itself. It is
// safe for concurrent use.
type Limits struct {
	redis  Redis
	shared *redis_rate.Limiter
	now    func() time.Time

	mu     sync.Mutex
	away   time.Time                // until when Redis is not asked
	local  map[string]*rate.Limiter // stand in for the buckets meanwhile
	pauses map[string]time.Time     // those that this process knows of
}

// NewLimits returns limits that use the pool.
func NewLimits(r Redis, now func() time.Time) *Limits {
	return &Limits{
		redis: r, shared: redis_rate.NewLimiter(r), now: now,
		local: make(map[string]*rate.Limiter), pauses: make(map[string]time.Time),
	}
}

const (
	// redisPatience is how long a request to a provider is held up for Redis, and
	// redisPause how long it is spared after one that it did not answer.
	redisPatience = 250 * time.Millisecond
	redisPause    = 2 * time.Second
)

// Take takes a token out of the bucket. If there is none, wait is how long until
// there will be.
func (l *Limits) Take(ctx context.Context, b busy.Bucket) (wait time.Duration) {
	answered := l.ask(ctx, func(ctx context.Context) error {
		result, err := l.shared.Allow(ctx, bucketKey(b.Key), redis_rate.Limit{Rate: b.Requests, Period: b.Per, Burst: b.Burst})
		if err == nil && result.Allowed == 0 {
			wait = max(result.RetryAfter, time.Millisecond)
		}
		return err
	})
	if !answered {
		return l.takeLocally(b)
	}
	return wait
}

// takeLocally takes a token out of this process's own bucket.
func (l *Limits) takeLocally(b busy.Bucket) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket := l.local[b.Key]
	if bucket == nil {
		bucket = rate.NewLimiter(rate.Every(b.Interval()), b.Burst)
		l.local[b.Key] = bucket
	}
	now := l.now()
	token := bucket.ReserveN(now, 1)
	wait := token.DelayFrom(now)
	if wait > 0 {
		token.CancelAt(now)
	}
	return wait
}

// Pause has all requests under the key wait for d from now on, unless they wait
// longer already.
func (l *Limits) Pause(ctx context.Context, key string, d time.Duration) {
	if d <= 0 {
		return
	}
	l.pauseLocally(key, d)
	l.ask(ctx, func(ctx context.Context) error {
		left, err := l.redis.PTTL(ctx, pauseKey(key)).Result()
		if err != nil || left >= d {
			return err
		}
		return l.redis.Set(ctx, pauseKey(key), 1, d).Err()
	})
}

func (l *Limits) pauseLocally(key string, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for k, until := range l.pauses {
		if !until.After(now) {
			delete(l.pauses, k)
		}
	}
	if until := now.Add(d); until.After(l.pauses[key]) {
		l.pauses[key] = until
	}
}

// Paused is how long requests under the key have to wait; zero: they need not.
func (l *Limits) Paused(ctx context.Context, key string) time.Duration {
	l.mu.Lock()
	own := l.pauses[key].Sub(l.now())
	l.mu.Unlock()
	var shared time.Duration
	l.ask(ctx, func(ctx context.Context) (err error) {
		shared, err = l.redis.PTTL(ctx, pauseKey(key)).Result()
		return err
	})
	return max(own, shared, 0) // Redis answers less where there is no such key
}

// ask asks Redis, unless it did not answer a moment ago.
func (l *Limits) ask(ctx context.Context, f func(context.Context) error) (answered bool) {
	if l.isAway() {
		return false
	}
	bounded, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	err := f(bounded)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			l.away = l.now().Add(redisPause)
		}
		return false
	}
	clear(l.local)
	return true
}

func (l *Limits) isAway() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now().Before(l.away)
}

// The library puts "rate:" before the key.
func bucketKey(key string) string { return "busyd:" + key }

func pauseKey(key string) string { return "pause:busyd:" + key }
