package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	random "math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

// Whatever happens between two questions, the answer from what is remembered is
// byte for byte that of an API that remembers nothing.
func TestWhatIsRememberedIsAsTrueAsWhatIsRead(t *testing.T) {
	g := newGround(t)
	on := func(s Store) http.Handler {
		handler, err := New(Config{
			Store: s, Syncer: syncs{g.env.Store}, Accounts: newAccounts(g.env.Store), StaleAfter: 30 * time.Minute, Version: "test",
			Desk: &booking.Desk{Store: g.env.Store, Now: func() time.Time { return g.now }, Random: rand.Reader, StaleAfter: 30 * time.Minute},
			Log:  slog.New(slog.DiscardHandler), Now: func() time.Time { return g.now },
		})
		if err != nil {
			t.Fatal(err)
		}
		return handler
	}
	reads := &counted{Store: g.env.Store}
	remembers := on(reads)
	tenant, p := g.settle(t, "one")
	calendar, err := busy.ParseID[busy.Calendar](p.calendar)
	if err != nil {
		t.Fatal(err)
	}
	resource, err := busy.ParseID[busy.Resource](p.resource)
	if err != nil {
		t.Fatal(err)
	}
	meeting := func() busy.Span {
		start := utc(4+random.IntN(5), 8+random.IntN(8), 0)
		return busy.Span{Start: start, End: start.Add(time.Duration(1+random.IntN(4)) * 15 * time.Minute)}
	}
	selected, seen := true, map[string]int{}
	changes := []func() string{
		func() string { return "nothing" },
		func() string {
			if selected {
				g.mirror(t, tenant, calendar, meeting(), meeting())
			}
			return "other meetings"
		},
		func() string {
			g.now = g.now.Add(time.Duration(random.IntN(4)) * time.Minute)
			return "time passes"
		},
		func() string {
			g.now = g.now.Add(31 * time.Minute)
			return "what was read becomes stale"
		},
		func() string {
			w := serve(remembers, http.MethodPost, "/v1/bookings", p.keys[busy.ScopeBook], wantText(p.service, meeting().Start))
			seen[fmt.Sprint("bookings: ", w.Code)]++
			return "a booking"
		},
		func() string {
			day := 4 + random.IntN(6)
			serve(remembers, http.MethodPost, "/v1/resources/"+p.resource+"/overrides", p.keys[busy.ScopeAdmin],
				fmt.Sprintf(`{"first":"2026-03-%02d","hours":"10:00-%d:00"}`, day, 12+random.IntN(6)))
			return "other hours on a date"
		},
		func() string {
			r := busy.Resource{ID: resource, Name: "one", Zone: []string{"Europe/Berlin", "America/New_York"}[random.IntN(2)], Hours: busy.AlwaysOpen()}
			if err := g.env.Store.ChangeResource(t.Context(), tenant, r); err != nil {
				t.Fatal(err)
			}
			return "another zone"
		},
		func() string {
			selected = random.IntN(2) == 0
			if err := g.env.Store.Select(t.Context(), tenant, calendar, selected, g.now); err != nil {
				t.Fatal(err)
			}
			if selected {
				g.mirror(t, tenant, calendar, meeting())
			}
			return "another selection"
		},
	}
	var story []string
	for range 300 {
		story = append(story, changes[random.IntN(len(changes))]())
		for _, stale := range []string{"treat_as_busy", "serve_stale", "reject"} {
			target := "/v1/availability?resource=" + p.resource + "&from=2026-03-04T00:00:00Z&to=2026-03-12T00:00:00Z&duration=30m&stale=" + stale
			before := reads.agendas
			got, want := serve(remembers, http.MethodGet, target, p.keys[busy.ScopeRead], ""), serve(on(g.env.Store), http.MethodGet, target, p.keys[busy.ScopeRead], "")
			if got.Code != want.Code || got.Code == http.StatusOK && got.Body.String() != want.Body.String() {
				t.Fatalf("after %s, at %s, %s: %d and %d; (-read +remembered)\n%s", strings.Join(story, ", "), g.now.Format(time.TimeOnly), stale,
					want.Code, got.Code, cmp.Diff(strings.Split(want.Body.String(), "{"), strings.Split(got.Body.String(), "{")))
			}
			if reads.agendas == before && strings.Contains(got.Body.String(), `"start"`) {
				seen["remembered slots, "+stale]++
			}
			if got.Code != http.StatusOK {
				seen["none, "+stale]++
			}
		}
	}
	t.Log(seen)
	for _, what := range []string{
		"bookings: 201", "none, reject", "remembered slots, treat_as_busy", "remembered slots, serve_stale", "remembered slots, reject",
	} {
		if seen[what] == 0 {
			t.Errorf("there were no %s", what)
		}
	}
}

// counted is the store, and counts how often all of the agendas is read.
type counted struct {
	Store
	agendas int
}

func (c *counted) Agendas(ctx context.Context, tenant busy.TenantID, resources []busy.ResourceID, span busy.Span) ([]busy.Agenda, error) {
	c.agendas++
	return c.Store.Agendas(ctx, tenant, resources, span)
}

func TestTheMemoryForAnswersIsBounded(t *testing.T) {
	var a answers
	for i := range 200 {
		a.remember(fmt.Sprint(i%150), found{slots: make([]byte, 1<<20)})
	}
	total := 0
	for question, f := range a.of {
		total += len(f.slots) + len(question) + 512
	}
	if total != a.bytes || total > mostRemembered || len(a.of) != len(a.order) || len(a.of) < 50 {
		t.Fatalf("%d answers of %d bytes, counted as %d", len(a.of), total, a.bytes)
	}
}
