package booking

import (
	"bytes"
	"time"

	"github.com/busyd/busyd/busy"
)

// rule is what decides the working hours of one date.
type rule struct {
	ranges []busy.Range
	zone   string          // empty: the resource's own
	by     busy.OverrideID // that closed the date or gave the ranges, or the zone; zero: none did
}

// ruleOf returns the rule of a date, a midnight carried in UTC. See [busy.Override]
// for which of several decides.
func ruleOf(r busy.Resource, date time.Time) rule {
	weekly := rule{ranges: r.Hours[date.Weekday()]}
	if len(r.Overrides) == 0 {
		return weekly
	}
	var hours, zone *busy.Override
	for i := range r.Overrides {
		o := &r.Overrides[i]
		if date.Before(o.First) || date.After(o.Last) {
			continue
		}
		if o.Closed {
			return rule{by: o.ID}
		}
		if len(o.Hours) > 0 && later(o, hours) {
			hours = o
		}
		if o.Zone != "" && later(o, zone) {
			zone = o
		}
	}
	if zone != nil {
		weekly.zone, weekly.by = zone.Zone, zone.ID
	}
	if hours != nil {
		weekly.ranges, weekly.by = hours.Hours, hours.ID
	}
	return weekly
}

func later(o, than *busy.Override) bool {
	if than == nil || !o.First.Equal(than.First) {
		return than == nil || o.First.After(than.First)
	}
	return bytes.Compare(o.ID[:], than.ID[:]) > 0
}
