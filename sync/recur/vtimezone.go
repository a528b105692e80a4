package recur

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/busyd/busyd/busy"
)

const vtimezoneBegin = "BEGIN:VTIMEZONE"

// Bounds of what a VTIMEZONE may hold and cost.
const (
	maxObservances  = 200
	maxOnsets       = 4000
	maxStretchCache = 256
)

// vtimezone is a zone that a calendar object defines itself (RFC 5545 §3.6.5). It
// is safe for concurrent use.
type vtimezone struct {
	onsets []onset       // that stand alone, in order
	rules  []observances // that recur

	mu    sync.Mutex
	known []stretch
}

// onset is the instant at which an offset comes into force.
type onset struct {
	at       int64
	from, to int64 // the offsets before and after
}

// observances recur: their onsets are readings of a clock that is at from.
type observances struct {
	*pattern
	from, to int64
}

// parseVTimezone reads a component from its unfolded content lines.
func parseVTimezone(text string, b *budget) (*vtimezone, error) {
	v := &vtimezone{}
	var o *observance
	total := 0
	for line := range strings.SplitSeq(text, "\n") {
		property, value, ok := cutProperty(strings.TrimSpace(line))
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(property, ";")
		name, value = strings.ToUpper(name), strings.ToUpper(value)
		isObservance := value == "STANDARD" || value == "DAYLIGHT"
		switch {
		case name == "BEGIN" && isObservance:
			o = &observance{}
			if total++; total > maxObservances {
				return nil, malformed("a VTIMEZONE has too many observances")
			}
		case o == nil:
		case name == "END" && isObservance:
			if err := v.add(o, b); err != nil {
				return nil, err
			}
			o = nil
		default:
			if err := o.property(name, value); err != nil {
				return nil, err
			}
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	if len(v.onsets) == 0 || len(v.onsets) > maxOnsets {
		return nil, malformed("a VTIMEZONE must have from 1 to 4000 onsets")
	}
	slices.SortStableFunc(v.onsets, func(a, b onset) int { return cmp.Compare(a.at, b.at) })
	return v, nil
}

// observance is a STANDARD or DAYLIGHT component while it is read.
type observance struct {
	start    busy.Moment
	from, to int64
	offsets  int
	recurrence
}

func (o *observance) property(name, value string) (err error) {
	switch name {
	case "DTSTART":
		o.start, err = parseMoment(value, "")
	case "TZOFFSETFROM":
		o.offsets++
		o.from, err = parseOffset(value)
	case "TZOFFSETTO":
		o.offsets++
		o.to, err = parseOffset(value)
	case "RRULE", "RDATE":
		err = o.line(name+":"+value, "")
	}
	return err
}

// add takes an observance over. Its start is an onset even if it recurs.
func (v *vtimezone) add(o *observance, b *budget) error {
	if o.start.IsZero() || o.offsets != 2 {
		return malformed("an observance needs DTSTART, TZOFFSETFROM and TZOFFSETTO")
	}
	start := o.start.Wall.Unix()
	v.onsets = append(v.onsets, onset{o.instant(o.start), o.from, o.to})
	for _, d := range o.rdates {
		v.onsets = append(v.onsets, onset{o.instant(d.start), o.from, o.to})
	}
	for _, r := range o.rules {
		if r.freq < daily {
			return malformed("an observance recurs daily at most")
		}
		p := bind(r, start, false, b)
		if !r.until.IsZero() {
			p.last = o.instant(r.until) + o.from
			if r.until.Date {
				p.last += day - 1
			}
		}
		if p.count > 0 {
			p.countStart()
		}
		v.rules = append(v.rules, observances{p, o.from, o.to})
	}
	return nil
}

func (o *observance) instant(m busy.Moment) int64 {
	if m.Zone == busy.UTC {
		return m.Wall.Unix()
	}
	return m.Wall.Unix() - o.from
}

// parseOffset reads a UTC-OFFSET (RFC 5545 §3.3.14), which must be below a day.
func parseOffset(text string) (int64, error) {
	wrong := malformed("an offset must have the form +0100")
	if len(text) != 5 && len(text) != 7 {
		return 0, wrong
	}
	digits := [6]int64{}
	for i, c := range text[1:] {
		if c < '0' || c > '9' {
			return 0, wrong
		}
		digits[i] = int64(c - '0')
	}
	seconds := (digits[0]*10+digits[1])*hour + (digits[2]*10+digits[3])*minute + digits[4]*10 + digits[5]
	if seconds >= day {
		return 0, wrong
	}
	switch text[0] {
	case '+':
		return seconds, nil
	case '-':
		return -seconds, nil
	default:
		return 0, wrong
	}
}

func (v *vtimezone) at(instant int64, b *budget) stretch {
	b.step(1)
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.known {
		if s.holds(instant) {
			return s
		}
	}
	s := v.look(instant, b)
	if b.err != nil {
		return s
	}
	if len(v.known) >= maxStretchCache {
		v.known = v.known[:0]
	}
	v.known = append(v.known, s)
	return s
}

// look finds the last onset up to an instant and the first after it.
func (v *vtimezone) look(instant int64, b *budget) stretch {
	s := stretch{from: math.MinInt64, to: math.MaxInt64, offset: v.onsets[0].from}
	i, _ := slices.BinarySearchFunc(v.onsets, instant+1, func(o onset, at int64) int { return cmp.Compare(o.at, at) })
	if i > 0 {
		s.from, s.offset = v.onsets[i-1].at, v.onsets[i-1].to
	}
	if i < len(v.onsets) {
		s.to = v.onsets[i].at
	}
	for _, r := range v.rules {
		if at, ok := r.upTo(instant, b); ok && at >= s.from {
			s.from, s.offset = at, r.to
		}
	}
	for _, r := range v.rules {
		if at, ok := r.after(instant, s.to, b); ok {
			s.to = at
		}
	}
	return s
}

// A yearly onset is found in the first reach. Rarer ones take more, each twice as
// far as the one before.
const reach = 370 * day

// upTo is the last onset that is not after an instant.
func (o observances) upTo(instant int64, b *budget) (at int64, ok bool) {
	to := min(instant+o.from, o.last)
	for length := int64(reach); to >= o.start && b.err == nil; length *= 2 {
		o.walk(to-length, to, b, func(wall int64) bool {
			at, ok = wall-o.from, true
			return true
		})
		if ok {
			return at, true
		}
		to -= length + 1
	}
	return 0, false
}

// after is the first onset after an instant and before limit.
func (o observances) after(instant, limit int64, b *budget) (at int64, ok bool) {
	from := max(instant+o.from+1, o.start)
	end := min(o.last, maxWall)
	if limit < end {
		end = min(end, limit+o.from-1)
	}
	for length := int64(reach); from <= end && b.err == nil; length *= 2 {
		o.walk(from, min(from+length, end), b, func(wall int64) bool {
			at, ok = wall-o.from, true
			return false
		})
		if ok {
			return at, true
		}
		from += length + 1
	}
	return 0, false
}
