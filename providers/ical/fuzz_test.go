package ical

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/subject"
)

// recurrenceLine is the form that busy.Event.Recurrence promises.
var recurrenceLine = regexp.MustCompile(`^(RRULE|EXRULE):[A-Z0-9=;,+-]+$` +
	`|^(RDATE|EXDATE)(;VALUE=(DATE|PERIOD))?(;TZID=[A-Za-z0-9_/+-]+)?:[0-9TZPWDHMS,/+-]+$`)

func FuzzParse(f *testing.F) {
	for _, file := range glob(f, "testdata/scenarios/*.txt") {
		for _, s := range scenarios(f, file) {
			f.Add(s.input)
		}
	}
	for _, file := range glob(f, "testdata/samples/*.ics") {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
	f.Add(stuffed)
	f.Fuzz(func(t *testing.T, input string) {
		input = wrap(input)
		o := Options{Key: "k", Version: "v", Zone: "Europe/Berlin", Self: []string{"me@example.com"}}
		object, err := Parse(strings.NewReader(input), o)
		check(t, object, err)
		for _, e := range object.Events {
			if e.Key != "k" || e.Version != "v" {
				t.Errorf("event of %q version %q, want k and v", e.Key, e.Version)
			}
		}
		feed, err := ParseFeed(strings.NewReader(input), o)
		check(t, feed, err)
		masters := map[string]bool{}
		for _, e := range feed.Events {
			if e.Original.IsZero() && masters[e.Series] {
				t.Errorf("two masters in the series %q", e.Series)
			}
			masters[e.Series] = masters[e.Series] || e.Original.IsZero()
		}
	})
}

// check is what holds of every reading.
func check(t *testing.T, c Calendar, err error) {
	t.Helper()
	if err != nil {
		if len(c.Events)+len(c.Problems) > 0 || ProblemOf(err) == busy.ProblemNone {
			t.Errorf("an error with a result, or without a code: %v", err)
		}
		return
	}
	for _, e := range c.Events {
		if e.Start.IsZero() && !e.Cancelled {
			t.Errorf("an event has no start: %+v", e)
		}
		for _, m := range []busy.Moment{e.Start, e.End, e.Original} {
			if back, err := busy.ParseMoment(m.String()); err != nil || back != m {
				t.Errorf("%q does not read back: %v", m, err)
			}
		}
		if !e.End.IsZero() && (e.Start.Date != e.End.Date || e.Length != busy.Length{}) {
			t.Errorf("%v to %v and %v", e.Start, e.End, e.Length)
		}
		for _, l := range e.Recurrence {
			if !recurrenceLine.MatchString(l) {
				t.Errorf("recurrence line %q", l)
			}
		}
		if n := utf8.RuneCountInString(e.Subject); n > subject.MaxRunes || !utf8.ValidString(e.Subject) {
			t.Errorf("a subject of %d runes: %q", n, e.Subject)
		}
		if strings.ContainsFunc(e.Subject, unicode.IsControl) || strings.Contains(e.Subject, "://") || subject.Of(e.Subject) != e.Subject {
			t.Errorf("subject %q", e.Subject)
		}
	}
	for _, p := range c.Problems {
		if p.Code == busy.ProblemNone || p.Line < 1 || p.Detail == "" {
			t.Errorf("problem %+v", p)
		}
	}
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files, %v", pattern, err)
	}
	return files
}

// FuzzLine reads one line in a place where it counts.
func FuzzLine(f *testing.F) {
	for l := range strings.Lines(stuffed) {
		f.Add(l)
	}
	f.Add(`SUMMARY;X="a`)
	f.Add("DTSTART;TZID=(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna:20260301T090000")
	f.Fuzz(func(t *testing.T, l string) {
		input := "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Mine\nBEGIN:STANDARD\nTZOFFSETTO:+0100\n" + l +
			"\nDTSTART:19700101T000000\nEND:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT\n" + l +
			"\nDTSTART;TZID=Mine:20260301T090000\nEND:VEVENT\nEND:VCALENDAR\n"
		c, err := Parse(strings.NewReader(input), Options{Key: "k", Self: []string{"me@example.com"}})
		check(t, c, err)
	})
}
