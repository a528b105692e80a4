package google

import (
	"strings"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/zones"
)

// unreadableRule stands for what cannot be understood: whoever expands the series
// finds that it is no rule, and that its calendar is not fully known.
const unreadableRule = "RRULE:UNREADABLE"

// recurrence returns the lines in the form that busy.Event.Recurrence asks for.
func recurrence(lines []string, start busy.Moment) []string {
	var kept []string
	for _, line := range lines {
		kept = append(kept, recurrenceLine(line, start)...)
	}
	return kept
}

func recurrenceLine(line string, start busy.Moment) []string {
	head, value, ok := strings.Cut(strings.TrimSpace(line), ":")
	name, params, _ := strings.Cut(head, ";")
	name, value = strings.ToUpper(name), strings.ToUpper(value)
	// Rules and dates are written with few letters; anything else is not kept.
	if !ok || strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=;,+-/") != "" {
		return []string{unreadableRule}
	}
	switch name {
	case "RRULE", "EXRULE":
		return []string{name + ":" + plain(value)}
	case "RDATE", "EXDATE":
		return dates(name, params, value, start)
	default:
		return []string{unreadableRule}
	}
}

// plain leaves the extensions out of a rule.
func plain(rule string) string {
	var parts []string
	for part := range strings.SplitSeq(rule, ";") {
		if part != "" && !strings.HasPrefix(part, "X-") {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ";")
}

// dates returns an RDATE or EXDATE with the parameters that it may have. In a
// zone that is not known, additions are read in the zone of the series, and
// exceptions are left out, for they must not remove what they do not mean.
func dates(name, params, value string, start busy.Moment) []string {
	head, flagged := name, false
	for param := range strings.SplitSeq(params, ";") {
		key, v, _ := strings.Cut(param, "=")
		switch strings.ToUpper(key) {
		case "VALUE":
			if v = strings.ToUpper(v); v == "DATE" || v == "PERIOD" {
				head += ";VALUE=" + v
			}
		case "TZID":
			zone, known := zones.Resolve(v)
			switch {
			case !known:
				flagged = true
			case zone != start.Zone && !strings.HasSuffix(value, "Z"):
				head += ";TZID=" + zone
			}
		}
	}
	switch {
	case flagged && name == "EXDATE":
		return []string{unreadableRule}
	case flagged:
		return []string{head + ":" + value, unreadableRule}
	default:
		return []string{head + ":" + value}
	}
}
