package booking

import (
	"time"
)

// slowClock is a clock that was watched minute by minute, so that what it shows
// need not be computed.
type slowClock struct {
	from  time.Time // the first minute, in UTC
	shows []int64   // wall clock readings carried in UTC, in minutes since 1970
	first map[int64]time.Time
}

// watch looks at a clock of the zone for two weeks before and after the moment.
func watch(zone string, at time.Time) *slowClock {
	location, err := time.LoadLocation(zone)
	if err != nil {
		panic(err)
	}
	const days = 14
	c := &slowClock{from: at.UTC().Truncate(time.Minute).AddDate(0, 0, -days), first: map[int64]time.Time{}}
	c.shows = make([]int64, 2*days*24*60)
	for m := range c.shows {
		t := c.from.Add(time.Duration(m) * time.Minute).In(location)
		year, month, day := t.Date()
		c.shows[m] = time.Date(year, month, day, t.Hour(), t.Minute(), 0, 0, time.UTC).Unix() / 60
	}
	return c
}

// instant waits until the clock shows wall, or something later.
func (c *slowClock) instant(wall time.Time) time.Time {
	want := wall.Unix() / 60
	if t, ok := c.first[want]; ok {
		return t
	}
	t := c.wait(want)
	c.first[want] = t
	return t
}

func (c *slowClock) wait(want int64) time.Time {
	const longest = 30 * 60
	for m := max(0, int(want-c.from.Unix()/60)-longest); m < len(c.shows); m++ {
		switch {
		case c.shows[m] == want:
			return c.from.Add(time.Duration(m) * time.Minute)
		case c.shows[m] > want && m > 0: // the gap: go on at the pace of before
			return c.from.Add(time.Duration(int64(m-1)+want-c.shows[m-1]) * time.Minute)
		}
	}
	panic("nobody watched the clock then")
}

// reading is what the clock shows, carried in UTC.
func (c *slowClock) reading(t time.Time) time.Time {
	return time.Unix(c.shows[int(t.Sub(c.from)/time.Minute)]*60, 0).UTC()
}

// shown reports whether the clock ever shows the date.
func (c *slowClock) shown(date time.Time) bool {
	day := date.Unix() / 60
	for m := max(0, int(day-c.from.Unix()/60)-16*60); m < len(c.shows) && m < int(day-c.from.Unix()/60)+40*60; m++ {
		if c.shows[m] >= day && c.shows[m] < day+24*60 {
			return true
		}
	}
	return false
}

// date returns the last date that has begun at t.
func (c *slowClock) date(t time.Time) time.Time {
	date := c.reading(t).Truncate(24*time.Hour).AddDate(0, 0, 2)
	for c.instant(date).After(t) {
		date = date.AddDate(0, 0, -1)
	}
	return date
}

func mondayOf(date time.Time) time.Time {
	for date.Weekday() != time.Monday {
		date = date.AddDate(0, 0, -1)
	}
	return date
}
