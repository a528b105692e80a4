package ews

import (
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

const berlin = "Europe/Berlin"

func allDay(start, end string, z *zone) item {
	return item{Self: identifier{ID: "x"}, Start: start, End: end, AllDay: "true", Status: "Busy", Response: "Accept", Zone: z}
}

// periods is a zone that only tells its offsets.
func periods(biases ...string) *zone {
	z := &zone{ID: "tzone://Microsoft/Custom"}
	for _, b := range biases {
		z.Periods = append(z.Periods, struct {
			Bias string `xml:"Bias,attr"`
		}{b})
	}
	return z
}

func TestAllDay(t *testing.T) {
	for name, c := range map[string]struct {
		item       item
		start, end string
		problem    busy.Problem
	}{
		"east of UTC":          {allDay("2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z", &zone{ID: "W. Europe Standard Time"}), "2026-03-28", "2026-03-31", ""},
		"west of UTC":          {allDay("2026-03-02T05:00:00Z", "2026-03-03T05:00:00Z", &zone{ID: "Eastern Standard Time"}), "2026-03-02", "2026-03-03", ""},
		"far east":             {allDay("2026-03-01T11:00:00Z", "2026-03-02T11:00:00Z", &zone{ID: "New Zealand Standard Time"}), "2026-03-02", "2026-03-03", ""},
		"UTC":                  {allDay("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z", &zone{ID: "UTC"}), "2026-03-02", "2026-03-03", ""},
		"another's zone":       {allDay("2026-03-01T15:00:00Z", "2026-03-02T15:00:00Z", &zone{ID: "Tokyo Standard Time"}), "2026-03-02", "2026-03-03", ""},
		"shown name only":      {allDay("2026-03-01T23:00:00Z", "2026-03-02T23:00:00Z", &zone{ID: "x", Name: "(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna"}), "2026-03-02", "2026-03-03", ""},
		"no midnight there":    {allDay("2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z", &zone{ID: "E. South America Standard Time"}), "2018-11-04", "2018-11-05", ""},
		"old rules":            {allDay("2026-07-01T23:00:00Z", "2026-07-02T23:00:00Z", &zone{ID: "W. Europe Standard Time"}), "2026-07-02", "2026-07-03", ""},
		"old rules, earlier":   {allDay("2026-01-01T22:00:00Z", "2026-01-02T22:00:00Z", &zone{ID: "W. Europe Standard Time"}), "2026-01-02", "2026-01-03", ""},
		"no end":               {allDay("2026-03-01T23:00:00Z", "2026-03-01T23:00:00Z", &zone{ID: "W. Europe Standard Time"}), "2026-03-02", "2026-03-03", ""},
		"custom, by its bias":  {allDay("2026-03-01T18:30:00Z", "2026-03-02T18:30:00Z", periods("PT8H", "-PT5H30M")), "2026-03-02", "2026-03-03", ""},
		"custom, no bias fits": {allDay("2026-03-01T23:00:00Z", "2026-03-02T23:00:00Z", periods("PT8H")), "2026-03-02", "2026-03-03", ""}, // Berlin's midnight
		"no zone":              {allDay("2026-03-01T23:00:00Z", "2026-03-02T23:00:00Z", nil), "2026-03-02", "2026-03-03", ""},
		"a guess, east":        {allDay("2026-03-01T18:30:00Z", "2026-03-02T18:30:00Z", nil), "2026-03-02", "2026-03-03", busy.ProblemZone},
		"a guess, west":        {allDay("2026-03-02T08:00:00Z", "2026-03-03T08:00:00Z", &zone{ID: "Nowhere"}), "2026-03-02", "2026-03-03", busy.ProblemZone},
	} {
		t.Run(name, func(t *testing.T) {
			e, problem := c.item.event("v", berlin)
			if e.Start.String() != c.start || e.End.String() != c.end || problem != c.problem {
				t.Errorf("%s to %s, %q; want %s to %s, %q", e.Start, e.End, problem, c.start, c.end, c.problem)
			}
			if !e.Start.Date || !e.End.Date {
				t.Error("not dates")
			}
		})
	}
}

func TestTimes(t *testing.T) {
	for start, want := range map[string]string{
		"2026-03-02T08:00:00Z":      "2026-03-02T08:00:00Z",
		"2026-03-02T09:00:00+01:00": "2026-03-02T08:00:00Z",
		"2026-03-02T08:00:00":       "2026-03-02T08:00:00Z",
		" 2026-03-02T08:00:00.25Z ": "2026-03-02T08:00:00Z",
	} {
		i := item{Start: start, End: "2026-03-02T09:00:00Z", AllDay: "false"}
		e, problem := i.event("v", berlin)
		if e.Start.String() != want || problem != "" {
			t.Errorf("%q is %s, %q", start, e.Start, problem)
		}
	}
	for _, c := range []struct {
		start, end string
		want       busy.Problem
	}{
		{"", "2026-03-02T09:00:00Z", busy.ProblemNoStart},
		{"2026-03-02T09:00:00Z", "", busy.ProblemNoStart},
		{"soon", "2026-03-02T09:00:00Z", busy.ProblemUnreadable},
		{"2026-03-02T09:00:00Z", "later", busy.ProblemUnreadable},
	} {
		if e, problem := (item{Start: c.start, End: c.end}).event("v", berlin); problem != c.want || !e.Start.IsZero() {
			t.Errorf("%q to %q: %q", c.start, c.end, problem)
		}
	}
}

func TestStates(t *testing.T) {
	for _, c := range []struct {
		item  item
		state busy.State
		why   busy.Why
	}{
		{item{Status: "Busy"}, busy.Busy, busy.WhyOpaque},
		{item{Status: "Busy", Response: "Decline"}, busy.Free, busy.WhyDeclined},
		{item{Status: "Busy", Response: "Tentative"}, busy.Busy, busy.WhyOpaque},
		{item{Status: "Busy", Canceled: "true"}, busy.Free, busy.WhyCancelled},
		{item{Status: "Busy", Canceled: "1", Response: "Decline"}, busy.Free, busy.WhyCancelled},
		{item{Status: "Free"}, busy.Free, busy.WhyShownFree},
		{item{Status: "Free", AllDay: "true"}, busy.Free, busy.WhyShownFree},
		{item{Status: "Tentative"}, busy.Tentative, busy.WhyTentative},
		{item{Status: "OOF"}, busy.OutOfOffice, busy.WhyOutOfOffice},
		{item{Status: "WorkingElsewhere"}, busy.Free, busy.WhyElsewhere},
		{item{Status: "NoData"}, busy.Busy, busy.WhyOpaque},
		{item{Status: "Whatever comes"}, busy.Busy, busy.WhyOpaque},
		{item{}, busy.Busy, busy.WhyOpaque},
	} {
		if state, why := c.item.state(); state != c.state || why != c.why {
			t.Errorf("%+v: %v, %s", c.item, state, why)
		}
	}
}

// Whatever an event is computed from changes its version.
func TestVersions(t *testing.T) {
	base := allDay("2026-03-01T23:00:00Z", "2026-03-02T23:00:00Z", &zone{ID: "W. Europe Standard Time"})
	seen := map[string]bool{base.version(berlin): true}
	for name, change := range map[string]func(*item){
		"id":       func(i *item) { i.Self.ID = "y" },
		"subject":  func(i *item) { i.Subject = "s" },
		"start":    func(i *item) { i.Start = "2026-03-01T22:00:00Z" },
		"end":      func(i *item) { i.End = "2026-03-03T23:00:00Z" },
		"all-day":  func(i *item) { i.AllDay = "false" },
		"status":   func(i *item) { i.Status = "Free" },
		"canceled": func(i *item) { i.Canceled = "true" },
		"response": func(i *item) { i.Response = "Decline" },
		"zone":     func(i *item) { i.Zone = &zone{ID: "UTC"} },
		"periods":  func(i *item) { i.Zone = periods("PT1H") },
	} {
		i := base
		change(&i)
		if v := i.version(berlin); seen[v] {
			t.Errorf("another %s has the same version", name)
		} else {
			seen[v] = true
		}
	}
	if base.version("UTC") == base.version(berlin) {
		t.Error("another home has the same version")
	}
	key := base
	key.Self.ChangeKey = "2"
	if key.version(berlin) != base.version(berlin) {
		t.Error("the change key counts although all is shown")
	}
	base.Response, key.Response = "", ""
	if key.version(berlin) == base.version(berlin) {
		t.Error("the change key does not count although something is missing")
	}
}

func TestOnlyReadingIsSent(t *testing.T) {
	c := &client{now: time.Now} // sending would panic
	for _, name := range []string{"DeleteItem", "CreateItem", "UpdateItem", "SendItem", "MoveItem", "GetUserAvailabilityRequest", "EmptyFolder", ""} {
		if err := c.call(t.Context(), operation{name: name}, nil); err != errNotAllowed {
			t.Errorf("%s: %v", name, err)
		}
	}
}
