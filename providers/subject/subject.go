// Package subject makes the subjects that busyd keeps of what people write as an
// event's title.
package subject

import (
	"regexp"
	"strings"
	"unicode"
)

// MaxRunes bounds a subject.
const MaxRunes = 500

// withheld stands in a subject where an address or a link stood.
const withheld = "…"

// Of makes a subject of a title in plain text: one line, without control and
// invisible characters, of at most MaxRunes.
//
// People paste addresses and meeting links into titles. Neither may be kept, so
// each is replaced by an ellipsis; the words around it stay.
func Of(title string) string {
	s := redact(strings.Map(visible, title))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > MaxRunes {
		s = strings.TrimSpace(string(r[:MaxRunes-1])) + withheld
	}
	return s
}

// Private is the subject of what its owner does not show to everybody with whom
// the calendar is shared. Its title is not kept, by whatever provider.
const Private = "Busy"

// Unless makes a subject of a title, which is Private if that is so.
func Unless(private bool, title string) string {
	if private {
		return Private
	}
	return Of(title)
}

// visible drops what has no shape, for it could hide an address in a subject or
// turn the text of a page around, and makes every space plain. The joiners stay:
// emoji and several scripts are written with them.
func visible(r rune) rune {
	switch {
	case r == '\u200c' || r == '\u200d':
		return r
	case unicode.IsSpace(r) || unicode.IsControl(r):
		return ' '
	case unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar:
		return -1
	default:
		return r
	}
}

var (
	mail = regexp.MustCompile(`[\p{L}\p{N}\p{M}\x{200c}\x{200d}._%+'=~&#!$*/?^{|}-]+(?:@|%40)[\p{L}\p{N}\p{M}-]+(?:\.[\p{L}\p{N}\p{M}-]+)+`)
	// link is anything with a scheme that opens something, anything that begins
	// with www., and a host followed by a path.
	link = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://\S*` +
		`|\b(?:mailto|tel|sips?|xmpp|callto|skype):\S+` +
		`|\bwww\.\S+` +
		`|\b(?:[\p{L}\p{N}-]+\.)+\p{L}{2,}(?::[0-9]+)?/\S*`)
)

func redact(s string) string {
	if !strings.ContainsAny(s, "@%:/.") {
		return s
	}
	return mail.ReplaceAllString(link.ReplaceAllString(s, withheld), withheld)
}
