package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/busyd/busyd/busy"
)

func TestAgendasInTheOrderAsked(t *testing.T) {
	r := begin(t)
	r.apply(change(meeting("late", 14), meeting("early", 10)))
	idle := r.Resource(t, r.tenant.ID, "idle")
	_, more := r.Connection(t, r.tenant.ID, r.resource.ID, "more", "deselected")
	must(t, r.Store.Select(ctx, r.tenant.ID, more[1].ID, false, now))

	got, err := r.Store.Agendas(ctx, r.tenant.ID, []busy.ResourceID{idle.ID, r.resource.ID, idle.ID}, window)
	must(t, err)
	at := func(hour int) time.Time { return time.Date(2026, 3, 3, hour, 0, 0, 0, time.UTC) }
	calendars := []busy.Calendar{r.state(), more[0]}
	for i := range calendars {
		calendars[i].Name = "" // not read
	}
	want := []busy.Agenda{
		{Resource: idle, Version: 1},
		{
			Resource: r.resource, Calendars: calendars, Version: 5,
			Blocks: []busy.Block{{Start: at(10), End: at(11), State: busy.Busy}, {Start: at(14), End: at(15), State: busy.Busy}},
		},
		{Resource: idle, Version: 1},
	}
	byID := cmpopts.SortSlices(func(a, b busy.Calendar) bool { return a.ID.String() < b.ID.String() })
	if diff := cmp.Diff(want, got, byID); diff != "" {
		t.Fatalf("agendas (-want +got):\n%s", diff)
	}
}

func TestAgendasHoldWhatOverlaps(t *testing.T) {
	r := begin(t)
	long := meeting("long", 1)
	long.End.Wall = long.Start.Wall.Add(busy.MaxBlock)
	r.apply(change(long))
	start, end := long.Start.Wall, long.End.Wall
	for _, test := range []struct {
		name string
		span busy.Span
		want int
	}{
		{"the same span", busy.Span{Start: start, End: end}, 1},
		{"its last second", busy.Span{Start: end.Add(-time.Second), End: end.Add(time.Hour)}, 1},
		{"its first second", busy.Span{Start: start.Add(-time.Hour), End: start.Add(time.Second)}, 1},
		{"up to its start", busy.Span{Start: start.Add(-time.Hour), End: start}, 0},
		{"from its end", busy.Span{Start: end, End: end.Add(time.Hour)}, 0},
	} {
		agendas, err := r.Store.Agendas(ctx, r.tenant.ID, []busy.ResourceID{r.resource.ID}, test.span)
		must(t, err)
		if got := len(agendas[0].Blocks); got != test.want {
			t.Errorf("%s: %d blocks, want %d", test.name, got, test.want)
		}
	}
	if agendas, err := r.Store.Agendas(ctx, r.tenant.ID, nil, window); err != nil || len(agendas) != 0 {
		t.Errorf("%v, %v for nobody", agendas, err)
	}
}
