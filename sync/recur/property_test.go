package recur

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/google/go-cmp/cmp"
	"github.com/teambition/rrule-go"
	"pgregory.net/rapid"
)

// drawStart draws a start from 1995 to 2005, whatever the time of day.
func drawStart(t *rapid.T) time.Time {
	day := rapid.IntRange(0, 4000).Draw(t, "day")
	return time.Date(1995, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, day).Add(
		time.Duration(rapid.IntRange(0, 86399).Draw(t, "second of day")) * time.Second)
}

func seriesOf(start time.Time, lines ...string) []busy.Event {
	return []busy.Event{{
		Key: "k", Series: "k", State: busy.Busy,
		Start: busy.InstantOf(start), Length: busy.Length{Exact: time.Second},
		Recurrence: lines,
	}}
}

// startsOf expands a series of one-second events.
func startsOf(t rapid.TB, series []busy.Event, window busy.Span) []time.Time {
	t.Helper()
	all, err := New().Expand(context.Background(), series, window, time.UTC)
	if err != nil {
		t.Fatalf("%v: %v", series[0].Recurrence, err)
	}
	starts := []time.Time{}
	for _, o := range all {
		starts = append(starts, o.Start)
	}
	return starts
}

func within(all []time.Time, window busy.Span) []time.Time {
	in := []time.Time{}
	for _, t := range all {
		if !t.Before(window.Start) && t.Before(window.End) {
			in = append(in, t)
		}
	}
	return in
}

// drawWindow draws a window in a range: all of it, or some of it.
func drawWindow(t *rapid.T, start, end time.Time) busy.Span {
	seconds := int(end.Sub(start) / time.Second)
	a, b := rapid.IntRange(0, seconds).Draw(t, "from"), rapid.IntRange(0, seconds).Draw(t, "to")
	if a > b {
		a, b = b, a
	}
	return busy.Span{Start: start.Add(time.Duration(a) * time.Second), End: start.Add(time.Duration(b+1) * time.Second)}
}

func spanOfYears(s spec) time.Duration {
	switch s.freq {
	case "YEARLY":
		return 9 * 366 * 24 * time.Hour
	case "MONTHLY":
		return 4 * 366 * 24 * time.Hour
	case "WEEKLY", "DAILY":
		return 400 * 24 * time.Hour
	case "HOURLY":
		return 20 * 24 * time.Hour
	case "MINUTELY":
		return 30 * time.Hour
	default:
		return 40 * time.Minute
	}
}

func checkOracle(t *testing.T, freqs ...string) {
	rapid.Check(t, func(t *rapid.T) {
		s := specs(freqs...).Draw(t, "rule")
		start := drawStart(t)
		end := start.Add(spanOfYears(s))
		if rapid.IntRange(0, 4).Draw(t, "until?") == 0 {
			s.until = drawWindow(t, start, end).Start
		}
		if rapid.Bool().Draw(t, "on pattern") {
			// Most starts are on their rule's pattern.
			if all := s.members(start, end); len(all) > 1 {
				start = all[1]
			}
		}
		all := s.members(start, end)
		series := seriesOf(start, "RRULE:"+s.String())
		for _, window := range []busy.Span{{Start: start.Add(-time.Hour), End: end}, drawWindow(t, start, end)} {
			if diff := cmp.Diff(within(all, window), startsOf(t, series, window)); diff != "" {
				t.Fatalf("%v from %v in %v: (-oracle +got)\n%s", s, start, window, diff)
			}
		}
	})
}

func TestOracleYearly(t *testing.T)   { checkOracle(t, "YEARLY") }
func TestOracleMonthly(t *testing.T)  { checkOracle(t, "MONTHLY") }
func TestOracleWeekly(t *testing.T)   { checkOracle(t, "WEEKLY", "DAILY") }
func TestOracleSubDaily(t *testing.T) { checkOracle(t, "HOURLY", "MINUTELY", "SECONDLY") }

// TestRRuleGo compares with teambition/rrule-go where that is right: it has no
// off-pattern start, takes all seven days for BYWEEKNO without BYDAY, miscounts
// the last week of a year in the days after New Year, leaves the days before the
// start out of the week that BYSETPOS counts in, lets plain
// and numbered weekdays narrow each other, panics for a sixth weekday of a month,
// and does not end for rules that cannot have an instance.
func TestRRuleGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := specs("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY").Draw(t, "rule")
		s.count = 0
		numbered := slices.ContainsFunc(s.day, func(d specDay) bool { return d.n != 0 })
		if numbered {
			s.day = slices.DeleteFunc(s.day, func(d specDay) bool { return d.n == 0 || d.n*d.n > 25 })
		}
		s.weekNo = slices.DeleteFunc(s.weekNo, func(n int) bool { return n*n > 51*51 || n == -1 })
		if len(s.weekNo) == 0 {
			s.weekNo = nil
		}
		if s.weekNo != nil && (s.day == nil || numbered) {
			s.day = []specDay{{weekday: time.Monday}, {weekday: time.Sunday}}
		}
		switch s.freq {
		case "HOURLY":
			s.hour, s.setPos = nil, nil
		case "WEEKLY":
			s.setPos = nil
		}
		start := drawStart(t)
		end := start.Add(spanOfYears(s))
		s.until = end
		if len(s.members(start, end)) < 3 {
			return // it looks for instances up to the year 9999
		}
		theirs, err := rrule.StrToRRule(s.String())
		if err != nil {
			t.Skip(err)
		}
		theirs.DTStart(start)
		want := theirs.Between(start, end, true)
		if !slices.ContainsFunc(want, start.Equal) {
			want = append([]time.Time{start}, want...)
		}
		window := busy.Span{Start: start, End: end}
		got := startsOf(t, seriesOf(start, "RRULE:"+s.String()), window)
		if diff := cmp.Diff(within(want, window), got); diff != "" {
			t.Fatalf("%v from %v: (-rrule-go +got)\n%s", s, start, diff)
		}
	})
}

// TestSeekEqualsWalk looks at a window far from the start, and at a series that
// is expanded from its start in windows that follow each other.
func TestSeekEqualsWalk(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"}
	rapid.Check(t, func(t *rapid.T) {
		s := specs("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY").Draw(t, "rule")
		s.count *= rapid.SampledFrom([]int{1, 50}).Draw(t, "times")
		if s.freq == "DAILY" || s.freq == "HOURLY" {
			s.second, s.minute = nil, nil
		}
		start := drawStart(t)
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		series := seriesOf(start, "RRULE:"+s.String())
		series[0].Start.Zone = zone
		series[0].Length.Exact = time.Duration(rapid.IntRange(1, 100_000).Draw(t, "length")) * time.Second
		if rapid.Bool().Draw(t, "all-day") {
			series[0].Start = busy.DateOf(start.Year(), start.Month(), start.Day())
			series[0].Length = busy.Length{Days: rapid.IntRange(1, 5).Draw(t, "length")}
		}
		x := New()
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		expand := func(window busy.Span) []busy.Occurrence {
			all, err := x.Expand(context.Background(), series, window, loc)
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		end := start.AddDate(2, 0, 0)
		whole := expand(busy.Span{Start: start.AddDate(0, 0, -2), End: end})
		part := drawWindow(t, start, end)
		var want []busy.Occurrence
		for _, o := range whole {
			if part.Overlaps(busy.Span{Start: o.Start, End: o.End}) {
				want = append(want, o)
			}
		}
		if diff := cmp.Diff(want, expand(part)); diff != "" {
			t.Fatalf("%v from %v %v in %v: (-walk +seek)\n%s", s, start, zone, part, diff)
		}
		var union []busy.Occurrence
		for at := start.AddDate(0, 0, -2); at.Before(end); {
			next := at.Add(time.Duration(rapid.IntRange(1, 500).Draw(t, "hours")) * time.Hour)
			if next.After(end) {
				next = end
			}
			union = append(union, expand(busy.Span{Start: at, End: next})...)
			at = next
		}
		if diff := cmp.Diff(whole, slices.Compact(inStartOrder(union))); diff != "" {
			t.Fatalf("%v from %v %v: (-whole +union of windows)\n%s", s, start, zone, diff)
		}
	})
}

func inStartOrder(all []busy.Occurrence) []busy.Occurrence {
	slices.SortFunc(all, func(a, b busy.Occurrence) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return a.End.Compare(b.End)
	})
	return all
}

// TestUntilIsABound: nothing is ever found after what Until says.
func TestUntilIsABound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := specs("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY").Draw(t, "rule")
		s.count = max(s.count, 1)
		start := drawStart(t)
		series := seriesOf(start, "RRULE:"+s.String(), "RDATE:"+start.AddDate(0, 1, 3).Format("20060102T150405Z"))
		until, ok := New().Until(series, time.UTC)
		if !ok {
			t.Skip("counting takes more than the budget")
		}
		late, err := New().Expand(context.Background(), series, busy.Span{Start: until, End: until.AddDate(30, 0, 0)}, time.UTC)
		if err != nil || len(late) > 0 {
			t.Fatalf("%v from %v: until %v, but %v %v", s, start, until, late, err)
		}
	})
}

// TestClock compares with what the zone database shows around each change of the
// clock: every reading is at the first instant that shows it, and one that is
// never shown keeps the offset from before.
func TestClock(t *testing.T) {
	const step = 15 * minute
	x := New()
	for _, name := range []string{
		"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
		"America/Sao_Paulo", "Africa/Casablanca", "Antarctica/Troll",
	} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		c := newClock(x.zones.find(name, steps(10)), steps(1<<30))
		from := time.Date(2005, 1, 1, 0, 0, 0, 0, time.UTC)
		for range 40 {
			_, change := from.In(loc).ZoneBounds()
			if change.IsZero() {
				break
			}
			from = change
			_, before := change.Add(-time.Second).Zone()
			first := make(map[int64]int64)
			for at := change.Unix() - 3*day; at <= change.Unix()+3*day; at += step {
				_, offset := time.Unix(at, 0).In(loc).Zone()
				if _, shown := first[at+int64(offset)]; !shown {
					first[at+int64(offset)] = at
				}
			}
			around := change.Unix() + int64(before)
			for wall := around - 30*hour; wall <= around+30*hour; wall += step {
				want, shown := first[wall]
				if !shown {
					want = wall - int64(before)
				}
				if got := c.instant(wall); got != want {
					t.Fatalf("%s, %s: got %s, want %s", name, time.Unix(wall, 0).UTC().Format(time.DateTime),
						time.Unix(got, 0).In(loc), time.Unix(want, 0).In(loc))
				}
			}
		}
	}
}

// TestCountingIsNoShortcut compares rules that are counted by arithmetic with the
// same rules counted one by one.
func TestCountingIsNoShortcut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := specs(ranks...).Draw(t, "rule")
		for _, part := range []*[]int{&s.month, &s.monthDay, &s.yearDay, &s.weekNo, &s.hour, &s.minute, &s.second, &s.setPos} {
			if rapid.IntRange(0, 3).Draw(t, "keep") > 0 {
				*part = nil
			}
		}
		s.count = rapid.IntRange(1, 300).Draw(t, "count")
		start := drawStart(t).Unix()
		r, err := parseRule(s.String())
		if err != nil {
			t.Fatal(err)
		}
		b := steps(1 << 24)
		p := bind(r, start, false, b)
		p.countStart()
		collect := func(from int64) (walls []int64) {
			p.walk(from, start+100*366*day, b, func(wall int64) bool {
				walls = append(walls, wall)
				return true
			})
			return walls
		}
		known := p.steady
		p.steady = false
		all := collect(start)
		if len(all) == 0 {
			return
		}
		from := all[rapid.IntRange(0, len(all)-1).Draw(t, "from")] + int64(rapid.IntRange(0, 1).Draw(t, "after"))
		want := collect(from)
		p.steady = known
		if diff := cmp.Diff(want, collect(from)); diff != "" {
			t.Fatalf("%s from %d at %d: (-one by one +by arithmetic)\n%s", s, start, from, diff)
		}
		if last, ok := p.final(b); !ok || last < all[len(all)-1] {
			t.Fatalf("%s from %d: final %d, but there is %d", s, start, last, all[len(all)-1])
		}
	})
}

// zoneText writes a zone with two yearly changes, and is the oracle for it.
const zoneText = `BEGIN:VTIMEZONE
BEGIN:STANDARD
DTSTART:19701025T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19700329T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE`

// TestVTimezone compares with the zone database, for the years in which Berlin
// has had the European rule.
func TestVTimezone(t *testing.T) {
	zones := &zones{}
	ours, theirs := zones.find(zoneText, steps(1000)), zones.find("Europe/Berlin", steps(1000))
	for day := int64(9800); day < 24000; day++ {
		for _, second := range []int64{0, 3599, 3600, 7200} {
			at := day*86400 + second
			if a, b := ours.at(at, steps(1000)), theirs.at(at, steps(1000)); a != b {
				t.Fatalf("%v: %+v, want %+v", time.Unix(at, 0).UTC(), a, b)
			}
		}
	}
}

func TestZonesAreBounded(t *testing.T) {
	z := &zones{}
	for i := range 3 * maxZones {
		z.find(fmt.Sprint("Nowhere/", i), steps(1))
	}
	if len(z.known) > maxZones {
		t.Errorf("%d zones are remembered", len(z.known))
	}
	for i := range 200 {
		z.find(zoneText+strings.Repeat("\n", 40_000)+fmt.Sprint(i), steps(1000))
	}
	if z.size > maxZoneSize {
		t.Errorf("%d bytes are remembered", z.size)
	}
}
