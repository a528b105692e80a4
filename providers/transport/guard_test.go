package transport

import (
	"net/netip"
	"testing"
)

func TestGuard(t *testing.T) {
	office := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")}
	for _, c := range []struct {
		address string
		https   bool // may be reached over https
		http    bool // over plain http
	}{
		{"93.184.216.34", true, false},
		{"17.248.146.1", true, false},
		{"2606:2800:220:1::1", true, false},
		{"10.1.2.3", true, true}, // allowed by the operator
		{"::ffff:10.1.2.3", true, true},
		{"fd00:1::5", true, true},
		{"10.2.0.1", false, false},
		{"127.0.0.1", false, false},
		{"127.255.255.254", false, false},
		{"::1", false, false},
		{"0.0.0.0", false, false},
		{"0.1.2.3", false, false},
		{"::", false, false},
		{"172.16.0.1", false, false},
		{"172.31.255.255", false, false},
		{"172.32.0.1", true, false},
		{"192.168.1.1", false, false},
		{"100.64.0.1", false, false},
		{"100.127.255.255", false, false},
		{"100.128.0.1", true, false},
		{"100.100.100.200", false, false}, // Alibaba's metadata
		{"169.254.169.254", false, false}, // everybody's metadata
		{"168.63.129.16", false, false},   // Azure's
		{"192.0.0.192", false, false},     // Oracle's
		{"fd00:ec2::254", false, false},   // Amazon's, over IPv6
		{"fe80::1", false, false},
		{"fe80::1%eth0", false, false},
		{"fec0::1", false, false},
		{"fc00::1", false, false},
		{"224.0.0.1", false, false},
		{"239.1.2.3", false, false},
		{"240.0.0.1", false, false},
		{"255.255.255.255", false, false},
		{"ff02::1", false, false},
		{"198.18.0.1", false, false},
		{"192.0.2.1", false, false},
		{"198.51.100.1", false, false},
		{"203.0.113.1", false, false},
		{"::ffff:127.0.0.1", false, false},
		{"::ffff:93.184.216.34", false, false}, // nobody resolves to this form honestly
		{"::127.0.0.1", false, false},
		{"64:ff9b::a00:1", false, false},   // NAT64 of 10.0.0.1
		{"64:ff9b:1::a00:1", false, false}, // local NAT64
		{"2002:a00:1::", false, false},     // 6to4 of 10.0.0.1
		{"2001::1", false, false},          // Teredo
		{"2001:db8::1", false, false},
	} {
		a := netip.MustParseAddr(c.address)
		if got := (guard{allow: office, public: true}).permits(a); got != c.https {
			t.Errorf("https to %s: %v, want %v", c.address, got, c.https)
		}
		if got := (guard{allow: office}).permits(a); got != c.http {
			t.Errorf("http to %s: %v, want %v", c.address, got, c.http)
		}
	}
}

func TestSameSite(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"caldav.icloud.com", "p37-caldav.icloud.com", true},
		{"example.com", "dav.example.com", true},
		{"www.example.co.uk", "dav.Example.co.uk.", true},
		{"a.example.com", "a.example.com", true},
		{"10.0.0.1", "10.0.0.1", true},
		{"a.co.uk", "b.co.uk", false},
		{"alice.github.io", "mallory.github.io", false},
		{"example.com", "example.com.evil.net", false},
		{"example.com", "notexample.com", false},
		{"10.0.0.1", "11.0.0.1", false},
		{"1.2.3.4", "9.2.3.4", false},
		{"[::1]", "[::2]", false},
		{"com", "example.com", false},
		{"", "", false},
		{"localhost", "localhost", true},
	} {
		if got := SameSite(c.a, c.b); got != c.want {
			t.Errorf("SameSite(%q, %q) = %v", c.a, c.b, got)
		}
	}
}
