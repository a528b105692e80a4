package recur

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// malformed is an ErrRule that says what is wrong without repeating it.
func malformed(what string) error { return fmt.Errorf("%s: %w", what, busy.ErrRule) }

// parseMoment reads a DATE or DATE-TIME (RFC 5545 §3.3.4, §3.3.5). A time without
// a Z is one in zone.
func parseMoment(text, zone string) (busy.Moment, error) {
	wrong := malformed("a time must have the form 20260301, 20260301T090000 or 20260301T090000Z")
	if len(text) == 8 {
		t, err := time.Parse("20060102", text)
		if err != nil {
			return busy.Moment{}, wrong
		}
		return busy.Moment{Wall: t, Date: true}, nil
	}
	text, utc := strings.CutSuffix(text, "Z")
	if utc {
		zone = busy.UTC
	}
	// A leap second is its minute's last one (§3.3.12).
	if len(text) == 15 && text[13:] == "60" {
		text = text[:13] + "59"
	}
	t, err := time.Parse("20060102T150405", text)
	if err != nil {
		return busy.Moment{}, wrong
	}
	return busy.Moment{Wall: t, Zone: zone}, nil
}

// parseLength reads a DURATION (RFC 5545 §3.3.6).
func parseLength(text string) (busy.Length, error) {
	wrong := malformed("a duration must have the form P1DT2H30M or P2W")
	sign := 1
	switch {
	case strings.HasPrefix(text, "-"):
		sign, text = -1, text[1:]
	case strings.HasPrefix(text, "+"):
		text = text[1:]
	}
	rest, ok := strings.CutPrefix(text, "P")
	if !ok || rest == "" {
		return busy.Length{}, wrong
	}
	var l busy.Length
	clock := false
	for rest != "" {
		if rest[0] == 'T' && !clock {
			clock, rest = true, rest[1:]
			continue
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if end < 1 || end > 9 {
			return busy.Length{}, wrong
		}
		n, err := strconv.Atoi(rest[:end])
		if err != nil {
			return busy.Length{}, wrong
		}
		n *= sign
		switch unit := rest[end]; {
		case unit == 'W' && !clock:
			l.Days += 7 * n
		case unit == 'D' && !clock:
			l.Days += n
		case unit == 'H' && clock:
			l.Exact += time.Duration(min(n, 1<<20)) * time.Hour
		case unit == 'M' && clock:
			l.Exact += time.Duration(min(n, 1<<26)) * time.Minute
		case unit == 'S' && clock:
			l.Exact += time.Duration(n) * time.Second
		default:
			return busy.Length{}, wrong
		}
		rest = rest[end+1:]
	}
	return l, nil
}
