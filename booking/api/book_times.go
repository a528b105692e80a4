package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

// Forms of a month and a day in an address.
const (
	monthForm = "2006-01"
	dayForm   = "2006-01-02"
)

// monthsAhead is how far the page leads.
const monthsAhead = 12

// aroundTaken is how far from a time that is gone the page looks for others, and
// fewTaken how many it shows on each side of it.
const (
	aroundTaken = 7 * 24 * time.Hour
	fewTaken    = 3
)

// notices are what the page says of a form that led to nothing. The address names
// one, and nothing else of the address is said back.
var notices = map[string]string{
	"taken":   "This time has just been taken.",
	"soon":    "This time is too near, or over, and can no longer be booked.",
	"closed":  "This time is not offered any more.",
	"expired": "Your time was kept for ten minutes, and they are over. Nothing was booked. You can choose again.",
	"many":    "Many people are choosing a time just now. Try again in a few minutes.",
	"unknown": "It is not known just now what is free. Nothing was booked. Try again in a few minutes.",
	"given":   "Your time was given back. You can choose another.",
}

// timesView is the page on which a day and a time are chosen.
type timesView struct {
	Service, Length string
	Action          string // the address of the page, without a query
	Zone, Offset    string // Offset is that of what is shown
	Zones           []zoneRegion
	Notice, Gone    string // Gone is the time that the notice is of
	Nearest         []timeChoice
	Month           monthView
	Day             *dayTimes // nil: nothing of the month is free
	Unknown         bool      // nobody's calendars tell what is free
	Key             string    // of the form
}

type monthView struct {
	Value, Title string
	Prev, Next   string // addresses; empty: there is nothing to see
	Weeks        [][]dayChoice
}

// dayChoice is a cell of the month.
type dayChoice struct {
	Number int // 0: of another month
	Link   string
	Label  string // for who does not see the month
	Chosen bool
}

type dayTimes struct {
	Value, Title string
	Unsteady     string // what becomes of the clock on this day; empty: nothing
	Times        []timeChoice
}

type timeChoice struct {
	Start string // RFC 3339, in UTC
	Label string
}

// sights is what the times are shown by.
type sights struct {
	*visit
	service busy.Service
	zone    *time.Location
	month   time.Time // the first of it, as its midnight carried in UTC
	day     time.Time // zero: the first that has a free time
	slots   []booking.Slot
	unknown bool
}

func (v *visit) times() (busy.Answer, error) {
	service, err := v.offered()
	if err != nil {
		return busy.Answer{}, err
	}
	home, err := v.home(service)
	if err != nil {
		return busy.Answer{}, err
	}
	s := sights{visit: v, service: service, zone: home}
	if name := v.values.Get("zone"); name != "" {
		if s.zone, err = loadZone(name); err != nil {
			return busy.Answer{}, err
		}
	}
	if err := s.choose(); err != nil {
		return busy.Answer{}, err
	}
	out, err := s.view(home.String())
	if err != nil {
		return busy.Answer{}, err
	}
	return v.page(http.StatusOK, "book.html", "Book "+service.Name, out)
}

// home is the zone of the service's first resource.
func (v *visit) home(service busy.Service) (*time.Location, error) {
	first, err := v.Store.FindResource(v.ctx, v.tenant, service.Resources()[0].String())
	if err != nil {
		return nil, err
	}
	return time.LoadLocation(first.Zone)
}

// choose finds the month that is asked for and what is free in it. Where none is
// asked for, it is the present one or, if that is used up, the next.
func (s *sights) choose() error {
	present := monthOf(booking.Date(s.now, s.zone))
	asked := s.values.Get("month")
	s.month = present
	if given := s.values.Get("day"); given != "" {
		day, err := time.Parse(dayForm, given)
		if err != nil {
			return violations{{"day", "must be a date such as 2026-03-29"}}
		}
		s.day, s.month = day, monthOf(day)
	} else if asked != "" {
		month, err := time.Parse(monthForm, asked)
		if err != nil {
			return violations{{"month", "must be a month such as 2026-03"}}
		}
		s.month = month
	} else if start, err := readStart(s.values.Get("start")); err == nil && start.After(s.now) {
		s.day = booking.Date(start, s.zone) // that the notice is about
		s.month = monthOf(s.day)
	}
	if s.month.Before(present) || s.month.After(present.AddDate(0, monthsAhead, 0)) {
		s.month, s.day, asked = present, time.Time{}, "" // a link that has grown old
	}
	if err := s.look(); err != nil || len(s.slots) > 0 || asked != "" || !s.day.IsZero() {
		return err
	}
	s.month = present.AddDate(0, 1, 0)
	if err := s.look(); err != nil || len(s.slots) > 0 {
		return err
	}
	s.month = present
	return nil
}

func monthOf(date time.Time) time.Time { return date.AddDate(0, 0, 1-date.Day()) }

// look finds the meetings that begin in the month.
func (s *sights) look() (err error) {
	end := booking.Instant(s.month.AddDate(0, 1, 0), s.zone)
	found, err := s.free(s.service, busy.Span{Start: booking.Instant(s.month, s.zone), End: end})
	s.slots = found.Slots
	s.unknown = !slices.ContainsFunc(found.Standings, func(r booking.Standing) bool { return r.KnownState == busy.StateFresh })
	return err
}

// free finds the meetings that begin in the span.
func (v *visit) free(service busy.Service, span busy.Span) (booking.Offering, error) {
	q := booking.Question{
		Service: service, Span: busy.Span{Start: span.Start, End: span.End.Add(service.Duration)},
		Now: v.now, StaleAfter: v.StaleAfter, MaxOffers: bookOffers,
	}
	agendas, err := v.agendas(v.ctx, v.tenant, service.Resources(), q.Reads())
	if err != nil {
		return booking.Offering{}, err
	}
	found, err := booking.Offers(agendas, q)
	found.Slots = slices.DeleteFunc(found.Slots, func(s booking.Slot) bool { return !s.Start.Before(span.End) })
	return found, err
}

func (s *sights) view(home string) (timesView, error) {
	key, err := s.formKey()
	if err != nil {
		return timesView{}, err
	}
	out := timesView{
		Service: s.service.Name, Length: span(s.service.Duration), Action: s.address(), Zone: s.zone.String(), Key: key,
		Unknown: s.unknown && len(s.slots) == 0,
	}
	if s.day.IsZero() && len(s.slots) > 0 {
		s.day = booking.Date(s.slots[0].Start, s.zone)
	}
	shown := s.month
	if !s.day.IsZero() {
		shown, out.Day = s.day, s.dayTimes()
	}
	begins := booking.Instant(shown, s.zone)
	out.Offset, out.Zones = offset(begins.In(s.zone)), zoneList(s.zone.String(), home, begins)
	if unsteady(shown, s.zone) {
		out.Offset += ", then " + offset(booking.Day(shown, s.zone).End.In(s.zone))
	}
	out.Month = s.monthView()
	return out, s.notice(&out)
}

func (s *sights) dayTimes() *dayTimes {
	out := &dayTimes{Value: s.day.Format(dayForm), Title: s.day.Format("Monday 2 January 2006")}
	if unsteady(s.day, s.zone) {
		day := booking.Day(s.day, s.zone)
		out.Unsteady = "The clocks are set on this day, from " + offset(day.Start.In(s.zone)) + " to " + offset(day.End.In(s.zone)) +
			": each time is shown with its distance from UTC."
	}
	for _, slot := range s.slots {
		if booking.Date(slot.Start, s.zone).Equal(s.day) {
			out.Times = append(out.Times, timeChoice{slot.Start.UTC().Format(time.RFC3339), clock(slot.Start, s.zone)})
		}
	}
	return out
}

func (s *sights) monthView() monthView {
	present := monthOf(booking.Date(s.now, s.zone))
	out := monthView{Value: s.month.Format(monthForm), Title: s.month.Format("January 2006")}
	link := func(name, value string) string { return s.address("zone", s.zone.String(), name, value) }
	if s.month.After(present) {
		out.Prev = link("month", s.month.AddDate(0, -1, 0).Format(monthForm))
	}
	next := s.month.AddDate(0, 1, 0)
	beyond := s.service.Horizon > 0 && booking.Instant(next, s.zone).After(s.now.Add(s.service.Horizon))
	if !beyond && !next.After(present.AddDate(0, monthsAhead, 0)) {
		out.Next = link("month", next.Format(monthForm))
	}
	free := map[time.Time]int{}
	for _, slot := range s.slots {
		free[booking.Date(slot.Start, s.zone)]++
	}
	for monday := mondayOf(s.month); monday.Before(next); monday = monday.AddDate(0, 0, 7) {
		week := make([]dayChoice, 7)
		for i := range week {
			date := monday.AddDate(0, 0, i)
			if date.Month() != s.month.Month() {
				continue
			}
			week[i] = dayChoice{Number: date.Day(), Chosen: date.Equal(s.day)}
			if n := free[date]; n > 0 {
				week[i].Link = link("day", date.Format(dayForm))
				week[i].Label = date.Format("Monday 2 January, ") + count(n, "free time", "free times")
			}
		}
		out.Weeks = append(out.Weeks, week)
	}
	return out
}

// notice tells of a form that led to nothing, and what is free near the time that
// it asked for.
func (s *sights) notice(out *timesView) error {
	code := s.values.Get("notice")
	if out.Notice = notices[code]; out.Notice == "" {
		return nil
	}
	start, err := readStart(s.values.Get("start"))
	if err != nil || code == "given" || code == "many" {
		return nil //nolint:nilerr // the notice is said without the time
	}
	out.Gone = when(busy.Span{Start: start, End: start.Add(s.service.Duration)}, s.zone)
	found, err := s.free(s.service, busy.Span{Start: start.Add(-aroundTaken), End: start.Add(aroundTaken)})
	if err != nil {
		return err
	}
	slots := found.Slots
	i, _ := slices.BinarySearchFunc(slots, start, func(s booking.Slot, t time.Time) int { return s.Start.Compare(t) })
	for _, slot := range slots[max(0, i-fewTaken):min(len(slots), i+fewTaken)] {
		out.Nearest = append(out.Nearest, timeChoice{slot.Start.UTC().Format(time.RFC3339), when(slot.Span, s.zone)})
	}
	return nil
}

func readStart(text string) (time.Time, error) {
	start, err := time.Parse(time.RFC3339, text)
	if err != nil || start.Year() < 2000 || start.Year() > 2199 {
		return time.Time{}, violations{{"start", "must be a time of the page"}}
	}
	return start.UTC(), nil
}
