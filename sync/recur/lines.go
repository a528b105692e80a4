package recur

import (
	"strings"

	"github.com/busyd/busyd/busy"
)

// recurrence is what the content lines of an event say.
type recurrence struct {
	rules    []*rule // RRULE
	exrules  []*rule
	rdates   []rdate
	excluded []busy.Moment // EXDATE
}

// rdate is an instance of its own; a period brings its end or length too.
type rdate struct {
	start, end busy.Moment
	length     busy.Length
	period     bool
}

// parseLines reads RRULE, EXRULE, RDATE and EXDATE lines (RFC 5545 §3.8.5).
// Times without a zone are in the given one. What cannot be read is left out, and
// the first such thing is the error.
func parseLines(lines []string, zone string) (recurrence, error) {
	var r recurrence
	var first error
	for _, line := range lines {
		if err := r.line(line, zone); err != nil && first == nil {
			first = err
		}
	}
	return r, first
}

func (r *recurrence) line(line, zone string) error {
	property, value, ok := cutProperty(line)
	if !ok {
		return malformed("a recurrence line must have the form RRULE:FREQ=DAILY")
	}
	name, params, _ := strings.Cut(property, ";")
	switch strings.ToUpper(name) {
	case "RRULE":
		rule, err := parseRule(value)
		if rule != nil {
			r.rules = append(r.rules, rule)
		}
		return err
	case "EXRULE":
		// One that is not fully understood might exclude too much.
		rule, err := parseRule(value)
		if err == nil {
			r.exrules = append(r.exrules, rule)
		}
		return err
	case "RDATE":
		return eachValue(value, func(text string) error { return r.rdate(text, zoneParam(params, zone)) })
	case "EXDATE":
		return eachValue(value, func(text string) error {
			m, err := parseMoment(text, zoneParam(params, zone))
			if err == nil {
				r.excluded = append(r.excluded, m)
			}
			return err
		})
	default:
		return malformed("a recurrence line must be an RRULE, EXRULE, RDATE or EXDATE")
	}
}

func (r *recurrence) rdate(text, zone string) (err error) {
	var d rdate
	start, end, period := strings.Cut(text, "/")
	if d.start, err = parseMoment(start, zone); err != nil {
		return err
	}
	switch {
	case !period:
	case d.start.Date:
		return malformed("a period must start at a time")
	case strings.ContainsRune(end, 'P'):
		d.length, err = parseLength(end)
	default:
		d.end, err = parseMoment(end, zone)
	}
	if err != nil {
		return err
	}
	d.period = period
	r.rdates = append(r.rdates, d)
	return nil
}

// eachValue calls read with each value of a list, and returns its first error.
func eachValue(list string, read func(string) error) (first error) {
	for text := range strings.SplitSeq(list, ",") {
		text = strings.ToUpper(strings.TrimSpace(text))
		if text == "" {
			continue
		}
		if err := read(text); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// zoneParam is the TZID of a property's parameters, or fallback.
func zoneParam(params, fallback string) string {
	for param := range strings.SplitSeq(params, ";") {
		if name, value, _ := strings.Cut(param, "="); strings.EqualFold(name, "TZID") && value != "" {
			return strings.Trim(value, `"`)
		}
	}
	return fallback
}

// cutProperty cuts a content line at its first colon that is not quoted.
func cutProperty(line string) (property, value string, ok bool) {
	quoted := false
	for i := range len(line) {
		switch line[i] {
		case '"':
			quoted = !quoted
		case ':':
			if !quoted {
				return line[:i], strings.TrimSpace(line[i+1:]), true
			}
		}
	}
	return "", "", false
}
