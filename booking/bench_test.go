package booking

import (
	"fmt"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

// agendaOf is a resource with the busiest of calendars: two meetings a day.
func agendaOf(tb testing.TB, n int, zone, hours string, from time.Time, blocks int) busy.Agenda {
	tb.Helper()
	parsed, err := busy.ParseHours(hours)
	if err != nil {
		tb.Fatal(err)
	}
	a := busy.Agenda{Resource: busy.Resource{Name: fmt.Sprint("r", n), Zone: zone, Hours: parsed}}
	a.Resource.ID[0] = byte(n)
	a.Calendars = []busy.Calendar{{
		Connected: busy.ConnectionActive, Selected: true,
		Freshness: busy.Freshness{AsOf: from, Covered: busy.Span{Start: from.AddDate(0, 0, -1), End: from.AddDate(1, 0, 0)}},
	}}
	for i := range blocks {
		start := from.AddDate(0, 0, i/2).Add(time.Duration(9+i%2*4)*time.Hour + time.Duration(n%4)*10*time.Minute)
		a.Blocks = append(a.Blocks, busy.Block{Start: start, End: start.Add(45 * time.Minute), State: busy.Busy})
	}
	return a
}

func BenchmarkAvailability(b *testing.B) {
	from := time.Date(2026, 3, 16, 0, 0, 0, 0, time.UTC)
	q := Question{Span: busy.Span{Start: from, End: from.AddDate(0, 0, 30)}, Now: from, StaleAfter: time.Hour}
	zones := []string{"Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"}
	for _, hosts := range []int{1, 50} {
		var agendas []busy.Agenda
		var ids []busy.ResourceID
		for n := range hosts {
			agendas = append(agendas, agendaOf(b, n, zones[n%len(zones)], "mon-fri 09:00-17:00", from, 60))
			ids = append(ids, agendas[n].Resource.ID)
		}
		q.Service = AnyOf(ids, 30*time.Minute, 15*time.Minute, busy.TreatAsBusy)
		b.Run(fmt.Sprintf("hosts=%d/days=30/blocks=60", hosts), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				answer, err := Offers(agendas, q)
				if err != nil || len(answer.Slots) == 0 {
					b.Fatal(err)
				}
			}
		})
	}
}
