package main

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/busyd/busyd/providers/caldav/caldavserver"
)

//go:embed samples.txt
var samplesText string

// samplePerson is somebody with sample calendars.
type samplePerson struct {
	user, name, zone, hours string
	calendars               []caldavserver.Calendar
}

func samplePeople() []samplePerson {
	return []samplePerson{
		{"ada", "Ada", "Europe/Berlin", "mon-fri 09:00-17:00", []caldavserver.Calendar{
			{Name: "work", Title: "Work", Zone: "Europe/Berlin"},
			{Name: "private", Title: "Private", Zone: "Europe/Berlin"},
			{Name: "holidays", Title: "Holidays elsewhere", Transparent: true},
		}},
		{"bo", "Bo", "America/New_York", "mon-fri 08:30-12:00 13:00-17:30", []caldavserver.Calendar{
			{Name: "calendar", Title: "Calendar", Zone: "America/New_York"},
		}},
	}
}

// sampleServer serves the sample calendars as they are in the week of now. Both
// people have the password.
func sampleServer(now time.Time, password string) (*caldavserver.Server, error) {
	objects, err := sampleObjects(now)
	if err != nil {
		return nil, err
	}
	var users []caldavserver.User
	for _, p := range samplePeople() {
		for i := range p.calendars {
			p.calendars[i].Objects = objects[p.user+"/"+p.calendars[i].Name]
		}
		users = append(users, caldavserver.User{
			Name: p.user, Password: password, Addresses: []string{p.user + "@example.com"}, Calendars: p.calendars,
		})
	}
	return caldavserver.New(users...)
}

// sampleObjects returns the iCalendar objects of samples.txt by "user/calendar"
// and name.
func sampleObjects(now time.Time) (map[string]map[string]string, error) {
	now = now.UTC()
	monday := time.Date(now.Year(), now.Month(), now.Day()-(int(now.Weekday())+6)%7, 0, 0, 0, 0, time.UTC)
	text, err := template.New("samples").Funcs(template.FuncMap{
		"at":   func(days int, clock string) string { return monday.AddDate(0, 0, days).Format("20060102T") + clock },
		"date": func(days int) string { return monday.AddDate(0, 0, days).Format("20060102") },
		"born": func(days, years int) string { return monday.AddDate(-years, 0, days).Format("20060102") },
	}).Parse(strings.SplitAfterN(samplesText, "\n\n", 2)[1])
	if err != nil {
		return nil, fmt.Errorf("parse the samples: %w", err)
	}
	var b strings.Builder
	if err := text.Execute(&b, nil); err != nil {
		return nil, fmt.Errorf("date the samples: %w", err)
	}
	objects := map[string]map[string]string{}
	for _, part := range strings.Split(b.String(), "\n-- ") {
		path, body, _ := strings.Cut(strings.TrimPrefix(part, "-- "), " --\n")
		at := strings.LastIndex(path, "/")
		if at < 0 {
			return nil, fmt.Errorf("a sample has the path %q", path)
		}
		calendar, name := path[:at], path[at+1:]
		if objects[calendar] == nil {
			objects[calendar] = map[string]string{}
		}
		objects[calendar][name] = wrapSample(body, monday)
	}
	return objects, nil
}

func wrapSample(events string, stamp time.Time) string {
	events = strings.ReplaceAll(strings.TrimSpace(events), "UID:", "DTSTAMP:"+stamp.Format("20060102T150405Z")+"\nUID:")
	lines := "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//busyd//samples//EN\n" + events + "\nEND:VCALENDAR\n"
	return strings.ReplaceAll(lines, "\n", "\r\n")
}
