package booking

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
)

// scenario is a question written as testdata/README.md says.
type scenario struct {
	query   Query
	agendas []busy.Agenda
	want    []string
}

const form = "2006-01-02T15:04Z07:00"

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/availability/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := parseScenario(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(s.want, s.got()); diff != "" {
				t.Errorf("expected (-), got (+):\n%s", diff)
			}
			s.checkAgainstGrid(t)
		})
	}
}

// got is the answer in the words of the scenario, with times in UTC.
func (s scenario) got() []string {
	answer, err := Availability(s.agendas, s.query)
	var stale *NotFresh
	if errors.As(err, &stale) {
		line := "error not_fresh"
		for _, st := range stale.Standings {
			line += " " + s.name(st.Resource)
		}
		return []string{line}
	}
	if err != nil {
		return []string{"error " + err.Error()}
	}
	var lines []string
	for _, st := range answer.Standings {
		line := fmt.Sprintf("%s %s", s.name(st.Resource), st.State)
		if !st.AsOf.IsZero() {
			line += " as_of " + st.AsOf.UTC().Format(form)
		}
		lines = append(lines, line)
	}
	for _, slot := range answer.Slots {
		line := "slot " + slot.Start.UTC().Format(form)
		for _, i := range slot.Resources {
			line += " " + s.agendas[i].Resource.Name
		}
		lines = append(lines, line)
	}
	return lines
}

func (s scenario) name(id busy.ResourceID) string {
	for _, a := range s.agendas {
		if a.Resource.ID == id {
			return a.Resource.Name
		}
	}
	return "nobody"
}

func parseScenario(text string) (scenario, error) {
	s := scenario{query: Query{Interval: 15 * time.Minute, StaleAfter: 30 * time.Minute, Policy: busy.TreatAsBusy}}
	given, expected, _ := strings.Cut(text, "\n---\n")
	for n, line := range strings.Split(given, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if err := s.read(words); err != nil {
			return s, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	if s.query.Span.Empty() || s.query.Duration <= 0 || s.query.Interval <= 0 || s.query.Now.IsZero() {
		return s, errors.New("from, to, now and duration are needed")
	}
	for _, line := range strings.Split(strings.TrimSpace(expected), "\n") {
		words := strings.Fields(line)
		for i, word := range words {
			if t, err := time.Parse(form, word); err == nil {
				words[i] = t.UTC().Format(form)
			}
		}
		s.want = append(s.want, strings.Join(words, " "))
	}
	return s, nil
}

func (s *scenario) read(words []string) (err error) {
	key, args := words[0], words[1:]
	if len(args) == 0 {
		return errors.New("nothing follows " + key)
	}
	q := &s.query
	switch key {
	case "now":
		q.Now, err = time.Parse(form, args[0])
	case "from":
		q.Span.Start, err = time.Parse(form, args[0])
	case "to":
		q.Span.End, err = time.Parse(form, args[0])
	case "duration":
		q.Duration, err = time.ParseDuration(args[0])
	case "interval":
		q.Interval, err = time.ParseDuration(args[0])
	case "stale_after":
		q.StaleAfter, err = time.ParseDuration(args[0])
	case "stale":
		q.Policy = busy.Policy(args[0])
	case "resource":
		return s.readResource(args)
	case "calendar":
		return s.readCalendar(args)
	case "block":
		return s.readBlock(args)
	default:
		err = errors.New("unknown word " + key)
	}
	return err
}

func (s *scenario) readResource(args []string) error {
	if len(args) < 2 {
		return errors.New("a resource has a name, a zone and hours")
	}
	hours, err := busy.ParseHours(strings.Join(args[2:], " "))
	if err != nil {
		return err
	}
	if _, err := time.LoadLocation(args[1]); err != nil {
		return err
	}
	r := busy.Resource{Name: args[0], Zone: args[1], Hours: hours}
	r.ID[0] = byte(len(s.agendas) + 1)
	s.agendas = append(s.agendas, busy.Agenda{Resource: r})
	return nil
}

func (s *scenario) of(name string) (*busy.Agenda, error) {
	for i := range s.agendas {
		if s.agendas[i].Resource.Name == name {
			return &s.agendas[i], nil
		}
	}
	return nil, errors.New("no resource " + name)
}

func (s *scenario) readCalendar(args []string) error {
	a, err := s.of(args[0])
	if err != nil {
		return err
	}
	c := busy.Calendar{Resource: a.Resource.ID, Selected: true, Connected: busy.ConnectionActive}
	for args = args[1:]; len(args) > 0 && err == nil; {
		word, rest := args[0], args[1:]
		switch {
		case word == "read" && len(rest) > 0:
			c.AsOf, err = time.Parse(form, rest[0])
			args = rest[1:]
		case word == "covers" && len(rest) > 1:
			c.Covered.Start, err = time.Parse(form, rest[0])
			if err == nil {
				c.Covered.End, err = time.Parse(form, rest[1])
			}
			args = rest[2:]
		case word == "problems" && len(rest) > 0:
			_, err = fmt.Sscan(rest[0], &c.Problems)
			args = rest[1:]
		case word == "paused" || word == "needs_reconnect":
			c.Connected = busy.ConnectionState(word)
			args = rest
		default:
			err = errors.New("unknown word " + word)
		}
	}
	a.Calendars = append(a.Calendars, c)
	return err
}

func (s *scenario) readBlock(args []string) error {
	if len(args) < 3 {
		return errors.New("a block has a name, a start and an end")
	}
	a, err := s.of(args[0])
	if err != nil {
		return err
	}
	b := busy.Block{State: busy.Busy}
	if b.Start, err = time.Parse(form, args[1]); err != nil {
		return err
	}
	if b.End, err = time.Parse(form, args[2]); err != nil {
		return err
	}
	if len(args) > 3 {
		for _, state := range []busy.State{busy.Free, busy.Busy, busy.Tentative, busy.OutOfOffice} {
			if state.String() == args[3] {
				b.State = state
			}
		}
	}
	a.Blocks = append(a.Blocks, b)
	return nil
}
