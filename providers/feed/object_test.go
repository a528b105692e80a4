package feed

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/ical"
)

var sample = busy.Event{
	Key: "k", Version: "v", Series: "s", Subject: "x", State: busy.Busy, Why: busy.WhyOpaque,
	Start: busy.DateOf(2026, 3, 1), End: busy.DateOf(2026, 3, 2), Recurrence: []string{"RRULE:FREQ=DAILY"},
	Original: busy.DateOf(2026, 3, 1), Stamp: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
}

func sealed(events ...busy.Event) object {
	return objectsOf(ical.Calendar{Events: events})[0]
}

// TestVersionTellsEventsApart: a field that the version forgot would never be
// updated.
func TestVersionTellsEventsApart(t *testing.T) {
	forgotten := map[string]bool{
		"Key":     true, // a version is of a key
		"Version": true,
		"Why":     true, // is not stored
		"Stamp":   true, // says when the file was written
	}
	was := sealed(sample).version
	for i := range reflect.TypeFor[busy.Event]().NumField() {
		name := reflect.TypeFor[busy.Event]().Field(i).Name
		e := sample
		switch field := reflect.ValueOf(&e).Elem().Field(i).Addr().Interface().(type) {
		case *string:
			*field += "!"
		case *busy.Why:
			*field += "!"
		case *busy.State:
			*field++
		case *bool:
			*field = !*field
		case *int:
			*field++
		case *[]string:
			*field = append(slices.Clone(*field), "EXDATE:20260301")
		case *time.Time:
			*field = field.Add(time.Second)
		case *busy.Length:
			field.Exact++
		case *busy.Moment:
			field.Date = false
		default:
			t.Fatalf("the test cannot change %s", name)
		}
		if changed := sealed(e).version != was; changed == forgotten[name] {
			t.Errorf("%s changes: another version: %t", name, changed)
		}
	}
	for i, change := range []func(*busy.Event){
		func(e *busy.Event) { e.Length.Days++ },
		func(e *busy.Event) { e.Start.Wall = e.Start.Wall.Add(time.Hour) },
		func(e *busy.Event) { e.Start.Zone = "Europe/Berlin" },
		func(e *busy.Event) { e.Recurrence = nil },
	} {
		e := sample
		if change(&e); sealed(e).version == was {
			t.Errorf("change %d: the same version", i)
		}
	}
	if objectsOf(ical.Calendar{Events: []busy.Event{sample}, Problems: []ical.Problem{{Key: "k", Code: busy.ProblemZone}}})[0].version == was {
		t.Error("a problem: the same version")
	}
}

// TestVersionIgnoresOrder: the order of a file says nothing, but the stamps of two
// exceptions for one occurrence say which counts.
func TestVersionIgnoresOrder(t *testing.T) {
	old, young, third := sample, sample, sample
	young.Subject, young.Stamp = "y", sample.Stamp.Add(time.Hour)
	third.Original = busy.DateOf(2026, 3, 5)
	was := sealed(old, young, third).version
	if got := sealed(third, young, old).version; got != was {
		t.Error("another order: another version")
	}
	young.Stamp = sample.Stamp.Add(-time.Hour)
	if got := sealed(old, young, third).version; got == was {
		t.Error("the other exception counts, and the version is the same")
	}
}

func TestObjects(t *testing.T) {
	b, a, exception := sample, sample, sample
	b.Key, a.Key, exception.Key = "b", "a", "b"
	exception.Original = busy.DateOf(2026, 3, 9)
	objects := objectsOf(ical.Calendar{
		Events: []busy.Event{b, a, exception},
		Problems: []ical.Problem{
			{Key: "c", Code: busy.ProblemNoStart},
			{Key: "b", Code: busy.ProblemZone},
			{Key: "aa", Code: busy.ProblemNoStart},
			{Key: "b", Code: busy.ProblemBadRule},
			{Key: "c", Code: busy.ProblemZone},
		},
	})
	var got []string
	for _, o := range objects {
		got = append(got, o.key+strings.Repeat("!", len(o.events))+string(o.problem))
		for _, e := range o.events {
			if e.Key != o.key || e.Version != o.version || o.version == "" {
				t.Errorf("%s has an event of %s in version %q", o.key, e.Key, e.Version)
			}
		}
	}
	if want := []string{"a!", "aano_start", "b!!zone", "cno_start"}; !slices.Equal(got, want) {
		t.Errorf("objects %q, want %q", got, want)
	}
}

func TestValidators(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for name, test := range map[string]struct {
		header map[string]string
		want   validators
	}{
		"tag":             {map[string]string{"ETag": `W/"x y"`}, validators{ETag: `W/"x y"`}},
		"both":            {map[string]string{"ETag": `"x"`, "Last-Modified": at(0)}, validators{ETag: `"x"`, Modified: at(0)}},
		"date":            {map[string]string{"Last-Modified": at(-time.Hour)}, validators{Modified: at(-time.Hour)}},
		"just now":        {map[string]string{"Last-Modified": at(-time.Second)}, validators{}},
		"to come":         {map[string]string{"Last-Modified": at(time.Hour)}, validators{}},
		"its clock":       {map[string]string{"Last-Modified": at(time.Hour), "Date": at(2 * time.Hour)}, validators{Modified: at(time.Hour)}},
		"just now, there": {map[string]string{"Last-Modified": at(-time.Hour), "Date": at(-time.Hour)}, validators{}},
		"no date":         {map[string]string{"Last-Modified": "yesterday"}, validators{}},
		"no tag":          {map[string]string{"ETag": "\"\x01\""}, validators{}},
		"long tag":        {map[string]string{"ETag": strings.Repeat("x", maxValidator+1)}, validators{}},
	} {
		h := http.Header{}
		for k, v := range test.header {
			h.Set(k, v)
		}
		if got := validatorsOf(h, now); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
