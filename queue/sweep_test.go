package queue_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/queue"
)

// ledger plays Postgres: it knows when each calendar is due.
type ledger struct {
	mu    sync.Mutex
	due   map[busy.CalendarID]time.Time
	tasks map[busy.CalendarID]busy.Task
	again time.Duration // zero: as the sweep says
	fail  error
	calls []time.Time
	limit int // the last one asked for
}

func newLedger(t testing.TB, n int, now time.Time) *ledger {
	l := &ledger{due: map[busy.CalendarID]time.Time{}, tasks: map[busy.CalendarID]busy.Task{}}
	for range n {
		task := newTask(t, busy.UrgencyRoutine)
		l.due[task.Calendar], l.tasks[task.Calendar] = now, task
	}
	return l
}

func (l *ledger) ClaimDue(_ context.Context, now time.Time, limit int, again time.Duration) ([]busy.Task, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls, l.limit = append(l.calls, now), limit
	if l.fail != nil {
		return nil, l.fail
	}
	if l.again > 0 {
		again = l.again
	}
	var tasks []busy.Task
	for id, at := range l.due {
		if len(tasks) < limit && !at.After(now) {
			tasks = append(tasks, l.tasks[id])
			l.due[id] = now.Add(again)
		}
	}
	return tasks, nil
}

// finish records that a calendar was read.
func (l *ledger) finish(id busy.CalendarID) (left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.due, id)
	return len(l.due)
}

func (l *ledger) set(fail error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = fail
}

func (l *ledger) claims() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls)
}

func (l *ledger) lastLimit() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit
}

// line plays the queues.
type line struct {
	mu      sync.Mutex
	waiting int
	fail    error
}

func (q *line) Enqueue(_ context.Context, tasks []busy.Task) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting += len(tasks)
	return q.fail
}

func (q *line) Room(context.Context) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return 1000 - q.waiting, q.fail
}

func (q *line) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

func (q *line) set(waiting int, fail error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting, q.fail = waiting, fail
}

func sweep(due *ledger, q queue.Queue[busy.Task], l *logs) *queue.Sweep[busy.Task] {
	return &queue.Sweep[busy.Task]{
		Claim: due.ClaimDue, Queue: q, Interval: time.Second, Batch: 100,
		Now: time.Now, Random: func() float64 { return 0.5 }, Log: l.logger(),
	}
}

func TestSweepDrainsFullBatchesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		due, q := newLedger(t, 250, time.Now()), &line{}
		go sweep(due, q, &logs{}).Run(ctx)
		synctest.Wait() // no time has passed
		if due.claims() != 3 || q.count() != 250 {
			t.Errorf("%d claims brought %d tasks", due.claims(), q.count())
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if due.claims() != 4 {
			t.Errorf("%d claims after one more interval, want 4", due.claims())
		}
		cancel()
	})
}

func TestSweepKeepsTheQueueShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		due, q := newLedger(t, 5000, time.Now()), &line{}
		q.set(950, nil)
		go sweep(due, q, &logs{}).Run(ctx)
		synctest.Wait()
		if q.count() != 1000 || due.lastLimit() != 50 {
			t.Errorf("%d tasks wait, the last claim was of %d", q.count(), due.lastLimit())
		}
		q.set(0, nil)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if q.count() != 1000 {
			t.Errorf("%d tasks wait once there was room again", q.count())
		}
		q.set(0, nil)
		time.Sleep(time.Second / 8) // more is due: it looks sooner
		synctest.Wait()
		if q.count() != 1000 {
			t.Errorf("%d tasks wait an eighth of an interval after there was room", q.count())
		}
		cancel()
	})
}

func TestSweepBacksOffAndLogsOnce(t *testing.T) {
	for name, fail := range map[string]func(*ledger, *line, error){
		"postgres": func(l *ledger, _ *line, err error) { l.set(err) },
		"redis":    func(_ *ledger, q *line, err error) { q.set(0, err) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				due, q, l := newLedger(t, 10, time.Now()), &line{}, &logs{}
				fail(due, q, errors.New("refused"))
				go sweep(due, q, l).Run(ctx)
				time.Sleep(time.Minute)
				synctest.Wait()
				if n := due.claims(); name == "postgres" && (n < 10 || n > 16) {
					t.Errorf("%d tries in a minute", n)
				}
				if name == "redis" && due.claims() > 0 {
					t.Error("calendars were claimed while Redis was away")
				}
				fail(due, q, nil)
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if q.count() != 10 {
					t.Errorf("%d tasks wait once both are back", q.count())
				}
				if strings.Count(l.String(), "cannot work") != 1 || strings.Count(l.String(), "works again") != 1 {
					t.Errorf("logged:\n%s", l)
				}
				cancel()
			})
		})
	}
}
