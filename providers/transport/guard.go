package transport

import (
	"context"
	"net/netip"
	"syscall"

	"github.com/busyd/busyd/providers"
)

// guard decides whom a dialer may talk to. It sees addresses after name
// resolution, so that a name cannot lead elsewhere between check and use.
type guard struct {
	allow  []netip.Prefix
	public bool // public addresses are allowed as well
}

func (g guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !g.permits(at.Addr()) {
		return &providers.Error{Code: CodeBlocked, Err: errBlocked}
	}
	return nil
}

func (g guard) permits(a netip.Addr) bool {
	plain := a.Unmap().WithZone("")
	for _, p := range g.allow {
		if p.Contains(plain) {
			return true
		}
	}
	return g.public && !a.Is4In6() && a.Zone() == "" && isPublic(a)
}

// Of IPv6, only 2000::/3 is public; that leaves out loopback, unique local and
// link-local addresses, multicast, and the NAT64 prefixes, through which a
// private IPv4 address could be reached.
var global6 = netip.MustParsePrefix("2000::/3")

// special are the ranges within IPv4 and 2000::/3 that IANA's special-purpose
// registries (RFC 6890) take out, and addresses at which clouds serve metadata.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("168.63.129.16/32"), // Azure's host
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local, metadata
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("224.0.0.0/3"),   // multicast, reserved, broadcast
	netip.MustParsePrefix("2001::/23"),     // Teredo and other protocols
	netip.MustParsePrefix("2001:db8::/32"), // documentation
	netip.MustParsePrefix("2002::/16"),     // 6to4
	netip.MustParsePrefix("3fff::/20"),     // documentation
}

func isPublic(a netip.Addr) bool {
	if a.Is6() && !global6.Contains(a) {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}
