package booking

import (
	"fmt"
	"time"

	"github.com/busyd/busyd/busy"
)

// farthest bounds how far a clock on earth is from UTC, with an hour to spare:
// from +14:00 (Kiritimati) to -12:00.
const farthest = 15 * time.Hour

// Instant returns when a clock in the zone shows wall, a reading carried in UTC.
// A reading that the clock skips (a gap) is taken with the offset before the
// gap, one that it shows twice (an overlap) is the first of the two (RFC 5545
// §3.3.5). [time.Date] decides both by the zone's place on earth.
func Instant(wall time.Time, zone *time.Location) time.Time {
	before, after := offset(wall.Add(-farthest), zone), offset(wall.Add(farthest), zone)
	if t := wall.Add(-before); before == after || offset(t, zone) == before {
		return t
	}
	if t := wall.Add(-after); offset(t, zone) == after {
		return t
	}
	return wall.Add(-before)
}

func offset(t time.Time, zone *time.Location) time.Duration {
	_, seconds := t.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// Date returns the date that a clock in the zone shows at t, as its midnight
// carried in UTC.
func Date(t time.Time, zone *time.Location) time.Time {
	year, month, day := t.In(zone).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// Day returns the span of a date, a midnight carried in UTC, in the zone. It is
// empty if the zone skipped the date, as Samoa did 2011-12-30.
func Day(date time.Time, zone *time.Location) busy.Span {
	return busy.Span{Start: Instant(date, zone), End: Instant(date.AddDate(0, 0, 1), zone)}
}

// dateAt returns the date whose [Day] holds t, as its midnight carried in UTC. It
// is the one that the clock shows, but where the clock is set back over midnight:
// a date that has begun is not left again.
func dateAt(t time.Time, zone *time.Location) time.Time {
	date := Date(t, zone)
	if next := date.AddDate(0, 0, 1); !t.Before(Instant(next, zone)) {
		return next
	}
	return date
}

// weekAt returns the Monday of the week of dateAt.
func weekAt(t time.Time, zone *time.Location) time.Time {
	date := dateAt(t, zone)
	return date.AddDate(0, 0, -(int(date.Weekday())+6)%7)
}

// week returns the span of the seven days from a Monday.
func week(monday time.Time, zone *time.Location) busy.Span {
	return busy.Span{Start: Instant(monday, zone), End: Instant(monday.AddDate(0, 0, 7), zone)}
}

// zones loads each zone once: the library reads and parses a file every time.
type zones map[string]*time.Location

func (z zones) load(r busy.Resource, name string) (*time.Location, error) {
	if zone, ok := z[name]; ok {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("the zone of resource %s: %w", r.ID, err)
	}
	z[name] = zone
	return zone, nil
}
