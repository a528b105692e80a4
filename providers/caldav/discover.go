package caldav

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// place is what is known of a user at a server.
type place struct {
	at        *url.URL // the address that told
	principal *url.URL // may be nil
	homes     []*url.URL
	addresses []string
}

var (
	errNotCalDAV = &providers.Error{Code: "not_caldav", Err: errors.New("the server does not say who the user is")}
	errDelegated = &providers.Error{Code: "delegated", Err: errors.New("the domain's calendars are at another site")}
)

// discover finds the user's principal and home-sets in the order of RFC 6764
// §6: at the address itself, at the one that the DNS names, at the well-known
// one, at the root. A refused password ends the search, for some servers lock an
// account after a few; otherwise the first failure is the one that counts.
func (c *client) discover(ctx context.Context, start *url.URL, dns Resolver) (place, error) {
	var first error
	for step := range steps {
		at, err := candidate(ctx, start, step, dns)
		if err == nil && at == nil {
			continue
		}
		var found place
		if err == nil {
			found, err = c.identify(ctx, at)
		}
		if err == nil {
			return found, nil
		}
		if ctx.Err() != nil || statusIn(err) == 401 || providers.FaultOf(err) == providers.Throttled {
			return place{}, err
		}
		if first == nil {
			first = err
		}
	}
	return place{}, first
}

// The steps of discovery.
const (
	stepGiven = iota
	stepDNS
	stepWellKnown
	stepRoot
	steps
)

const wellKnown = "/.well-known/caldav"

// candidate is the address to ask at a step; nil if there is none, or if an
// earlier step has asked it.
func candidate(ctx context.Context, start *url.URL, step int, dns Resolver) (*url.URL, error) {
	switch step {
	case stepGiven:
		return start, nil
	case stepDNS:
		return lookup(ctx, dns, start.Hostname())
	case stepWellKnown:
		if start.Path != wellKnown {
			return start.ResolveReference(&url.URL{Path: wellKnown}), nil
		}
	case stepRoot:
		if start.Path != "/" {
			return start.ResolveReference(&url.URL{Path: "/"}), nil
		}
	}
	return nil, nil
}

// lookup finds a domain's CalDAV service by SRV and TXT records (RFC 6764 §3,
// §4). Nothing vouches for the records, so a password follows them only within
// the domain's own site.
func lookup(ctx context.Context, dns Resolver, domain string) (*url.URL, error) {
	if _, err := netip.ParseAddr(domain); err == nil || !strings.Contains(domain, ".") {
		return nil, nil
	}
	_, services, err := dns.LookupSRV(ctx, "caldavs", "tcp", domain)
	if err != nil || len(services) == 0 || services[0].Target == "." {
		return nil, nil //nolint:nilerr // the next steps need no DNS
	}
	host := strings.TrimSuffix(services[0].Target, ".")
	if !transport.SameSite(domain, host) {
		return nil, errDelegated
	}
	at := &url.URL{Scheme: "https", Host: host, Path: wellKnown}
	if services[0].Port != 443 {
		at.Host = net.JoinHostPort(host, strconv.Itoa(int(services[0].Port)))
	}
	texts, err := dns.LookupTXT(ctx, "_caldavs._tcp."+domain)
	if err != nil {
		return at, nil //nolint:nilerr // the record is optional
	}
	for _, text := range texts {
		if path, ok := strings.CutPrefix(text, "path="); ok && strings.HasPrefix(path, "/") {
			at.Path = path
		}
	}
	return at, nil
}

// identify asks an address who the user is, and the user's principal where the
// calendars are.
func (c *client) identify(ctx context.Context, at *url.URL) (place, error) {
	found, err := c.askPlace(ctx, at, askPrincipal)
	if err != nil {
		return place{}, err
	}
	if found.principal == nil && len(found.homes) == 0 {
		return place{}, errNotCalDAV
	}
	if len(found.homes) > 0 && len(found.addresses) > 0 || found.principal == nil {
		return found, nil
	}
	return c.atPrincipal(ctx, found)
}

// atPrincipal completes a place with what the principal says.
func (c *client) atPrincipal(ctx context.Context, found place) (place, error) {
	more, err := c.askPlace(ctx, found.principal, askHomes)
	if err != nil {
		return place{}, err
	}
	if len(more.homes) > 0 {
		found.homes = more.homes
	}
	found.addresses = more.addresses
	return found, nil
}

// askPlace sends one of the two queries about a user. An address that is itself
// a calendar counts as a home-set with this one calendar, unless there is better.
func (c *client) askPlace(ctx context.Context, at *url.URL, q query) (place, error) {
	var raw props
	var calendar bool
	_, err := c.ask(ctx, at, q, func(base *url.URL, a *answer) error {
		at = base
		if raw.principal == "" {
			raw.principal = a.principal
		}
		raw.homes = append(raw.homes, a.homes...)
		raw.addresses = append(raw.addresses, a.addresses...)
		calendar = calendar || a.types&isCalendar != 0
		return nil
	})
	if err != nil {
		return place{}, err
	}
	found := place{at: at, addresses: raw.addresses}
	if raw.principal != "" {
		if found.principal, err = resolve(at, raw.principal); err != nil {
			return place{}, err
		}
	}
	for _, href := range raw.homes {
		home, err := resolve(at, href)
		if err != nil {
			return place{}, err
		}
		found.homes = append(found.homes, asCollection(home))
	}
	if calendar && len(found.homes) == 0 {
		found.homes = []*url.URL{asCollection(at)}
	}
	return found, nil
}

// asCollection ends the path in a slash; Radicale knows collections by it alone.
func asCollection(u *url.URL) *url.URL {
	if strings.HasSuffix(u.Path, "/") {
		return u
	}
	return u.JoinPath("/")
}
