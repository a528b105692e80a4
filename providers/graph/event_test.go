package graph

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
)

const home = "Europe/Berlin"

func decode(t *testing.T, text string) event {
	t.Helper()
	var e event
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTimes(t *testing.T) {
	for name, c := range map[string]struct {
		text       string
		start, end string
		problem    busy.Problem
	}{
		"an instant, with seven digits of a fraction": {
			`{"start":{"dateTime":"2026-03-02T08:00:00.0000000","timeZone":"UTC"},"end":{"dateTime":"2026-03-02T08:30:00.0000000","timeZone":"UTC"}}`,
			"2026-03-02T08:00:00Z", "2026-03-02T08:30:00Z", busy.ProblemNone,
		},
		"UTC as Outlook calls it": {
			`{"start":{"dateTime":"2026-03-02T08:00:00","timeZone":"tzone://Microsoft/Utc"},"end":{"dateTime":"2026-03-02T08:30:00Z","timeZone":""}}`,
			"2026-03-02T08:00:00Z", "2026-03-02T08:30:00Z", busy.ProblemNone,
		},
		"a zone of Windows, though UTC was asked for": {
			`{"start":{"dateTime":"2026-03-02T08:00:00.0000000","timeZone":"Pacific Standard Time"},"end":{"dateTime":"2026-03-02T08:30:00.0000000","timeZone":"Pacific Standard Time"}}`,
			"2026-03-02T08:00:00[America/Los_Angeles]", "2026-03-02T08:30:00[America/Los_Angeles]", busy.ProblemNone,
		},
		"a zone that nobody knows": {
			`{"start":{"dateTime":"2026-03-02T08:00:00.0000000","timeZone":"tzone://Microsoft/Custom"},"end":{"dateTime":"2026-03-02T08:30:00.0000000","timeZone":"tzone://Microsoft/Custom"}}`,
			"2026-03-02T08:00:00[Europe/Berlin]", "2026-03-02T08:30:00[Europe/Berlin]", busy.ProblemZone,
		},
		"all day": {
			`{"isAllDay":true,"originalStartTimeZone":"Tokyo Standard Time","start":{"dateTime":"2026-03-28T00:00:00.0000000","timeZone":"UTC"},"end":{"dateTime":"2026-03-31T00:00:00.0000000","timeZone":"UTC"}}`,
			"2026-03-28", "2026-03-31", busy.ProblemNone,
		},
		"all day, shown in UTC": {
			`{"isAllDay":true,"originalStartTimeZone":"Tokyo Standard Time","start":{"dateTime":"2026-03-27T15:00:00.0000000","timeZone":"UTC"},"end":{"dateTime":"2026-03-28T15:00:00.0000000","timeZone":"UTC"}}`,
			"2026-03-28", "2026-03-29", busy.ProblemNone,
		},
		"all day, shown in UTC, in a zone without a name": {
			`{"isAllDay":true,"originalStartTimeZone":"tzone://Microsoft/Custom","start":{"dateTime":"2026-03-27T23:00:00.0000000","timeZone":"UTC"},"end":{"dateTime":"2026-03-28T23:00:00.0000000","timeZone":"UTC"}}`,
			"2026-03-28", "2026-03-29", busy.ProblemNone,
		},
		"all day, at hours of no midnight": {
			`{"isAllDay":true,"originalStartTimeZone":"UTC","start":{"dateTime":"2026-03-27T15:00:00.0000000","timeZone":"UTC"},"end":{"dateTime":"2026-03-28T15:00:00.0000000","timeZone":"UTC"}}`,
			"2026-03-27", "2026-03-29", busy.ProblemNone,
		},
		"all day, without length": {
			`{"isAllDay":true,"start":{"dateTime":"2026-03-28T00:00:00.0000000","timeZone":"UTC"},"end":{"dateTime":"2026-03-28T00:00:00.0000000","timeZone":"UTC"}}`,
			"2026-03-28", "2026-03-29", busy.ProblemNone,
		},
		"not shown":  {`{}`, "", "", busy.ProblemMissing},
		"no end":     {`{"start":{"dateTime":"2026-03-02T08:00:00.0000000","timeZone":"UTC"}}`, "", "", busy.ProblemNoStart},
		"no time":    {`{"start":{"dateTime":"soon","timeZone":"UTC"},"end":{"dateTime":"2026-03-02T08:30:00","timeZone":"UTC"}}`, "", "", busy.ProblemUnreadable},
		"no end yet": {`{"start":{"dateTime":"2026-03-02T08:30:00","timeZone":"UTC"},"end":{"dateTime":"","timeZone":"UTC"}}`, "", "", busy.ProblemUnreadable},
	} {
		i := decode(t, c.text).read(home)
		if i.event.Start.String() != c.start || i.event.End.String() != c.end || i.problem != c.problem {
			t.Errorf("%s: %s to %s (%s), want %s to %s (%s)", name, i.event.Start, i.event.End, i.problem, c.start, c.end, c.problem)
		}
	}
}

func TestStates(t *testing.T) {
	for text, want := range map[string]busy.State{
		`{"showAs":"busy"}`:             busy.Busy,
		`{"showAs":"unknown"}`:          busy.Busy,
		`{"showAs":"somethingNew"}`:     busy.Busy,
		`{}`:                            busy.Busy,
		`{"showAs":"oof"}`:              busy.OutOfOffice,
		`{"showAs":"tentative"}`:        busy.Tentative,
		`{"showAs":"free"}`:             busy.Free,
		`{"showAs":"workingElsewhere"}`: busy.Free,
		`{"showAs":"free","isAllDay":true,"start":{"dateTime":"2026-03-28T00:00:00","timeZone":"UTC"},"end":{"dateTime":"2026-03-29T00:00:00","timeZone":"UTC"}}`: busy.Free,
		`{"showAs":"busy","isCancelled":true}`:                                      busy.Free,
		`{"showAs":"busy","responseStatus":{"response":"declined"}}`:                busy.Free,
		`{"showAs":"busy","responseStatus":null}`:                                   busy.Busy,
		`{"showAs":"busy","responseStatus":{"response":"tentativelyAccepted"}}`:     busy.Busy,
		`{"showAs":"tentative","responseStatus":{"response":"notResponded"}}`:       busy.Tentative,
		`{"showAs":"oof","isCancelled":false,"responseStatus":{"response":"none"}}`: busy.OutOfOffice,
	} {
		if got, why := decode(t, text).state(); got != want || why == "" {
			t.Errorf("%s: %s (%s), want %s", text, got, why, want)
		}
	}
}

func TestSubjects(t *testing.T) {
	for text, want := range map[string]string{
		`{"subject":"Lunch"}`:                                       "Lunch",
		`{"subject":"Call bob@example.com"}`:                        "Call …",
		`{"subject":"Sync https://teams.example.com/l/meetup?x=1"}`: "Sync …",
		`{"subject":null}`:                                          "",
		`{"subject":"Doctor","sensitivity":"private"}`:              "Busy",
		`{"subject":"Merger","sensitivity":"confidential"}`:         "Busy",
		`{"subject":"Gym","sensitivity":"personal"}`:                "Gym",
	} {
		if got := decode(t, text).read(home).event.Subject; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestVersions: a version changes with what is kept, and with nothing else.
func TestVersions(t *testing.T) {
	const base = `{"id":"A","subject":"S","showAs":"busy","start":{"dateTime":"2026-03-02T08:00:00.0000000","timeZone":"UTC"},"end":{"dateTime":"2026-03-02T08:30:00.0000000","timeZone":"UTC"}`
	version := func(more string) string { return decode(t, base+more+"}").read(home).event.Version }
	first := version("")
	for _, same := range []string{`,"changeKey":"x"`, `,"originalStartTimeZone":"Tokyo Standard Time"`, `,"body":{"content":"x"}`} {
		if version(same) != first {
			t.Errorf("%s changes the version", same)
		}
	}
	for _, other := range []string{`,"subject":"T"`, `,"showAs":"oof"`, `,"isCancelled":true`, `,"id":"a"`, `,"end":{"dateTime":"2026-03-02T09:30:00.0000000","timeZone":"UTC"}`} {
		if version(other) == first {
			t.Errorf("%s does not change the version", other)
		}
	}
}

// TestSamples: the answers that Microsoft's documentation shows can be read.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		switch name := filepath.Base(file); {
		case strings.HasPrefix(name, "view"):
			sampleOf[event](t, name, raw, func(e event) {
				i := e.read(home)
				if i.problem != busy.ProblemNone || i.event.Start.IsZero() || i.event.Subject == "" {
					t.Errorf("%s: %+v", name, i)
				}
			})
		case strings.HasPrefix(name, "delta"):
			sampleOf[named](t, name, raw, func(n named) {
				if n.ID == "" {
					t.Errorf("%s: an entry without an id", name)
				}
			})
		case strings.HasPrefix(name, "calendars"):
			sampleOf[calendar](t, name, raw, func(c calendar) {
				if c.ID == "" || c.Name == "" {
					t.Errorf("%s: %+v", name, c)
				}
			})
		case strings.HasPrefix(name, "notification"), strings.HasPrefix(name, "lifecycle"):
			var n notifications
			if err := json.Unmarshal(raw, &n); err != nil || len(n.Value) == 0 || n.Value[0].Token == "" {
				t.Errorf("%s: %v", name, err)
			}
		case strings.HasPrefix(name, "subscription"):
			var s subscription
			if err := json.Unmarshal(raw, &s); err != nil || s.ID == "" || s.Expires.IsZero() {
				t.Errorf("%s: %v", name, err)
			}
		case strings.HasPrefix(name, "error"):
			if wordIn(strings.NewReader(string(raw))) == "" {
				t.Errorf("%s: no word", name)
			}
		default:
			t.Errorf("what is %s?", name)
		}
	}
}

func sampleOf[T any](t *testing.T, name string, raw []byte, look func(T)) {
	t.Helper()
	var page collection[T]
	if err := json.Unmarshal(raw, &page); err != nil || len(page.Value) == 0 {
		t.Errorf("%s: %v", name, err)
	}
	for _, v := range page.Value {
		look(v)
	}
}

// TestDigest: the order in which Graph shows a window does not matter, and what
// comes twice counts as it came last.
func TestDigest(t *testing.T) {
	digest := func(subjects ...string) string {
		v := &view{at: map[string]int{}}
		for _, s := range subjects {
			v.add(event{ID: s[:1], Subject: s, ShowAs: "busy"}.read(home))
		}
		return v.digest()
	}
	if digest("a", "b", "c") != digest("c", "a", "b") {
		t.Error("another order is another digest")
	}
	if digest("a", "b") == digest("a", "c") || digest("a") == digest() || digest("a", "A") == digest("a") {
		t.Error("two windows have one digest")
	}
	if digest("a1", "b", "a2") != digest("a2", "b") {
		t.Error("an event that came twice does not count as it came last")
	}
}
