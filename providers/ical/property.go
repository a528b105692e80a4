package ical

import (
	"bytes"
	"strings"
)

// property is a content line that is kept, taken apart.
type property struct {
	name   string // in upper case
	params []param
	value  string // raw: a TEXT is still escaped
	line   int
}

// param is a parameter of a property; its name is in upper case.
type param struct{ name, value string }

func (p *property) param(name string) string {
	for _, q := range p.params {
		if q.name == name {
			return q.value
		}
	}
	return ""
}

// nameOf returns the name that a content line begins with, in upper case; empty
// if it does not begin with one.
func nameOf(text []byte) string {
	end := bytes.IndexAny(text, ":;")
	if end < 0 {
		end = len(text)
	}
	name := bytes.TrimSpace(text[:end])
	if len(name) == 0 || len(name) > 64 {
		return ""
	}
	for _, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '-' {
			return ""
		}
	}
	return strings.ToUpper(string(name))
}

// parseProperty takes a content line apart. It reports false for one without a
// value.
func parseProperty(l line, name string) (property, bool) {
	p := property{name: name, line: l.number}
	rest := text(l.text)
	at := strings.IndexAny(rest, ":;")
	if at < 0 {
		return p, false
	}
	colon := separator(rest, name)
	if colon < 0 {
		return p, false
	}
	p.value = strings.TrimSpace(rest[colon+1:])
	if rest[at] == ';' {
		p.params = parseParams(rest[at+1 : colon])
	}
	return p, true
}

// temporal properties have values without a colon.
var temporal = map[string]bool{
	"DTSTART": true, "DTEND": true, "RDATE": true, "EXDATE": true, "RECURRENCE-ID": true,
}

// separator returns the index of the colon before the value. Parameter values
// with a colon must be quoted (§3.1), but zone names such as (UTC+01:00) Berlin
// are not always: a time has no colon of its own, so its last one counts.
func separator(s, name string) int {
	if temporal[name] {
		return strings.LastIndexByte(s, ':')
	}
	quoted := false
	for i := range len(s) {
		switch s[i] {
		case '"':
			quoted = !quoted
		case ':':
			if !quoted {
				return i
			}
		}
	}
	if !quoted {
		return -1
	}
	return strings.IndexByte(s, ':') // the quote was never closed
}

// parseParams splits NAME=VALUE;NAME="VALUE". Of several values, the list is
// kept as it stands.
func parseParams(s string) []param {
	var params []param
	for s != "" && len(params) < 64 {
		var part string
		part, s = cutUnquoted(s)
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		params = append(params, param{
			name:  strings.ToUpper(strings.TrimSpace(name)),
			value: unquote(strings.TrimSpace(value)),
		})
	}
	return params
}

func cutUnquoted(s string) (part, rest string) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// caret undoes the escapes of RFC 6868.
var caret = strings.NewReplacer("^n", "\n", "^N", "\n", "^^", "^", "^'", `"`)

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && strings.IndexByte(s[1:], '"') == len(s)-2 {
		s = s[1 : len(s)-1]
	}
	return caret.Replace(s)
}
