package api

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

// Bounds of the page: how many resources it draws unasked, and offers to choose.
const (
	drawnPeople  = 6
	listedPeople = 200
)

var weekParam = param{name: "week", in: "query", schema: huma.Schema{Type: "string"}}

// week is the page of a week.
type week struct {
	Title            string // its dates
	Prev, This, Next string // addresses; This is empty where the page shows it
	Week             string // as asked; empty: this one
	Choices          []choice
	People           []person
	More             int // resources that are neither drawn nor asked for
	Unlisted         int // resources that cannot be chosen
	SignedIn         bool
}

type choice struct {
	ID, Name string
	Chosen   bool
}

// person is one resource's part of the page.
type person struct {
	ID, Name, Zone, Offset, Clock string
	State                         busy.CalendarState
	Words                         string
	Calendars                     []calendarWords
	Picture                       picture
	Free                          []freeDay
	NoFree                        string // why Free is empty
}

type calendarWords struct {
	Name  string
	State busy.CalendarState
	Words string
}

type freeDay struct {
	Day    string
	Today  bool
	Ranges []string
}

// week reads the tenant's week.
func (a *api) week(r *http.Request, tenant busy.TenantID, signedIn bool) (week, error) {
	p := readParams([]param{{name: "resource", in: "query"}, weekParam}, r)
	var asked busy.ResourceID
	var err error
	if v := p.values.Get("resource"); v != "" {
		if asked, err = busy.ParseID[busy.Resource](v); err != nil {
			p.reject("resource", uuidForm)
		}
	}
	monday, chosen := time.Time{}, p.values.Get("week")
	if chosen != "" {
		var ok bool
		if monday, ok = parseWeek(chosen); !ok {
			p.reject("week", "must be an ISO week such as 2026-W10, of the years 2000 to 2199")
		}
	}
	if err := p.err(); err != nil {
		return week{}, err
	}
	resources, err := a.Store.Resources(r.Context(), tenant)
	if err != nil {
		return week{}, err
	}
	slices.SortFunc(resources, func(a, b busy.Resource) int { return strings.Compare(a.Name+a.ID.String(), b.Name+b.ID.String()) })
	out := week{Week: chosen, SignedIn: signedIn}
	out.choose(resources, asked)
	drawn := resources
	if !asked.IsZero() {
		drawn = slices.DeleteFunc(slices.Clone(resources), func(r busy.Resource) bool { return r.ID != asked })
		if len(drawn) == 0 {
			return week{}, busy.ErrNotFound
		}
	}
	if len(drawn) > drawnPeople {
		out.More = len(drawn) - drawnPeople
		drawn = drawn[:drawnPeople]
	}
	now := a.Now()
	out.navigate(monday, now, drawn, asked)
	out.People, err = a.people(r, tenant, drawn, monday, now)
	return out, err
}

func (w *week) choose(resources []busy.Resource, asked busy.ResourceID) {
	for i, r := range resources {
		if i >= listedPeople {
			w.Unlisted = len(resources) - listedPeople
			return
		}
		w.Choices = append(w.Choices, choice{ID: r.ID.String(), Name: r.Name, Chosen: r.ID == asked})
	}
}

// navigate sets the title and the addresses of the weeks around. Without a week
// asked, it is the one in which the first resource is.
func (w *week) navigate(monday, now time.Time, drawn []busy.Resource, asked busy.ResourceID) {
	zone := time.UTC
	if len(drawn) > 0 {
		if loaded, err := time.LoadLocation(drawn[0].Zone); err == nil {
			zone = loaded
		}
	}
	present := mondayOf(booking.Date(now, zone))
	if monday.IsZero() {
		monday = present
	}
	address := func(week string) string {
		q := url.Values{}
		if week != "" {
			q.Set("week", week)
		}
		if !asked.IsZero() {
			q.Set("resource", asked.String())
		}
		if len(q) == 0 {
			return weekPath
		}
		return weekPath + "?" + q.Encode()
	}
	w.Title = dates(monday)
	w.Prev, w.Next = address(formatWeek(monday.AddDate(0, 0, -7))), address(formatWeek(monday.AddDate(0, 0, 7)))
	if !monday.Equal(present) {
		w.This = address("")
	}
}

// people draws the resources, each in the week of its own zone that begins on
// monday; zero: the present one.
func (a *api) people(r *http.Request, tenant busy.TenantID, resources []busy.Resource, monday, now time.Time) ([]person, error) {
	sheets := make([]sheet, len(resources))
	ids := make([]busy.ResourceID, len(resources))
	var whole busy.Span
	for i, res := range resources {
		zone, err := time.LoadLocation(res.Zone)
		if err != nil {
			return nil, fmt.Errorf("the zone of resource %s: %w", res.ID, err)
		}
		s := sheet{zone: zone, monday: monday, now: now}
		if monday.IsZero() {
			s.monday = mondayOf(booking.Date(now, zone))
		}
		s.span = busy.Span{Start: booking.Day(s.monday, zone).Start, End: booking.Day(s.monday.AddDate(0, 0, 7), zone).Start}
		if whole.Empty() || s.span.Start.Before(whole.Start) {
			whole.Start = s.span.Start
		}
		if s.span.End.After(whole.End) {
			whole.End = s.span.End
		}
		sheets[i], ids[i] = s, res.ID
	}
	if len(resources) == 0 {
		return nil, nil
	}
	agendas, err := a.agendas(r.Context(), tenant, ids, whole)
	if err != nil {
		return nil, err
	}
	// An agenda's calendars have no names.
	calendars, err := a.Store.Calendars(r.Context(), tenant)
	if err != nil {
		return nil, err
	}
	names := make(map[busy.CalendarID]string, len(calendars))
	for _, c := range calendars {
		names[c.ID] = c.Name
	}
	people := make([]person, len(agendas))
	for i, agenda := range agendas {
		for j, c := range agenda.Calendars {
			agenda.Calendars[j].Name = names[c.ID]
		}
		if people[i], err = a.person(agenda, sheets[i]); err != nil {
			return nil, err
		}
	}
	return people, nil
}

// sheet is the week of one resource.
type sheet struct {
	zone   *time.Location
	monday time.Time // its date
	span   busy.Span
	now    time.Time
}

// ahead is the part of the week that is not over, or all of a week that is.
func (s sheet) ahead() busy.Span {
	if s.now.After(s.span.Start) && s.now.Before(s.span.End) {
		return busy.Span{Start: s.now, End: s.span.End}
	}
	return s.span
}

func (a *api) person(agenda busy.Agenda, s sheet) (person, error) {
	standing := booking.Judge(agenda, s.ahead(), s.now, a.StaleAfter)
	p := person{
		ID: agenda.Resource.ID.String(), Name: agenda.Resource.Name, Zone: agenda.Resource.Zone,
		Offset: s.now.In(s.zone).Format("MST"), Clock: s.now.In(s.zone).Format("Mon 15:04"),
		State: standing.State,
	}
	for i, c := range agenda.Calendars {
		state := standing.Calendars[i].State
		p.Calendars = append(p.Calendars, calendarWords{Name: c.Name, State: state, Words: words(c, state, s.now, s.zone)})
	}
	p.Words = summary(agenda.Calendars, standing)
	free, err := booking.Free(agenda, standing, s.now)
	if err != nil {
		return person{}, err
	}
	if s.now.After(s.span.End) {
		free = nil
	}
	switch {
	case standing.KnownState == busy.StateDisconnected:
		free = nil
		p.NoFree = "No time is offered while all calendars are disconnected."
	case standing.KnownState != busy.StateFresh:
		free = nil
		p.NoFree = "No time is offered while a calendar is not fresh."
	case s.now.After(s.span.End):
		p.NoFree = "This week is over."
	case standing.Known.Empty():
		p.NoFree = "No time is offered in a week that has not been read."
	case len(free) == 0:
		p.NoFree = "Nothing is free in working hours."
	}
	p.Free = s.freeDays(free)
	p.Picture, err = draw(agenda, s, free)
	return p, err
}

// freeDays lists free time by the date on which it begins.
func (s sheet) freeDays(free []busy.Span) []freeDay {
	var days []freeDay
	today := booking.Date(s.now, s.zone)
	for d := range 7 {
		date := s.monday.AddDate(0, 0, d)
		day := booking.Day(date, s.zone)
		f := freeDay{Day: date.Format("Mon 2"), Today: date.Equal(today)}
		for _, span := range free {
			if part := span.Intersect(day); !part.Empty() && part.End.Sub(part.Start) >= time.Minute {
				f.Ranges = append(f.Ranges, clocks(part, s.zone))
			}
		}
		if len(f.Ranges) > 0 {
			days = append(days, f)
		}
	}
	return days
}

// clocks writes a span of one day as 09:00–10:30; the midnight that ends it is
// 24:00.
func clocks(span busy.Span, zone *time.Location) string {
	end := span.End.In(zone).Format("15:04")
	if end == "00:00" {
		end = "24:00"
	}
	return span.Start.In(zone).Format("15:04") + "–" + end
}

func mondayOf(date time.Time) time.Time {
	return date.AddDate(0, 0, -(int(date.Weekday())+6)%7)
}

var weekForm = regexp.MustCompile(`^(\d{4})-W(\d{2})$`)

// parseWeek returns the Monday of an ISO 8601 week.
func parseWeek(s string) (monday time.Time, ok bool) {
	m := weekForm.FindStringSubmatch(s)
	if m == nil {
		return time.Time{}, false
	}
	year, _ := strconv.Atoi(m[1])
	number, _ := strconv.Atoi(m[2])
	// The fourth of January is always in the first week.
	monday = mondayOf(time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC)).AddDate(0, 0, 7*(number-1))
	return monday, formatWeek(monday) == s && year >= 2000 && year <= 2199
}

func formatWeek(monday time.Time) string {
	year, number := monday.ISOWeek()
	return fmt.Sprintf("%04d-W%02d", year, number)
}

// dates writes a week as 2 – 8 March 2026.
func dates(monday time.Time) string {
	sunday := monday.AddDate(0, 0, 6)
	switch {
	case monday.Month() == sunday.Month():
		return monday.Format("2 – ") + sunday.Format("2 January 2006")
	case monday.Year() == sunday.Year():
		return monday.Format("2 January – ") + sunday.Format("2 January 2006")
	default:
		return monday.Format("2 January 2006 – ") + sunday.Format("2 January 2006")
	}
}
