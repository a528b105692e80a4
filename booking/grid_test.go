package booking

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/busyd/busyd/busy"
)

// tester is what a test and a property have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// checkAgainstGrid computes the answers a second time, minute by minute and with
// none of the package's code, and compares: the offers in every form, and at some
// starts the decision and its explanation. Everything in the scenario must be in
// whole minutes.
func (s scenario) checkAgainstGrid(t tester, w *world) {
	t.Helper()
	if s.query.Service.Policy == busy.Reject {
		return // that is checked by the scenarios
	}
	o := s.oracle(w)
	slots := o.slots()
	s.compare(t, OverlappingSlots, slots)
	s.compare(t, Slots, o.apart())
	s.compare(t, Periods, o.periods())
	at := make([]int, 0, 12)
	for i := range 6 {
		at = append(at, (i*2+1)*len(o.minutes[0].works)/13)
		if len(slots) > 0 {
			at = append(at, o.minutes[0].index(slots[(i*2+1)*len(slots)/13].Start))
		}
	}
	for _, i := range at {
		s.compareDecision(t, o, i)
		s.compareExplanation(t, o, i)
	}
}

func (s scenario) compare(t tester, f Form, want []Slot) {
	t.Helper()
	q := s.query
	q.Form = f
	answer, err := Offers(s.agendas, q)
	if err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	got := []Slot{}
	for _, slot := range answer.Slots {
		slot.Start, slot.End = slot.Start.UTC(), slot.End.UTC()
		got = append(got, slot)
	}
	if !slices.EqualFunc(want, got, func(a, b Slot) bool {
		return a.Start.Equal(b.Start) && a.End.Equal(b.End) && a.Seats == b.Seats && slices.Equal(a.Resources, b.Resources)
	}) {
		t.Fatalf("%s: the grid (-) and the answer (+) differ:\n%s", f, gocmp.Diff(want, got))
	}
}

// compareDecision: what is offered is accepted, and nothing else; the fairest serve.
func (s scenario) compareDecision(t tester, o *oracle, i int) {
	t.Helper()
	start := o.begin.Add(time.Duration(i) * time.Minute)
	offered := start.Before(o.q.Span.End) && max(1, o.q.Seats) <= o.capacity() && o.slot(i, o.free(i)).Seats > 0
	d, err := Decide(s.agendas, s.query, start)
	var refused *Refusal
	if !offered {
		outside := start.Before(o.q.Span.Start) || start.Add(o.q.Service.Duration).After(o.q.Span.End)
		if err == nil && !outside || err != nil && !errors.As(err, &refused) && !errors.Is(err, busy.ErrInvalid) {
			t.Fatalf("%v is not offered, but decided: %v %v", start, d.Resources, err)
		}
		if err != nil && errors.As(err, &refused) && !slices.Contains(Causes(), refused.Cause) {
			t.Fatalf("%v is refused for %q", start, refused.Cause)
		}
		return
	}
	if err != nil {
		t.Fatalf("%v is offered, but %v", start, err)
	}
	var set []int
	for _, id := range d.Resources {
		set = append(set, slices.Index(o.resources, id))
	}
	slices.Sort(set)
	joins := o.joins[i]
	switch {
	case len(joins) == 0 && (!d.Session.IsZero() || !slices.Equal(set, o.fairest(i))):
		t.Fatalf("%v is served by %v of %v, not by %v", start, set, o.free(i), o.fairest(i))
	case len(joins) > 0 && !slices.ContainsFunc(joins, func(j join) bool { return j.id == d.Session && slices.Equal(j.resources, set) }):
		t.Fatalf("%v joins %v of %v, not one of %v", start, d.Session, set, joins)
	}
	served := d.Resources
	for _, need := range o.q.Service.Needs {
		for range need.Count {
			if !slices.Contains(need.Resources, served[0]) {
				t.Fatalf("%v: %v are not in the order of the needs", start, d.Resources)
			}
			served = served[1:]
		}
	}
}

// compareExplanation: there are reasons if and only if the resource cannot serve.
func (s scenario) compareExplanation(t tester, o *oracle, i int) {
	t.Helper()
	start := o.begin.Add(time.Duration(i) * time.Minute)
	if start.Before(o.q.Span.Start) || start.Add(o.q.Service.Duration).After(o.q.Span.End) || max(1, o.q.Seats) > o.capacity() {
		return
	}
	for r, m := range o.minutes {
		of := o.alone(r)
		free := of.slot(i, of.free(i)).Seats > 0
		reasons, err := Explain(m.a, s.query, start)
		if err != nil || (len(reasons) == 0) != free {
			t.Fatalf("resource %d at %v: free is %v, the reasons are %v %v", r, start, free, reasons, err)
		}
		for _, why := range reasons {
			if !slices.Contains(Causes(), why.Cause) {
				t.Fatalf("%q is no cause", why.Cause)
			}
		}
	}
}

// TestOffersAreThoseOfAGrid draws questions around transitions of clocks: around
// some in each run, and around every one where BUSYD_GRID says how many cases are
// wanted in all (make grid).
func TestOffersAreThoseOfAGrid(t *testing.T) {
	all := transitions(t)
	stride, cases := len(all)/60, 40
	if wanted, err := strconv.Atoi(os.Getenv("BUSYD_GRID")); err == nil {
		stride, cases = 1, (wanted+len(all)-1)/len(all)
	}
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	t.Cleanup(func() { _ = checks.Value.Set(before) })
	if err := checks.Value.Set(strconv.Itoa(cases)); err != nil {
		t.Fatal(err)
	}
	drawn, offered := 0, 0
	for i := rand.IntN(stride); i < len(all); i += stride {
		change := all[i]
		w := newWorld(change.at)
		elsewhere := all[rand.IntN(len(all))].zone
		if !t.Run(fmt.Sprint(change.zone, change.at.Format(" 2006-01-02")), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := drawScenario(t, change, elsewhere)
				drawn++
				if answer, err := Offers(s.agendas, s.query); err == nil && len(answer.Slots) > 0 {
					offered++
				}
				s.checkAgainstGrid(t, w)
			})
		}) {
			return
		}
	}
	t.Logf("%d cases, of which %d had slots", drawn, offered)
	if offered < drawn/5 {
		t.Errorf("only %d of %d cases had slots: they prove little", offered, drawn)
	}
}

func drawScenario(t *rapid.T, change transition, elsewhere string) scenario {
	at := change.at
	q := Question{StaleAfter: time.Hour, Service: drawService(t)}
	q.Span.Start = at.Add(-minutesOf(t, 0, 20*60, "from"))
	q.Span.End = at.Add(minutesOf(t, 1, 20*60, "to"))
	q.Now = at.Add(minutesOf(t, -40*60, 8*60, "now"))
	s := scenario{query: q}
	for i := range rapid.IntRange(1, 3).Draw(t, "resources") {
		r := busy.Resource{Name: fmt.Sprint("r", i), Zone: change.zone, Hours: drawHours(t)}
		r.ID[0] = byte(i + 1)
		if i > 0 && rapid.Bool().Draw(t, "elsewhere") {
			r.Zone = elsewhere
		}
		if rapid.IntRange(0, 2).Draw(t, "overridden") == 0 {
			r.Overrides = drawOverrides(t, at, elsewhere)
		}
		a := busy.Agenda{Resource: r, Version: int64(i)}
		for range rapid.IntRange(0, 4).Draw(t, "blocks") {
			start := at.Add(minutesOf(t, -24*60, 24*60, "block"))
			a.Blocks = append(a.Blocks, busy.Block{
				Start: start, End: start.Add(minutesOf(t, 1, 4*60, "length")), State: busy.State(rapid.IntRange(0, 3).Draw(t, "state")),
			})
		}
		for range rapid.IntRange(0, 2).Draw(t, "calendars") {
			a.Calendars = append(a.Calendars, drawCalendar(t, q, at))
		}
		a.Disconnected = len(a.Calendars) == 0 && sometimes(t, 1, "disconnected") == 1
		s.agendas = append(s.agendas, a)
	}
	s.drawNeeds(t)
	for n := range rapid.IntRange(0, 4).Draw(t, "meetings") {
		s.drawMeeting(t, at, byte(n+1))
	}
	for i := range s.agendas {
		slices.SortStableFunc(s.agendas[i].Claims, func(a, b busy.Claim) int { return a.Span.Start.Compare(b.Span.Start) })
	}
	if rapid.IntRange(0, 3).Draw(t, "mine") == 0 {
		s.query.Ignore = []busy.BookingID{{1, 1}}
	}
	return s
}

// minutesOf draws every number of minutes alike, where rapid prefers small ones.
func minutesOf(t *rapid.T, least, most int, name string) time.Duration {
	n := 0
	for range 13 {
		n *= 2
		if rapid.Bool().Draw(t, name) {
			n++
		}
	}
	return time.Duration(least+n%(most-least+1)) * time.Minute
}

// sometimes draws zero twice out of three times.
func sometimes(t *rapid.T, most int, name string) int {
	if most == 0 || rapid.IntRange(0, 2).Draw(t, name+"?") > 0 {
		return 0
	}
	return rapid.IntRange(1, most).Draw(t, name)
}

func drawService(t *rapid.T) busy.Service {
	s := busy.Service{
		Duration: minutesOf(t, 1, 90, "duration"), Interval: minutesOf(t, 1, 90, "interval"),
		Before:   minutesOf(t, 0, sometimes(t, 60, "buffer before"), "before"),
		After:    minutesOf(t, 0, sometimes(t, 60, "buffer after"), "after"),
		Notice:   minutesOf(t, 0, sometimes(t, 1, "notice")*24*60, "notice"),
		Horizon:  minutesOf(t, 0, sometimes(t, 1, "horizon")*60*60, "horizon"),
		Align:    rapid.SampledFrom([]busy.Align{busy.AlignPeriod, busy.AlignClock}).Draw(t, "align"),
		Policy:   rapid.SampledFrom([]busy.Policy{busy.TreatAsBusy, busy.ServeStale}).Draw(t, "policy"),
		Capacity: 1 + sometimes(t, 3, "capacity"), MaxPerDay: sometimes(t, 3, "per day"), MaxPerWeek: sometimes(t, 4, "per week"),
	}
	s.ID[0] = 1
	return s
}

func (s *scenario) drawNeeds(t *rapid.T) {
	ids := s.ids()
	for range rapid.IntRange(1, 2).Draw(t, "needs") {
		n := busy.Need{Resources: slices.Clone(ids[rapid.IntRange(0, len(ids)-1).Draw(t, "first"):])}
		n.Count = rapid.IntRange(1, 1+sometimes(t, min(1, len(n.Resources)-1), "two")).Draw(t, "count")
		s.query.Service.Needs = append(s.query.Service.Needs, n)
	}
	resources := s.query.Service.Resources()
	if rapid.IntRange(0, 4).Draw(t, "wished") == 0 {
		s.query.Resources = []busy.ResourceID{rapid.SampledFrom(resources).Draw(t, "wish")}
	}
	s.query.Seats = rapid.IntRange(0, s.query.capacity()).Draw(t, "seats")
}

// drawMeeting draws one, of any length, with its bookings, on some resources.
func (s *scenario) drawMeeting(t *rapid.T, at time.Time, n byte) {
	q := s.query
	c := busy.Claim{Service: q.Service.ID, Session: busy.SessionID{n}, CreatedAt: at.Add(-minutesOf(t, 0, 3, "made"))}
	c.Span.Start = at.Add(minutesOf(t, -20*60, 20*60, "meeting"))
	if sometimes(t, 1, "in other days") == 1 {
		c.Span.Start = c.Span.Start.AddDate(0, 0, rapid.IntRange(-5, 5).Draw(t, "days"))
	}
	c.Span.End = c.Span.Start.Add(q.Service.Duration)
	if sometimes(t, 1, "another length") == 1 {
		c.Span.End = c.Span.Start.Add(minutesOf(t, 1, 120, "length"))
	}
	if sometimes(t, 1, "another service") == 1 {
		c.Service[0] = 2
	}
	c.Blocked = busy.Span{Start: c.Span.Start.Add(-q.Service.Before), End: c.Span.End.Add(q.Service.After)}
	if sometimes(t, 1, "expires") == 1 {
		c.ExpiresAt = q.Now.Add(minutesOf(t, -1, 1, "until"))
	}
	on := rapid.IntRange(1, 1<<len(s.agendas)-1).Draw(t, "on")
	for b := range rapid.IntRange(1, 2).Draw(t, "bookings") {
		c.Booking = busy.BookingID{n, byte(b + 1)}
		c.Seats = rapid.IntRange(1, 2).Draw(t, "taken")
		for i := range s.agendas {
			if on&(1<<i) != 0 {
				s.agendas[i].Claims = append(s.agendas[i].Claims, c)
			}
		}
	}
}

func drawOverrides(t *rapid.T, at time.Time, elsewhere string) []busy.Override {
	var all []busy.Override
	for n := range rapid.IntRange(1, 3).Draw(t, "overrides") {
		o := busy.Override{ID: busy.OverrideID{byte(rapid.IntRange(1, 3).Draw(t, "id")), byte(n)}}
		o.First = at.Truncate(24*time.Hour).AddDate(0, 0, rapid.IntRange(-3, 3).Draw(t, "first"))
		o.Last = o.First.AddDate(0, 0, rapid.IntRange(0, 2).Draw(t, "last"))
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			o.Closed = true
		case 1:
			o.Zone = elsewhere
		case 2:
			o.Zone, o.Hours = elsewhere, drawRanges(t)
		default:
			o.Hours = drawRanges(t)
		}
		all = append(all, o)
	}
	slices.SortStableFunc(all, func(a, b busy.Override) int { return a.First.Compare(b.First) })
	return all
}

func drawCalendar(t *rapid.T, q Question, at time.Time) busy.Calendar {
	c := busy.Calendar{Selected: true, Connected: busy.ConnectionActive}
	c.AsOf = q.Now.Add(-time.Minute)
	c.Covered = busy.Span{Start: at.Add(-100 * time.Hour), End: at.Add(100 * time.Hour)}
	switch rapid.IntRange(0, 16).Draw(t, "trouble") {
	case 0:
		c.AsOf = time.Time{}
	case 1:
		c.AsOf = q.Now.Add(-2 * time.Hour)
	case 2:
		c.Problems = 1
	case 3:
		c.Connected = busy.ConnectionNeedsReconnect
	case 4:
		c.Covered.End = at.Add(minutesOf(t, -20*60, 30*60, "horizon"))
	case 5:
		c.Covered.Start = at.Add(minutesOf(t, -30*60, 20*60, "kept"))
	}
	return c
}

// drawHours draws hours as ParseHours would return them, at any minute.
func drawHours(t *rapid.T) busy.Hours {
	if rapid.IntRange(0, 2).Draw(t, "always") == 0 {
		return busy.AlwaysOpen()
	}
	var h busy.Hours
	for d := range h {
		if rapid.IntRange(0, 5).Draw(t, "open") > 0 {
			h[d] = drawRanges(t)
		}
	}
	return h
}

func drawRanges(t *rapid.T) []busy.Range {
	var ranges []busy.Range
	from := 0
	for range rapid.IntRange(1, 2).Draw(t, "ranges") {
		if from >= 24*60-1 {
			break
		}
		start := from + int(minutesOf(t, 0, (24*60-1-from)/2, "from")/time.Minute)
		end := start + int(minutesOf(t, 1, 24*60, "to")/time.Minute)
		ranges = append(ranges, busy.Range{From: start, To: end})
		from = end
	}
	return ranges
}

func TestInstantIsWhatASlowClockShows(t *testing.T) {
	all := transitions(t)
	stride := len(all) / 60
	for i := rand.IntN(stride); i < len(all); i += stride {
		zone, err := time.LoadLocation(all[i].zone)
		if err != nil {
			t.Fatal(err)
		}
		clock := watch(all[i].zone, all[i].at)
		for m := -30 * 60; m < 30*60; m++ {
			wall := clock.reading(all[i].at).Add(time.Duration(m) * time.Minute)
			if got, want := Instant(wall, zone), clock.instant(wall); !got.Equal(want) {
				t.Fatalf("Instant(%v, %v) = %v, want %v", wall, zone, got.UTC(), want)
			}
			at := all[i].at.Add(time.Duration(m) * time.Minute)
			if got, want := dateAt(at, zone), clock.date(at); !got.Equal(want) {
				t.Fatalf("dateAt(%v, %v) = %v, want %v", at, zone, got, want)
			}
		}
	}
}

func FuzzOffers(f *testing.F) {
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
		if s, err := parseScenario(text); err == nil && s.small() {
			s.checkAgainstGrid(t, newWorld(s.query.Span.Start))
		}
	})
}

// small reports whether minutes can be counted.
func (s scenario) small() bool {
	q, service := s.query, s.query.Service
	if q.Span.Start.Year() < 2000 || q.Span.End.Year() > 2037 || q.Span.End.Sub(q.Span.Start) > 4*24*time.Hour || len(s.agendas) > 4 {
		return false
	}
	for _, d := range []time.Duration{service.Duration, service.Interval, service.Before, service.After} {
		if d < 0 || d%time.Minute != 0 || d > 24*time.Hour {
			return false
		}
	}
	needs := 0
	for _, n := range service.Needs {
		needs += n.Count
		if n.Count < 1 || len(n.Resources) > 4 {
			return false
		}
	}
	for _, a := range s.agendas {
		for _, c := range a.Claims {
			if c.Span.Start.Sub(q.Span.Start).Abs() > 9*24*time.Hour {
				return false
			}
		}
	}
	return needs <= 4
}
