package busy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Hours are a resource's weekly working hours as clock readings in its zone:
// for each weekday (Sunday is 0) sorted, disjoint ranges. The zero Hours are
// never open.
type Hours [7][]Range

// Range is a half-open range of clock readings, in minutes since midnight. To
// may exceed 24h by up to a day: the range then ends on the next date.
type Range struct {
	From, To int
}

const day = 24 * 60

var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// AlwaysOpen are the hours of something that never closes.
func AlwaysOpen() Hours {
	var h Hours
	for i := range h {
		h[i] = []Range{{0, day}}
	}
	return h
}

// ParseHours reads "mon-fri 09:00-12:00 13:00-17:00; sat 22:00-02:00". A range
// that ends before it starts ends on the next date; 24:00 is the end of a day.
// "always" is every minute of the week.
func ParseHours(s string) (Hours, error) {
	if strings.TrimSpace(s) == "always" {
		return AlwaysOpen(), nil
	}
	var h Hours
	for _, part := range strings.Split(s, ";") {
		fields := strings.Fields(part)
		if len(fields) == 0 {
			continue
		}
		days, err := parseDays(fields[0])
		if err != nil {
			return Hours{}, err
		}
		for _, field := range fields[1:] {
			r, err := parseRange(field)
			if err != nil {
				return Hours{}, err
			}
			for _, d := range days {
				h[d] = append(h[d], r)
			}
		}
	}
	for d := range h {
		slices.SortFunc(h[d], func(a, b Range) int { return a.From - b.From })
		for i := 1; i < len(h[d]); i++ {
			if h[d][i].From < h[d][i-1].To {
				return Hours{}, Invalid("hours", "must not overlap on "+weekdays[d])
			}
		}
	}
	return h, nil
}

// ParseRanges reads the ranges of one date, "09:00-12:00 13:00-17:00", as
// [ParseHours] does those of a weekday. No text is none.
func ParseRanges(s string) ([]Range, error) {
	if strings.Contains(s, ";") {
		return nil, Invalid("hours", `must give times as "09:00-17:00"`)
	}
	h, err := ParseHours("mon " + s)
	return h[time.Monday], err
}

// FormatRanges writes the form that ParseRanges reads.
func FormatRanges(ranges []Range) string {
	texts := make([]string, len(ranges))
	for i, r := range ranges {
		texts[i] = r.String()
	}
	return strings.Join(texts, " ")
}

func parseDays(s string) ([]int, error) {
	from, to, isRange := strings.Cut(strings.ToLower(s), "-")
	first := slices.Index(weekdays[:], from)
	last := first
	if isRange {
		last = slices.Index(weekdays[:], to)
	}
	if first < 0 || last < 0 {
		return nil, Invalid("hours", `must name days as "mon" or "mon-fri"`)
	}
	days := []int{first}
	for d := first; d != last; {
		d = (d + 1) % 7
		days = append(days, d)
	}
	return days, nil
}

func parseRange(s string) (Range, error) {
	from, to, ok := strings.Cut(s, "-")
	a, okA := parseClock(from)
	b, okB := parseClock(to)
	if !ok || !okA || !okB || a == day || a == b {
		return Range{}, Invalid("hours", `must give times as "09:00-17:00"`)
	}
	if b < a {
		b += day
	}
	return Range{a, b}, nil
}

func parseClock(s string) (int, bool) {
	if s == "24:00" {
		return day, true
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err == nil
}

// String writes the form that ParseHours reads, a day at a time.
func (h Hours) String() string {
	var days []string
	for i := range h {
		d := (i + 1) % 7 // from Monday
		if len(h[d]) == 0 {
			continue
		}
		days = append(days, weekdays[d]+" "+FormatRanges(h[d]))
	}
	return strings.Join(days, "; ")
}

func (r Range) String() string {
	to := r.To
	if to > day {
		to -= day
	}
	return fmt.Sprintf("%02d:%02d-%02d:%02d", r.From/60, r.From%60, to/60, to%60)
}

// MarshalText implements [encoding.TextMarshaler].
func (h Hours) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *Hours) UnmarshalText(text []byte) error {
	parsed, err := ParseHours(string(text))
	*h = parsed
	return err
}
