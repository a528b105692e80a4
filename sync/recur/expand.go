package recur

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// Expander expands series. It remembers the zones it has met, up to a bound; one
// serves a whole process, and it is safe for concurrent use.
type Expander struct {
	zones zones
}

// New returns an Expander.
func New() *Expander { return &Expander{} }

// Expand returns the occurrences of one series that overlap the window: whole,
// sorted by Start, and only those that block time and have a length. Floating
// times and dates are read in zone. The cost grows with the window and not with
// the age of the series.
//
// An error may come with the occurrences that are known all the same:
// [busy.ErrBudget] if there are more of them or the search took longer than
// allowed ([MaxOccurrences], [MaxSteps]), [busy.ErrRule] for a line that cannot
// be understood, [ErrZone] among these for an unknown zone.
func (x *Expander) Expand(ctx context.Context, series []busy.Event, window busy.Span, zone *time.Location) ([]busy.Occurrence, error) {
	e := x.begin(ctx, series, zone)
	e.window = spanOf(window)
	if e.window.from >= e.window.to {
		return nil, nil
	}
	e.run()
	return e.sorted(), e.err()
}

// expansion is one call of Expand or Until.
type expansion struct {
	zones  *zones
	series []busy.Event
	window span
	home   *clock
	clocks []named
	budget *budget
	out    []busy.Occurrence

	badRule, badZone error
}

type named struct {
	zone  string
	clock *clock
}

// span is the half-open range of instants [from, to).
type span struct{ from, to int64 }

func (s span) overlaps(start, end int64) bool { return start < end && start < s.to && s.from < end }

// spanOf clamps a span to the years that are computed with. Occurrences start
// and end at whole seconds, so rounding outwards loses and adds none.
func spanOf(w busy.Span) span {
	from, to := w.Start.Unix(), w.End.Unix()
	if w.End.Nanosecond() > 0 {
		to++
	}
	return span{max(from, minWall-day), min(to, maxWall+2*day)}
}

func (x *Expander) begin(ctx context.Context, series []busy.Event, zone *time.Location) *expansion {
	if zone == nil {
		zone = time.UTC
	}
	b := &budget{ctx: ctx, steps: MaxSteps, room: MaxOccurrences}
	return &expansion{
		zones:  &x.zones,
		series: series,
		home:   newClock(location{zone}, b),
		budget: b,
	}
}

// clock is that of a moment's zone. An unknown zone is read as the calendar's.
func (x *expansion) clock(zone string) *clock {
	if zone == "" {
		return x.home
	}
	for _, c := range x.clocks {
		if c.zone == zone {
			return c.clock
		}
	}
	c := x.home
	if z := x.zones.find(zone, x.budget); z != nil {
		c = newClock(z, x.budget)
	} else {
		x.fail(ErrZone)
	}
	x.clocks = append(x.clocks, named{zone, c})
	return c
}

// fail notes an error that does not end the expansion.
func (x *expansion) fail(err error) {
	switch {
	case err == nil:
	case errors.Is(err, ErrZone):
		x.badZone = err
	case x.badRule == nil:
		x.badRule = err
	}
}

func (x *expansion) err() error {
	var all []error
	for _, err := range []error{x.budget.err, x.badRule, x.badZone} {
		if err != nil {
			all = append(all, err)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("expand a series: %w", errors.Join(all...))
}

func (x *expansion) run() {
	var exceptions []exception
	alone := true
	for i := range x.series {
		if !x.series[i].Original.IsZero() {
			continue
		}
		if x.series[i].Start.IsZero() {
			x.fail(malformed("an event has no start"))
			continue
		}
		m := x.master(&x.series[i])
		own, future := x.exceptions(m)
		if alone {
			alone, exceptions = false, own
		}
		x.expand(i, m, own, future)
	}
	if alone {
		exceptions, _ = x.exceptions(nil)
	}
	for _, e := range exceptions {
		if blocks(e.Event) {
			t, wall := x.timing(e.Event), wallOf(e.Start)
			start := t.begin(wall)
			x.emit(e.index, start, t.end(start, wall), t.date)
		}
	}
}

// expand emits the occurrences of a master that no exception replaces.
func (x *expansion) expand(index int, m *master, own, future []exception) {
	regimes := x.regimes(index, m, future)
	list := x.instances(m, x.needed(regimes, len(own) > 0))
	replace(list, own)
	x.out = slices.Grow(x.out, len(list))
	now := 0
	for _, i := range list {
		for now+1 < len(regimes) && regimes[now+1].from <= i.at {
			now++
		}
		r := regimes[now]
		if i.gone || !r.blocks {
			continue
		}
		start, end, allDay := r.occurrence(i)
		x.emit(r.event, start, end, allDay)
	}
}

// needed are the ranges in which instances must be known, in order and disjoint.
// Exceptions are matched by date as well, for which whole days must be known.
func (x *expansion) needed(regimes []regime, wholeDays bool) []bounds {
	var all []bounds
	for i, r := range regimes {
		to := int64(math.MaxInt64)
		if i+1 < len(regimes) {
			to = regimes[i+1].from
		}
		b, ok := r.needs(x.window, to)
		if !ok {
			continue
		}
		if wholeDays {
			b = bounds{b.from - 3*day, b.to + 3*day}
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b bounds) int { return cmp.Compare(a.from, b.from) })
	merged := all[:0]
	for _, b := range all {
		if last := len(merged) - 1; last >= 0 && b.from <= merged[last].to+1 {
			merged[last].to = max(merged[last].to, b.to)
			continue
		}
		merged = append(merged, b)
	}
	return merged
}

func (x *expansion) emit(event int, start, end int64, allDay bool) {
	if !x.window.overlaps(start, end) {
		return
	}
	x.out = append(x.out, busy.Occurrence{
		Event:  event,
		Start:  time.Unix(start, 0).UTC(),
		End:    time.Unix(end, 0).UTC(),
		AllDay: allDay,
		State:  x.series[event].State,
	})
}

func (x *expansion) sorted() []busy.Occurrence {
	if len(x.out) == 0 {
		return nil
	}
	compare := func(a, b busy.Occurrence) int {
		return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End), cmp.Compare(a.Event, b.Event))
	}
	if !slices.IsSortedFunc(x.out, compare) {
		slices.SortFunc(x.out, compare)
	}
	return x.out
}
