package api

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/busyd/busyd/busy"
)

var (
	maxAgeLength   = length{name: "max_age", most: 24 * time.Hour, unit: time.Second}
	deadlineLength = length{name: "deadline", fallback: 2 * time.Second, most: 5 * time.Second, unit: time.Second}

	maxAgeParam = param{
		name: maxAgeLength.name, in: "query",
		about: "Have calendars that were read longer ago than this read now, and wait for them, as 60s, up to 24h. The answer " +
			"says whether that was achieved. Without it no provider is asked.",
		schema: huma.Schema{Type: "string", Examples: []any{"60s"}},
	}
	deadlineParam = param{
		name: deadlineLength.name, in: "query",
		about:  "How long to wait for max_age at most, up to 5s.",
		schema: huma.Schema{Type: "string", Default: "2s"},
	}
)

// wish is how fresh an answer is wanted.
type wish struct {
	maxAge, deadline time.Duration
	asked            bool
}

func (p *params) wish() wish {
	return wish{p.length(maxAgeLength), p.length(deadlineLength), p.values.Has(maxAgeLength.name)}
}

type freshness struct {
	MaxAge   string `json:"max_age" doc:"As it was asked for."`
	Achieved bool   `json:"achieved" doc:"Whether every selected calendar of the resources was read within it. See resources for those that were not."`
}

// Polls of the agendas while somebody waits, growing from the first to the last.
const (
	firstPoll = 20 * time.Millisecond
	lastPoll  = 200 * time.Millisecond
)

// refresh has the resources' calendars read that are older than is wished, and
// waits until they are or the deadline is over. Nothing is waited for that cannot
// be read, or has failed meanwhile. nil if nothing is wished.
func (a *api) refresh(r *request, resources []busy.ResourceID, w wish) (*freshness, error) {
	if !w.asked {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, w.deadline)
	defer cancel()
	wait := refreshing{api: a, request: r, oldest: r.now.Add(-w.maxAge), failures: map[busy.CalendarID]int{}}
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		agendas, err := a.agendas(r.ctx, r.tenant, resources, busy.Span{Start: r.now, End: r.now})
		if err != nil {
			return nil, err
		}
		old, pending, err := wait.look(agendas)
		if err != nil {
			return nil, err
		}
		if pending == 0 {
			return &freshness{format(w.maxAge), old == 0}, nil
		}
		select {
		case <-ctx.Done():
			return &freshness{format(w.maxAge), false}, r.ctx.Err()
		case <-time.After(pause):
		}
	}
}

// refreshing is one wait.
type refreshing struct {
	*api
	*request
	oldest   time.Time
	failures map[busy.CalendarID]int // of the calendars that were asked for, when they were
}

// look counts the calendars that are too old, and those of them that are worth
// waiting for, which it asks for once.
func (w *refreshing) look(agendas []busy.Agenda) (old, pending int, err error) {
	for _, agenda := range agendas {
		if agenda.Disconnected {
			old++
		}
		for _, c := range agenda.Calendars {
			if !c.AsOf.Before(w.oldest) {
				continue
			}
			old++
			failures, asked := w.failures[c.ID]
			if !c.Connected.Polled() || asked && c.Failures > failures {
				continue
			}
			pending++
			if asked || c.Running {
				continue
			}
			w.failures[c.ID] = c.Failures
			_, err := w.Syncer.Resync(w.ctx, w.tenant, Scope{Calendar: c.ID}, w.Now())
			if err != nil && !errors.Is(err, busy.ErrNotFound) { // gone meanwhile
				return 0, 0, err
			}
		}
	}
	return old, pending, nil
}
