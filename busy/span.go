package busy

import (
	"cmp"
	"slices"
	"time"
)

// Span is the half-open interval [Start, End).
type Span struct {
	Start time.Time
	End   time.Time
}

// Empty reports whether the span holds no instant.
func (s Span) Empty() bool { return !s.Start.Before(s.End) }

// Overlaps reports whether the spans share an instant. Spans that only touch do
// not overlap.
func (s Span) Overlaps(o Span) bool { return s.Start.Before(o.End) && o.Start.Before(s.End) }

// Contains reports whether every instant of o lies in s.
func (s Span) Contains(o Span) bool { return !o.Start.Before(s.Start) && !o.End.After(s.End) }

// Intersect returns the instants that are in both; the result may be Empty.
func (s Span) Intersect(o Span) Span {
	if o.Start.After(s.Start) {
		s.Start = o.Start
	}
	if o.End.Before(s.End) {
		s.End = o.End
	}
	return s
}

// Merge returns the union of the spans as the fewest sorted, disjoint, non-empty
// spans; spans that touch become one. It reorders its argument and reuses its
// memory.
func Merge(spans []Span) []Span {
	byStart := func(a, b Span) int { return cmp.Compare(a.Start.UnixNano(), b.Start.UnixNano()) }
	if !slices.IsSortedFunc(spans, byStart) {
		slices.SortFunc(spans, byStart)
	}
	merged := spans[:0]
	for _, s := range spans {
		if s.Empty() {
			continue
		}
		if last := len(merged) - 1; last >= 0 && !s.Start.After(merged[last].End) {
			if s.End.After(merged[last].End) {
				merged[last].End = s.End
			}
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// Subtract returns the instants of from that are in none of taken, as sorted,
// disjoint, non-empty spans. Both arguments must be as Merge returns them.
func Subtract(from, taken []Span) []Span {
	var left []Span
	next := 0
	for _, s := range from {
		for next < len(taken) && !taken[next].End.After(s.Start) {
			next++
		}
		for i := next; i < len(taken) && taken[i].Start.Before(s.End); i++ {
			if s.Start.Before(taken[i].Start) {
				left = append(left, Span{s.Start, taken[i].Start})
			}
			s.Start = taken[i].End
		}
		if !s.Empty() {
			left = append(left, s)
		}
	}
	return left
}
