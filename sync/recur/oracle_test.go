package recur

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// spec is a rule as the generators make it and the oracle reads it. It shares
// nothing with the code under test but the text that it prints.
type spec struct {
	freq                                                   string
	interval, count                                        int
	until                                                  time.Time // zero: none
	second, minute, hour, month, monthDay, yearDay, weekNo []int
	day                                                    []specDay
	setPos                                                 []int
	weekStart                                              time.Weekday
}

type specDay struct {
	n       int // 0: every
	weekday time.Weekday
}

func (s spec) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "FREQ=%s;INTERVAL=%d;WKST=%s", s.freq, s.interval, twoLetters(s.weekStart))
	if s.count > 0 {
		fmt.Fprintf(&b, ";COUNT=%d", s.count)
	}
	if !s.until.IsZero() {
		fmt.Fprintf(&b, ";UNTIL=%s", s.until.Format("20060102T150405"))
	}
	for _, part := range []struct {
		name   string
		values []int
	}{
		{"BYSECOND", s.second},
		{"BYMINUTE", s.minute},
		{"BYHOUR", s.hour},
		{"BYMONTH", s.month},
		{"BYMONTHDAY", s.monthDay},
		{"BYYEARDAY", s.yearDay},
		{"BYWEEKNO", s.weekNo},
		{"BYSETPOS", s.setPos},
	} {
		var texts []string
		for _, v := range part.values {
			texts = append(texts, strconv.Itoa(v))
		}
		if texts != nil {
			b.WriteString(";" + part.name + "=" + strings.Join(texts, ","))
		}
	}
	var days []string
	for _, d := range s.day {
		text := twoLetters(d.weekday)
		if d.n != 0 {
			text = strconv.Itoa(d.n) + text
		}
		days = append(days, text)
	}
	if days != nil {
		b.WriteString(";BYDAY=" + strings.Join(days, ","))
	}
	return b.String()
}

func twoLetters(d time.Weekday) string { return strings.ToUpper(d.String()[:2]) }

// generator makes rules whose instances are close enough together for the oracle.
func specs(freqs ...string) *rapid.Generator[spec] {
	return rapid.Custom(func(t *rapid.T) spec {
		some := func(name string, chance, most int, g *rapid.Generator[int]) []int {
			if rapid.IntRange(0, 99).Draw(t, name+"?") >= chance {
				return nil
			}
			return rapid.SliceOfNDistinct(g, 1, most, rapid.ID).Draw(t, name)
		}
		either := func(n int) *rapid.Generator[int] {
			return rapid.OneOf(rapid.IntRange(1, n), rapid.IntRange(-n, -1))
		}
		s := spec{
			freq:      rapid.SampledFrom(freqs).Draw(t, "freq"),
			interval:  rapid.SampledFrom([]int{1, 1, 1, 2, 3, 5, 7, 24, 90}).Draw(t, "interval"),
			weekStart: time.Weekday(rapid.IntRange(0, 6).Draw(t, "wkst")),
			month:     some("month", 25, 4, rapid.IntRange(1, 12)),
			monthDay:  some("monthDay", 25, 4, either(31)),
			yearDay:   some("yearDay", 10, 5, either(366)),
			weekNo:    some("weekNo", 12, 4, either(53)),
			hour:      some("hour", 25, 3, rapid.IntRange(0, 23)),
			minute:    some("minute", 20, 3, rapid.IntRange(0, 59)),
			second:    some("second", 15, 3, rapid.IntRange(0, 59)),
			setPos:    some("setPos", 20, 3, either(6)),
		}
		if s.freq == "YEARLY" || s.freq == "MONTHLY" {
			s.interval = min(s.interval, 3)
		}
		if rapid.IntRange(0, 99).Draw(t, "day?") < 35 {
			for range rapid.IntRange(1, 4).Draw(t, "days") {
				d := specDay{weekday: time.Weekday(rapid.IntRange(0, 6).Draw(t, "weekday"))}
				if rapid.Bool().Draw(t, "numbered") {
					d.n = either(6).Draw(t, "n")
				}
				s.day = append(s.day, d)
			}
		}
		if rapid.IntRange(0, 2).Draw(t, "count?") == 0 {
			s.count = rapid.IntRange(1, 60).Draw(t, "count")
		}
		return s
	})
}

// members is the oracle: it looks at each reading of the clock from the year of
// start to end that the parts could let pass, and asks of each what the RFC asks.
// The result are the instances up to end that the rule produces, and the start.
func (s spec) members(start, end time.Time) []time.Time {
	from := time.Date(start.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	to := time.Date(end.Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
	if s.rank() < rank("WEEKLY") {
		from = start.Truncate(24 * time.Hour)
		to = end.Truncate(24*time.Hour).AddDate(0, 0, 1)
	} else {
		from = from.AddDate(0, 0, -7)
		to = to.AddDate(0, 0, 7)
	}
	var found []time.Time
	var set []time.Time // of one period
	period := -1 << 62
	flush := func() {
		found = append(found, s.pick(set)...)
		set = nil
	}
	hours := s.choices(s.hour, start.Hour(), "HOURLY", 24)
	minutes := s.choices(s.minute, start.Minute(), "MINUTELY", 60)
	seconds := s.choices(s.second, start.Second(), "SECONDLY", 60)
	for d := from; d.Before(to); d = d.AddDate(0, 0, 1) {
		if !s.passesDay(d, start) {
			continue
		}
		for _, h := range hours {
			for _, m := range minutes {
				for _, sec := range seconds {
					t := d.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second)
					p := s.period(t) - s.period(start)
					if p < 0 || p%s.interval != 0 {
						continue
					}
					if p != period {
						flush()
						period = p
					}
					set = append(set, t)
				}
			}
		}
	}
	flush()
	found = slices.DeleteFunc(found, func(t time.Time) bool { return t.Before(start) })
	if !slices.ContainsFunc(found, start.Equal) {
		found = append([]time.Time{start}, found...)
	}
	if s.count > 0 && len(found) > s.count {
		found = found[:s.count]
	}
	return slices.DeleteFunc(found, func(t time.Time) bool {
		return t.After(end) || !s.until.IsZero() && t.After(s.until) && !t.Equal(start)
	})
}

// choices are the values that a part lets pass, or that the start has, or all.
func (s spec) choices(part []int, start int, freq string, n int) []int {
	var all []int
	for v := range n {
		switch {
		case part != nil && slices.Contains(part, v),
			part == nil && s.rank() > rank(freq) && v == start,
			part == nil && s.rank() <= rank(freq):
			all = append(all, v)
		}
	}
	return all
}

var ranks = []string{"SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"}

func rank(freq string) int { return slices.Index(ranks, freq) }

func (s spec) rank() int { return rank(s.freq) }

// period numbers the periods of the rule's frequency.
func (s spec) period(t time.Time) int {
	switch s.freq {
	case "YEARLY":
		return t.Year()
	case "MONTHLY":
		return t.Year()*12 + int(t.Month())
	case "WEEKLY":
		for t = t.Truncate(24 * time.Hour); t.Weekday() != s.weekStart; t = t.AddDate(0, 0, -1) {
		}
		return int(t.Unix()) / (7 * 86400) // the same rest for each week
	case "DAILY":
		return int(t.Unix()) / 86400
	case "HOURLY":
		return int(t.Unix()) / 3600
	case "MINUTELY":
		return int(t.Unix()) / 60
	default:
		return int(t.Unix())
	}
}

func (s spec) pick(set []time.Time) []time.Time {
	if s.setPos == nil {
		return set
	}
	var picked []time.Time
	for i, t := range set {
		if slices.Contains(s.setPos, i+1) || slices.Contains(s.setPos, i-len(set)) {
			picked = append(picked, t)
		}
	}
	return picked
}

func (s spec) passesDay(d, start time.Time) bool {
	lastOfMonth := time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	lastOfYear := time.Date(d.Year(), 12, 31, 0, 0, 0, 0, time.UTC).YearDay()
	in := func(part []int, n, size int) bool {
		return part == nil || slices.Contains(part, n) || slices.Contains(part, n-size-1)
	}
	if s.month != nil && !slices.Contains(s.month, int(d.Month())) ||
		!in(s.monthDay, d.Day(), lastOfMonth) || !in(s.yearDay, d.YearDay(), lastOfYear) {
		return false
	}
	if s.weekNo != nil {
		n, size := s.week(d)
		if !in(s.weekNo, n, size) {
			return false
		}
	}
	if s.day != nil {
		return slices.ContainsFunc(s.day, func(x specDay) bool { return s.passesWeekday(x, d) })
	}
	if s.monthDay != nil || s.yearDay != nil {
		return true
	}
	switch {
	case s.rank() < rank("WEEKLY"):
		return true
	case s.freq == "WEEKLY" || s.weekNo != nil:
		return d.Weekday() == start.Weekday()
	case s.freq == "MONTHLY" || s.month != nil:
		return d.Day() == start.Day()
	default:
		return d.Day() == start.Day() && d.Month() == start.Month()
	}
}

// passesWeekday counts such weekdays day by day within the month or the year.
func (s spec) passesWeekday(x specDay, d time.Time) bool {
	if x.weekday != d.Weekday() {
		return false
	}
	if x.n == 0 || s.rank() < rank("MONTHLY") || s.weekNo != nil {
		return true
	}
	same := func(o time.Time) bool {
		return o.Year() == d.Year() && (o.Month() == d.Month() || s.freq == "YEARLY" && s.month == nil)
	}
	step, n := -1, x.n
	if x.n < 0 {
		step, n = 1, -x.n
	}
	count := 0
	for o := d; same(o); o = o.AddDate(0, 0, step) {
		if o.Weekday() == d.Weekday() {
			count++
		}
	}
	return count == n
}

// week finds the week's year as the one that has most of its days, and the number
// by walking that year's weeks.
func (s spec) week(d time.Time) (number, size int) {
	first := d
	for first.Weekday() != s.weekStart {
		first = first.AddDate(0, 0, -1)
	}
	year := first.AddDate(0, 0, 3).Year()
	for w := first; w.AddDate(0, 0, 3).Year() == year; w = w.AddDate(0, 0, -7) {
		number++
	}
	size = number
	for w := first.AddDate(0, 0, 7); w.AddDate(0, 0, 3).Year() == year; w = w.AddDate(0, 0, 7) {
		size++
	}
	return number, size
}
