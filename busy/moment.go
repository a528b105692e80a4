package busy

import (
	"strings"
	"time"
)

// UTC is the Zone of a Moment that is an instant.
const UTC = "UTC"

// Moment is a time as a calendar's owner wrote it. It is one of
//
//   - a date: Date is true, Wall is its midnight, Zone is empty;
//   - a floating time: Zone is empty, the reader's zone applies (RFC 5545
//     §3.3.5, form 1);
//   - an instant: Zone is "UTC" (form 2);
//   - a clock reading in a zone: Zone is an IANA name (form 3) or, where the
//     object brings a zone that has no such name, the VTIMEZONE component that
//     defines it, stripped to what computing needs, lines joined by "\n".
//
// Wall is the reading of the clock, carried in the UTC location: it is not an
// instant unless Zone is "UTC". Moments compare with ==.
type Moment struct {
	Wall time.Time
	Zone string
	Date bool
}

// DateOf is the moment of a whole day.
func DateOf(year int, month time.Month, day int) Moment {
	return Moment{Wall: time.Date(year, month, day, 0, 0, 0, 0, time.UTC), Date: true}
}

// InstantOf is the moment of an instant.
func InstantOf(t time.Time) Moment {
	t = t.UTC()
	return Moment{
		Wall: time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC),
		Zone: UTC,
	}
}

// IsZero reports whether the moment was never set.
func (m Moment) IsZero() bool { return m == Moment{} }

// Floating reports whether the moment is a clock reading without a zone. A date
// is not called floating, although it too needs the reader's zone.
func (m Moment) Floating() bool { return !m.Date && m.Zone == "" && !m.IsZero() }

const (
	dateForm = "2006-01-02"
	wallForm = "2006-01-02T15:04:05"
)

// String is the form in which a moment is stored: 2026-03-01 for a date,
// 2026-03-01T09:00:00 for a floating time, 2026-03-01T09:00:00Z for an instant
// and 2026-03-01T09:00:00[Europe/Berlin] for a reading in a zone. The zero
// moment is the empty string.
func (m Moment) String() string {
	switch {
	case m.IsZero():
		return ""
	case m.Date:
		return m.Wall.Format(dateForm)
	case m.Zone == "":
		return m.Wall.Format(wallForm)
	case m.Zone == UTC:
		return m.Wall.Format(wallForm) + "Z"
	default:
		return m.Wall.Format(wallForm) + "[" + m.Zone + "]"
	}
}

// ParseMoment reads what String writes.
func ParseMoment(s string) (Moment, error) {
	if s == "" {
		return Moment{}, nil
	}
	if len(s) == len(dateForm) {
		t, err := time.Parse(dateForm, s)
		if err != nil {
			return Moment{}, Invalid("date", "must have the form 2026-03-01")
		}
		return Moment{Wall: t, Date: true}, nil
	}
	if len(s) < len(wallForm) {
		return Moment{}, Invalid("time", "must have the form 2026-03-01T09:00:00")
	}
	t, err := time.Parse(wallForm, s[:len(wallForm)])
	if err != nil {
		return Moment{}, Invalid("time", "must have the form 2026-03-01T09:00:00")
	}
	switch zone := s[len(wallForm):]; {
	case zone == "":
		return Moment{Wall: t}, nil
	case zone == "Z":
		return Moment{Wall: t, Zone: UTC}, nil
	case strings.HasPrefix(zone, "[") && strings.HasSuffix(zone, "]"):
		return Moment{Wall: t, Zone: zone[1 : len(zone)-1]}, nil
	default:
		return Moment{}, Invalid("time", "must end in nothing, Z or [Zone/Name]")
	}
}
