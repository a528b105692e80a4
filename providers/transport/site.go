package transport

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// SameSite reports whether credentials meant for one host may be sent to the
// other: they are equal or belong to the same registrable domain. A host that
// is an address, or a public suffix itself, has no site but itself.
func SameSite(a, b string) bool {
	a, b = canonicalHost(a), canonicalHost(b)
	if a == b {
		return a != ""
	}
	if isAddress(a) || isAddress(b) {
		return false
	}
	siteA, errA := publicsuffix.EffectiveTLDPlusOne(a)
	siteB, errB := publicsuffix.EffectiveTLDPlusOne(b)
	return errA == nil && errB == nil && siteA == siteB
}

func canonicalHost(h string) string { return strings.TrimSuffix(strings.ToLower(h), ".") }

func isAddress(h string) bool {
	_, err := netip.ParseAddr(strings.Trim(h, "[]"))
	return err == nil
}
