package ical

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/busyd/busyd/providers"
)

func BenchmarkParse(b *testing.B) {
	object, err := os.ReadFile("testdata/samples/icloud-object.ics")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(object)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(strings.NewReader(string(object)), Options{Key: "k", Self: []string{"me@example.com"}}); err != nil {
			b.Fatal(err)
		}
	}
}

// hostile inputs fill an object with one thing.
var hostile = map[string]func(i int) string{
	"attendees":  func(int) string { return "ATTENDEE;CN=x;PARTSTAT=ACCEPTED:mailto:me@example.com" },
	"exdates":    func(int) string { return "EXDATE:20260301T090000Z" },
	"exlist":     func(int) string { return "EXDATE:" + strings.Repeat("20260301T090000Z,", 60) },
	"rules":      func(int) string { return "RRULE:FREQ=DAILY" },
	"badrules":   func(int) string { return "RRULE:x" },
	"nested":     func(int) string { return "BEGIN:X" },
	"ends":       func(int) string { return "END:X" },
	"events":     func(i int) string { return fmt.Sprintf("BEGIN:VEVENT\nUID:%d\nDTSTART:20260301T090000", i) },
	"masters":    func(i int) string { return fmt.Sprintf("BEGIN:VEVENT\nUID:1\nDTSTART:20260301T09%04d", i%6000) },
	"zones":      func(i int) string { return fmt.Sprintf("EXDATE;TZID=/a/b/X%d:20260301T090000", i) },
	"vtimezones": func(i int) string { return fmt.Sprintf("BEGIN:VTIMEZONE\nTZID:%d", i) },
	"parts":      func(int) string { return "BEGIN:VTIMEZONE\n" + strings.Repeat("BEGIN:STANDARD\nEND:STANDARD\n", 40) },
	"folds":      func(int) string { return " x" },
	"params":     func(int) string { return "DTSTART" + strings.Repeat(";a=b", 250) },
	"quotes":     func(int) string { return `SUMMARY` + strings.Repeat(`;a="`, 250) },
	"subject":    func(int) string { return "\n SUMMARY:" + strings.Repeat("a.b@c/", 150) },
}

func hostileObject(line func(int) string) string {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:0\nDTSTART;TZID=Europe/Berlin:20260301T090000\n")
	for i := 0; ; i++ {
		l := line(i) + "\n"
		if b.Len()+len(l)+100 > providers.MaxObject {
			break
		}
		b.WriteString(l)
	}
	b.WriteString("END:VEVENT\nEND:VCALENDAR\n")
	return b.String()
}

// TestHostile: an object made to be expensive is read in bounded memory.
func TestHostile(t *testing.T) {
	for name, line := range hostile {
		t.Run(name, func(t *testing.T) {
			c, err := Parse(strings.NewReader(hostileObject(line)), Options{Key: "k", Self: []string{"me@example.com"}})
			check(t, c, err)
			if len(c.Problems) > maxProblems {
				t.Errorf("%d problems", len(c.Problems))
			}
			for _, e := range c.Events {
				if len(e.Recurrence) > maxListed {
					t.Errorf("%d recurrence lines", len(e.Recurrence))
				}
			}
		})
	}
}

func BenchmarkHostile(b *testing.B) {
	for name, line := range hostile {
		object := hostileObject(line)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(object)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = Parse(strings.NewReader(object), Options{Key: "k", Self: []string{"me@example.com"}})
			}
		})
	}
}
