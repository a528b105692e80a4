package queue_test

import (
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/queue/redistest"
)

// BenchmarkEnqueue puts batches of the sweep's size into a real Redis.
func BenchmarkEnqueue(b *testing.B) {
	client := queue.NewClient(open(b, redistest.Start(b).URL()), time.Now)
	batch := make([]busy.Task, queue.Batch)
	for i := range batch {
		batch[i] = newTask(b, busy.UrgencyRoutine)
	}
	tasks := 0
	for b.Loop() {
		for i := range batch {
			batch[i].Epoch++
		}
		if err := client.Enqueue(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		tasks += len(batch)
	}
	b.ReportMetric(float64(tasks)/b.Elapsed().Seconds(), "tasks/s")
}
