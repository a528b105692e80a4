package booking

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/busyd/busyd/busy"
)

// tester is what a test and a property have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// checkAgainstGrid computes the answer a second time, minute by minute and with
// none of the package's code, and compares. Everything in the scenario must be
// in whole minutes.
func (s scenario) checkAgainstGrid(t tester) {
	t.Helper()
	q := s.query
	answer, err := Availability(s.agendas, q)
	if err != nil {
		return // reject is checked by the scenarios
	}
	got := map[time.Time][]int{}
	for i, slot := range answer.Slots {
		if i > 0 && !answer.Slots[i-1].Start.Before(slot.Start) {
			t.Errorf("slot %d does not begin after the one before", i)
		}
		if slot.End.Sub(slot.Start) != q.Duration {
			t.Errorf("slot %d lasts %v", i, slot.End.Sub(slot.Start))
		}
		got[slot.Start.UTC()] = slot.Resources
	}
	want := map[time.Time][]int{}
	for i, a := range s.agendas {
		for _, start := range gridStarts(a, q) {
			want[start] = append(want[start], i)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("the grid (-) and the answer (+) differ:\n%s", diff)
	}
}

// gridStarts tries each minute of the span.
func gridStarts(a busy.Agenda, q Query) []time.Time {
	zone, err := time.LoadLocation(a.Resource.Zone)
	if err != nil {
		panic(err)
	}
	for _, c := range a.Calendars {
		known := !c.AsOf.IsZero() && c.Problems == 0 && c.Connected == busy.ConnectionActive && q.Now.Sub(c.AsOf) <= q.StaleAfter
		if !known && q.Policy != busy.ServeStale {
			return nil
		}
	}
	begin := q.Span.Start.UTC()
	minutes := int(q.Span.End.Sub(begin) / time.Minute)
	ok := make([]bool, minutes)   // worked, known and not taken
	grid := make([]bool, minutes) // a slot may begin
	mark := func(s busy.Span, set func(int)) {
		for m := range minutes {
			at := begin.Add(time.Duration(m) * time.Minute)
			if !at.Before(s.Start) && at.Before(s.End) {
				set(m)
			}
		}
	}
	for _, p := range gridPeriods(a.Resource.Hours, zone, q.Span) {
		mark(p, func(m int) {
			ok[m] = true
			if begin.Add(time.Duration(m)*time.Minute).Sub(p.Start)%q.Interval == 0 {
				grid[m] = true
			}
		})
	}
	for _, b := range a.Blocks {
		if b.State != busy.Free {
			mark(busy.Span{Start: b.Start, End: b.End}, func(m int) { ok[m] = false })
		}
	}
	for _, c := range a.Calendars {
		for m := range minutes {
			at := begin.Add(time.Duration(m) * time.Minute)
			if c.AsOf.IsZero() || at.Before(c.Covered.Start) || !at.Before(c.Covered.End) {
				ok[m] = false
			}
		}
	}
	var starts []time.Time
	length := int(q.Duration / time.Minute)
	for m := range minutes {
		at := begin.Add(time.Duration(m) * time.Minute)
		if !grid[m] || m+length > minutes || at.Before(q.Now) {
			continue
		}
		free := true
		for i := m; i < m+length; i++ {
			free = free && ok[i]
		}
		if free {
			starts = append(starts, at)
		}
	}
	return starts
}

func gridPeriods(hours busy.Hours, zone *time.Location, span busy.Span) []busy.Span {
	var periods []busy.Span
	first := span.Start.UTC().Truncate(24 * time.Hour)
	for date := first.AddDate(0, 0, -4); date.Before(span.End.AddDate(0, 0, 3)); date = date.AddDate(0, 0, 1) {
		if !shown(date, zone) {
			continue
		}
		for _, r := range hours[date.Weekday()] {
			p := busy.Span{
				Start: slowInstant(date.Add(time.Duration(r.From)*time.Minute), zone),
				End:   slowInstant(date.Add(time.Duration(r.To)*time.Minute), zone),
			}
			periods = append(periods, p)
		}
	}
	return periods
}

// reading is what a clock in the zone shows at t, carried in UTC.
func reading(t time.Time, zone *time.Location) time.Time {
	l := t.In(zone)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC)
}

// shown reports whether a clock in the zone ever shows the date.
func shown(date time.Time, zone *time.Location) bool {
	for t := date.Add(-16 * time.Hour); t.Before(date.Add(40 * time.Hour)); t = t.Add(10 * time.Minute) {
		if reading(t, zone).Truncate(24 * time.Hour).Equal(date) {
			return true
		}
	}
	return false
}

// slowInstant watches the clock until it shows wall, or something later.
func slowInstant(wall time.Time, zone *time.Location) time.Time {
	const watch = 30 * time.Hour
	for t := wall.Add(-watch); t.Before(wall.Add(watch)); t = t.Add(time.Minute) {
		shows := reading(t, zone)
		if shows.Equal(wall) {
			return t
		}
		if shows.After(wall) { // the gap: go on at the pace of before
			before := t.Add(-time.Minute)
			return before.Add(wall.Sub(reading(before, zone)))
		}
	}
	panic("no such time")
}

// changes are moments around which clocks, or more, were changed.
var changes = []struct{ zone, at string }{
	{"Europe/Berlin", "2026-03-29T01:00Z"},
	{"Europe/Berlin", "2026-10-25T01:00Z"},
	{"America/New_York", "2026-03-08T07:00Z"},
	{"America/New_York", "2026-11-01T06:00Z"},
	{"America/Sao_Paulo", "2018-11-04T03:00Z"}, // midnight is missing
	{"America/Havana", "2026-11-01T05:00Z"},    // midnight comes twice
	{"Australia/Lord_Howe", "2026-04-04T15:00Z"},
	{"Australia/Lord_Howe", "2026-10-03T15:30Z"}, // by half an hour
	{"Pacific/Apia", "2011-12-30T10:00Z"},        // a day is missing
	{"Africa/Casablanca", "2026-02-15T02:00Z"},
	{"Asia/Pyongyang", "2018-05-04T15:00Z"},
	{"Asia/Kathmandu", "2026-05-04T00:00Z"},
	{"Pacific/Kiritimati", "2026-05-04T00:00Z"},
	{"Etc/GMT+12", "2026-05-04T00:00Z"},
	{"UTC", "2026-02-28T00:00Z"},
}

func TestAvailabilityIsThatOfAGrid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { drawScenario(t).checkAgainstGrid(t) })
}

func drawScenario(t *rapid.T) scenario {
	change := rapid.SampledFrom(changes).Draw(t, "change")
	at, err := time.Parse(form, change.at)
	if err != nil {
		t.Fatal(err)
	}
	minutes := func(least, most int, name string) time.Duration {
		return time.Duration(rapid.IntRange(least, most).Draw(t, name)) * time.Minute
	}
	q := Query{
		Duration: minutes(1, 300, "duration"), Interval: minutes(1, 120, "interval"), StaleAfter: time.Hour,
		Policy: rapid.SampledFrom([]busy.Policy{busy.TreatAsBusy, busy.ServeStale}).Draw(t, "policy"),
	}
	q.Span.Start = at.Add(-minutes(0, 36*60, "before"))
	q.Span.End = at.Add(minutes(1, 36*60, "after"))
	q.Now = at.Add(minutes(-48*60, 12*60, "now"))
	s := scenario{query: q}
	for i := range rapid.IntRange(1, 3).Draw(t, "resources") {
		r := busy.Resource{Name: fmt.Sprint("r", i), Zone: change.zone, Hours: drawHours(t)}
		if i > 0 && rapid.Bool().Draw(t, "elsewhere") {
			r.Zone = rapid.SampledFrom(changes).Draw(t, "zone").zone
		}
		r.ID[0] = byte(i + 1)
		a := busy.Agenda{Resource: r}
		for range rapid.IntRange(0, 6).Draw(t, "blocks") {
			start := at.Add(minutes(-40*60, 40*60, "block"))
			a.Blocks = append(a.Blocks, busy.Block{
				Start: start, End: start.Add(minutes(1, 5*60, "length")), State: busy.State(rapid.IntRange(0, 3).Draw(t, "state")),
			})
		}
		for range rapid.IntRange(0, 2).Draw(t, "calendars") {
			a.Calendars = append(a.Calendars, drawCalendar(t, q, at))
		}
		s.agendas = append(s.agendas, a)
	}
	return s
}

func drawCalendar(t *rapid.T, q Query, at time.Time) busy.Calendar {
	c := busy.Calendar{Selected: true, Connected: busy.ConnectionActive}
	c.AsOf = q.Now.Add(-time.Minute)
	c.Covered = busy.Span{Start: at.Add(-100 * time.Hour), End: at.Add(100 * time.Hour)}
	switch rapid.IntRange(0, 12).Draw(t, "trouble") {
	case 0:
		c.AsOf = time.Time{}
	case 1:
		c.AsOf = q.Now.Add(-2 * time.Hour)
	case 2:
		c.Problems = 1
	case 3:
		c.Connected = busy.ConnectionNeedsReconnect
	case 4:
		c.Covered.End = at.Add(time.Duration(rapid.IntRange(-40*60, 40*60).Draw(t, "horizon")) * time.Minute)
	case 5:
		c.Covered.Start = at.Add(time.Duration(rapid.IntRange(-40*60, 40*60).Draw(t, "kept")) * time.Minute)
	}
	return c
}

// drawHours draws hours as ParseHours would return them, at any minute.
func drawHours(t *rapid.T) busy.Hours {
	if rapid.IntRange(0, 4).Draw(t, "always") == 0 {
		return busy.AlwaysOpen()
	}
	var h busy.Hours
	for d := range h {
		from := 0
		for range rapid.IntRange(0, 2).Draw(t, "ranges") {
			if from >= 24*60-1 {
				break
			}
			start := rapid.IntRange(from, 24*60-1).Draw(t, "from")
			end := rapid.IntRange(start+1, start+24*60).Draw(t, "to")
			h[d] = append(h[d], busy.Range{From: start, To: end})
			from = end
		}
	}
	return h
}

func TestInstantIsWhatASlowClockShows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		change := rapid.SampledFrom(changes).Draw(t, "change")
		at, err := time.Parse(form, change.at)
		if err != nil {
			t.Fatal(err)
		}
		zone, err := time.LoadLocation(change.zone)
		if err != nil {
			t.Fatal(err)
		}
		wall := reading(at, zone).Add(time.Duration(rapid.IntRange(-30*60, 30*60).Draw(t, "minutes")) * time.Minute)
		if got, want := Instant(wall, zone), slowInstant(wall, zone); !got.Equal(want) {
			t.Fatalf("Instant(%v, %v) = %v, want %v", wall, zone, got.UTC(), want)
		}
	})
}

func FuzzAvailability(f *testing.F) {
	files, err := filepath.Glob("testdata/availability/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseScenario(text)
		q := s.query
		if err != nil || q.Span.Start.Year() < 2000 || q.Span.End.Year() > 2199 || q.Span.End.Sub(q.Span.Start) > 4*24*time.Hour ||
			q.Duration%time.Minute != 0 || q.Interval%time.Minute != 0 || q.Duration > 24*time.Hour || len(s.agendas) > 4 {
			return
		}
		s.checkAgainstGrid(t)
	})
}
