package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// fields reads the values of a request, wherever they stand in it, and collects
// what is wrong with them. Its methods return a zero value for what is wrong or
// missing; err tells.
type fields struct{ wrong violations }

func (f *fields) reject(field, detail string) { f.wrong = append(f.wrong, violation{field, detail}) }

func (f *fields) err() error {
	if len(f.wrong) > 0 {
		return f.wrong
	}
	return nil
}

func readID[Of any](f *fields, name, value string) busy.ID[Of] {
	id, err := busy.ParseID[Of](value)
	if err != nil {
		f.reject(name, uuidForm)
	}
	return id
}

// readIDs reads the ids in the order given.
func readIDs[Of any](f *fields, name string, values []string, most int) []busy.ID[Of] {
	if len(values) > most {
		f.reject(name, "must be given at most "+strconv.Itoa(most)+" times")
		return nil
	}
	ids := make([]busy.ID[Of], 0, len(values))
	for _, v := range values {
		id, err := busy.ParseID[Of](v)
		if err != nil {
			f.reject(name, uuidForm)
			return nil
		}
		if slices.Contains(ids, id) {
			f.reject(name, "must not name the same one twice")
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}

// span is [from, to), in UTC.
func (f *fields) span(from, to string) busy.Span {
	s := busy.Span{Start: f.instant(fromParam.name, from), End: f.instant(toParam.name, to)}
	switch {
	case s.Start.IsZero() || s.End.IsZero():
	case s.Empty():
		f.reject(toParam.name, "must be after from")
	case s.End.Sub(s.Start) > MaxRange:
		f.reject(toParam.name, "must be at most 92 days after from")
	}
	return s
}

func (f *fields) instant(name, value string) time.Time {
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		f.reject(name, "must be an RFC 3339 time with an offset, such as 2026-03-02T09:00:00Z")
		return time.Time{}
	}
	if t = t.UTC(); t.Year() < 2000 || t.Year() > 2199 {
		f.reject(name, "must be in the years 2000 to 2199")
		return time.Time{}
	}
	return t
}

// date reads a date as a midnight in UTC.
func (f *fields) date(name, value string) time.Time {
	t, err := time.Parse(time.DateOnly, value)
	if err != nil || t.Year() < 2000 || t.Year() > 2199 {
		f.reject(name, "must be a date in the years 2000 to 2199, such as 2026-12-24")
		return time.Time{}
	}
	return t
}

// count reads a number; absent, it is the least.
func (f *fields) count(name string, value *int, least, most int) int {
	switch {
	case value == nil:
		return least
	case *value < least || *value > most:
		f.reject(name, "must be from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
	}
	return *value
}

// length is what a field that is a duration may be.
type length struct {
	name              string
	fallback          time.Duration // where it is absent
	least, most, unit time.Duration
}

// duration reads a length between its bounds, in whole units.
func (f *fields) duration(l length, value string) time.Duration {
	if value == "" {
		return l.fallback
	}
	d, ok := parseDuration(value)
	switch {
	case !ok:
		f.reject(l.name, "must be a duration such as 30m, 1h30m or PT30M")
	case d < l.least || d > l.most:
		f.reject(l.name, "must be from "+format(l.least)+" to "+format(l.most))
	case d%l.unit != 0:
		f.reject(l.name, "must be in whole "+map[time.Duration]string{time.Minute: "minutes", time.Second: "seconds"}[l.unit])
	}
	return d
}

// parseDuration reads 1h30m, 14d, and the time part of ISO 8601, PT1H30M.
func parseDuration(s string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	if iso, ok := strings.CutPrefix(s, "PT"); ok {
		if iso != strings.ToUpper(iso) {
			return 0, false
		}
		s = strings.ToLower(iso)
	}
	if strings.Trim(s, "0123456789hms.") != "" {
		return 0, false // no sign, no units below a second
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// format writes a duration in whole seconds as 45s, 30m, 24h or 60d.
func format(d time.Duration) string {
	switch {
	case d%time.Minute != 0:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d%time.Hour != 0 || d == 0:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d%(24*time.Hour) != 0 || d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	default:
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
}
