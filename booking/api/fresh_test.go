package api

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busyd/busyd/busy"
)

// reader reads calendars some time after it was asked to.
type reader struct {
	*house
	mu    sync.Mutex
	takes time.Duration
	fails bool
	asked []busy.CalendarID
}

func (r *reader) Resync(ctx context.Context, tenant busy.TenantID, scope Scope, now time.Time) ([]busy.CalendarID, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, scope.Calendar)
	time.AfterFunc(r.takes, func() { r.read(scope.Calendar, now) })
	return r.house.Resync(ctx, tenant, scope, now)
}

func (r *reader) Agendas(ctx context.Context, tenant busy.TenantID, ids []busy.ResourceID, span busy.Span) ([]busy.Agenda, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.house.Agendas(ctx, tenant, ids, span)
}

func (r *reader) read(id busy.CalendarID, began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.tenants[0].calendars {
		c := &r.tenants[0].calendars[i]
		switch {
		case c.ID != id:
		case r.fails:
			c.Failures++
		default:
			c.AsOf, c.Running = began, false
		}
	}
}

// lookAfter asks for fresh answers of both resources with a reader that takes so
// long, and returns what was achieved, after how long, and whom it was asked of.
func lookAfter(t *testing.T, r *reader, more string, prepare func(*reader)) (got *freshness, waited time.Duration, asked []busy.CalendarID) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, func(c *Config) {
			r.house = c.Store.(*house)
			c.Store, c.Syncer = r, r
		})
		if prepare != nil {
			prepare(r)
		}
		began := time.Now()
		answer := read[availabilityAnswer](h, "GET", "/v1/availability?resource="+h.resource(0)+"&resource="+h.resource(1)+days+"&duration=1h"+more, one, "")
		got, waited, asked = answer.Freshness, time.Since(began), r.asked
		time.Sleep(time.Minute) // let the reader end
		if len(asked) > 0 && !slices.Contains([]busy.CalendarID{h.tenants[0].calendars[0].ID, h.tenants[0].calendars[1].ID}, asked[0]) {
			t.Errorf("%v was asked for", asked)
		}
	})
	return got, waited, asked
}

func TestAnAnswerAsFreshAsAsked(t *testing.T) { // calendars were read 40 s ago
	for name, c := range map[string]struct {
		reader   *reader
		more     string
		prepare  func(*reader)
		achieved bool
		asked    int
		waits    time.Duration // at least; and less than a poll more
	}{
		"fresh enough":       {&reader{takes: time.Hour}, "&max_age=60s", nil, true, 0, 0},
		"read while waiting": {&reader{takes: time.Second}, "&max_age=30s", nil, true, 2, time.Second},
		"read now":           {&reader{takes: 0}, "&max_age=0s", nil, true, 2, 0},
		"too slow":           {&reader{takes: 3 * time.Second}, "&max_age=30s", nil, false, 2, 2 * time.Second},
		"more patience":      {&reader{takes: 3 * time.Second}, "&max_age=30s&deadline=5s", nil, true, 2, 3 * time.Second},
		"no patience":        {&reader{takes: time.Second}, "&max_age=30s&deadline=0s", nil, false, 2, 0},
		"fails":              {&reader{takes: time.Second, fails: true}, "&max_age=30s", nil, false, 2, time.Second},
		"cannot be read": {&reader{takes: time.Second}, "&max_age=30s", func(r *reader) {
			r.tenants[0].calendars[0].Connected = busy.ConnectionNeedsReconnect
		}, false, 1, time.Second},
		"is being read": {&reader{takes: time.Hour}, "&max_age=30s", func(r *reader) {
			for i := range r.tenants[0].calendars {
				c := &r.tenants[0].calendars[i]
				c.Running = true
				time.AfterFunc(time.Second, func() { r.read(c.ID, moment) })
			}
		}, true, 0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			got, waited, asked := lookAfter(t, c.reader, c.more, c.prepare)
			if got == nil || got.Achieved != c.achieved || len(asked) != c.asked || waited < c.waits || waited > c.waits+lastPoll {
				t.Errorf("%+v after %s, having asked for %d", got, waited, len(asked))
			}
		})
	}
	// Without being asked to, nobody waits for anything.
	got, waited, asked := lookAfter(t, &reader{takes: time.Second}, "&deadline=5s", nil)
	if got != nil || waited > 0 || len(asked) > 0 {
		t.Errorf("%+v after %s, having asked for %v", got, waited, asked)
	}
}
