package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/queue"
)

func TestTaskArrivesAsItWasSent(t *testing.T) {
	r, l := inProcess(t), &logs{}
	got := make(chan busy.Task, 3)
	serve(t, r, queue.ServerConfig{Concurrency: 2, Drain: time.Second, Log: l.logger()},
		func(_ context.Context, task busy.Task) error { got <- task; return nil })
	for _, urgency := range []busy.Urgency{busy.UrgencyWaiting, busy.UrgencyPushed, busy.UrgencyRoutine} {
		want := newTask(t, urgency)
		if err := queue.NewClient(r, time.Now).Enqueue(t.Context(), []busy.Task{want}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, receive(t, got)); diff != "" {
			t.Error(diff)
		}
	}
}

// One calendar waits once an epoch, until a while later: a twin that a dead
// worker left behind must not block it for ever.
func TestOneTaskPerCalendarEpochAndWhile(t *testing.T) {
	r := inProcess(t)
	now := time.Unix(0, 0)
	client := queue.NewClient(r, func() time.Time { return now })
	task := newTask(t, busy.UrgencyRoutine)
	next := task
	next.Epoch++
	steps := []struct {
		at      time.Duration
		task    busy.Task
		pending int
	}{
		{0, task, 1},
		{queue.Again - 1, task, 1},
		{queue.Again - 1, next, 2},
		{queue.Again, task, 3},
	}
	for _, step := range steps {
		now = time.Unix(0, 0).Add(step.at)
		if err := client.Enqueue(t.Context(), []busy.Task{step.task}); err != nil {
			t.Fatal(err)
		}
		pending, err := client.Pending(t.Context())
		if err != nil || pending != step.pending {
			t.Errorf("after %v: %d pending, want %d (%v)", step.at, pending, step.pending, err)
		}
	}
}

func TestUnknownUrgencyIsAnError(t *testing.T) {
	task := newTask(t, "whenever")
	if err := queue.NewClient(inProcess(t), time.Now).Enqueue(t.Context(), []busy.Task{task}); err == nil {
		t.Error("a task without a queue was accepted")
	}
}

// Whatever a task's end, nothing of it stays in Redis: neither its error nor a
// retry, for the next run is decided in Postgres.
func TestNothingStaysBehind(t *testing.T) {
	r, l := inProcess(t), &logs{}
	ends := []func() error{
		func() error { return nil },
		func() error { return errors.New("database away") },
		func() error { panic("secret subject") },
	}
	ran := make(chan struct{}, len(ends))
	next := make(chan func() error, len(ends))
	stop := serve(t, r, queue.ServerConfig{Concurrency: 1, Drain: time.Second, Log: l.logger()},
		func(context.Context, busy.Task) error {
			ran <- struct{}{}
			return (<-next)()
		})
	client := queue.NewClient(r, time.Now)
	for _, end := range ends {
		next <- end
		if err := client.Enqueue(t.Context(), []busy.Task{newTask(t, busy.UrgencyRoutine)}); err != nil {
			t.Fatal(err)
		}
		receive(t, ran)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	depths, err := client.Depths(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(queue.Depth{}, depths[busy.UrgencyRoutine]); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(l.String(), "database away") || !strings.Contains(l.String(), "panic of type string") {
		t.Errorf("the log lacks an end:\n%s", l)
	}
	if strings.Contains(l.String(), "secret subject") {
		t.Error("the value of a panic was logged")
	}
}

func TestForeignTasksAreDropped(t *testing.T) {
	r, l := inProcess(t), &logs{}
	good := newTask(t, busy.UrgencyRoutine)
	whole := fmt.Sprintf(`{"tenant":"%s","calendar":"%s","epoch":1`, good.Tenant, good.Calendar)
	foreign := []*asynq.Task{
		asynq.NewTask("sync.2", []byte(whole+"}")),
		asynq.NewTask("sync.1", nil),
		asynq.NewTask("sync.1", []byte("{")),
		asynq.NewTask("sync.1", []byte("{}")),
		asynq.NewTask("sync.1", []byte(whole+`,"subject":"x"}`)),
		asynq.NewTask("sync.1", []byte(whole+"}{}")),
		asynq.NewTask("sync.1", []byte(strings.Replace(whole, "-", "", 1)+"}")),
	}
	for _, task := range foreign {
		if _, err := asynq.NewClientFromRedisClient(r).Enqueue(task, asynq.Queue("routine")); err != nil {
			t.Fatal(err)
		}
	}
	client := queue.NewClient(r, time.Now)
	if err := client.Enqueue(t.Context(), []busy.Task{good}); err != nil {
		t.Fatal(err)
	}
	got := make(chan busy.Task, len(foreign)+1)
	stop := serve(t, r, queue.ServerConfig{Concurrency: 1, Drain: time.Second, Log: l.logger()},
		func(_ context.Context, task busy.Task) error { got <- task; return nil })
	if diff := cmp.Diff(good, receive(t, got)); diff != "" {
		t.Error(diff)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(l.String(), "dropped a task"); n != len(foreign) {
		t.Errorf("logged %d dropped tasks, want %d", n, len(foreign))
	}
	if pending, err := client.Pending(t.Context()); err != nil || pending != 0 {
		t.Errorf("%d tasks stay behind (%v)", pending, err)
	}
}

func TestStopWaitsForRuns(t *testing.T) {
	r, l := inProcess(t), &logs{}
	began, finish := make(chan struct{}), make(chan struct{})
	var ended error
	stop := serve(t, r, queue.ServerConfig{Concurrency: 1, Drain: time.Minute, Log: l.logger()},
		func(ctx context.Context, _ busy.Task) error {
			close(began)
			<-finish
			ended = ctx.Err()
			return nil
		})
	if err := queue.NewClient(r, time.Now).Enqueue(t.Context(), []busy.Task{newTask(t, busy.UrgencyRoutine)}); err != nil {
		t.Fatal(err)
	}
	receive(t, began)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	select {
	case err := <-stopped:
		t.Errorf("stopped before the run returned: %v", err)
	case <-time.After(500 * time.Millisecond): // as long as a server that does not wait takes to stop
	}
	close(finish)
	if err := receive(t, stopped); err != nil || ended != nil {
		t.Errorf("stop: %v; the run's context: %v", err, ended)
	}
}

// A run that is longer than the stop may take is cancelled, waited for, and its
// task put back.
func TestStopCancelsLongRuns(t *testing.T) {
	r, l := inProcess(t), &logs{}
	began, cancelled, finish := make(chan struct{}), make(chan error, 1), make(chan struct{})
	stop := serve(t, r, queue.ServerConfig{Concurrency: 1, Drain: 50 * time.Millisecond, Log: l.logger()},
		func(ctx context.Context, _ busy.Task) error {
			close(began)
			<-ctx.Done()
			cancelled <- ctx.Err()
			<-finish
			return nil
		})
	client := queue.NewClient(r, time.Now)
	if err := client.Enqueue(t.Context(), []busy.Task{newTask(t, busy.UrgencyRoutine)}); err != nil {
		t.Fatal(err)
	}
	receive(t, began)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	if err := receive(t, cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("the run's context: %v", err)
	}
	select {
	case err := <-stopped:
		t.Errorf("stopped before the run returned: %v", err)
	case <-time.After(500 * time.Millisecond): // as long as a server that does not wait takes to stop
	}
	close(finish)
	if err := receive(t, stopped); err != nil {
		t.Fatal(err)
	}
	if pending, err := client.Pending(t.Context()); err != nil || pending != 1 {
		t.Errorf("%d tasks were put back, want 1 (%v)", pending, err)
	}
}

// A run that ignores its cancellation does not hold the stop up for ever.
func TestStopGivesUpOnStubbornRuns(t *testing.T) {
	r, l := inProcess(t), &logs{}
	began, finish := make(chan struct{}), make(chan struct{})
	stop := serve(t, r, queue.ServerConfig{Concurrency: 1, Drain: 10 * time.Millisecond, Log: l.logger()},
		func(context.Context, busy.Task) error { close(began); <-finish; return nil })
	if err := queue.NewClient(r, time.Now).Enqueue(t.Context(), []busy.Task{newTask(t, busy.UrgencyRoutine)}); err != nil {
		t.Fatal(err)
	}
	receive(t, began)
	if err := stop(); err == nil {
		t.Error("a run that goes on is called ended")
	}
	close(finish)
}
