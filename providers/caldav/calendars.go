package caldav

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/ical"
	"github.com/busyd/busyd/providers/zones"
)

// errNoProof: a 207 that lacks what every complete answer holds.
var errNoProof = &providers.Error{Code: "incomplete_answer", Err: errors.New("the answer lacks the collection that was asked for")}

// calendar is a calendar of a home-set.
type calendar struct {
	at *url.URL
	providers.Calendar
}

// list returns the calendars of all home-sets. If one cannot be listed, none is.
func (c *client) list(ctx context.Context, homes []*url.URL) ([]calendar, error) {
	var found []calendar
	seen := map[string]bool{}
	for _, home := range homes {
		in, err := c.listHome(ctx, home)
		if err != nil {
			return nil, err
		}
		for _, cal := range in {
			if key := keyOf(cal.at); !seen[key] {
				seen[key] = true
				found = append(found, cal)
			}
		}
	}
	return found, nil
}

func (c *client) listHome(ctx context.Context, home *url.URL) ([]calendar, error) {
	proven := false
	var found []calendar
	_, err := c.ask(ctx, home, askCalendars, func(base *url.URL, a *answer) error {
		at, err := resolve(base, a.href)
		if err != nil {
			return nil //nolint:nilerr // what is at another site is another account's
		}
		// Servers with aliases answer for the home-set under another name.
		proven = proven || a.types&isCollection != 0
		if a.holdsEvents() {
			found = append(found, calendarOf(asCollection(at), a.props))
		}
		return nil
	})
	if err == nil && !proven {
		err = errNoProof
	}
	return found, err
}

// holdsEvents reports whether the collection is a calendar with events of its
// own that the user may read. A server that does not list components or
// privileges is taken to allow everything.
func (a *answer) holdsEvents() bool {
	switch {
	case a.status != 0 && a.status/100 != 2:
		return false
	case a.types&isCalendar == 0 || a.types&isOther != 0:
		return false
	case a.components && !a.events:
		return false
	default:
		return !a.privileges || a.readable
	}
}

func calendarOf(at *url.URL, p props) calendar {
	return calendar{at: at, Calendar: providers.Calendar{
		Remote:   busy.Secret(at.String()),
		Name:     p.name,
		Zone:     zoneOf(p),
		Blocking: !p.transparent,
	}}
}

// zoneOf reads the calendar's zone: an IANA name or, in an iCalendar object, the
// name of a VTIMEZONE.
func zoneOf(p props) string {
	if iana, ok := zones.Resolve(p.zoneID); ok {
		return iana
	}
	return ical.Zone(p.zone)
}

// keyOf is the key of a resource: its decoded path, without the trailing slash.
// The host is left out, for an account can move to another.
func keyOf(u *url.URL) string {
	if u.Path == "/" {
		return "/"
	}
	return strings.TrimSuffix(u.Path, "/")
}
