package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/busyd/busyd/busy"
)

// typeDispatch names the form of the payload; see typeSync.
const typeDispatch = "dispatch.1"

// dispatching is the queue of the dispatches. It has workers of its own: slow
// endpoints must not keep calendars waiting.
const dispatching = "dispatch"

// dispatchTimeout is more than a round ever takes.
const dispatchTimeout = time.Minute

type dispatchPayload struct {
	Tenant   busy.TenantID   `json:"tenant"`
	Endpoint busy.EndpointID `json:"endpoint"`
	Epoch    int64           `json:"epoch"`
}

// Dispatches puts dispatches into their queue. It is safe for concurrent use.
type Dispatches struct{ *Client }

// Enqueue is [Client.Enqueue] for dispatches.
func (d Dispatches) Enqueue(ctx context.Context, dispatches []busy.Dispatch) error {
	return putAll(ctx, d.Client, dispatches, encodeDispatch)
}

// Room is how many dispatches the queue should get.
func (d Dispatches) Room(context.Context) (int, error) {
	depth, err := d.Depth()
	if err != nil {
		return 0, err
	}
	return d.room(dispatching, depth.Pending)
}

// Depth is the state of the queue.
func (d Dispatches) Depth() (Depth, error) {
	known, err := d.inspector.Queues()
	if err != nil {
		return Depth{}, fmt.Errorf("list the queues: %w", err)
	}
	return d.depth(dispatching, known)
}

// NewDispatchServer returns a server for the dispatches.
func NewDispatchServer(r Redis, c ServerConfig, handle func(context.Context, busy.Dispatch) error) *Server {
	return &Server{redis: r, config: c, queues: map[string]int{dispatching: 1}, read: func(t *asynq.Task, _ string) (work, error) {
		d, err := decodeDispatch(t.Type(), t.Payload())
		return work{"endpoint", d.Endpoint.String(), func(ctx context.Context) error { return handle(ctx, d) }}, err
	}}
}

func encodeDispatch(d busy.Dispatch, now time.Time) (*asynq.Task, []asynq.Option, error) {
	body, err := json.Marshal(dispatchPayload(d))
	if err != nil {
		return nil, nil, fmt.Errorf("encode a dispatch: %w", err)
	}
	return asynq.NewTask(typeDispatch, body), []asynq.Option{
		asynq.Queue(dispatching),
		asynq.TaskID(taskID(d.Endpoint.String(), d.Epoch, now)),
		asynq.MaxRetry(1), // for the tasks of a worker that died; see Server
		asynq.Timeout(dispatchTimeout),
		asynq.Retention(0),
	}, nil
}

func decodeDispatch(kind string, body []byte) (busy.Dispatch, error) {
	var p dispatchPayload
	if kind != typeDispatch || decodeStrictly(body, &p) != nil || p.Tenant.IsZero() || p.Endpoint.IsZero() {
		return busy.Dispatch{}, errPayload
	}
	return busy.Dispatch(p), nil
}
