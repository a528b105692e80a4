package recur

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
)

// FuzzExpand reads scenarios: whatever is given, what comes out is in order,
// within bounds, and overlaps the window.
func FuzzExpand(f *testing.F) {
	for _, file := range scenarioFiles(f) {
		for _, s := range readScenarios(f, file) {
			f.Add(s.text)
		}
	}
	x := New()
	f.Fuzz(func(t *testing.T, text string) {
		scenarios, err := parseScenarios(text)
		if err != nil {
			return
		}
		for _, s := range scenarios {
			all, err := x.Expand(context.Background(), s.series, s.window, s.zone)
			checkExpansion(t, s.series, s.window, all, err)
			x.Until(s.series, s.zone)
		}
	})
}

func checkExpansion(t *testing.T, series []busy.Event, window busy.Span, all []busy.Occurrence, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, busy.ErrBudget) && !errors.Is(err, busy.ErrRule) {
		t.Fatalf("an error of no kind: %v", err)
	}
	if len(all) > MaxOccurrences+len(series) {
		t.Fatalf("%d occurrences", len(all))
	}
	for i, o := range all {
		span := busy.Span{Start: o.Start, End: o.End}
		if span.Empty() || !span.Overlaps(window) {
			t.Fatalf("%v is not in %v", o, window)
		}
		if i > 0 && o.Start.Before(all[i-1].Start) {
			t.Fatalf("%v comes after %v", o, all[i-1])
		}
		if o.Event < 0 || o.Event >= len(series) || o.State != series[o.Event].State || o.State == busy.Free {
			t.Fatalf("%v has a wrong event or state", o)
		}
	}
}

// FuzzRule walks any rule near its start and far from it: the far part is what
// the near one says, if both are within the budget.
func FuzzRule(f *testing.F) {
	for _, file := range scenarioFiles(f) {
		for _, s := range readScenarios(f, file) {
			for _, e := range s.series {
				for _, line := range e.Recurrence {
					f.Add(strings.TrimPrefix(line, "RRULE:"), e.Start.Wall.Unix(), int64(100))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string, start, distance int64) {
		r, err := parseRule(text)
		if err != nil && !errors.Is(err, busy.ErrRule) {
			t.Fatalf("an error of no kind: %v", err)
		}
		if r == nil {
			return
		}
		start = minWall + mod(start, maxWall-minWall)
		p := bind(r, start, false, steps(1<<20))
		if p.count > 0 {
			p.countStart()
		}
		collect := func(from, to int64) (walls []int64, ok bool) {
			b := steps(100_000)
			p.walk(from, to, b, func(wall int64) bool {
				walls = append(walls, wall)
				return true
			})
			return walls, b.err == nil
		}
		far := start + mod(distance, 500)*day
		whole, ok := collect(start, far+30*day)
		tail, okTail := collect(far, far+30*day)
		if ok && !okTail {
			t.Fatal("seeking took longer than walking")
		}
		if !ok {
			return
		}
		for len(whole) > 0 && whole[0] < far {
			whole = whole[1:]
		}
		if len(whole) != len(tail) {
			t.Fatalf("%d instances by walking, %d by seeking", len(whole), len(tail))
		}
		for i := range tail {
			if tail[i] != whole[i] || i > 0 && tail[i] <= tail[i-1] {
				t.Fatalf("instance %d: %d by walking, %d by seeking", i, whole[i], tail[i])
			}
		}
	})
}

func steps(n int) *budget { return &budget{ctx: context.Background(), steps: n} }
