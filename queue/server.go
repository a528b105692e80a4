package queue

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"github.com/busyd/busyd/busy"
)

// Handler runs a task. It has recorded whatever happened in Postgres by the time
// it returns, whence the calendar comes again; an error is logged, no more.
type Handler func(ctx context.Context, t busy.Task) error

// ServerConfig configures a Server.
type ServerConfig struct {
	Concurrency int
	// Drain is how long Run waits for tasks under way, once it is told to stop,
	// before it cancels them.
	Drain time.Duration
	Log   *slog.Logger
}

// Server takes tasks from the queues and runs them.
type Server struct {
	redis  Redis
	config ServerConfig
	queues map[string]int // and how often each is asked first
	read   func(t *asynq.Task, queue string) (work, error)
	// running counts handlers that have not returned: asynq abandons those that
	// do not return in time.
	running sync.WaitGroup
	away    atomic.Bool // Redis does not answer
}

// work is what a task asks for.
type work struct {
	kind, id string // of what it is about, for the log
	do       func(context.Context) error
}

// NewServer returns a server for the calendars' tasks.
func NewServer(r Redis, c ServerConfig, handle Handler) *Server {
	return &Server{redis: r, config: c, queues: weights, read: func(t *asynq.Task, queue string) (work, error) {
		task, err := decode(t.Type(), t.Payload(), queue)
		return work{"calendar", task.Calendar.String(), func(ctx context.Context) error { return handle(ctx, task) }}, err
	}}
}

// cancelled is how long a handler has to return after its context is cancelled.
const cancelled = 2 * time.Second

// Run works until ctx is done. Then it takes no more tasks, waits up to Drain for
// those under way, cancels the rest, and puts them back.
func (s *Server) Run(ctx context.Context) error {
	server := asynq.NewServerFromRedisClient(s.redis, asynq.Config{
		Concurrency:       s.config.Concurrency,
		Queues:            s.queues,
		TaskCheckInterval: 200 * time.Millisecond,
		ShutdownTimeout:   s.config.Drain,
		// Only a task whose worker died is retried: let it be now.
		RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return 0 },
		DelayedTaskCheckInterval: time.Second,
		HealthCheckFunc:          s.observeHealth,
		HealthCheckInterval:      5 * time.Second,
		Logger:                   asynqLog{s.config.Log},
		LogLevel:                 asynq.WarnLevel,
	})
	if err := server.Start(asynq.HandlerFunc(s.process)); err != nil {
		return fmt.Errorf("start the workers: %w", err)
	}
	<-ctx.Done()
	server.Shutdown()
	return s.await()
}

func (s *Server) await() error {
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(cancelled):
		return fmt.Errorf("some runs did not end within %s of being cancelled", cancelled)
	}
}

// process never has asynq retry or keep a task: the calendar's next run is
// decided in Postgres, and an error kept in Redis would be a leak.
func (s *Server) process(ctx context.Context, t *asynq.Task) error {
	s.running.Add(1)
	defer s.running.Done()
	queue, _ := asynq.GetQueueName(ctx)
	task, err := s.read(t, queue)
	if err != nil {
		s.config.Log.Warn("dropped a task", "reason", err.Error(), "queue", queue)
		return asynq.RevokeTask
	}
	if err := run(ctx, task); err != nil {
		s.config.Log.Error("a run ended without a record", task.kind, task.id, "error", err.Error())
		return asynq.RevokeTask
	}
	return nil
}

func run(ctx context.Context, w work) (err error) {
	defer func() {
		if r := recover(); r != nil {
			// The value of a panic may hold anything; its type and place do not.
			err = fmt.Errorf("panic of type %T at:\n%s", r, debug.Stack())
		}
	}()
	return w.do(ctx)
}

// observeHealth logs when Redis goes away and comes back, once each.
func (s *Server) observeHealth(err error) {
	switch {
	case err != nil && s.away.CompareAndSwap(false, true):
		s.config.Log.Error("the workers wait for Redis", "error", err.Error())
	case err == nil && s.away.CompareAndSwap(true, false):
		s.config.Log.Info("the workers have Redis again")
	}
}

// asynqLog passes asynq's own lines on for debugging. What matters in them is
// logged by Server.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) line(args []any)   { l.log.Debug("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Debug(args ...any) { l.line(args) }
func (l asynqLog) Info(args ...any)  { l.line(args) }
func (l asynqLog) Warn(args ...any)  { l.line(args) }
func (l asynqLog) Error(args ...any) { l.line(args) }
func (l asynqLog) Fatal(args ...any) { l.line(args) }
