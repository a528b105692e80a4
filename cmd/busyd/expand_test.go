package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
)

var updateExpand = flag.Bool("update-expand", false, "write what busyd expand prints to testdata/expand")

const calendarSamples = "../../providers/ical/testdata/samples"

func expand(stdin string, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := newExpandCommand()
	cmd.SilenceErrors = true
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

// TestExpandSamples compares what the samples yield with what was checked by
// hand.
func TestExpandSamples(t *testing.T) {
	for _, c := range []struct {
		sample string
		args   []string
	}{
		{"outlook-export", []string{"--from", "2026-03-01", "--to", "2026-05-01", "--timezone", "Europe/Berlin"}},
		{"google-export", []string{"--from", "2026-03-01", "--to", "2026-04-02", "--timezone", "America/New_York", "--address", "sam@example.com"}},
		{"icloud-object", []string{"--from", "2026-03-24", "--to", "2026-04-21", "--timezone", "Europe/Berlin"}},
		{"thunderbird-object", []string{"--from", "2026-01-01", "--to", "2027-01-01", "--timezone", "America/Sao_Paulo"}},
		{"exchange-object", []string{"--from", "2026-03-20", "--to", "2026-04-20", "--timezone", "Australia/Sydney"}},
		{"nextcloud-object", []string{"--from", "2026-03-20", "--to", "2026-04-20", "--timezone", "Europe/Paris"}},
		{"evolution-object", []string{"--from", "2026-03-01", "--to", "2026-04-01", "--timezone", "Asia/Kolkata"}},
		{"holidays-de", []string{"--from", "2026-01-01", "--to", "2028-01-01", "--timezone", "Europe/Berlin"}},
		{"holidays-us", []string{"--from", "2026-01-01", "--to", "2027-01-01", "--timezone", "America/New_York"}},
		{"holidays-br", []string{"--from", "2026-01-01", "--to", "2027-01-01", "--timezone", "America/Sao_Paulo"}},
		{"holidays-jp", []string{"--from", "2026-01-01", "--to", "2027-01-01", "--timezone", "Asia/Tokyo"}},
	} {
		t.Run(c.sample, func(t *testing.T) {
			args := append([]string{filepath.Join(calendarSamples, c.sample+".ics")}, c.args...)
			table, warnings, err := expand("", args...)
			if err != nil {
				t.Fatal(err)
			}
			json, _, err := expand("", append(args, "--json")...)
			if err != nil {
				t.Fatal(err)
			}
			goldenExpand(t, "testdata/expand/"+c.sample+".txt", table+warnings)
			goldenExpand(t, "testdata/expand/"+c.sample+".json", json)
		})
	}
}

func goldenExpand(t *testing.T, file, got string) {
	t.Helper()
	if *updateExpand {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestExpandArguments(t *testing.T) {
	const ok = "BEGIN:VCALENDAR\nEND:VCALENDAR\n"
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no file", []string{"--from", "2026-01-01", "--to", "2026-02-01"}, "FILE must be"},
		{"two files", []string{"a", "b", "--from", "2026-01-01", "--to", "2026-02-01"}, "FILE must be"},
		{"no from", []string{"-", "--to", "2026-02-01"}, "--from is needed"},
		{"no to", []string{"-", "--from", "2026-02-01"}, "--to is needed"},
		{"a from that is none", []string{"-", "--from", "tomorrow", "--to", "2026-02-01"}, "--from must be a date such as"},
		{"a time without its offset", []string{"-", "--from", "2026-01-01", "--to", "2026-02-01T09:00:00"}, "--to must be a date such as"},
		{"a span turned around", []string{"-", "--from", "2026-02-01", "--to", "2026-01-01"}, "--to must be later than --from"},
		{"an empty span", []string{"-", "--from", "2026-02-01", "--to", "2026-02-01"}, "--to must be later than --from"},
		{"no such zone", []string{"-", "--from", "2026-01-01", "--to", "2026-02-01", "--timezone", "Mars/Olympus"}, "--timezone must be"},
		{"the zone of the machine", []string{"-", "--from", "2026-01-01", "--to", "2026-02-01", "--timezone", "Local"}, "--timezone must be"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, _, err := expand(ok, c.args...)
			if !errors.Is(err, busy.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want invalid: %s", err, c.want)
			}
			if out != "" {
				t.Errorf("printed %q", out)
			}
		})
	}
}

func TestExpandUnreadable(t *testing.T) {
	span := []string{"--from", "2026-01-01", "--to", "2026-02-01", "--json"}
	missing := filepath.Join(t.TempDir(), "missing.ics")
	for name, c := range map[string]struct{ file, stdin string }{
		"no such file": {missing, ""},
		"a folder":     {t.TempDir(), ""},
		"empty":        {"-", ""},
		"a page":       {"-", "<!DOCTYPE html>"},
	} {
		out, _, err := expand(c.stdin, append([]string{c.file}, span...)...)
		if err == nil || errors.Is(err, busy.ErrInvalid) {
			t.Errorf("%s: error %v, want one that is not about the arguments", name, err)
		}
		if out != "" {
			t.Errorf("%s: printed %q", name, out)
		}
	}
}

func TestExpandNothing(t *testing.T) {
	out, _, err := expand("BEGIN:VCALENDAR\nEND:VCALENDAR\n", "-", "--from", "2026-01-01", "--to", "2026-02-01", "--json")
	if err != nil || strings.TrimSpace(out) != "[]" {
		t.Errorf("printed %q, %v; want []", out, err)
	}
	out, _, err = expand("BEGIN:VCALENDAR\nEND:VCALENDAR\n", "-", "--from", "2026-01-01", "--to", "2026-02-01")
	if err != nil || !strings.HasPrefix(out, "Nothing in this file blocks time") {
		t.Errorf("a person is told %q, %v", out, err)
	}
}

// What cannot be understood is a warning; the rest is printed.
func TestExpandWarns(t *testing.T) {
	const file = `BEGIN:VCALENDAR
BEGIN:VEVENT
UID:1
SUMMARY:Secret
DTSTART:20260105T090000Z
DTEND:20260105T100000Z
RRULE:FREQ=FORTNIGHTLY
END:VEVENT
BEGIN:VEVENT
UID:2
SUMMARY:Lost
END:VEVENT
END:VCALENDAR
`
	out, warnings, err := expand(file, "-", "--from", "2026-01-01", "--to", "2026-02-01", "--json")
	if err != nil {
		t.Fatal(err)
	}
	want := `[
  {
    "start": "2026-01-05T09:00:00Z",
    "end": "2026-01-05T10:00:00Z",
    "all_day": false,
    "subject": "Secret"
  }
]
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, want := range []string{"warning: line 9: the event has no start", "warning: event 1: "} {
		if !strings.Contains(warnings, want) {
			t.Errorf("warnings %q, want %q among them", warnings, want)
		}
	}
	if strings.Contains(warnings, "Secret") {
		t.Errorf("warnings %q tell a subject", warnings)
	}
}

// A date is the first moment of that day in the zone, midnight or not.
func TestExpandDates(t *testing.T) {
	const file = `BEGIN:VCALENDAR
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20181104
END:VEVENT
END:VCALENDAR
`
	out, _, err := expand(file, "-", "--from", "2018-11-03", "--to", "2018-11-04", "--timezone", "America/Sao_Paulo", "--json")
	if err != nil || strings.TrimSpace(out) != "[]" {
		t.Errorf("the day before holds %s, %v", out, err)
	}
	out, _, err = expand(file, "-", "--from", "2018-11-04", "--to", "2018-11-05", "--timezone", "America/Sao_Paulo", "--json")
	if err != nil || !strings.Contains(out, `"start": "2018-11-04T03:00:00Z"`) || !strings.Contains(out, `"end": "2018-11-05T02:00:00Z"`) {
		t.Errorf("the day holds %s, %v", out, err)
	}
}
