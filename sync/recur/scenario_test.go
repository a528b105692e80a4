package recur

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/busyd/busyd/busy"
	"github.com/google/go-cmp/cmp"
)

// scenario is one case of testdata/*.txt; testdata/README.md has the language.
type scenario struct {
	name   string
	line   int
	zone   *time.Location
	window busy.Span
	series []busy.Event
	expect []string // nil: not stated
	starts []string // nil: not stated
	err    error
	until  string
	text   string // as it was read, with the zones defined before it
}

func TestScenarios(t *testing.T) {
	for _, file := range scenarioFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			for _, s := range readScenarios(t, file) {
				t.Run(s.name, func(t *testing.T) { s.run(t, file) })
			}
		})
	}
}

func (s scenario) run(t *testing.T, file string) {
	got, err := New().Expand(context.Background(), s.series, s.window, s.zone)
	if s.err == nil && err != nil || !errors.Is(err, s.err) {
		t.Errorf("%s:%d: error %v, want %v", file, s.line, err, s.err)
	}
	if s.expect == nil && s.starts == nil && s.until == "" {
		t.Fatalf("%s:%d: nothing is expected", file, s.line)
	}
	if s.expect != nil {
		if diff := cmp.Diff(s.expect, s.render(got)); diff != "" {
			t.Errorf("%s:%d: (-want +got)\n%s", file, s.line, diff)
		}
	}
	if s.starts != nil {
		starts := []string{}
		for _, o := range got {
			starts = append(starts, o.Start.In(s.zone).Format("2006-01-02 15:04"))
		}
		if diff := cmp.Diff(s.starts, starts); diff != "" {
			t.Errorf("%s:%d: (-want +got)\n%s", file, s.line, diff)
		}
	}
	if s.until != "" {
		s.checkUntil(t, file)
	}
}

func (s scenario) checkUntil(t *testing.T, file string) {
	until, ok := New().Until(s.series, s.zone)
	if s.until == "never" {
		if ok {
			t.Errorf("%s:%d: until %v, want none", file, s.line, until)
		}
		return
	}
	end, err := time.Parse(time.RFC3339, s.until)
	if err != nil {
		t.Fatal(err)
	}
	if !ok || until.Before(end) || until.After(end.AddDate(1, 0, 8)) {
		t.Errorf("%s:%d: until %v %v, want %v or somewhat later", file, s.line, until, ok, end)
	}
}

func (s scenario) render(all []busy.Occurrence) []string {
	lines := []string{}
	for _, o := range all {
		length := o.End.Sub(o.Start).String()
		if o.End.Year()-o.Start.Year() > 200 {
			length = o.End.Format(time.RFC3339) // a Duration cannot tell
		}
		line := o.Start.In(s.zone).Format(time.RFC3339) + " " + length
		if o.AllDay {
			line += " all-day"
		}
		if o.State != busy.Busy {
			line += " " + o.State.String()
		}
		if o.Event != 0 {
			line += " #" + strconv.Itoa(o.Event)
		}
		lines = append(lines, line)
	}
	return lines
}

func scenarioFiles(t testing.TB) []string {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	return files
}

func readScenarios(t testing.TB, file string) []scenario {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := parseScenarios(string(text))
	if err != nil || len(all) == 0 {
		t.Fatalf("%s: %v", file, err)
	}
	return all
}

func parseScenarios(text string) ([]scenario, error) {
	r := scenarioReader{zones: map[string]string{}}
	for line := range strings.Lines(text) {
		r.line++
		if err := r.read(strings.TrimRight(line, "\n")); err != nil {
			return nil, fmt.Errorf("line %d: %w", r.line, err)
		}
	}
	return r.all, nil
}

// scenarioReader reads a file line by line. Indented lines belong to the last
// line that is not.
type scenarioReader struct {
	all   []scenario
	zones map[string]string // by the name that define gave them
	line  int
	block string // the word that the indented lines belong to
	named string // of a define
	zoned string // the text of all defines
}

func (r *scenarioReader) read(text string) error {
	if trimmed := strings.TrimSpace(text); trimmed == "" || trimmed[0] == '#' {
		return nil
	}
	if text[0] == ' ' {
		return r.indented(text)
	}
	words := strings.Fields(text)
	r.block = words[0]
	if words[0] == "scenario" {
		name := strings.TrimSpace(strings.TrimPrefix(text, "scenario"))
		r.all = append(r.all, scenario{name: name, line: r.line, zone: time.UTC, text: r.zoned + text})
		return nil
	}
	if len(words) == 1 && words[0] != "expect" {
		return fmt.Errorf("%q says nothing", words[0])
	}
	if words[0] == "define" {
		r.named = words[1]
		r.zoned += text + "\n"
		return nil
	}
	if len(r.all) == 0 {
		return errors.New("no scenario")
	}
	s := &r.all[len(r.all)-1]
	s.text += "\n" + text
	switch words[0] {
	case "zone":
		zone, err := time.LoadLocation(words[1])
		if err != nil {
			return err
		}
		s.zone = zone
		return nil
	case "window":
		return s.setWindow(words[1:])
	case "event", "exception", "cancelled":
		e, err := r.event(words)
		s.series = append(s.series, e)
		return err
	case "expect":
		s.expect = []string{}
		return nil
	case "starts":
		return s.addStarts(words[1:])
	case "error":
		kinds := map[string]error{"rule": busy.ErrRule, "budget": busy.ErrBudget, "zone": ErrZone}
		s.err = kinds[words[1]]
		return nil
	case "until":
		s.until = words[1]
		return nil
	default:
		return fmt.Errorf("unknown word %q", words[0])
	}
}

func (r *scenarioReader) indented(line string) error {
	text := strings.TrimSpace(line)
	if r.block == "define" {
		r.zones[r.named] = strings.TrimPrefix(r.zones[r.named]+"\n"+text, "\n")
		r.zoned += line + "\n"
		return nil
	}
	if len(r.all) == 0 {
		return errors.New("no scenario")
	}
	s := &r.all[len(r.all)-1]
	s.text += "\n" + line
	switch r.block {
	case "event":
		e := &s.series[len(s.series)-1]
		e.Recurrence = append(e.Recurrence, text)
	case "expect":
		s.expect = append(s.expect, text)
	default:
		return fmt.Errorf("an indented line after %q", r.block)
	}
	return nil
}

func (s *scenario) setWindow(words []string) (err error) {
	if len(words) != 2 {
		return errors.New("a window has two ends")
	}
	if s.window.Start, err = instantOf(words[0]); err == nil {
		s.window.End, err = instantOf(words[1])
	}
	return err
}

func instantOf(word string) (time.Time, error) {
	if len(word) == 10 {
		word += "T00:00:00Z"
	}
	return time.Parse(time.RFC3339, word)
}

// addStarts reads "09:00,10:00 1997-09 2 3 4" or "none".
func (s *scenario) addStarts(words []string) error {
	if words[0] == "none" {
		s.starts = []string{}
		return nil
	}
	if len(words) < 3 {
		return errors.New("starts are times, a month and its days")
	}
	for _, monthDay := range words[2:] {
		for clock := range strings.SplitSeq(words[0], ",") {
			n, err := strconv.Atoi(monthDay)
			if err != nil {
				return err
			}
			s.starts = append(s.starts, fmt.Sprintf("%s-%02d %s", words[1], n, clock))
		}
	}
	return nil
}

// event reads "event START ...", "exception ORIGINAL at START ..." or "cancelled ORIGINAL ...".
func (r *scenarioReader) event(words []string) (e busy.Event, err error) {
	e = busy.Event{Key: "k", Series: "k", State: busy.Busy}
	at, words := words[0], words[1:]
	first := &e.Start
	if at != "event" {
		first = &e.Original
		e.Cancelled = at == "cancelled"
	}
	if *first, err = r.moment(words[0]); err != nil {
		return e, err
	}
	for words = words[1:]; len(words) > 0; words = words[1:] {
		if i := slices.Index([]string{"free", "busy", "tentative", "out_of_office"}, words[0]); i >= 0 {
			e.State = busy.State(i)
			continue
		}
		if words[0] == "and-future" {
			e.AndFuture = true
			continue
		}
		if len(words) < 2 {
			return e, fmt.Errorf("unknown word %q", words[0])
		}
		value := words[1]
		switch words[0] {
		case "at":
			e.Start, err = r.moment(value)
		case "to":
			e.End, err = r.moment(value)
		case "for":
			e.Length, err = parseLength(value)
		case "sequence":
			e.Sequence, err = strconv.Atoi(value)
		case "stamp":
			e.Stamp, err = instantOf(value)
		default:
			err = fmt.Errorf("unknown word %q", words[0])
		}
		if err != nil {
			return e, err
		}
		words = words[1:]
	}
	return e, nil
}

func (r *scenarioReader) moment(word string) (busy.Moment, error) {
	m, err := busy.ParseMoment(word)
	if text, ok := r.zones[m.Zone]; ok {
		m.Zone = text
	}
	return m, err
}
