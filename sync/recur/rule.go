package recur

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// frequency is the length of a rule's periods. The order matters.
type frequency int

const (
	secondly frequency = iota
	minutely
	hourly
	daily
	weekly
	monthly
	yearly
)

var frequencies = []string{"SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"}

var weekdays = []string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}

// maxNumber bounds INTERVAL and COUNT.
const maxNumber = 1 << 31

// rule is an RRULE or EXRULE value (RFC 5545 §3.3.10) as it is written.
type rule struct {
	freq     frequency
	interval int64
	count    int64       // 0: none
	until    busy.Moment // zero: none; floating: in the zone of the series

	seconds, minutes, hours numbers
	weekdays, months        numbers
	nth                     []nth // weekdays with a number before them
	monthDays               signed
	yearDays                signed
	weeks                   signed
	setPos                  []int
	weekStart               time.Weekday
}

// nth is the n-th such weekday of a month or year, from its end if negative.
type nth struct {
	n       int
	weekday time.Weekday
}

// numbers is a set of numbers below 64.
type numbers uint64

func (s numbers) has(n int) bool { return s>>n&1 != 0 }

func (s numbers) len() int { return bits.OnesCount64(uint64(s)) }

// from is the least number in the set that is not below n, or limit. The empty
// set stands for every number.
func (s numbers) from(n, limit int) int {
	if s == 0 {
		return min(n, limit)
	}
	if n >= limit {
		return limit
	}
	return min(n+bits.TrailingZeros64(uint64(s>>n)), limit)
}

// signed is a set of numbers from 1 to 366 that count from the front or, being
// negative, from the back.
type signed struct {
	front, back [6]uint64
	any         bool
}

func (s *signed) add(n int) {
	s.any = true
	if n > 0 {
		s.front[n>>6] |= 1 << (n & 63)
		return
	}
	s.back[-n>>6] |= 1 << (-n & 63)
}

// has reports whether the n-th of size is in the set.
func (s *signed) has(n, size int) bool {
	m := size - n + 1
	return s.front[n>>6]>>(n&63)&1 != 0 || s.back[m>>6]>>(m&63)&1 != 0
}

// parseRule reads a rule value. A rule with parts that are not in the RFC comes
// with an error and without them.
func parseRule(text string) (*rule, error) {
	r := &rule{freq: -1, interval: 1, weekStart: time.Monday}
	var unknown error
	var seen []string
	for part := range strings.SplitSeq(strings.ToUpper(text), ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return nil, malformed("a recurrence rule must have the form FREQ=DAILY;COUNT=5")
		}
		if slices.Contains(seen, name) {
			return nil, malformed("a part occurs twice in a recurrence rule")
		}
		seen = append(seen, name)
		known, err := r.part(name, value)
		if err != nil {
			return nil, err
		}
		if !known && !strings.HasPrefix(name, "X-") {
			unknown = malformed("a part of a recurrence rule is not in RFC 5545")
		}
	}
	if r.freq < 0 {
		return nil, malformed("FREQ is missing")
	}
	slices.Sort(r.setPos)
	r.setPos = slices.Compact(r.setPos)
	slices.SortFunc(r.nth, func(a, b nth) int { return cmp.Or(a.n-b.n, int(a.weekday-b.weekday)) })
	r.nth = slices.Compact(r.nth)
	return r, unknown
}

// part reads one part and reports whether it is a part of RFC 5545.
func (r *rule) part(name, value string) (known bool, err error) {
	switch name {
	case "FREQ":
		r.freq = frequency(slices.Index(frequencies, value))
	case "INTERVAL":
		r.interval, err = positive(value)
	case "COUNT":
		r.count, err = positive(value)
	case "UNTIL":
		r.until, err = parseMoment(value, "")
	case "WKST":
		r.weekStart, err = parseWeekday(value)
	case "BYSECOND":
		r.seconds, err = set(value, 0, 60)
		if r.seconds.has(60) { // a leap second is its minute's last one (§3.3.12)
			r.seconds = r.seconds&^(1<<60) | 1<<59
		}
	case "BYMINUTE":
		r.minutes, err = set(value, 0, 59)
	case "BYHOUR":
		r.hours, err = set(value, 0, 23)
	case "BYMONTH":
		r.months, err = set(value, 1, 12)
	case "BYDAY":
		err = r.byDay(value)
	case "BYMONTHDAY":
		err = list(value, -31, 31, r.monthDays.add)
	case "BYYEARDAY":
		err = list(value, -366, 366, r.yearDays.add)
	case "BYWEEKNO":
		err = list(value, -53, 53, r.weeks.add)
	case "BYSETPOS":
		err = list(value, -366, 366, func(n int) { r.setPos = append(r.setPos, n) })
	case "RSCALE": // RFC 7529: this calendar is the one we compute in
		return value == "GREGORIAN", nil
	case "SKIP":
		return value == "OMIT", nil
	default:
		return false, nil
	}
	return true, err
}

func (r *rule) byDay(value string) error {
	for item := range strings.SplitSeq(value, ",") {
		item = strings.TrimSpace(item)
		if len(item) < 2 {
			return malformed("BYDAY must have the form MO,-1FR")
		}
		number, name := item[:len(item)-2], item[len(item)-2:]
		weekday, err := parseWeekday(name)
		if err != nil {
			return err
		}
		if number == "" {
			r.weekdays |= 1 << weekday
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil || n == 0 || n < -53 || n > 53 {
			return malformed("BYDAY takes numbers from 1 to 53 and -53 to -1")
		}
		r.nth = append(r.nth, nth{n, weekday})
	}
	return nil
}

func parseWeekday(name string) (time.Weekday, error) {
	i := slices.Index(weekdays, name)
	if i < 0 {
		return 0, malformed("a weekday must be one of SU, MO, TU, WE, TH, FR, SA")
	}
	return time.Weekday(i), nil
}

func positive(value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 1 || n > maxNumber {
		return 0, malformed("INTERVAL and COUNT must be whole numbers above 0")
	}
	return n, nil
}

// list reads numbers from low to high; where low is negative, 0 is not one.
func list(value string, low, high int, add func(int)) error {
	for item := range strings.SplitSeq(value, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(item))
		if err != nil || n < low || n > high || n == 0 && low < 0 {
			return malformed("a BY part has a number that is out of range")
		}
		add(n)
	}
	return nil
}

func set(value string, low, high int) (s numbers, err error) {
	err = list(value, low, high, func(n int) { s |= 1 << n })
	return s, err
}
