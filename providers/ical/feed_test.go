package ical

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
)

func TestNameOfAFeed(t *testing.T) {
	for input, want := range map[string]string{
		"X-WR-CALNAME:Work\\, and play\r\n":        "Work, and play",
		"NAME:New\r\nX-WR-CALNAME:Old\r\n":         "New",
		"BEGIN:VEVENT\r\nNAME:x\r\nEND:VEVENT\r\n": "",
	} {
		c, err := ParseFeed(strings.NewReader(wrap(input)), Options{})
		if err != nil || string(c.Name) != want || c.Truncated {
			t.Errorf("%q: the name is %q, truncated %t, %v", input, string(c.Name), c.Truncated, err)
		}
	}
}

func TestTruncatedFeed(t *testing.T) {
	whole := wrap("BEGIN:VEVENT\nUID:a\nDTSTART:20260301\nEND:VEVENT\n")
	end := strings.Index(whole, "END:VCALENDAR") + len("END:VCALENDAR")
	for at := strings.Index(whole, "VCALENDAR") + len("VCALENDAR"); at <= len(whole); at++ {
		c, err := ParseFeed(strings.NewReader(whole[:at]), Options{})
		if err != nil || c.Truncated != (at < end) {
			t.Errorf("%d of %d bytes: truncated %t, %v", at, len(whole), c.Truncated, err)
		}
	}
	c, err := ParseFeed(strings.NewReader(whole+"<!-- made in 0.1 s -->\n"), Options{})
	if err != nil || c.Truncated {
		t.Errorf("something after the end: truncated %t, %v", c.Truncated, err)
	}
}

// TestEveryEventWithoutAStartIsTold: one that is not would count as removed.
func TestEveryEventWithoutAStartIsTold(t *testing.T) {
	var b strings.Builder
	const events = maxProblems + 500
	for i := range events {
		fmt.Fprintf(&b, "BEGIN:VEVENT\nUID:%d\nDTSTART:never\nEND:VEVENT\n", i)
	}
	c, err := ParseFeed(strings.NewReader(wrap(b.String())), Options{})
	if err != nil || len(c.Problems) != events || c.Problems[events-1].Code != busy.ProblemNoStart {
		t.Errorf("%d problems of %d events, %v", len(c.Problems), events, err)
	}
}

// BenchmarkFeed reads a file of weekly series.
func BenchmarkFeed(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			text := seriesFeed(n)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if c, err := ParseFeed(io.MultiReader(strings.NewReader(text)), Options{}); err != nil || len(c.Events) != n {
					b.Fatalf("%d events, %v", len(c.Events), err)
				}
			}
		})
	}
}

func seriesFeed(n int) string {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
	for i := range n {
		fmt.Fprintf(&b, "BEGIN:VEVENT\r\nUID:%06d@feed.example.com\r\nDTSTAMP:20260101T000000Z\r\n"+
			"DTSTART;TZID=Europe/Berlin:202603%02dT090000\r\nDTEND;TZID=Europe/Berlin:202603%02dT100000\r\n"+
			"RRULE:FREQ=WEEKLY;COUNT=20\r\nSUMMARY:Meeting number %d\r\nDESCRIPTION:%s\r\nEND:VEVENT\r\n",
			i, 1+i%28, 1+i%28, i, strings.Repeat("Agenda. ", 10))
	}
	b.WriteString("END:VCALENDAR\r\n")
	return b.String()
}
