package ical

import (
	"strings"

	"github.com/busyd/busyd/busy"
)

const (
	dateForm = "20060102"
	wallForm = "20060102T150405"
)

// unreadableRule stands for a rule of which nothing may be kept: it holds other
// things than rules do. Whoever expands the event finds that it is none.
const unreadableRule = "UNREADABLE"

// recurrence returns the event's recurrence lines in the form that
// busy.Event.Recurrence asks for. Rules are not checked beyond their words;
// dates that cannot be read are left out and flagged.
func (c *converter) recurrence(e *component, start busy.Moment) []string {
	var lines []string
	rules, dates := 0, 0
	for i := range e.listed {
		p := &e.listed[i]
		switch p.name {
		case "RRULE", "EXRULE":
			if rules++; rules > maxRules {
				e.flag(p.line, busy.ProblemTooLarge, "the event has too many rules; some were left out")
				continue
			}
			rule, ok := ruleOf(p.value)
			if !ok {
				e.flag(p.line, busy.ProblemBadRule, "the "+p.name+" is not a recurrence rule")
				rule = unreadableRule
			}
			lines = append(lines, p.name+":"+rule)
		case "RDATE", "EXDATE":
			lines = append(lines, c.dates(e, p, start, &dates)...)
		}
	}
	return lines
}

// parts of a rule (RFC 5545 §3.3.10, RFC 7529 §4).
var ruleParts = set("FREQ", "UNTIL", "COUNT", "INTERVAL", "BYSECOND", "BYMINUTE", "BYHOUR", "BYDAY", "BYMONTHDAY",
	"BYYEARDAY", "BYWEEKNO", "BYMONTH", "BYSETPOS", "WKST", "RSCALE", "SKIP")

// ruleWords are all words that the values of a rule can hold. Other words are
// somebody's, and must not be kept.
var ruleWords = set("SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY",
	"MO", "TU", "WE", "TH", "FR", "SA", "SU", "T", "Z", "L", "OMIT", "BACKWARD", "FORWARD",
	"GREGORIAN", "GREGORY", "BUDDHIST", "CHINESE", "COPTIC", "DANGI", "ETHIOPIC", "HEBREW", "INDIAN", "ISLAMIC", "CIVIL",
	"JAPANESE", "PERSIAN", "ROC")

// isRuleValue reports whether a value, in upper case, is made of numbers and the
// words of rules.
func isRuleValue(v string) bool {
	if strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,+-") != "" {
		return false
	}
	for word := range strings.FieldsFuncSeq(v, func(r rune) bool { return r < 'A' }) {
		if !ruleWords[word] {
			return false
		}
	}
	return true
}

// ruleOf returns a rule in one spelling: upper case, no spaces, no extensions.
// It is false for what does not look like a rule.
func ruleOf(value string) (string, bool) {
	var parts []string
	for part := range strings.SplitSeq(strings.ToUpper(value), ";") {
		part = strings.Join(strings.Fields(part), "")
		name, v, _ := strings.Cut(part, "=")
		switch {
		case part == "" || strings.HasPrefix(name, "X-"):
			continue
		case !ruleParts[name] || !isRuleValue(v):
			return "", false
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ";"), len(parts) > 0
}

// dates returns the lines for one RDATE or EXDATE property: one for each run of
// values with the same type and zone.
func (c *converter) dates(e *component, p *property, start busy.Moment, count *int) []string {
	var lines []string
	last := ""
	for value := range strings.SplitSeq(p.value, ",") {
		if value = strings.TrimSpace(value); value == "" {
			continue
		}
		if *count++; *count > maxDates {
			e.flag(p.line, busy.ProblemTooLarge, "the event has too many recurrence dates; some were left out")
			break
		}
		head, text, ok := c.date(e, p, value, start)
		if !ok {
			e.flag(p.line, busy.ProblemBadRule, "a date of the "+p.name+" cannot be read")
			continue
		}
		if head == last {
			lines[len(lines)-1] += "," + text
			continue
		}
		last, lines = head, append(lines, head+":"+text)
	}
	return lines
}

// date returns one value of an RDATE or EXDATE, and the name and parameters that
// it must stand under.
func (c *converter) date(e *component, p *property, value string, start busy.Moment) (head, text string, ok bool) {
	from, to, period := strings.Cut(value, "/")
	m, ok := c.nameable(e, p, from, start)
	if !ok || period && m.Date {
		return "", "", false
	}
	head, text = p.name, m.Wall.Format(wallForm)
	switch {
	case m.Date:
		return head + ";VALUE=DATE", m.Wall.Format(dateForm), true
	case period:
		head += ";VALUE=PERIOD"
	}
	switch {
	case m.Zone == busy.UTC:
		text += "Z"
	case m.Zone != "" && m.Zone != start.Zone:
		head += ";TZID=" + m.Zone
	}
	if !period {
		return head, text, true
	}
	end, ok := c.periodEnd(e, p, to, start, m)
	return head, text + "/" + end, ok
}

// nameable reads a time of a list whose zone a recurrence line can name. In a
// zone that is neither the event's nor has a name, an addition is read in the
// event's, which is flagged; an exception is left out, for it must not remove
// what it does not mean.
func (c *converter) nameable(e *component, p *property, value string, start busy.Moment) (busy.Moment, bool) {
	m, ok := c.moment(e, p, value)
	if !ok || m.Zone == start.Zone || !strings.Contains(m.Zone, "\n") {
		return m, ok
	}
	e.flag(p.line, busy.ProblemZone, "a date of the "+p.name+" is in another zone than the event, and that zone has no name")
	m.Zone = start.Zone
	return m, p.name == "RDATE"
}

// periodEnd returns the end of a period, which its start has the zone for.
func (c *converter) periodEnd(e *component, p *property, value string, start, from busy.Moment) (string, bool) {
	if _, ok := parseDuration(value); ok {
		return upper(value), true
	}
	m, ok := c.nameable(e, p, value, start)
	switch {
	case !ok || m.Date || (m.Zone == busy.UTC) != (from.Zone == busy.UTC):
		return "", false
	case m.Zone == busy.UTC:
		return m.Wall.Format(wallForm) + "Z", true
	default:
		return m.Wall.Format(wallForm), true
	}
}
