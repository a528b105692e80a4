package booking

import (
	"bytes"
	"time"

	"github.com/busyd/busyd/busy"
)

// world has the clocks that people look at around a moment.
type world struct {
	at     time.Time
	clocks map[string]*slowClock
}

func newWorld(at time.Time) *world { return &world{at, map[string]*slowClock{}} }

func (w *world) clock(zone string) *slowClock {
	if w.clocks[zone] == nil {
		w.clocks[zone] = watch(zone, w.at)
	}
	return w.clocks[zone]
}

// minutes is what one resource does in each minute of what a question reads,
// without any of the package's code.
type minutes struct {
	q      Question
	a      busy.Agenda
	own    *slowClock
	begin  time.Time
	works  []bool
	starts []bool             // on the grid
	gone   []bool             // blocked or not known
	claims [][]busy.SessionID // that take the minute
	fulls  []bool             // no meeting may begin, for the limits
	trust  bool               // the policy lets something be offered
}

func (w *world) minutes(q Question, a busy.Agenda) *minutes {
	read := busy.Span{Start: q.Span.Start.Add(-q.Service.Before), End: q.Span.End.Add(q.Service.After)}
	n := int(read.End.Sub(read.Start) / time.Minute)
	m := &minutes{
		q: q, a: a, own: w.clock(a.Resource.Zone), begin: read.Start.UTC(), trust: trusted(q, a),
		works: make([]bool, n), starts: make([]bool, n), gone: make([]bool, n), claims: make([][]busy.SessionID, n), fulls: make([]bool, n),
	}
	m.layHours(w)
	for _, b := range a.Blocks {
		if b.State != busy.Free {
			m.each(busy.Span{Start: b.Start, End: b.End}, func(i int) { m.gone[i] = true })
		}
	}
	for i := range n {
		for _, c := range a.Calendars {
			if at := m.time(i); c.AsOf.IsZero() || at.Before(c.Covered.Start) || !at.Before(c.Covered.End) {
				m.gone[i] = true
			}
		}
	}
	for _, c := range a.Claims {
		if counted(q, c) {
			m.each(c.Blocked, func(i int) { m.claims[i] = append(m.claims[i], c.Session) })
		}
	}
	m.layLimits()
	return m
}

func trusted(q Question, a busy.Agenda) bool {
	for _, c := range a.Calendars {
		fresh := !c.AsOf.IsZero() && c.Problems == 0 && c.Connected == busy.ConnectionActive && q.Now.Sub(c.AsOf) <= q.StaleAfter
		if !fresh && q.Service.Policy != busy.ServeStale {
			return false
		}
	}
	return !a.Disconnected || q.Service.Policy == busy.ServeStale
}

func counted(q Question, c busy.Claim) bool {
	for _, id := range q.Ignore {
		if id == c.Booking {
			return false
		}
	}
	return c.ExpiresAt.IsZero() || c.ExpiresAt.After(q.Now)
}

func (m *minutes) time(i int) time.Time  { return m.begin.Add(time.Duration(i) * time.Minute) }
func (m *minutes) index(t time.Time) int { return int(t.Sub(m.begin) / time.Minute) }
func (m *minutes) each(s busy.Span, f func(int)) {
	for i := max(0, m.index(s.Start)); i < len(m.works) && m.time(i).Before(s.End); i++ {
		f(i)
	}
}

// layHours goes through the dates around the question with a clock in hand.
func (m *minutes) layHours(w *world) {
	first := m.begin.Truncate(24 * time.Hour)
	for date := first.AddDate(0, 0, -5); date.Before(m.q.Span.End.AddDate(0, 0, 4)); date = date.AddDate(0, 0, 1) {
		ranges, zone, open := datesRule(m.a.Resource, date)
		clock := w.clock(zone)
		if !open || !clock.shown(date) {
			continue
		}
		for _, r := range ranges {
			p := busy.Span{
				Start: clock.instant(date.Add(time.Duration(r.From) * time.Minute)),
				End:   clock.instant(date.Add(time.Duration(r.To) * time.Minute)),
			}
			m.each(p, func(i int) {
				m.works[i] = true
				since := m.time(i).Sub(p.Start)
				if m.q.Service.Align == busy.AlignClock {
					since = clock.reading(m.time(i)).Sub(clock.reading(m.time(i)).Truncate(24 * time.Hour))
				}
				if since%m.q.Service.Interval == 0 {
					m.starts[i] = true
				}
			})
		}
	}
}

// datesRule reads the comment of busy.Override to the letter.
func datesRule(r busy.Resource, date time.Time) (ranges []busy.Range, zone string, open bool) {
	var hours, place busy.Override
	after := func(a, b busy.Override) bool {
		return a.First.After(b.First) || a.First.Equal(b.First) && bytes.Compare(a.ID[:], b.ID[:]) >= 0
	}
	for _, o := range r.Overrides {
		if o.First.After(date) || o.Last.Before(date) {
			continue
		}
		if o.Closed {
			return nil, r.Zone, false
		}
		if len(o.Hours) > 0 && after(o, hours) {
			hours = o
		}
		if o.Zone != "" && after(o, place) {
			place = o
		}
	}
	ranges, zone = r.Hours[date.Weekday()], r.Zone
	if len(hours.Hours) > 0 {
		ranges = hours.Hours
	}
	if place.Zone != "" {
		zone = place.Zone
	}
	return ranges, zone, true
}

func (m *minutes) layLimits() {
	s := m.q.Service
	if s.MaxPerDay == 0 && s.MaxPerWeek == 0 {
		return
	}
	days, weeks := map[time.Time]int{}, map[time.Time]int{}
	counts := map[busy.SessionID]bool{}
	for _, c := range m.a.Claims {
		if c.Service != s.ID || !counted(m.q, c) || counts[c.Session] {
			continue
		}
		counts[c.Session] = true
		days[m.own.date(c.Span.Start)]++
		weeks[mondayOf(m.own.date(c.Span.Start))]++
	}
	if !anyAtLeast(days, s.MaxPerDay) && !anyAtLeast(weeks, s.MaxPerWeek) {
		return
	}
	for i := range m.fulls {
		date := m.own.date(m.time(i))
		m.fulls[i] = s.MaxPerDay > 0 && days[date] >= s.MaxPerDay || s.MaxPerWeek > 0 && weeks[mondayOf(date)] >= s.MaxPerWeek
	}
}

// can reports whether a meeting can begin in a minute. Without a session, its
// claims are not there, and neither the grid nor the limits count. Without the
// grid, only that does not.
func (m *minutes) can(i int, grid bool, without *busy.SessionID) bool {
	s, at := m.q.Service, m.time(i)
	length, before, after := int(s.Duration/time.Minute), int(s.Before/time.Minute), int(s.After/time.Minute)
	if !m.trust || at.Before(m.q.Span.Start) || at.Add(s.Duration).After(m.q.Span.End) || at.Before(m.q.Now) ||
		at.Before(m.q.Now.Add(s.Notice)) || s.Horizon > 0 && at.After(m.q.Now.Add(s.Horizon)) {
		return false
	}
	if without == nil && (m.fulls[i] || grid && !m.starts[i]) {
		return false
	}
	for k := i; k < i+length; k++ {
		if !m.works[k] {
			return false
		}
	}
	for k := i - before; k < i+length+after; k++ {
		if m.gone[k] {
			return false
		}
		for _, id := range m.claims[k] {
			if without == nil || id != *without {
				return false
			}
		}
	}
	return true
}

func anyAtLeast(counts map[time.Time]int, most int) bool {
	for _, n := range counts {
		if most > 0 && n >= most {
			return true
		}
	}
	return false
}
