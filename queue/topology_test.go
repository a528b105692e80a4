package queue_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/queue/redistest"
)

// Tasks get through every kind of Redis that an address can name.
func TestEveryKindOfRedis(t *testing.T) {
	for name, start := range map[string]func(testing.TB) busy.Secret{
		"one server": func(t testing.TB) busy.Secret { return redistest.Start(t).URL() },
		"sentinel":   redistest.StartSentinel,
		"cluster":    redistest.StartCluster,
	} {
		t.Run(name, func(t *testing.T) {
			r, l := open(t, start(t)), &logs{}
			got := make(chan busy.Task, 1)
			serve(t, r, queue.ServerConfig{Concurrency: 2, Drain: time.Second, Log: l.logger()},
				func(_ context.Context, task busy.Task) error { got <- task; return nil })
			client, want := queue.NewClient(r, time.Now), newTask(t, busy.UrgencyWaiting)
			if err := client.Enqueue(t.Context(), []busy.Task{want}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, receive(t, got)); diff != "" {
				t.Error(diff)
			}
			if _, err := client.Depths(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
