package google_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/google"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/googlefake"
)

// query asks for all of the calendar in March 2026.
func query(remote string, cursor providers.Cursor) providers.Query {
	return providers.Query{
		Remote: busy.Secret(remote), Cursor: cursor, Window: providertest.Window, Zone: "Europe/Berlin",
		Version: func(string) (string, bool) { return "", false },
	}
}

func changes(t *testing.T, s providers.Session, q providers.Query) providers.Page {
	t.Helper()
	page, err := s.Changes(context.Background(), q)
	if err != nil {
		t.Fatalf("changes: %v", err)
	}
	return page
}

// fields is a JSON object; timed is when it takes place.
type fields = map[string]any

func timed(more fields) fields {
	f := fields{
		"status": "confirmed", "summary": "Standup",
		"start": fields{"dateTime": "2026-03-20T09:00:00+01:00", "timeZone": "Europe/Berlin"},
		"end":   fields{"dateTime": "2026-03-20T10:00:00+01:00", "timeZone": "Europe/Berlin"},
	}
	maps.Copy(f, more)
	return f
}

// read is what the provider makes of one item.
func read(t *testing.T, item fields) busy.Change {
	t.Helper()
	a := newAccount(t, googlefake.Options{})
	a.server.PutRaw(work, "x", item)
	return changes(t, a.Open(t), query(work, nil)).Change
}

func event(t *testing.T, item fields) busy.Event {
	t.Helper()
	c := read(t, item)
	if len(c.Events) != 1 || len(c.Unreadable) != 0 {
		t.Fatalf("read as %+v", c)
	}
	return c.Events[0]
}

func TestStates(t *testing.T) {
	invited := func(answer string) fields {
		return fields{"attendees": []any{
			fields{"email": "other@example.com", "responseStatus": "declined"},
			fields{"email": "me@example.com", "self": true, "responseStatus": answer},
		}}
	}
	for name, c := range map[string]struct {
		item  fields
		state busy.State
		why   busy.Why
	}{
		"no transparency":    {fields{}, busy.Busy, busy.WhyOpaque},
		"opaque":             {fields{"transparency": "opaque"}, busy.Busy, busy.WhyOpaque},
		"transparent":        {fields{"transparency": "transparent"}, busy.Free, busy.WhyTransparent},
		"tentative":          {fields{"status": "tentative"}, busy.Tentative, busy.WhyTentative},
		"accepted":           {invited("accepted"), busy.Busy, busy.WhyOpaque},
		"declined":           {invited("declined"), busy.Free, busy.WhyDeclined},
		"maybe":              {invited("tentative"), busy.Tentative, busy.WhyTentative},
		"unanswered":         {invited("needsAction"), busy.Tentative, google.WhyUnanswered},
		"others declined":    {fields{"attendees": []any{fields{"responseStatus": "declined"}}}, busy.Busy, busy.WhyOpaque},
		"default":            {fields{"eventType": "default"}, busy.Busy, busy.WhyOpaque},
		"from mail":          {fields{"eventType": "fromGmail"}, busy.Busy, busy.WhyOpaque},
		"focus time":         {fields{"eventType": "focusTime"}, busy.Busy, busy.WhyOpaque},
		"out of office":      {fields{"eventType": "outOfOffice"}, busy.OutOfOffice, busy.WhyOutOfOffice},
		"working location":   {fields{"eventType": "workingLocation"}, busy.Free, google.WhyPlace},
		"birthday":           {fields{"eventType": "birthday"}, busy.Free, google.WhyBirthday},
		"a type to be":       {fields{"eventType": "siesta"}, busy.Busy, busy.WhyOpaque},
		"out, but available": {fields{"eventType": "outOfOffice", "transparency": "transparent"}, busy.Free, busy.WhyTransparent},
	} {
		e := event(t, timed(c.item))
		if e.State != c.state || e.Why != c.why {
			t.Errorf("%s: %v because %q, want %v because %q", name, e.State, e.Why, c.state, c.why)
		}
	}
}

func TestAllDayFree(t *testing.T) {
	e := event(t, fields{
		"status": "confirmed", "start": fields{"date": "2026-03-20"}, "end": fields{"date": "2026-03-21"},
		"transparency": "transparent",
	})
	if e.State != busy.Free || e.Start != busy.DateOf(2026, 3, 20) || e.End != busy.DateOf(2026, 3, 21) {
		t.Errorf("read as %+v", e)
	}
}

func TestSubjects(t *testing.T) {
	for title, want := range map[string]string{
		"Standup":                              "Standup",
		"":                                     "Busy",
		" \t ":                                 "Busy",
		"Call ana@example.com now":             "Call … now",
		"Join https://meet.google.com/abc-def": "Join …",
	} {
		if got := event(t, timed(fields{"summary": title})).Subject; got != want {
			t.Errorf("%q became %q, want %q", title, got, want)
		}
	}
	item := timed(nil)
	delete(item, "summary")
	if got := event(t, item).Subject; got != "Busy" {
		t.Errorf("an event without a title became %q", got)
	}
}

func berlin(day, hour int) busy.Moment {
	return busy.Moment{Wall: time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC), Zone: "Europe/Berlin"}
}

func instant(day, hour int) busy.Moment {
	return busy.InstantOf(time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC))
}

func TestTimes(t *testing.T) {
	newYork := func(day, hour int) busy.Moment {
		m := berlin(day, hour)
		m.Zone = "America/New_York"
		return m
	}
	for name, c := range map[string]struct {
		item       fields
		start, end busy.Moment
		length     busy.Length
	}{
		"a single is an instant": {item: fields{}, start: instant(20, 8), end: instant(20, 9)},
		"a series keeps its zone": {
			item:  fields{"recurrence": []string{"RRULE:FREQ=DAILY"}},
			start: berlin(20, 9), end: berlin(20, 10),
		},
		// Google writes the offset of the calendar's zone beside the event's zone.
		"the zone counts, not the offset": {
			item: fields{
				"recurrence": []string{"RRULE:FREQ=DAILY"},
				"start":      fields{"dateTime": "2026-03-20T14:00:00+01:00", "timeZone": "America/New_York"},
				"end":        fields{"dateTime": "2026-03-20T15:00:00+01:00", "timeZone": "America/New_York"},
			},
			start: newYork(20, 9), end: newYork(20, 10),
		},
		"a series in UTC": {
			item: fields{
				"recurrence": []string{"RRULE:FREQ=DAILY"},
				"start":      fields{"dateTime": "2026-03-20T09:00:00Z", "timeZone": "Etc/UTC"},
				"end":        fields{"dateTime": "2026-03-20T10:00:00Z", "timeZone": "Etc/UTC"},
			},
			start: instant(20, 9), end: instant(20, 10),
		},
		"fractions of a second": {
			item:  fields{"start": fields{"dateTime": "2026-03-20T09:00:00.500+01:00"}},
			start: instant(20, 8), end: instant(20, 9),
		},
		"an unspecified end carries one": {
			item: fields{"endTimeUnspecified": true}, start: instant(20, 8), end: instant(20, 9),
		},
		"a date without an end": {
			item:  fields{"start": fields{"date": "2026-03-20"}, "end": nil},
			start: busy.DateOf(2026, 3, 20), length: busy.Length{Days: 1},
		},
		"a time without an end": {item: fields{"end": nil}, start: instant(20, 8)},
	} {
		e := event(t, timed(c.item))
		if e.Start != c.start || e.End != c.end || e.Length != c.length {
			t.Errorf("%s: %v to %v or %v, want %v to %v or %v", name, e.Start, e.End, e.Length, c.start, c.end, c.length)
		}
	}
}

func TestUnreadable(t *testing.T) {
	for name, c := range map[string]struct {
		item fields
		want busy.Problem
	}{
		"no start":            {timed(fields{"start": nil}), busy.ProblemNoStart},
		"an empty start":      {timed(fields{"start": fields{}}), busy.ProblemUnreadable},
		"no date":             {timed(fields{"start": fields{"date": "2026-02-30"}}), busy.ProblemUnreadable},
		"a time as a date":    {timed(fields{"start": fields{"date": "2026-03-20T09:00:00Z"}}), busy.ProblemUnreadable},
		"no offset":           {timed(fields{"start": fields{"dateTime": "2026-03-20T09:00:00"}}), busy.ProblemUnreadable},
		"a date to a time":    {timed(fields{"start": fields{"date": "2026-03-20"}}), busy.ProblemUnreadable},
		"exception of when":   {timed(fields{"recurringEventId": "m"}), busy.ProblemNoStart},
		"exception of nonce":  {timed(fields{"recurringEventId": "m", "originalStartTime": fields{}}), busy.ProblemUnreadable},
		"cancelled, but when": {fields{"status": "cancelled", "recurringEventId": "m"}, busy.ProblemNoStart},
	} {
		got := read(t, c.item)
		if len(got.Events) != 0 || len(got.Unreadable) != 1 || got.Unreadable[0].Problem != c.want {
			t.Errorf("%s: read as %+v, want %s", name, got, c.want)
		}
	}
}

func TestRecurrenceLines(t *testing.T) {
	const flag = "RRULE:UNREADABLE"
	for name, c := range map[string]struct {
		zone        string
		lines, want []string
	}{
		"as they are": {
			lines: []string{"RRULE:FREQ=WEEKLY;UNTIL=20260701T170000Z;BYDAY=MO,TU", "EXDATE:20260323T080000Z"},
			want:  []string{"RRULE:FREQ=WEEKLY;UNTIL=20260701T170000Z;BYDAY=MO,TU", "EXDATE:20260323T080000Z"},
		},
		"the series' zone is left out": {
			lines: []string{"EXDATE;TZID=Europe/Berlin:20260323T090000,20260324T090000"},
			want:  []string{"EXDATE:20260323T090000,20260324T090000"},
		},
		"another zone": {
			lines: []string{"RDATE;TZID=America/New_York:20260323T090000"},
			want:  []string{"RDATE;TZID=America/New_York:20260323T090000"},
		},
		"a zone by its Windows name": {
			lines: []string{"RDATE;TZID=Eastern Standard Time:20260323T090000"},
			want:  []string{"RDATE;TZID=America/New_York:20260323T090000"},
		},
		"dates and periods": {
			lines: []string{"EXDATE;VALUE=DATE:20260323", "RDATE;VALUE=PERIOD:20260323T080000Z/PT1H", "EXDATE;VALUE=DATE-TIME:20260323T080000Z"},
			want:  []string{"EXDATE;VALUE=DATE:20260323", "RDATE;VALUE=PERIOD:20260323T080000Z/PT1H", "EXDATE:20260323T080000Z"},
		},
		"other parameters": {
			lines: []string{"EXDATE;X-WHO=CANARY;VALUE=DATE:20260323", "RRULE;X-A=B:FREQ=DAILY;X-WHO=CANARY"},
			want:  []string{"EXDATE;VALUE=DATE:20260323", "RRULE:FREQ=DAILY"},
		},
		"small letters": {lines: []string{"rrule:freq=daily"}, want: []string{"RRULE:FREQ=DAILY"}},
		"not lines of a recurrence": {
			lines: []string{"RRULE:FREQ=DAILY", "SUMMARY:CANARY", "CANARY", "RRULE:a@b"},
			want:  []string{"RRULE:FREQ=DAILY", flag, flag, flag},
		},
		"an exception in no zone removes nothing": {
			lines: []string{"EXDATE;TZID=Middle-earth/Shire:20260323T090000"}, want: []string{flag},
		},
		"an addition in no zone is kept": {
			lines: []string{"RDATE;TZID=Middle-earth/Shire:20260323T090000"}, want: []string{"RDATE:20260323T090000", flag},
		},
		"a series in no zone": {
			zone: "Middle-earth/Shire", lines: []string{"RRULE:FREQ=DAILY"}, want: []string{"RRULE:FREQ=DAILY", flag},
		},
	} {
		item := timed(fields{"recurrence": c.lines})
		if c.zone != "" {
			item["start"].(fields)["timeZone"] = c.zone
		}
		e := event(t, item)
		if diff := cmp.Diff(c.want, e.Recurrence); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if e.Start != berlin(20, 9) {
			t.Errorf("%s: starts %v", name, e.Start)
		}
	}
}

func TestExceptions(t *testing.T) {
	original := fields{"dateTime": "2026-03-20T08:00:00Z", "timeZone": "UTC"}
	moved := event(t, timed(fields{"recurringEventId": "master", "originalStartTime": original}))
	if moved.Series != "master" || moved.Key == "master" || moved.Original != instant(20, 8) || moved.Cancelled {
		t.Errorf("moved: %+v", moved)
	}
	day := event(t, timed(fields{"recurringEventId": "master", "originalStartTime": fields{"date": "2026-03-20"}}))
	if day.Original != busy.DateOf(2026, 3, 20) {
		t.Errorf("of a day: %+v", day)
	}
	off := event(t, fields{"status": "cancelled", "recurringEventId": "master", "originalStartTime": original})
	if !off.Cancelled || off.Series != "master" || off.Original != instant(20, 8) || off.Subject != "" {
		t.Errorf("cancelled: %+v", off)
	}
}
