package ews

import (
	"regexp"
	"strconv"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/zones"
)

// zone is a TimeZoneDefinition: a name, mostly Windows', and sometimes the
// offsets of its periods.
type zone struct {
	ID      string `xml:"Id,attr"`
	Name    string `xml:"Name,attr"`
	Periods []struct {
		Bias string `xml:"Bias,attr"` // of UTC against the local time: -PT1H is east
	} `xml:"Periods>Period"`
}

func (z *zone) names() []string {
	if z == nil {
		return nil
	}
	names := []string{z.ID, z.Name}
	for _, p := range z.Periods {
		names = append(names, p.Bias)
	}
	return names
}

// days turns the instants of an all-day item, which are midnights in the item's
// own zone, into dates. Where that zone is unknown, the calendar's is tried, and
// what is a guess then is a problem.
func (z *zone) days(from, to time.Time, home string) (start, end busy.Moment, problem busy.Problem) {
	shift, certain := z.shift(from, home)
	first := dateAt(from, shift(from))
	last := dateAt(to, shift(to))
	if !first.Wall.Before(last.Wall) {
		last = busy.Moment{Wall: first.Wall.AddDate(0, 0, 1), Date: true}
	}
	if !certain {
		problem = busy.ProblemZone
	}
	return first, last, problem
}

// dateAt is the date whose midnight is nearest at this offset from UTC: zones
// change their rules, and items keep the instants of the old ones.
func dateAt(t time.Time, offset time.Duration) busy.Moment {
	local := t.UTC().Add(offset + 12*time.Hour)
	return busy.DateOf(local.Year(), local.Month(), local.Day())
}

// shift returns the offset from UTC at an instant.
func (z *zone) shift(from time.Time, home string) (at func(time.Time) time.Duration, certain bool) {
	if z != nil {
		for _, name := range []string{z.ID, z.Name} {
			if location, ok := locate(name); ok {
				return in(location), true
			}
		}
		if at, ok := z.fromPeriods(from); ok {
			return at, true
		}
	}
	location, known := locate(home)
	if known && isMidnight(from, in(location)(from)) {
		return in(location), true
	}
	return nearest, false
}

func locate(name string) (*time.Location, bool) {
	iana, ok := zones.Resolve(name)
	if !ok {
		return nil, false
	}
	location, err := time.LoadLocation(iana)
	return location, err == nil
}

func in(location *time.Location) func(time.Time) time.Duration {
	return func(t time.Time) time.Duration {
		_, offset := t.In(location).Zone()
		return time.Duration(offset) * time.Second
	}
}

func isMidnight(t time.Time, offset time.Duration) bool {
	return t.UTC().Add(offset).Truncate(24 * time.Hour).Equal(t.UTC().Add(offset))
}

// fromPeriods takes the offset at which the item begins at midnight from those
// that a custom zone lists. Its end may lie in another period: the nearest
// midnight is the same.
func (z *zone) fromPeriods(from time.Time) (func(time.Time) time.Duration, bool) {
	for _, p := range z.Periods {
		bias, ok := parseBias(p.Bias)
		if ok && isMidnight(from, -bias) {
			return func(time.Time) time.Duration { return -bias }, true
		}
	}
	return nil, false
}

// nearest is the offset between -12 and +12 hours that makes an instant midnight.
func nearest(t time.Time) time.Duration {
	past := t.UTC().Sub(t.UTC().Truncate(24 * time.Hour))
	if past > 12*time.Hour {
		return 24*time.Hour - past
	}
	return -past
}

var bias = regexp.MustCompile(`^(-?)PT(?:([0-9]{1,2})H)?(?:([0-9]{1,4})M)?(?:[0-9.]+S)?$`)

// parseBias reads an xs:duration of hours and minutes.
func parseBias(s string) (time.Duration, bool) {
	m := bias.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	hours, _ := strconv.Atoi(m[2]) // no digits: none
	minutes, _ := strconv.Atoi(m[3])
	d := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if m[1] == "-" {
		d = -d
	}
	return d, d > -15*time.Hour && d < 15*time.Hour
}
