package ical

import (
	"strings"

	"github.com/busyd/busyd/providers/subject"
)

// subjectOf makes a subject of a SUMMARY (a TEXT, RFC 5545 §3.3.11).
// subjectOf makes the subject of an event, whose class may be private: one that is
// not known counts as that (RFC 5545 §3.8.1.3).
func subjectOf(e *component) string {
	class := strings.TrimSpace(e.value("CLASS"))
	return subject.Unless(class != "" && !strings.EqualFold(class, "PUBLIC"), unescape(e.value("SUMMARY")))
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			i++
			if c = s[i]; c == 'n' || c == 'N' {
				c = '\n'
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}
