package store

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

func TestMondays(t *testing.T) {
	for _, c := range []struct{ at, want string }{
		{"1970-01-01T00:00:00Z", "1969-12-29T00:00:00Z"},
		{"1969-12-28T23:59:59Z", "1969-12-22T00:00:00Z"},
		{"2026-03-29T23:59:59Z", "2026-03-23T00:00:00Z"},
		{"2026-03-30T00:00:00Z", "2026-03-30T00:00:00Z"},
	} {
		at, _ := time.Parse(time.RFC3339, c.at)
		got := time.UnixMicro(mondayOf(at.UnixMicro())).UTC()
		if got.Format(time.RFC3339) != c.want || got.Weekday() != time.Monday {
			t.Errorf("the week of %s begins at %s, want %s", c.at, got, c.want)
		}
	}
}

// What is written must make of the stored weeks exactly what they must be, and
// nothing is written of a week that is so already.
func TestChangedWeeksAreWritten(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		old, fresh := drawBlocks(draw), drawBlocks(draw)
		if draw.IntN(3) == 0 { // much in common
			fresh = append(slices.Clone(old), fresh[:len(fresh)/4]...)
			slices.SortFunc(fresh, byStart)
			fresh = slices.CompactFunc(fresh, sameKey)
		}
		stored, must := byWeek(old), byWeek(fresh)
		w := compareWeeks(old, fresh)
		for _, week := range w.weeks {
			if slices.Equal(stored[week.monday], week.blocks) {
				t.Fatalf("the week of %s is written and did not change", week.monday)
			}
			stored[week.monday] = week.blocks
		}
		for _, weeks := range []map[time.Time][]block{stored, must} {
			for monday := range weeks {
				if !slices.Equal(stored[monday], must[monday]) {
					t.Fatalf("the week of %s: %v, want %v", monday, stored[monday], must[monday])
				}
			}
		}
		if want := countDifferences(old, fresh); w.count != want {
			t.Fatalf("%d blocks changed, want %d", w.count, want)
		}
	}
}

func drawBlocks(draw *rand.Rand) []block {
	var blocks []block
	for range draw.IntN(40) {
		start := draw.Int64N(5*microsOfWeek) / microsOfDay * microsOfDay
		blocks = append(blocks, block{
			event: draw.Int64N(6), start: start, end: start + 1 + draw.Int64N(3), allDay: draw.IntN(2) == 0, state: busy.State(1 + draw.IntN(3)),
		})
	}
	slices.SortFunc(blocks, byStart)
	return slices.CompactFunc(blocks, sameKey)
}

func byWeek(blocks []block) map[time.Time][]block {
	weeks := make(map[time.Time][]block)
	for _, b := range blocks {
		monday := time.UnixMicro(b.start).UTC().Truncate(24 * time.Hour)
		for monday.Weekday() != time.Monday {
			monday = monday.AddDate(0, 0, -1)
		}
		weeks[monday] = append(weeks[monday], b)
	}
	return weeks
}

func countDifferences(a, b []block) (n int) {
	for _, pair := range [][2][]block{{a, b}, {b, a}} {
		for _, one := range pair[0] {
			if !slices.Contains(pair[1], one) {
				n++
			}
		}
	}
	return n
}
