// Package queue carries hints through Redis: which calendars to sync now, and to
// which endpoints to send. It is not a record of anything. Postgres knows what is
// due; a task that is lost, run twice or run late costs time and nothing else, so
// Redis may be flushed at any moment. Tasks carry ids only.
package queue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hibiken/asynq"

	"github.com/busyd/busyd/busy"
)

// typeSync names the form of the payload. A new form needs a new name: a worker
// drops a task that it cannot read, and the sweep brings its calendar again.
const typeSync = "sync.1"

// weights of the queues: how often each is asked first while all are full, so
// that no urgency starves another.
var weights = map[string]int{
	string(busy.UrgencyWaiting): 6,
	string(busy.UrgencyPushed):  3,
	string(busy.UrgencyRoutine): 1,
}

// runTimeout bounds one run. A run that loses its lease ends long before.
const runTimeout = 30 * time.Minute

// Again is how long an enqueued calendar is left alone before the sweep enqueues
// it anew, and so what a task that got lost costs at most.
const Again = 25 * time.Second

type payload struct {
	Tenant   busy.TenantID   `json:"tenant"`
	Calendar busy.CalendarID `json:"calendar"`
	Epoch    int64           `json:"epoch"`
}

// taskID lets one calendar or endpoint be queued once an epoch; the number of the
// Again interval is part of it, because asynq refuses an id for ever behind a twin
// that a dead worker left behind.
func taskID(of string, epoch int64, now time.Time) string {
	return fmt.Sprintf("%s:%d:%d", of, epoch, now.UnixNano()/int64(Again))
}

// encode makes the asynq task.
func encode(t busy.Task, now time.Time) (*asynq.Task, []asynq.Option, error) {
	if _, known := weights[string(t.Urgency)]; !known {
		return nil, nil, fmt.Errorf("no queue for urgency %q", t.Urgency)
	}
	body, err := json.Marshal(payload{t.Tenant, t.Calendar, t.Epoch})
	if err != nil {
		return nil, nil, fmt.Errorf("encode a task: %w", err)
	}
	return asynq.NewTask(typeSync, body), []asynq.Option{
		asynq.Queue(string(t.Urgency)),
		asynq.TaskID(taskID(t.Calendar.String(), t.Epoch, now)),
		asynq.MaxRetry(1), // for the tasks of a worker that died; see Server
		asynq.Timeout(runTimeout),
		asynq.Retention(0),
	}, nil
}

var errPayload = errors.New("the task is of an unknown form")

func decode(kind string, body []byte, urgency string) (busy.Task, error) {
	var p payload
	if kind != typeSync || decodeStrictly(body, &p) != nil || p.Tenant.IsZero() || p.Calendar.IsZero() {
		return busy.Task{}, errPayload
	}
	return busy.Task{Tenant: p.Tenant, Calendar: p.Calendar, Epoch: p.Epoch, Urgency: busy.Urgency(urgency)}, nil
}

// decodeStrictly reads a payload, one object with the fields that it should have.
func decodeStrictly(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return errPayload
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errPayload
	}
	return nil
}
