package api

import (
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

func TestThePictureShowsBookings(t *testing.T) {
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	hour := func(n int) busy.Span {
		return busy.Span{Start: monday.Add(time.Duration(n) * time.Hour), End: monday.Add(time.Duration(n+1) * time.Hour)}
	}
	s := sheet{zone: time.UTC, monday: monday, span: busy.Span{Start: monday, End: monday.AddDate(0, 0, 7)}, now: monday.Add(8 * time.Hour)}
	a := busy.Agenda{
		Resource: busy.Resource{Zone: "UTC", Hours: busy.AlwaysOpen()},
		Blocks:   []busy.Block{{Start: hour(12).Start, End: hour(12).End, State: busy.Busy}, {Start: hour(10).Start, End: hour(10).End, State: busy.Free}},
		Claims: []busy.Claim{
			{Span: hour(10), Blocked: hour(10)},
			{Span: hour(12), Blocked: hour(12)},
			{Span: hour(14), Blocked: hour(14), ExpiresAt: s.now.Add(time.Minute)},
			{Span: hour(16), Blocked: hour(16), ExpiresAt: s.now},
		},
	}
	p, err := draw(a, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "Monday 2 March: busy 12:00–13:00, booked 10:00–11:00, booked 14:00–15:00, booked 12:00–13:00 though an event is then."
	if got := p.Days[0].Text; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	classes := map[string]int{}
	for _, shape := range p.Days[0].Shapes {
		classes[shape.Class]++
	}
	if classes["booked"] != 2 || classes["collides"] != 1 || classes["busy"] != 1 {
		t.Errorf("drawn %v", classes)
	}
}
