package recur

import (
	"math"
	"time"
)

// stretch is the half-open range of instants [from, to) in which a zone keeps one
// offset, in seconds east of UTC.
type stretch struct {
	from, to int64
	offset   int64
}

func (s stretch) holds(instant int64) bool { return s.from <= instant && instant < s.to }

// zone tells a place's offset, which is less than a day either way. Looking it up
// spends steps; once they are used up, the answer may be wrong.
type zone interface {
	at(instant int64, b *budget) stretch
}

// location is a zone of the zone database.
type location struct{ *time.Location }

func (l location) at(instant int64, b *budget) stretch {
	b.step(1)
	t := time.Unix(instant, 0).In(l.Location)
	_, offset := t.Zone()
	s := stretch{from: math.MinInt64, to: math.MaxInt64, offset: int64(offset)}
	from, to := t.ZoneBounds()
	if !from.IsZero() {
		s.from = from.Unix()
	}
	if !to.IsZero() {
		s.to = to.Unix()
	}
	return s
}

// clock turns readings of a zone's wall clock into instants and back. It
// remembers where it looked last: one goroutine may use it.
type clock struct {
	zone   zone
	budget *budget
	last   stretch // at first the empty one
}

func newClock(z zone, b *budget) *clock { return &clock{zone: z, budget: b} }

func (c *clock) at(instant int64) stretch {
	if !c.last.holds(instant) {
		c.last = c.zone.at(instant, c.budget)
	}
	return c.last
}

// wall is what the clock reads at an instant.
func (c *clock) wall(instant int64) int64 { return instant + c.at(instant).offset }

// instant is when the clock first reads wall. A reading that it skips is taken at
// the offset in force before the gap (RFC 5545 §3.3.5).
func (c *clock) instant(wall int64) int64 {
	t, _ := c.find(wall)
	return t
}

// startOfDay is the first instant of a date, or where the zone skips the date,
// of the next one.
func (c *clock) startOfDay(number int64) int64 {
	t, after := c.find(number * day)
	return min(t, after)
}

// find returns the instant of a reading, and where the clock skips the reading,
// the end of the gap. A gap is never longer than the instant is after its start.
func (c *clock) find(wall int64) (instant, gapEnd int64) {
	// No offset reaches a day, so this stretch ends before the reading or has it.
	s := c.at(wall - day)
	for {
		instant = wall - s.offset
		if instant < s.to || c.budget.err != nil {
			return instant, math.MaxInt64
		}
		next := c.zone.at(s.to, c.budget)
		if wall-next.offset < next.from {
			return instant, next.from
		}
		s = next
	}
}
