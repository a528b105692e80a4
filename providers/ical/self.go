package ical

import "strings"

// self are the addresses of a calendar's owner, normalised.
type self map[string]struct{}

func newSelf(addresses []string) self {
	s := make(self, len(addresses))
	for _, a := range addresses {
		if a = address(a); a != "" {
			s[a] = struct{}{}
		}
	}
	return s
}

// is reports whether an ATTENDEE is the owner. Servers that keep principals in
// place of addresses put the address into EMAIL (RFC 7986 §6.2).
func (s self) is(p property) bool {
	if len(s) == 0 {
		return false
	}
	if _, ok := s[address(p.value)]; ok {
		return true
	}
	_, ok := s[address(p.param("EMAIL"))]
	return ok
}

// address normalises a calendar user address: a URI, most often mailto:, or the
// path of a principal.
func address(a string) string {
	a = strings.ToLower(strings.TrimSpace(a))
	a = strings.TrimPrefix(a, "mailto:")
	return strings.TrimRight(strings.TrimSpace(a), "/")
}
