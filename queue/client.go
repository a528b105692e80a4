package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"

	"github.com/busyd/busyd/busy"
)

// parallel is how many tasks are on their way to Redis at once: enqueueing is a
// round trip each.
const parallel = 16

// Client puts tasks into the queues. It is safe for concurrent use.
type Client struct {
	redis     Redis
	inspector *asynq.Inspector
	now       func() time.Time
}

// NewClient returns a client that uses the pool.
func NewClient(r Redis, now func() time.Time) *Client {
	return &Client{r, asynq.NewInspectorFromRedisClient(r), now}
}

// Enqueue puts the tasks into the queues of their urgencies. A calendar that is
// queued already stays where it is. An error says that some tasks were not
// queued: the caller may go on, for the sweep finds their calendars in Postgres.
func (c *Client) Enqueue(ctx context.Context, tasks []busy.Task) error {
	return putAll(ctx, c, tasks, encode)
}

// putAll enqueues tasks as encode writes them.
func putAll[T any](ctx context.Context, c *Client, tasks []T, encode func(T, time.Time) (*asynq.Task, []asynq.Option, error)) error {
	// An asynq client announces each queue once in its life, which a flushed
	// Redis forgets; so it gets a short one. It is a struct around the pool.
	client := asynq.NewClientFromRedisClient(c.redis)
	group, ctx := errgroup.WithContext(ctx)
	workers := min(parallel, len(tasks))
	for first := range workers {
		group.Go(func() error {
			for i := first; i < len(tasks); i += workers {
				task, options, err := encode(tasks[i], c.now())
				if err != nil {
					return err
				}
				_, err = client.EnqueueContext(ctx, task, options...)
				if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
					return fmt.Errorf("enqueue a task: %w", err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// hinted is how many tasks go past the sweep at once.
const hinted = 100

// Hint is Enqueue for tasks that are due in Postgres already: it brings a few of
// them now, and leaves the rest to the sweep, which lets each tenant have a share.
func (c *Client) Hint(ctx context.Context, tasks []busy.Task) error {
	return c.Enqueue(ctx, tasks[:min(len(tasks), hinted)])
}

// Depth is the state of one queue.
type Depth struct {
	Pending int // wait for a worker
	Active  int // are under way
	Failed  int // were given up after their workers died
	// Latency is how long the oldest pending task has waited.
	Latency time.Duration
}

// Depths returns the state of every queue.
func (c *Client) Depths(context.Context) (map[busy.Urgency]Depth, error) {
	known, err := c.inspector.Queues() // those that something was put into
	if err != nil {
		return nil, fmt.Errorf("list the queues: %w", err)
	}
	depths := map[busy.Urgency]Depth{}
	for name := range weights {
		depth, err := c.depth(name, known)
		if err != nil {
			return nil, err
		}
		depths[busy.Urgency(name)] = depth
	}
	return depths, nil
}

// depth is the state of the queue, if it is one of those that are known.
func (c *Client) depth(name string, known []string) (Depth, error) {
	if !slices.Contains(known, name) {
		return Depth{}, nil
	}
	info, err := c.inspector.GetQueueInfo(name)
	if err != nil {
		return Depth{}, fmt.Errorf("look at the queues: %w", err)
	}
	return Depth{
		Pending: info.Pending + info.Scheduled + info.Retry,
		Active:  info.Active, Failed: info.Archived, Latency: info.Latency,
	}, nil
}

const (
	// perWorker is how many tasks may wait for each worker: enough to keep it busy
	// until the sweep looks again, and over in a moment.
	perWorker = 8
	// fewestWorkers are counted on, for none is known where Redis was just flushed.
	fewestWorkers = 16
)

// Room is how many tasks the queues should get.
func (c *Client) Room(ctx context.Context) (int, error) {
	pending, err := c.Pending(ctx)
	if err != nil {
		return 0, err
	}
	return c.room(string(busy.UrgencyRoutine), pending)
}

// room is what the workers of a queue bear, less what is pending.
func (c *Client) room(queue string, pending int) (int, error) {
	servers, err := c.inspector.Servers()
	if err != nil {
		return 0, fmt.Errorf("count the workers: %w", err)
	}
	workers := 0
	for _, s := range servers {
		if s.Queues[queue] > 0 {
			workers += s.Concurrency
		}
	}
	return max(workers, fewestWorkers)*perWorker - pending, nil
}

// Pending counts the tasks that wait for a worker.
func (c *Client) Pending(ctx context.Context) (int, error) {
	depths, err := c.Depths(ctx)
	pending := 0
	for _, d := range depths {
		pending += d.Pending
	}
	return pending, err
}
