package recur

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/google/go-cmp/cmp"
)

func TestContextEndsAnExpansion(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	series := dailyFrom(1990)
	series[0].Recurrence = []string{"RRULE:FREQ=SECONDLY;BYDAY=MO;COUNT=2000000000"}
	if _, err := New().Expand(ctx, series, quarter, time.UTC); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestExpanderIsSafeForConcurrentUse(t *testing.T) {
	x := New()
	zones := []string{"Europe/Berlin", "America/New_York", zoneText, "Nowhere/Town"}
	want := make([][]busy.Occurrence, len(zones))
	series := make([][]busy.Event, len(zones))
	for i, zone := range zones {
		series[i] = dailyFrom(2005)
		series[i][0].Start.Zone, series[i][0].End.Zone = zone, zone
		want[i], _ = New().Expand(context.Background(), series[i], quarter, time.UTC)
	}
	var group sync.WaitGroup
	for n := range 40 {
		group.Go(func() {
			i := n % len(zones)
			got, _ := x.Expand(context.Background(), series[i], quarter, time.UTC)
			if diff := cmp.Diff(want[i], got); diff != "" {
				t.Errorf("%s: (-alone +together)\n%s", zones[i], diff)
			}
		})
	}
	group.Wait()
}

func TestArgumentsStayAsTheyAre(t *testing.T) {
	for _, file := range scenarioFiles(t) {
		again := readScenarios(t, file)
		for i, s := range readScenarios(t, file) {
			_, _ = New().Expand(context.Background(), s.series, s.window, s.zone)
			if diff := cmp.Diff(again[i].series, s.series); diff != "" {
				t.Errorf("%s: %s", s.name, diff)
			}
		}
	}
}

func TestNoZoneIsUTC(t *testing.T) {
	series := []busy.Event{{State: busy.Busy, Start: busy.DateOf(2026, 3, 2)}}
	got, err := New().Expand(context.Background(), series, quarter, nil)
	if err != nil || len(got) != 1 || !got[0].Start.Equal(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got %v %v", got, err)
	}
}

func TestNothingGivenNothingFound(t *testing.T) {
	x := New()
	for name, series := range map[string][]busy.Event{
		"no series":     nil,
		"only a cancel": {{Original: busy.DateOf(2026, 3, 2), Cancelled: true}},
	} {
		if got, err := x.Expand(context.Background(), series, quarter, time.UTC); len(got) > 0 || err != nil {
			t.Errorf("%s: %v %v", name, got, err)
		}
		if until, ok := x.Until(series, time.UTC); !until.IsZero() || !ok {
			t.Errorf("%s: until %v %v", name, until, ok)
		}
	}
	backwards := busy.Span{Start: quarter.End, End: quarter.Start}
	if got, err := x.Expand(context.Background(), dailyFrom(2005), backwards, time.UTC); len(got) > 0 || err != nil {
		t.Errorf("a window that ends before it begins: %v %v", got, err)
	}
}

// TestErrorsRepeatNothing: an error ends up in logs, and calendars are private.
func TestErrorsRepeatNothing(t *testing.T) {
	const mark = "PRIVATE"
	for _, line := range []string{
		"RRULE:FREQ=" + mark,
		"RRULE:" + mark,
		"RRULE:" + mark + "=1",
		"RRULE:FREQ=DAILY;" + mark + "=1",
		"RRULE:FREQ=DAILY;BYDAY=" + mark,
		"RRULE:FREQ=DAILY;BYDAY=" + mark + "MO",
		"RRULE:FREQ=DAILY;WKST=" + mark,
		"RRULE:FREQ=DAILY;COUNT=" + mark,
		"RRULE:FREQ=DAILY;UNTIL=" + mark,
		"RRULE:FREQ=DAILY;BYMONTH=" + mark,
		"EXRULE:" + mark,
		"RDATE:" + mark,
		"RDATE:20260301/" + mark,
		"RDATE:20260301T000000Z/P" + mark,
		"RDATE:20260301T000000Z/" + strings.ReplaceAll(mark, "P", ""),
		"EXDATE:" + mark,
		"EXDATE;TZID=" + mark + ":20260301T000000",
		mark,
		mark + ":1",
	} {
		series := dailyFrom(2026)
		series[0].Recurrence = []string{line}
		_, err := New().Expand(context.Background(), series, quarter, time.UTC)
		if !errors.Is(err, busy.ErrRule) {
			t.Errorf("%s: error %v, want %v", line, err, busy.ErrRule)
			continue
		}
		if strings.Contains(err.Error(), mark) {
			t.Errorf("%s: the error repeats it: %v", line, err)
		}
	}
}

// TestObjectsMadeToHurt: each is what an object of a megabyte can hold. That they
// end is the test; within the budget it takes a fraction of a second.
func TestObjectsMadeToHurt(t *testing.T) {
	var onsets, rules, seconds []string
	for i := range 3900 {
		at := time.Date(2026, 3, 10, 0, 0, i, 0, time.UTC).Format("20060102T150405")
		onsets = append(onsets, at)
	}
	for i := range 150 {
		rules = append(rules, fmt.Sprintf("BEGIN:STANDARD\nDTSTART:16010101T%02d%02d00\nTZOFFSETFROM:+0%d00\nTZOFFSETTO:+0%d00\nRRULE:FREQ=DAILY;BYHOUR=%d\nEND:STANDARD",
			i%24, i%60, i%9, (i+1)%9, i%24))
	}
	for i := range 60 {
		seconds = append(seconds, fmt.Sprint(i))
	}
	everySecond := ";BYSECOND=" + strings.Join(seconds, ",") + ";BYMINUTE=" + strings.Join(seconds, ",") + ";BYHOUR=" + strings.Join(seconds[:24], ",")
	zone := func(observances string) string {
		return "BEGIN:VTIMEZONE\n" + observances + "\nEND:VTIMEZONE"
	}
	tests := map[string]func(e *busy.Event){
		"a zone that changes each second": func(e *busy.Event) {
			e.Start.Zone = zone("BEGIN:STANDARD\nDTSTART:20260301T000000\nTZOFFSETFROM:+0000\nTZOFFSETTO:+0100\nRDATE:" +
				strings.Join(onsets, ",") + "\nEND:STANDARD")
			e.Recurrence = []string{"RRULE:FREQ=SECONDLY"}
		},
		"a zone of many rules": func(e *busy.Event) {
			e.Start.Zone = zone(strings.Join(rules, "\n"))
			e.Recurrence = []string{"RRULE:FREQ=SECONDLY"}
		},
		"many rules of many times": func(e *busy.Event) {
			for range 1700 {
				e.Recurrence = append(e.Recurrence, "RRULE:FREQ=DAILY"+everySecond)
			}
		},
		"many rules that have no instance": func(e *busy.Event) {
			for range 20_000 {
				e.Recurrence = append(e.Recurrence, "RRULE:FREQ=SECONDLY;INTERVAL=86400;BYHOUR=3")
			}
		},
		"a rule that names the same many times": func(e *busy.Event) {
			e.Recurrence = []string{"RRULE:FREQ=SECONDLY;BYSETPOS=1" + strings.Repeat(",-1,1", 200_000)}
		},
		"many dates": func(e *busy.Event) {
			e.Recurrence = []string{
				"RDATE:20260310T000000Z" + strings.Repeat(",20260310T000000Z", 60_000),
				"EXDATE:20260310" + strings.Repeat(",20260310", 100_000),
				"RRULE:FREQ=MINUTELY",
			}
		},
	}
	for name, hurt := range tests {
		t.Run(name, func(t *testing.T) {
			series := dailyFrom(2026)
			hurt(&series[0])
			x := New()
			all, err := x.Expand(context.Background(), series, quarter, time.UTC)
			if !errors.Is(err, busy.ErrBudget) {
				t.Errorf("error %v, want %v", err, busy.ErrBudget)
			}
			checkExpansion(t, series, quarter, all, err)
			x.Until(series, time.UTC)
		})
	}
}

func TestManyMastersAndExceptions(t *testing.T) {
	var series []busy.Event
	for range 2000 {
		series = append(series, dailyFrom(2026)[0])
		exception := dailyFrom(2026)[0]
		exception.Original, exception.AndFuture = exception.Start, true
		series = append(series, exception)
	}
	all, err := New().Expand(context.Background(), series, quarter, time.UTC)
	if !errors.Is(err, busy.ErrBudget) {
		t.Errorf("error %v, want %v", err, busy.ErrBudget)
	}
	checkExpansion(t, series, quarter, all, err)
}
