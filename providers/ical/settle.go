package ical

import (
	"slices"
	"strconv"

	"github.com/busyd/busyd/busy"
)

// settle decides between masters that claim the same series: the higher
// SEQUENCE, then the later DTSTAMP, then the last in the file is the event. Two
// of one revision that are not at the same time are two events whose exporter
// reuses UIDs; the second gets a key of its own, for neither time is free.
func settle(events []busy.Event) []busy.Event {
	kept := events[:0]                           // what is kept never overtakes what is read
	masters := make(map[string]int, len(events)) // series -> index in kept
	for _, e := range events {
		at, twice := masters[e.Series]
		switch {
		case !e.Original.IsZero():
			kept = append(kept, e)
		case !twice:
			masters[e.Series] = len(kept)
			kept = append(kept, e)
		case older(kept[at], e) || !older(e, kept[at]) && sameTime(kept[at], e):
			kept[at] = e
		case !older(e, kept[at]):
			e.Key += "#" + strconv.Itoa(len(kept))
			e.Series = e.Key
			kept = append(kept, e)
		}
	}
	return kept
}

// settleObject settles the events of one object and gives them its key.
func settleObject(events []busy.Event, key string) []busy.Event {
	events = settle(events)
	series := map[string]string{}
	for i := range events {
		e := &events[i]
		name, known := series[e.Series]
		if !known {
			name = key
			if len(series) > 0 {
				name += "#" + strconv.Itoa(len(series)+1)
			}
			series[e.Series] = name
		}
		e.Key, e.Series = key, name
	}
	return events
}

// older reports whether a is an older revision than b.
func older(a, b busy.Event) bool {
	if a.Sequence != b.Sequence {
		return a.Sequence < b.Sequence
	}
	return a.Stamp.Before(b.Stamp)
}

func sameTime(a, b busy.Event) bool {
	return a.Start == b.Start && a.End == b.End && a.Length == b.Length && slices.Equal(a.Recurrence, b.Recurrence)
}
