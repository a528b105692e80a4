package booking

import (
	"cmp"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// WorkingPeriods returns the working hours that touch the span, one period for each
// range of each date, by Start and not clipped. They are laid out date by date
// on the clock of the zone, so that a period can be an hour longer or shorter
// where the clocks change. A date that the zone skipped has none. Periods may
// touch, and overlap where a range of one date ends in the next.
func WorkingPeriods(hours busy.Hours, zone *time.Location, span busy.Span) []busy.Span {
	var periods []busy.Span
	if span.Empty() {
		return nil
	}
	// A range ends at most two days after its date began, so that the dates that
	// matter begin two days early.
	last := Date(span.End, zone)
	for date := Date(span.Start, zone).AddDate(0, 0, -2); !date.After(last); date = date.AddDate(0, 0, 1) {
		ranges := hours[date.Weekday()]
		if len(ranges) == 0 || Day(date, zone).Empty() {
			continue
		}
		for _, r := range ranges {
			p := busy.Span{Start: clock(date, r.From, zone), End: clock(date, r.To, zone)}
			if !p.Empty() && p.Overlaps(span) {
				periods = append(periods, p)
			}
		}
	}
	byStart := func(a, b busy.Span) int {
		return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End))
	}
	if !slices.IsSortedFunc(periods, byStart) {
		slices.SortFunc(periods, byStart)
	}
	return periods
}

func clock(date time.Time, minutes int, zone *time.Location) time.Time {
	return Instant(date.Add(time.Duration(minutes)*time.Minute), zone)
}
