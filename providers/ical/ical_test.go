package ical

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// TestScenarios runs the text scenarios of testdata/scenarios; the README there
// tells their language.
func TestScenarios(t *testing.T) {
	for _, file := range glob(t, "testdata/scenarios/*.txt") {
		for _, s := range scenarios(t, file) {
			t.Run(s.name, func(t *testing.T) {
				if diff := cmp.Diff(s.want, s.run()); diff != "" {
					t.Errorf("%s:%d (-want +got):\n%s", file, s.line, diff)
				}
			})
		}
	}
}

type scenario struct {
	name, input, want string
	line              int
	feed              bool
	options           Options
}

func scenarios(t testing.TB, file string) []scenario {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []scenario
	var s *scenario
	into := new(string)
	for i, l := range strings.Split(string(raw), "\n") {
		switch command, rest, _ := strings.Cut(l, " "); {
		case command == "==":
			all = append(all, scenario{name: rest, line: i + 1, options: Options{Key: "k", Version: "v"}})
			s = &all[len(all)-1]
			into = &s.input
		case command == "self" && into == &s.input && s.input == "":
			s.options.Self = append(s.options.Self, rest)
		case command == "zone" && s.input == "":
			s.options.Zone = rest
		case l == "feed" && s.input == "":
			s.feed = true
		case l == "--":
			into = &s.want
		case s != nil && (l != "" || into == &s.input):
			*into += l + "\n"
		}
	}
	return all
}

// run reads the scenario's input, wrapped into a calendar where it is not one.
func (s scenario) run() string {
	read := Parse
	if s.feed {
		read = ParseFeed
	}
	c, err := read(strings.NewReader(wrap(s.input)), s.options)
	return dump(c, err)
}

func wrap(input string) string {
	if strings.Contains(strings.ToUpper(input), "VCALENDAR") {
		return input
	}
	return "BEGIN:VCALENDAR\nVERSION:2.0\n" + input + "END:VCALENDAR\n"
}

func dump(c Calendar, err error) string {
	var b strings.Builder
	if err != nil {
		fmt.Fprintf(&b, "error %s\n", ProblemOf(err))
	}
	if c.Zone != "" {
		fmt.Fprintf(&b, "calendar zone %s\n", c.Zone)
	}
	for _, e := range c.Events {
		fmt.Fprintf(&b, "event %s", e.Series)
		if !e.Original.IsZero() {
			fmt.Fprintf(&b, " instead of %s", e.Original)
		}
		if e.AndFuture {
			b.WriteString(" and later")
		}
		if e.Cancelled {
			b.WriteString(" cancelled")
		}
		b.WriteString("\n")
		if e.Subject != "" {
			fmt.Fprintf(&b, "  subject %s\n", e.Subject)
		}
		fmt.Fprintf(&b, "  time %s to %s%s\n", e.Start, e.End, length(e.Length))
		fmt.Fprintf(&b, "  %s, %s\n", e.State, e.Why)
		for _, l := range e.Recurrence {
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	for _, p := range c.Problems {
		fmt.Fprintf(&b, "problem %s %s line %d: %s\n", p.Key, p.Code, p.Line, p.Detail)
	}
	return b.String()
}

func length(l busy.Length) string {
	switch {
	case l == busy.Length{}:
		return ""
	case l.Days == 0:
		return l.Exact.String()
	case l.Exact == 0:
		return fmt.Sprintf("%dd", l.Days)
	default:
		return fmt.Sprintf("%dd%s", l.Days, l.Exact)
	}
}

func TestTooLarge(t *testing.T) {
	pad := strings.Repeat("X-PADDING:"+strings.Repeat("x", 1000)+"\r\n", providers.MaxObject/1000)
	object := "BEGIN:VCALENDAR\r\n" + pad + "END:VCALENDAR\r\n"
	_, err := Parse(strings.NewReader(object), Options{})
	if !errors.Is(err, ErrTooLarge) || ProblemOf(err) != busy.ProblemTooLarge {
		t.Errorf("Parse of %d bytes: %v, want ErrTooLarge", len(object), err)
	}
	if _, err := ParseFeed(strings.NewReader(object), Options{}); err != nil {
		t.Errorf("ParseFeed of %d bytes: %v", len(object), err)
	}
}

// A size that is just met is not exceeded, however the reader deals it out.
func TestLimitIsExact(t *testing.T) {
	head, tail := "BEGIN:VCALENDAR\nX:", "\nEND:VCALENDAR"
	object := head + strings.Repeat("x", providers.MaxObject-len(head)-len(tail)) + tail
	for name, r := range map[string]func(string) error{
		"at once": func(s string) error { _, err := Parse(strings.NewReader(s), Options{}); return err },
		"bytewise": func(s string) error {
			_, err := Parse(iotest.OneByteReader(strings.NewReader(s)), Options{})
			return err
		},
	} {
		if err := r(object); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := r(object + "\n"); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s, one more: %v, want ErrTooLarge", name, err)
		}
	}
}

// A reader that fails midway must not look like a shorter calendar.
func TestReaderFails(t *testing.T) {
	object := simple("DTSTART:20260301T090000Z")
	broken := errors.New("broken")
	for n := range len(object) {
		r := iotest.DataErrReader(&failing{strings.NewReader(object[:n]), broken})
		c, err := Parse(r, Options{})
		if !errors.Is(err, broken) || len(c.Events) > 0 {
			if errors.Is(err, ErrUnreadable) {
				continue // it was seen to be no calendar before the reader failed
			}
			t.Fatalf("after %d bytes: %d events, %v; want the reader's error", n, len(c.Events), err)
		}
		if ProblemOf(err) != busy.ProblemNone {
			t.Fatalf("ProblemOf(%v) = %q, want none", err, ProblemOf(err))
		}
	}
}

// An error that a look ahead for a folded line met is not forgotten, should the
// reader not repeat it.
func TestReaderFailsOnce(t *testing.T) {
	broken := errors.New("broken")
	head := "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260301T090000Z\n"
	r := io.MultiReader(strings.NewReader(head), &once{broken})
	if c, err := Parse(r, Options{}); !errors.Is(err, broken) {
		t.Errorf("%d events, %v; want the reader's error", len(c.Events), err)
	}
}

type once struct{ err error }

func (o *once) Read([]byte) (int, error) {
	err := o.err
	o.err = io.EOF
	return 0, err
}

type failing struct {
	r   *strings.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.r.Len() == 0 {
		return 0, f.err
	}
	return f.r.Read(p)
}

func simple(lines ...string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\n" + strings.Join(lines, "\r\n") +
		"\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}

func TestFolding(t *testing.T) {
	want := busy.Moment{Wall: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), Zone: "Europe/Berlin"}
	object := simple("SUMMARY:Straße und Größe", "DTSTART;TZID=Europe/Berlin:20260301T090000")
	for _, br := range []string{"\r\n", "\n", "\r\r\n"} {
		for at := 1; at < 20; at++ {
			var folded bytes.Buffer
			folded.WriteString("\xef\xbb\xbf")
			for _, l := range strings.Split(strings.TrimSpace(object), "\r\n") {
				for len(l) > at { // also within a character, as old exporters do
					folded.WriteString(l[:at] + br + " ")
					l = l[at:]
				}
				folded.WriteString(l + br)
			}
			c, err := Parse(&folded, Options{})
			if err != nil || len(c.Events) != 1 {
				t.Fatalf("folded at %d with %q: %d events, %v", at, br, len(c.Events), err)
			}
			if e := c.Events[0]; e.Start != want || e.Subject != "Straße und Größe" {
				t.Errorf("folded at %d with %q: %v %q", at, br, e.Start, e.Subject)
			}
		}
	}
}

func TestLatin1(t *testing.T) {
	c, err := Parse(strings.NewReader(simple("SUMMARY:Stra\xdfe, M\xfcller", "DTSTART:20260301T090000Z")), Options{})
	if err != nil || len(c.Events) != 1 || c.Events[0].Subject != "Straße, Müller" {
		t.Errorf("got %+v, %v", c.Events, err)
	}
}

func TestZone(t *testing.T) {
	const custom = "BEGIN:STANDARD\r\nDTSTART:16010101T000000\r\nTZOFFSETFROM:+0500\r\nTZOFFSETTO:+0500\r\nEND:STANDARD\r\n"
	for text, want := range map[string]string{
		"BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\n" + custom + "END:VTIMEZONE\r\nEND:VCALENDAR\r\n": "Europe/Berlin",
		"BEGIN:VTIMEZONE\r\nTZID:W. Europe Standard Time\r\n" + custom + "END:VTIMEZONE\r\n":                           "Europe/Berlin",
		"BEGIN:VTIMEZONE\r\nTZID:Mine\r\nX-LIC-LOCATION:Asia/Tokyo\r\n" + custom + "END:VTIMEZONE":                     "Asia/Tokyo",
		"BEGIN:VTIMEZONE\r\nTZID:Mine\r\n" + custom + "END:VTIMEZONE":                                                  "",
		"":              "",
		"Europe/Berlin": "",
	} {
		if got := Zone(text); got != want {
			t.Errorf("Zone(%.60q) = %q, want %q", text, got, want)
		}
	}
}

func TestProperty(t *testing.T) {
	for _, c := range []struct {
		line   string
		want   property
		refuse bool
	}{
		{line: "SUMMARY:a:b;c", want: property{value: "a:b;c"}},
		{line: "SUMMARY;X=1;y=\"a;b:c\":d", want: property{params: []param{{"X", "1"}, {"Y", "a;b:c"}}, value: "d"}},
		{line: "SUMMARY;X=^'a^'^n^^:d", want: property{params: []param{{"X", "\"a\"\n^"}}, value: "d"}},
		{line: "SUMMARY;X=\"a:d", want: property{params: []param{{"X", "\"a"}}, value: "d"}},
		{line: "SUMMARY;X;=:d", want: property{params: []param{{"", ""}}, value: "d"}},
		{line: "SUMMARY", refuse: true},
		{line: "SUMMARY;X=1", refuse: true},
		{line: "SUMMARY;X=\"a", refuse: true},
		{line: "DTSTART;TZID=\"(UTC+01:00) X\":20260301", want: property{params: []param{{"TZID", "(UTC+01:00) X"}}, value: "20260301"}},
	} {
		name := nameOf([]byte(c.line))
		got, ok := parseProperty(line{text: []byte(c.line)}, name)
		if ok == c.refuse {
			t.Errorf("%s: ok %v", c.line, ok)
		}
		if c.want.name = name; ok && fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, want %+v", c.line, got, c.want)
		}
	}
}

func TestDuration(t *testing.T) {
	for s, want := range map[string]busy.Length{
		"P1W": {Days: 7}, "P1D": {Days: 1}, "P1W1D": {Days: 8}, "PT1H": {Exact: time.Hour}, "pt15m": {Exact: 15 * time.Minute},
		"P0D": {}, "PT0S": {}, "+PT1S": {Exact: time.Second}, "-P1DT1H": {Days: -1, Exact: -time.Hour},
		"P36525D": {Days: maxDays}, "P1DT": {}, "P": {}, "PT": {}, "": {}, "1H": {}, "P1H": {}, "PT1D": {}, "PD": {}, "P1": {}, "P1D1": {},
		"PT1.5H": {}, "P-1D": {}, "--P1D": {}, "P36526D": {}, "PT99999999999999999999H": {}, "P99999999999999999999W": {}, "P1M": {}, "P1Y": {},
		"P00000000001D": {}, "PT1H/": {},
	} {
		got, ok := parseDuration(s)
		valid := want != busy.Length{} || s == "P0D" || s == "PT0S"
		if ok != valid || got != want {
			t.Errorf("parseDuration(%q) = %v, %v; want %v, %v", s, got, ok, want, valid)
		}
	}
}

func TestReading(t *testing.T) {
	for _, s := range []string{
		"", "2026", "2026030", "20260301Z", "202603010", "20260301T", "20260301T09", "20260301T0900Z0", "20260301 090000",
		"20261301", "20260001", "20260100", "20260230", "20250229", "00000101", "-0260301", "2026-3-1", "20260301T250000",
		"20260301T240001", "20260301T090061", "20260301T096000", "20260301T+90000", "99991231T240000",
	} {
		if r, ok := parseReading(s); ok {
			t.Errorf("parseReading(%q) = %v, want none", s, r)
		}
	}
	for s, want := range map[string]string{
		"20240229": "2024-02-29 00:00:00", "20260301T235960Z": "2026-03-01 23:59:59", "20260301T240000": "2026-03-02 00:00:00",
		"20260301t0905z": "2026-03-01 09:05:00", " 20260301T090503 ": "2026-03-01 09:05:03",
	} {
		if r, ok := parseReading(s); !ok || r.wall.Format(time.DateTime) != want {
			t.Errorf("parseReading(%q) = %v, %v; want %s", s, r.wall, ok, want)
		}
	}
}

// What a hostile calendar can make the reader remember is bounded.
func TestBounds(t *testing.T) {
	r := reader{}
	for i := range 1000 {
		for _, text := range []string{"BEGIN:VCALENDAR", "BEGIN:X"}[min(i, 1):] {
			if err := r.line(line{number: 1, text: []byte(text)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(r.open) > maxDepth {
		t.Errorf("%d components are open", len(r.open))
	}

	object := simple(strings.Repeat("DTSTART:20260301\r\nSUMMARY:x\r\n", 1000))
	kept := 0
	r = reader{each: func(e *component) { kept += len(e.props) }}
	if err := r.read(newLines(strings.NewReader(object), 1<<20)); err != nil || r.events != 1 || kept > 4 {
		t.Errorf("%d properties of %d events are kept, %v", kept, r.events, err)
	}

	z := newZones("Europe/Berlin")
	for i := range 1000 {
		if zone, found := z.resolve(fmt.Sprint("zone ", i)); found || zone != "Europe/Berlin" {
			t.Fatalf("zone %d is %q", i, zone)
		}
	}
	if len(z.known) > maxZones {
		t.Errorf("%d zones are remembered", len(z.known))
	}

	changes := strings.Repeat("RDATE:20260301T090000"+strings.Repeat(",20260301T090000", 99)+"\r\n", 20)
	object = "BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:Mine\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n" +
		"TZOFFSETTO:+0100\r\n" + changes + "END:STANDARD\r\nEND:VTIMEZONE\r\nEND:VCALENDAR\r\n"
	r = reader{}
	if err := r.read(newLines(strings.NewReader(object), 1<<20)); err != nil || len(r.zones) != 1 {
		t.Fatalf("%d zones, %v", len(r.zones), err)
	}
	if text, ok := definition(&r.zones[0]); ok {
		t.Errorf("a definition of %d bytes is used", len(text))
	}
}
