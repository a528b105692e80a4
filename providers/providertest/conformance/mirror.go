package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/providertest"
)

// mirror applies a provider's pages as sync/pull and the store do, in memory.
type mirror struct {
	account Account
	expand  providertest.Expander
	cursor  providers.Cursor

	events     map[string][]busy.Event // by key
	versions   map[string]string
	unreadable map[string]busy.Problem
	pages      int
	fetched    int // events that the last sync delivered
}

func newMirror(h Harness, a Account) *mirror {
	return &mirror{
		account: a, expand: h.Expand,
		events: map[string][]busy.Event{}, versions: map[string]string{}, unreadable: map[string]busy.Problem{},
	}
}

func (m *mirror) query(cursor providers.Cursor) providers.Query {
	return providers.Query{
		Remote: m.account.Remote(), Cursor: cursor, Window: providertest.Window, Zone: providertest.Zone,
		Version: func(key string) (string, bool) { v, ok := m.versions[key]; return v, ok },
	}
}

// sync runs one sync and fails the test if it fails.
func (m *mirror) sync(t *testing.T) {
	t.Helper()
	if err := m.try(t); err != nil {
		t.Fatalf("sync: %v", err)
	}
}

// try runs one sync, and a complete one if the cursor has expired.
func (m *mirror) try(t *testing.T) error {
	t.Helper()
	err := m.from(t, m.cursor)
	if m.cursor != nil && providers.FaultOf(err) == providers.CursorExpired {
		return m.from(t, nil)
	}
	return err
}

func (m *mirror) from(t *testing.T, cursor providers.Cursor) error {
	t.Helper()
	session := m.account.Open(t)
	var seen map[string]bool
	m.pages, m.fetched = 0, 0
	for range 1000 {
		page, err := session.Changes(context.Background(), m.query(cursor))
		if err != nil {
			return err
		}
		m.pages++
		m.fetched += len(page.Events)
		noMarks(t, "page", dump(page))
		if page.Full {
			seen = see(seen, page)
		}
		m.apply(page)
		if page.Full && !page.More {
			m.sweep(seen)
		}
		if cursor = page.Cursor; !page.More {
			m.cursor = cursor
			return nil
		}
	}
	t.Fatal("the pages do not end")
	return nil
}

func see(seen map[string]bool, page providers.Page) map[string]bool {
	if seen == nil {
		seen = map[string]bool{}
	}
	for _, e := range page.Events {
		seen[e.Key] = true
	}
	for _, u := range page.Unreadable {
		seen[u.Key] = true
	}
	for _, key := range page.Same {
		seen[key] = true
	}
	return seen
}

func (m *mirror) apply(page providers.Page) {
	for _, key := range page.Gone {
		m.drop(key)
		m.dropSeries(key)
	}
	for _, e := range page.Events {
		m.drop(e.Key)
	}
	for _, e := range page.Events {
		m.events[e.Key] = append(m.events[e.Key], e)
		m.versions[e.Key] = e.Version
	}
	for _, u := range page.Unreadable {
		m.unreadable[u.Key], m.versions[u.Key] = u.Problem, u.Version
	}
}

func (m *mirror) drop(key string) {
	delete(m.events, key)
	delete(m.versions, key)
	delete(m.unreadable, key)
}

// dropSeries drops the events that go with their series.
func (m *mirror) dropSeries(series string) {
	for key, events := range m.events {
		if slices.ContainsFunc(events, func(e busy.Event) bool { return e.Series == series }) {
			m.drop(key)
		}
	}
}

func (m *mirror) sweep(seen map[string]bool) {
	for key := range m.versions {
		if !seen[key] {
			m.drop(key)
		}
	}
}

// busy lists what the mirror knows in the window, a line an occurrence, in the
// form that expect takes.
func (m *mirror) busy(t *testing.T) []string {
	t.Helper()
	zone, err := time.LoadLocation(providertest.Zone)
	if err != nil {
		t.Fatal(err)
	}
	series := map[string][]busy.Event{}
	for _, key := range slices.Sorted(maps.Keys(m.events)) {
		for _, e := range m.events[key] {
			series[e.Series] = append(series[e.Series], e)
		}
	}
	lines := []string{}
	for _, events := range series {
		occurrences, err := m.expand.Expand(context.Background(), events, providertest.Window, zone)
		if err != nil {
			t.Fatalf("expand: %v", err)
		}
		for _, o := range occurrences {
			if o.State != busy.Free {
				lines = append(lines, line(o.Start, o.End, o.AllDay, o.State, events[o.Event].Subject))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func line(start, end time.Time, allDay bool, state busy.State, subject string) string {
	days := ""
	if allDay {
		days = " all day"
	}
	const form = "01-02T15:04Z"
	return fmt.Sprintf("%s %s%s %s %s", start.UTC().Format(form), end.UTC().Format(form), days, state, subject)
}

// expect compares the mirror with lines such as
// "03-02T08:00Z 03-02T09:00Z busy Standup".
func (m *mirror) expect(t *testing.T, want ...string) {
	t.Helper()
	got := m.busy(t)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Fatalf("mirrored:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// dump is everything that a page would let out: the store seals the cursor and
// hashes keys, yet neither may hold a mark.
func dump(page providers.Page) string {
	raw, err := json.Marshal(page)
	if err != nil {
		return err.Error()
	}
	return string(raw) + string(page.Cursor)
}

func noMarks(t *testing.T, where, text string) {
	t.Helper()
	if i := strings.Index(strings.ToUpper(text), providertest.Mark); i >= 0 {
		t.Fatalf("the %s lets a mark through: ...%s", where, text[max(0, i-40):min(len(text), i+20)])
	}
}
