package queue_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/queue/redistest"
)

// Redis holds hints only: whatever it forgets, every calendar is read all the
// same (I8).
func TestEveryCalendarIsReadWhateverRedisForgets(t *testing.T) {
	for name, fault := range map[string]func(*redistest.Server){
		"flushed": (*redistest.Server).Flush,
		"killed":  (*redistest.Server).Restart,
	} {
		t.Run(name, func(t *testing.T) {
			server, l := redistest.Start(t), &logs{}
			r := open(t, server.URL())
			const calendars = 300
			due := newLedger(t, calendars, time.Now())
			due.again = 200 * time.Millisecond
			half, all := make(chan struct{}), make(chan struct{})
			resume := make(chan struct{})
			var broken atomic.Bool
			serve(t, r, queue.ServerConfig{Concurrency: 4, Drain: time.Second, Log: l.logger()},
				func(_ context.Context, task busy.Task) error {
					left := due.finish(task.Calendar)
					if left <= calendars/2 && broken.CompareAndSwap(false, true) {
						close(half)
					}
					if broken.Load() {
						<-resume
					}
					if left == 0 {
						select {
						case <-all:
						default:
							close(all)
						}
					}
					return nil
				})
			ctx, cancel := context.WithCancel(t.Context())
			swept := make(chan struct{})
			s := sweep(due, queue.NewClient(r, time.Now), l)
			s.Interval = 50 * time.Millisecond
			go func() { defer close(swept); s.Run(ctx) }()
			receive(t, half)
			fault(server)
			close(resume)
			receive(t, all)
			cancel()
			receive(t, swept)
		})
	}
}

// After a flush the depths are told again, though asynq announces a queue once.
func TestDepthsSurviveAFlush(t *testing.T) {
	server := redistest.Start(t)
	client := queue.NewClient(open(t, server.URL()), time.Now)
	for range 2 {
		if err := client.Enqueue(t.Context(), []busy.Task{newTask(t, busy.UrgencyPushed)}); err != nil {
			t.Fatal(err)
		}
		depths, err := client.Depths(t.Context())
		if err != nil || depths[busy.UrgencyPushed].Pending != 1 {
			t.Errorf("depths: %+v (%v)", depths, err)
		}
		server.Flush()
	}
}
