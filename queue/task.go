// Package queue carries hints through Redis: which calendars to sync now. It is
// not a record of anything. Postgres knows what is due; a task that is lost, run
// twice or run late costs time and nothing else, so Redis may be flushed at any
// moment. Tasks carry ids only.
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

// encode makes the asynq task. Its id lets one calendar be queued once an epoch;
// the number of the Again interval is part of it, because asynq refuses an id for
// ever behind a twin that a dead worker left behind.
func encode(t busy.Task, now time.Time) (*asynq.Task, []asynq.Option, error) {
	if _, known := weights[string(t.Urgency)]; !known {
		return nil, nil, fmt.Errorf("no queue for urgency %q", t.Urgency)
	}
	body, err := json.Marshal(payload{t.Tenant, t.Calendar, t.Epoch})
	if err != nil {
		return nil, nil, fmt.Errorf("encode a task: %w", err)
	}
	interval := now.UnixNano() / int64(Again)
	return asynq.NewTask(typeSync, body), []asynq.Option{
		asynq.Queue(string(t.Urgency)),
		asynq.TaskID(fmt.Sprintf("%s:%d:%d", t.Calendar, t.Epoch, interval)),
		asynq.MaxRetry(1), // for the tasks of a worker that died; see Server
		asynq.Timeout(runTimeout),
		asynq.Retention(0),
	}, nil
}

var errPayload = errors.New("the task is of an unknown form")

func decode(kind string, body []byte, urgency string) (busy.Task, error) {
	if kind != typeSync {
		return busy.Task{}, errPayload
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	var p payload
	if err := decoder.Decode(&p); err != nil {
		return busy.Task{}, errPayload
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return busy.Task{}, errPayload
	}
	if p.Tenant.IsZero() || p.Calendar.IsZero() {
		return busy.Task{}, errPayload
	}
	return busy.Task{Tenant: p.Tenant, Calendar: p.Calendar, Epoch: p.Epoch, Urgency: busy.Urgency(urgency)}, nil
}
