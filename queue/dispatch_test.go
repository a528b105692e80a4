package queue_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/queue"
)

func newDispatch(t testing.TB) busy.Dispatch {
	t.Helper()
	tenant, err := busy.NewID[busy.Tenant](rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := busy.NewID[busy.Endpoint](rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return busy.Dispatch{Tenant: tenant, Endpoint: endpoint, Epoch: 7}
}

// Dispatches and calendars each have workers of their own: the ones never wait for
// the others.
func TestDispatchesHaveWorkersOfTheirOwn(t *testing.T) {
	r, l := inProcess(t), &logs{}
	client := queue.NewClient(r, time.Now)
	dispatches := queue.Dispatches{Client: client}
	want, task := newDispatch(t), newTask(t, busy.UrgencyRoutine)
	for range 2 { // twins wait once
		if err := dispatches.Enqueue(t.Context(), []busy.Dispatch{want}); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Enqueue(t.Context(), []busy.Task{task}); err != nil {
		t.Fatal(err)
	}
	foreign := asynq.NewTask("dispatch.1", []byte(`{"tenant":"x"}`))
	if _, err := asynq.NewClientFromRedisClient(r).Enqueue(foreign, asynq.Queue("dispatch")); err != nil {
		t.Fatal(err)
	}
	if depth, err := dispatches.Depth(); err != nil || depth.Pending != 2 {
		t.Fatalf("%d wait, want the dispatch and the foreign task (%v)", depth.Pending, err)
	}
	free, err := client.Room(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	got := make(chan busy.Dispatch, 2)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- queue.NewDispatchServer(r, queue.ServerConfig{Concurrency: 1000, Drain: time.Second, Log: l.logger()},
			func(_ context.Context, d busy.Dispatch) error { got <- d; return nil }).Run(ctx)
	}()
	if diff := cmp.Diff(want, receive(t, got)); diff != "" {
		t.Error(diff)
	}
	if room, err := client.Room(t.Context()); err != nil || room != free {
		t.Errorf("room for %d calendars, want %d: the workers for dispatches do not count (%v)", room, free, err)
	}
	if room, err := dispatches.Room(t.Context()); err != nil || room < 1000 {
		t.Errorf("room for %d dispatches (%v)", room, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if pending, err := client.Pending(t.Context()); err != nil || pending != 1 {
		t.Errorf("%d calendars wait, want the one (%v)", pending, err)
	}
	if len(got) > 0 {
		t.Error("the foreign task was run")
	}
}
