package pull_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/providertest"
)

// owner is the person whose calendar is mirrored: it edits entries and knows,
// by plain loops and without any code of busyd's, which time they take.
type owner struct {
	random  *rand.Rand
	entries map[string]*entry
	next    int
	count   func(what string) // is told of each edit
}

// entry is one calendar object.
type entry struct {
	name    string
	touched time.Time   // when it was last changed
	spans   []busy.Span // that it takes

	allDay      bool
	transparent bool
	zone        string    // of a timed entry
	start       time.Time // clock reading, or date, carried in UTC
	length      time.Duration
	every       int // days between occurrences
	count       int // occurrences; 1 for a single
	cancelled   map[int]bool
	excluded    map[int]bool
	moved       map[int]time.Duration // occurrence -> how far
}

var simZones = []string{"Europe/Berlin", "America/New_York", "Asia/Tokyo", "America/Sao_Paulo"}

// edits are those that an owner makes.
var edits = []string{
	"an all-day entry", "a timed entry", "a transparent entry", "a series", "an entry is deleted", "an entry is replaced",
	"an entry is put off", "an occurrence is excluded", "an occurrence is cancelled", "an occurrence is moved",
}

// edit changes something at random and returns what changed: an entry that was
// put or, with gone, removed.
func (o *owner) edit(now time.Time) (e *entry, gone bool) {
	names := slices.Sorted(maps.Keys(o.entries))
	switch dice := o.random.IntN(10); {
	case len(names) == 0 || dice < 4 && len(names) < 24:
		o.next++
		e = o.draw(fmt.Sprintf("e%d", o.next), now)
	case dice < 6:
		e = o.entries[names[o.random.IntN(len(names))]]
		delete(o.entries, e.name)
		o.count("an entry is deleted")
		return e, true
	case dice < 8:
		o.count("an entry is replaced")
		e = o.draw(names[o.random.IntN(len(names))], now)
	default:
		e = o.except(*o.entries[names[o.random.IntN(len(names))]])
	}
	return e, false
}

func (o *owner) draw(name string, now time.Time) *entry {
	e := &entry{
		name: name, allDay: o.random.IntN(5) == 0, transparent: o.random.IntN(8) == 0,
		zone: simZones[o.random.IntN(len(simZones))], every: 1, count: 1,
	}
	day := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, o.random.IntN(60)-10)
	if e.allDay {
		o.count("an all-day entry")
		e.start, e.length = day, time.Duration(1+o.random.IntN(3))*24*time.Hour
	} else {
		o.count("a timed entry")
		// Noon to evening keeps clear of the hours that zone changes skip or repeat.
		e.start = day.Add(time.Duration(12*60+15*o.random.IntN(32)) * time.Minute)
		e.length = time.Duration(15+15*o.random.IntN(8)) * time.Minute
	}
	if e.transparent {
		o.count("a transparent entry")
	}
	if o.random.IntN(2) == 0 {
		o.count("a series")
		e.every, e.count = []int{1, 2, 7, 14}[o.random.IntN(4)], 2+o.random.IntN(20)
	}
	return e
}

// except gives one occurrence of the entry an exception.
func (o *owner) except(e entry) *entry {
	e.cancelled, e.excluded, e.moved = maps.Clone(e.cancelled), maps.Clone(e.excluded), maps.Clone(e.moved)
	for _, m := range []*map[int]bool{&e.cancelled, &e.excluded} {
		if *m == nil {
			*m = map[int]bool{}
		}
	}
	if e.moved == nil {
		e.moved = map[int]time.Duration{}
	}
	i := o.random.IntN(e.count)
	delete(e.moved, i)
	switch {
	case e.count == 1:
		o.count("an entry is put off")
		e.start = e.start.AddDate(0, 0, 1)
	case e.cancelled[i] || e.excluded[i]:
	case o.random.IntN(3) == 0:
		o.count("an occurrence is excluded")
		e.excluded[i] = true
	case o.random.IntN(2) == 0:
		o.count("an occurrence is cancelled")
		e.cancelled[i] = true
	default:
		o.count("an occurrence is moved")
		e.moved[i] = time.Duration(o.random.IntN(7)-3) * 24 * time.Hour
	}
	return &e
}

// String describes the entry in a trace.
func (e *entry) String() string {
	reading := "2006-01-02 15:04"
	if e.allDay {
		reading = "2006-01-02"
	}
	return fmt.Sprintf("%s: %s %s for %v, %d times every %d days, transparent %t, cancelled %v, excluded %v, moved %v",
		e.name, e.start.Format(reading), e.zone, e.length, e.count, e.every, e.transparent,
		slices.Sorted(maps.Keys(e.cancelled)), slices.Sorted(maps.Keys(e.excluded)), e.moved)
}

// busy returns the time that the entry takes.
func (e *entry) busy() []busy.Span {
	if e.transparent {
		return nil
	}
	zone := e.zone
	if e.allDay {
		zone = ownersZone
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		panic(err)
	}
	instant := func(r time.Time) time.Time {
		return time.Date(r.Year(), r.Month(), r.Day(), r.Hour(), r.Minute(), 0, 0, location).UTC()
	}
	var spans []busy.Span
	for i := range e.count {
		if e.cancelled[i] || e.excluded[i] {
			continue
		}
		start := e.start.AddDate(0, 0, i*e.every).Add(e.moved[i])
		spans = append(spans, busy.Span{Start: instant(start), End: instant(start.Add(e.length))})
	}
	return spans
}

// ownersZone reads all-day entries.
const ownersZone = "Europe/Berlin"

// written is the entry as a server is given it.
func (e *entry) written() providertest.Entry {
	w := providertest.Entry{
		Subject: e.name, Start: e.moment(e.start), End: e.moment(e.start.Add(e.length)), Free: e.transparent,
	}
	if e.count > 1 {
		w.Rule = fmt.Sprintf("FREQ=DAILY;INTERVAL=%d;COUNT=%d", e.every, e.count)
	}
	for _, i := range slices.Sorted(maps.Keys(e.excluded)) {
		w.Exclude = append(w.Exclude, e.moment(e.start.AddDate(0, 0, i*e.every)))
	}
	for _, i := range slices.Sorted(maps.Keys(e.cancelled)) {
		original := e.start.AddDate(0, 0, i*e.every)
		w.Exceptions = append(w.Exceptions, e.exception(original, original, true))
	}
	for _, i := range slices.Sorted(maps.Keys(e.moved)) {
		original := e.start.AddDate(0, 0, i*e.every)
		w.Exceptions = append(w.Exceptions, e.exception(original, original.Add(e.moved[i]), false))
	}
	return w
}

func (e *entry) exception(original, start time.Time, cancelled bool) providertest.Exception {
	return providertest.Exception{
		Original: e.moment(original), Start: e.moment(start), End: e.moment(start.Add(e.length)), Subject: e.name, Cancelled: cancelled,
	}
}

func (e *entry) moment(reading time.Time) busy.Moment {
	if e.allDay {
		return busy.Moment{Wall: reading, Date: true}
	}
	return busy.Moment{Wall: reading, Zone: e.zone}
}
