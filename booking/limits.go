package booking

import (
	"time"

	"github.com/busyd/busyd/busy"
)

// full returns the days and weeks that have as many meetings of the service as
// they may, merged: no other may begin in them.
func (q Question) full(a busy.Agenda, own *time.Location) []busy.Span {
	if q.Service.MaxPerDay == 0 && q.Service.MaxPerWeek == 0 {
		return nil
	}
	days, weeks := map[time.Time]int{}, map[time.Time]int{}
	q.meetings(a, func(c busy.Claim) {
		days[dateAt(c.Span.Start, own)]++
		weeks[weekAt(c.Span.Start, own)]++
	})
	var spans []busy.Span
	for date, n := range days {
		if q.Service.MaxPerDay > 0 && n >= q.Service.MaxPerDay {
			spans = append(spans, Day(date, own))
		}
	}
	for monday, n := range weeks {
		if q.Service.MaxPerWeek > 0 && n >= q.Service.MaxPerWeek {
			spans = append(spans, week(monday, own))
		}
	}
	return busy.Merge(spans)
}

// meetings calls f with a claim of each of the service's meetings in the agenda: a
// shared one is one.
func (q Question) meetings(a busy.Agenda, f func(busy.Claim)) {
	seen := map[busy.SessionID]bool{}
	for _, c := range a.Claims {
		if c.Service == q.Service.ID && q.counts(c) && !seen[c.Session] {
			seen[c.Session] = true
			f(c)
		}
	}
}
