package recur

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

var quarter = busy.Span{
	Start: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
	End:   time.Date(2026, 5, 30, 0, 0, 0, 0, time.UTC),
}

func dailyFrom(year int) []busy.Event {
	return []busy.Event{{
		Key: "k", Series: "k", State: busy.Busy,
		Start:      busy.Moment{Wall: time.Date(year, 1, 3, 9, 0, 0, 0, time.UTC), Zone: "Europe/Berlin"},
		End:        busy.Moment{Wall: time.Date(year, 1, 3, 10, 0, 0, 0, time.UTC), Zone: "Europe/Berlin"},
		Recurrence: []string{"RRULE:FREQ=DAILY"},
	}}
}

func benchmark(b *testing.B, want int, all ...[]busy.Event) {
	x := New()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		got := 0
		for _, series := range all {
			o, err := x.Expand(context.Background(), series, quarter, zone)
			if err != nil {
				b.Fatal(err)
			}
			got += len(o)
		}
		if got != want {
			b.Fatalf("%d occurrences, want %d", got, want)
		}
	}
}

// Both cost the same: the age of a series does not matter.
func BenchmarkDailyFrom2005(b *testing.B) { benchmark(b, 90, dailyFrom(2005)) }
func BenchmarkDailyFrom2026(b *testing.B) { benchmark(b, 90, dailyFrom(2026)) }

// Benchmark200Series is a calendar of series as people have them, in several
// zones and with exceptions, a quarter of a year.
func Benchmark200Series(b *testing.B) {
	rules := []string{
		"FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
		"FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,TH;WKST=SU",
		"FREQ=DAILY;COUNT=9000",
		"FREQ=MONTHLY;BYDAY=-1FR",
		"FREQ=MONTHLY;BYMONTHDAY=1,15,-1",
		"FREQ=YEARLY",
		"FREQ=YEARLY;BYMONTH=3,4;BYDAY=1MO",
		"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
		"FREQ=WEEKLY;UNTIL=20301231T000000Z",
		"FREQ=DAILY;BYHOUR=9,13,17;BYDAY=MO,WE,FR",
	}
	zones := []string{"Europe/Berlin", "America/New_York", "UTC", "", zoneText}
	var all [][]busy.Event
	for i := range 200 {
		start := time.Date(2005+i%20, time.Month(1+i%12), 1+i%28, 8+i%10, 0, 0, 0, time.UTC)
		e := busy.Event{
			Key: fmt.Sprint(i), Series: fmt.Sprint(i), State: busy.Busy,
			Start: busy.Moment{Wall: start, Zone: zones[i%len(zones)]},
			End:   busy.Moment{Wall: start.Add(time.Hour), Zone: zones[i%len(zones)]},
			Recurrence: []string{
				"RRULE:" + rules[i%len(rules)],
				"EXDATE:20260310T090000,20260317T090000,20260324T090000",
			},
		}
		if i%7 == 0 {
			e.Start, e.End = busy.DateOf(start.Year(), start.Month(), start.Day()), busy.Moment{}
		}
		series := []busy.Event{e}
		for n := range i % 4 {
			moved := start.AddDate(2026-start.Year(), 0, 7*n)
			series = append(series, busy.Event{
				Key: e.Key, Series: e.Series, State: busy.Busy,
				Original: busy.Moment{Wall: moved, Zone: e.Start.Zone},
				Start:    busy.Moment{Wall: moved.Add(time.Hour), Zone: e.Start.Zone},
				Length:   busy.Length{Exact: time.Hour},
			})
		}
		all = append(all, series)
	}
	benchmark(b, 6063, all...)
}

// BenchmarkBudget is the longest that one series can take.
func BenchmarkBudget(b *testing.B) {
	for name, rule := range map[string]string{
		"secondly":  "FREQ=SECONDLY",
		"countdown": "FREQ=SECONDLY;BYDAY=MO;COUNT=2000000000",
		"setpos":    "FREQ=SECONDLY;INTERVAL=7;BYSETPOS=1,2,3,4,-1,-2;BYMONTHDAY=1,2,3;COUNT=2000000000",
	} {
		b.Run(name, func(b *testing.B) {
			x := New()
			series := dailyFrom(1990)
			series[0].Recurrence = []string{"RRULE:" + rule}
			for b.Loop() {
				if _, err := x.Expand(context.Background(), series, quarter, time.UTC); err == nil {
					b.Fatal("within the budget")
				}
			}
		})
	}
}
