package feed

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/ical"
)

// object is what a file says under one UID.
type object struct {
	key     string
	version string
	events  []busy.Event
	problem busy.Problem
}

// objectsOf sorts a file into objects, by key, and gives each its version. It
// uses the file's slice of events.
func objectsOf(file ical.Calendar) []object {
	events := file.Events
	slices.SortFunc(events, byKey)
	objects := make([]object, 0, len(events))
	for from := 0; from < len(events); {
		to := from + 1
		for to < len(events) && events[to].Key == events[from].Key {
			to++
		}
		objects = append(objects, object{key: events[from].Key, events: events[from:to:to]})
		from = to
	}
	objects = flag(objects, file.Problems)
	h, line := sha256.New(), []byte(nil)
	for i := range objects {
		line = objects[i].seal(h, line)
	}
	return objects
}

// byKey orders the events of one object in the same way, whatever their order in
// the file is, and two exceptions for one occurrence by which of them counts.
func byKey(a, b busy.Event) int {
	return cmp.Or(
		strings.Compare(a.Key, b.Key),
		a.Original.Wall.Compare(b.Original.Wall),
		cmp.Compare(a.Sequence, b.Sequence),
		a.Stamp.Compare(b.Stamp),
		a.Start.Wall.Compare(b.Start.Wall),
		strings.Compare(a.Subject, b.Subject),
	)
}

// flag adds what could not be understood. A UID without any event that could be
// read is an object all the same.
func flag(objects []object, problems []ical.Problem) []object {
	known := len(objects)
	for _, p := range problems {
		at, found := slices.BinarySearchFunc(objects[:known], p.Key, func(o object, key string) int { return strings.Compare(o.key, key) })
		switch {
		case !found:
			objects = append(objects, object{key: p.Key, problem: p.Code})
		case objects[at].problem == busy.ProblemNone:
			objects[at].problem = p.Code
		}
	}
	if len(objects) == known {
		return objects
	}
	slices.SortStableFunc(objects, func(a, b object) int { return strings.Compare(a.key, b.key) })
	return slices.CompactFunc(objects, func(a, b object) bool { return a.key == b.key })
}

// seal gives the object and its events their version: a digest of all that is
// known of it. DTSTAMP is left out, for many servers write the present time into
// it; where it decides something, the order of the events shows it.
func (o *object) seal(h hash.Hash, line []byte) []byte {
	h.Reset()
	h.Write([]byte(o.problem))
	for i := range o.events {
		line = appendEvent(line[:0], &o.events[i])
		h.Write(line)
	}
	o.version = short(h)
	for i := range o.events {
		o.events[i].Version = o.version
	}
	return line
}

func appendEvent(b []byte, e *busy.Event) []byte {
	b = append(b, '\n', '0'+byte(e.State))
	b = strconv.AppendBool(b, e.AndFuture)
	b = strconv.AppendBool(b, e.Cancelled)
	for _, n := range []int{e.Sequence, e.Length.Days, int(e.Length.Exact)} {
		b = append(strconv.AppendInt(b, int64(n), 10), ' ')
	}
	for _, m := range []busy.Moment{e.Start, e.End, e.Original} {
		b = m.Wall.AppendFormat(strconv.AppendBool(b, m.Date), "20060102150405")
		b = strconv.AppendQuote(b, m.Zone)
	}
	b = strconv.AppendQuote(b, e.Series)
	b = strconv.AppendQuote(b, e.Subject)
	for _, l := range e.Recurrence {
		b = strconv.AppendQuote(b, l)
	}
	return b
}

// digestOf is a digest of all objects.
func digestOf(objects []object) string {
	h := sha256.New()
	for _, o := range objects {
		h.Write(strconv.AppendQuote(nil, o.key))
		h.Write([]byte(o.version))
	}
	return short(h)
}

func short(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)[:12]) }
