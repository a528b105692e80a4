package ical

import (
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// reading is a DATE or DATE-TIME value (RFC 5545 §3.3.4, §3.3.5) before its zone
// is known.
type reading struct {
	wall time.Time // in the UTC location, whatever the zone
	date bool
	utc  bool
}

// parseReading reads 20260301, 20260301T090000 and 20260301T090000Z. It takes
// lower case, missing seconds, the leap second as the one before it, and 24:00
// as the end of its day.
func parseReading(s string) (reading, bool) {
	var r reading
	s = strings.ToUpper(strings.TrimSpace(s))
	if rest, ok := strings.CutSuffix(s, "Z"); ok {
		s, r.utc = rest, true
	}
	var clock string
	switch {
	case len(s) == 8 && !r.utc:
		r.date = true
	case (len(s) == 13 || len(s) == 15) && s[8] == 'T':
		clock = s[9:] + "00"[:15-len(s)]
	default:
		return r, false
	}
	year, month, day := number(s[:4]), number(s[4:6]), number(s[6:8])
	hour, minute, second, ok := parseClock(clock)
	if !ok || year < 1 || month < 1 || day < 1 {
		return r, false
	}
	date := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if int(date.Month()) != month {
		return r, false // there is no such date
	}
	r.wall = time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	return r, r.wall.Year() <= 9999
}

// parseClock reads six digits; none are midnight.
func parseClock(s string) (hour, minute, second int, ok bool) {
	if s == "" {
		return 0, 0, 0, true
	}
	hour, minute, second = number(s[:2]), number(s[2:4]), number(s[4:])
	switch {
	case min(hour, minute, second) < 0 || hour > 24 || minute > 59 || second > 60:
		return 0, 0, 0, false
	case hour == 24 && minute+second > 0:
		return 0, 0, 0, false
	default:
		return hour, minute, min(second, 59), true
	}
}

// number reads decimal digits; -1 if they are none.
func number(s string) int {
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// maxDays bounds a duration, to a century.
const maxDays = 36525

// parseDuration reads a DURATION value (§3.3.6). Weeks and days may stand
// together, which the grammar forbids and exporters do.
func parseDuration(s string) (busy.Length, bool) {
	s = strings.ToUpper(strings.TrimSpace(s))
	sign := 1
	switch {
	case strings.HasPrefix(s, "-"):
		sign, s = -1, s[1:]
	case strings.HasPrefix(s, "+"):
		s = s[1:]
	}
	date, clock, timed := strings.Cut(strings.TrimPrefix(s, "P"), "T")
	if !strings.HasPrefix(s, "P") || date == "" && clock == "" || timed && clock == "" {
		return busy.Length{}, false
	}
	days, ok1 := sum(date, map[byte]int{'W': 7, 'D': 1})
	seconds, ok2 := sum(clock, map[byte]int{'H': 3600, 'M': 60, 'S': 1})
	if !ok1 || !ok2 || days > maxDays || seconds > maxDays*24*3600 {
		return busy.Length{}, false
	}
	return busy.Length{Days: sign * days, Exact: time.Duration(sign*seconds) * time.Second}, true
}

// sum adds up numbers that are each followed by their unit.
func sum(s string, units map[byte]int) (int, bool) {
	total, from := 0, 0
	for i := range len(s) {
		unit, is := units[s[i]]
		if !is {
			continue
		}
		n := number(s[from:i])
		if n < 0 || i == from || i-from > 10 {
			return 0, false
		}
		total, from = total+n*unit, i+1
	}
	return total, from == len(s)
}
