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
	query   Question
	agendas []busy.Agenda
	asked   []asked // after the offers
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
			if s.small() {
				s.checkAgainstGrid(t, newWorld(s.query.Span.Start))
			}
		})
	}
}

// got is the answer in the words of the scenario, with times in UTC.
func (s scenario) got() []string {
	answer, err := Offers(s.agendas, s.query)
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
		lines = append(lines, s.slot(slot))
	}
	for _, a := range s.asked {
		lines = append(lines, s.answerTo(a)...)
	}
	return lines
}

func (s scenario) slot(slot Slot) string {
	line := "slot " + slot.Start.UTC().Format(form)
	if s.query.Form == Periods {
		line = "period " + slot.Start.UTC().Format(form) + " " + slot.End.UTC().Format(form)
	}
	resources := s.query.Service.Resources()
	for _, i := range slot.Resources {
		line += " " + s.name(resources[i])
	}
	if s.query.capacity() > 1 {
		line += fmt.Sprint(" seats ", slot.Seats)
	}
	return line
}

// asked is a question about one start: who would serve, or why somebody cannot.
type asked struct {
	why string // the resource; empty: who would serve
	at  time.Time
}

func (s scenario) answerTo(a asked) []string {
	at := a.at.UTC().Format(form)
	if a.why == "" {
		d, err := Decide(s.agendas, s.query, a.at)
		if err != nil {
			return []string{at + " " + err.Error()}
		}
		line := at + " served by"
		for _, id := range d.Resources {
			line += " " + s.name(id)
		}
		if !d.Session.IsZero() {
			line += fmt.Sprint(" in meeting ", d.Session[0])
		}
		return []string{line}
	}
	agenda, err := s.of(a.why)
	if err != nil {
		return []string{err.Error()}
	}
	reasons, err := Explain(*agenda, s.query, a.at)
	if err != nil {
		return []string{err.Error()}
	}
	lines := []string{fmt.Sprintf("%s %s %d reasons", at, a.why, len(reasons))}
	for _, r := range reasons {
		line := "because " + string(r.Cause)
		if !r.Span.Empty() {
			line += " " + r.Span.Start.UTC().Format(form) + " " + r.Span.End.UTC().Format(form)
		}
		if r.Cause == CauseBlock {
			line += " " + r.State.String()
		}
		if !r.Booking.IsZero() {
			line += fmt.Sprint(" booking ", r.Booking[0])
		}
		if r.Standing != "" {
			line += " " + string(r.Standing)
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
	s := scenario{query: Question{StaleAfter: 30 * time.Minute}}
	s.query.Service = busy.Service{Interval: 15 * time.Minute, Align: busy.AlignPeriod, Capacity: 1, Policy: busy.TreatAsBusy}
	s.query.Service.ID[0] = 1
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
	if service := &s.query.Service; len(service.Needs) == 0 {
		service.Needs = AnyOf(s.ids(), 0, 0, "").Needs
	}
	if s.query.Span.Empty() || s.query.Service.Duration <= 0 || s.query.Service.Interval <= 0 || s.query.Now.IsZero() {
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
	case "stale_after":
		q.StaleAfter, err = time.ParseDuration(args[0])
	case "form":
		q.Form = Form(args[0])
	case "seats":
		_, err = fmt.Sscan(args[0], &q.Seats)
	case "with":
		q.Resources, err = s.named(args)
	case "mine":
		var n byte
		_, err = fmt.Sscan(args[0], &n)
		q.Ignore = append(q.Ignore, busy.BookingID{n})
	case "ask":
		a := asked{}
		a.at, err = time.Parse(form, args[0])
		s.asked = append(s.asked, a)
	case "why":
		a := asked{why: args[0]}
		a.at, err = time.Parse(form, args[len(args)-1])
		s.asked = append(s.asked, a)
	case "resource":
		return s.readResource(args)
	case "override":
		return s.readOverride(args)
	case "calendar":
		return s.readCalendar(args)
	case "disconnected":
		a, err := s.of(args[0])
		if err == nil {
			a.Disconnected = true
		}
		return err
	case "block":
		return s.readBlock(args)
	case "claim":
		return s.readClaim(args)
	default:
		return s.readService(key, args)
	}
	return err
}

func (s *scenario) readService(key string, args []string) (err error) {
	service := &s.query.Service
	durations := map[string]*time.Duration{
		"duration": &service.Duration, "interval": &service.Interval, "before": &service.Before, "after": &service.After,
		"notice": &service.Notice, "horizon": &service.Horizon,
	}
	numbers := map[string]*int{"max_per_day": &service.MaxPerDay, "max_per_week": &service.MaxPerWeek, "capacity": &service.Capacity}
	switch {
	case durations[key] != nil:
		*durations[key], err = time.ParseDuration(args[0])
	case numbers[key] != nil:
		_, err = fmt.Sscan(args[0], numbers[key])
	case key == "align":
		service.Align = busy.Align(args[0])
	case key == "stale":
		service.Policy = busy.Policy(args[0])
	case key == "need":
		var n busy.Need
		if _, err = fmt.Sscan(args[0], &n.Count); err == nil {
			n.Resources, err = s.named(args[1:])
		}
		service.Needs = append(service.Needs, n)
	default:
		err = errors.New("unknown word " + key)
	}
	return err
}

func (s *scenario) ids() []busy.ResourceID {
	var ids []busy.ResourceID
	for _, a := range s.agendas {
		ids = append(ids, a.Resource.ID)
	}
	return ids
}

func (s *scenario) named(names []string) ([]busy.ResourceID, error) {
	var ids []busy.ResourceID
	for _, name := range names {
		a, err := s.of(name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, a.Resource.ID)
	}
	return ids, nil
}

func (s *scenario) readOverride(args []string) error {
	if len(args) < 4 {
		return errors.New("an override has a name, two dates, and closed, in ZONE or hours")
	}
	a, err := s.of(args[0])
	if err != nil {
		return err
	}
	o := busy.Override{Resource: a.Resource.ID}
	o.ID[0] = byte(len(a.Resource.Overrides) + 1)
	if o.First, err = time.Parse(time.DateOnly, args[1]); err != nil {
		return err
	}
	if o.Last, err = time.Parse(time.DateOnly, args[2]); err != nil {
		return err
	}
	words := args[3:]
	if words[0] == "in" && len(words) > 1 {
		o.Zone, words = words[1], words[2:]
		if _, err := time.LoadLocation(o.Zone); err != nil {
			return err
		}
	}
	if len(words) > 0 && words[0] == "closed" {
		o.Closed, words = true, words[1:]
	}
	hours, err := busy.ParseHours("mon " + strings.Join(words, " "))
	o.Hours = hours[time.Monday]
	a.Resource.Overrides = append(a.Resource.Overrides, o)
	return err
}

// readClaim reads the claim of a booking; one alone in its meeting if nothing else
// is said.
func (s *scenario) readClaim(args []string) error {
	if len(args) < 3 {
		return errors.New("a claim has a name, a start and an end")
	}
	a, err := s.of(args[0])
	if err != nil {
		return err
	}
	c := busy.Claim{Service: s.query.Service.ID, Seats: 1}
	c.Booking[0] = byte(len(a.Claims) + 1)
	if c.Span.Start, err = time.Parse(form, args[1]); err != nil {
		return err
	}
	if c.Span.End, err = time.Parse(form, args[2]); err != nil {
		return err
	}
	c.Blocked = c.Span
	for args = args[3:]; len(args) > 1 && err == nil; args = args[2:] {
		var length time.Duration
		switch args[0] {
		case "booking":
			_, err = fmt.Sscan(args[1], &c.Booking[0])
		case "meeting":
			_, err = fmt.Sscan(args[1], &c.Session[0])
		case "service":
			_, err = fmt.Sscan(args[1], &c.Service[0])
		case "seats":
			_, err = fmt.Sscan(args[1], &c.Seats)
		case "until":
			c.ExpiresAt, err = time.Parse(form, args[1])
		case "made":
			c.CreatedAt, err = time.Parse(form, args[1])
		case "before":
			length, err = time.ParseDuration(args[1])
			c.Blocked.Start = c.Span.Start.Add(-length)
		case "after":
			length, err = time.ParseDuration(args[1])
			c.Blocked.End = c.Span.End.Add(length)
		default:
			err = errors.New("unknown word " + args[0])
		}
	}
	if c.Session.IsZero() {
		c.Session = busy.SessionID{c.Booking[0], a.Resource.ID[0]}
	}
	a.Claims = append(a.Claims, c)
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
