package pull_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/busyd/busyd/busy"
)

// census counts what befell worlds. It is safe for concurrent use.
type census struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *census) count(what string) { c.add(map[string]int{what: 1}) }

func (c *census) add(n map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[string]int)
	}
	for what, n := range n {
		c.n[what] += n
	}
}

func (c *census) String() string {
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(c.n)) {
		fmt.Fprintf(&b, "\n%8d %s", c.n[what], what)
	}
	return b.String()
}

// demand fails the test unless all that can befall a world did so often enough.
func (c *census) demand(t *testing.T, times int) {
	t.Helper()
	all := slices.Concat(edits, happenings)
	for _, fate := range allFates {
		if fate != lucky {
			all = append(all, "a worker "+fate.String())
		}
	}
	for _, outcome := range []busy.Outcome{
		busy.OutcomeChanged, busy.OutcomeUnchanged, busy.OutcomeUnreachable, busy.OutcomeThrottled, busy.OutcomeUnauthorized,
		busy.OutcomeSuspicious, busy.OutcomeFailed,
	} {
		all = append(all, "a run ends "+string(outcome))
	}
	for _, serverOf := range serverKinds {
		server := serverOf(&world{town: &town{}}, 0)
		all = append(all, string(server.kind()))
		for _, trouble := range server.troubles() {
			all = append(all, troubleOf(server, trouble))
		}
	}
	for _, what := range all {
		if c.n[what] < times {
			t.Errorf("%s: %d times, want %d at least", what, c.n[what], times)
		}
	}
}

func troubleOf(s server, t trouble) string { return string(s.kind()) + " fails: " + t.name }
