package booking

import (
	"cmp"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// period is one range of working hours on one date, on the clock of a zone.
type period struct {
	busy.Span
	zone *time.Location
}

// WorkingPeriods returns the working hours that touch the span, one period for each
// range of each date, by Start and not clipped. They are laid out date by date
// on the clock of the resource's zone, or of the place where an override says that
// it is, so that a period can be an hour longer or shorter where the clocks change.
// A date that the zone skipped has none. Periods may touch, and overlap where a
// range of one date ends in the next.
func WorkingPeriods(r busy.Resource, span busy.Span) ([]busy.Span, error) {
	periods, err := zones{}.periods(r, span)
	spans := make([]busy.Span, len(periods))
	for i, p := range periods {
		spans[i] = p.Span
	}
	return spans, err
}

func (z zones) periods(r busy.Resource, span busy.Span) ([]period, error) {
	own, err := z.load(r, r.Zone)
	if err != nil || span.Empty() {
		return nil, err
	}
	// A range ends at most two days after its date began, so that the dates that
	// matter begin two days early; and the date elsewhere on earth can be two others.
	abroad := 0
	if slices.ContainsFunc(r.Overrides, func(o busy.Override) bool { return o.Zone != "" }) {
		abroad = 2
	}
	var periods []period
	last := dateAt(span.End, own).AddDate(0, 0, abroad)
	for date := Date(span.Start, own).AddDate(0, 0, -2-abroad); !date.After(last); date = date.AddDate(0, 0, 1) {
		rule := ruleOf(r, date)
		zone := own
		if rule.zone != "" {
			if zone, err = z.load(r, rule.zone); err != nil {
				return nil, err
			}
		}
		if len(rule.ranges) == 0 || Day(date, zone).Empty() {
			continue
		}
		for _, of := range rule.ranges {
			p := busy.Span{Start: clock(date, of.From, zone), End: clock(date, of.To, zone)}
			if !p.Empty() && p.Overlaps(span) {
				periods = append(periods, period{p, zone})
			}
		}
	}
	byStart := func(a, b period) int {
		return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End))
	}
	if !slices.IsSortedFunc(periods, byStart) {
		slices.SortFunc(periods, byStart)
	}
	return periods, nil
}

func clock(date time.Time, minutes int, zone *time.Location) time.Time {
	return Instant(date.Add(time.Duration(minutes)*time.Minute), zone)
}
