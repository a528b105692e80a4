package providertest

import "github.com/busyd/busyd/busy"

// Series are the entry's events, as sync/recur takes them, all busy so that none
// is left out; and the moments that its exceptions replace. Servers that expand
// series themselves are stood in for with it.
func (e Entry) Series() (series []busy.Event, originals []string) {
	master := busy.Event{Key: "k", Series: "k", Subject: e.Subject, State: busy.Busy, Start: e.Start, End: e.End}
	if e.Rule != "" {
		master.Recurrence = []string{"RRULE:" + e.Rule}
		for _, m := range e.Exclude {
			master.Recurrence = append(master.Recurrence, exclusion(m))
		}
	}
	series = []busy.Event{master}
	for _, x := range e.Exceptions {
		series = append(series, busy.Event{
			Key: "k", Series: "k", Subject: x.Subject, State: busy.Busy, Start: x.Start, End: x.End,
			Original: x.Original, Cancelled: x.Cancelled,
		})
		originals = append(originals, x.Original.String())
	}
	return series, originals
}

func exclusion(m busy.Moment) string {
	switch {
	case m.Date:
		return "EXDATE;VALUE=DATE:" + m.Wall.Format("20060102")
	case m.Zone == busy.UTC:
		return "EXDATE:" + m.Wall.Format("20060102T150405Z")
	case m.Zone == "":
		return "EXDATE:" + m.Wall.Format("20060102T150405")
	default:
		return "EXDATE;TZID=" + m.Zone + ":" + m.Wall.Format("20060102T150405")
	}
}
