package caldav

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// Connect implements [providers.Connector]. The URL may be that of a server, of
// a principal or of a calendar, or a bare host name; it may be empty where the
// username is an e-mail address.
func (p *Provider) Connect(ctx context.Context, login providers.Login) (busy.Secret, error) {
	start, err := startOf(login)
	if err != nil {
		return nil, err
	}
	c := p.client(start, p.inFlight(start), login.Username, string(login.Password))
	found, err := c.discover(ctx, start, p.Resolver)
	if err != nil {
		return nil, explain(err, start)
	}
	if len(found.homes) == 0 {
		return nil, busy.Invalid("url", "leads to an account without calendars: create one there, or check which account the username belongs to")
	}
	calendars, err := c.list(ctx, found.homes)
	if err != nil {
		return nil, explain(err, found.homes[0])
	}
	if len(calendars) == 0 {
		return nil, busy.Invalid("url", "leads to an account that holds no calendar for events: create one there, or check which account the username belongs to")
	}
	return encode(found, login)
}

func encode(found place, login providers.Login) (busy.Secret, error) {
	g := grant{
		URL: found.at.String(), Username: login.Username, Password: string(login.Password),
		Addresses: ownAddresses(found.addresses, login.Username),
	}
	if found.principal != nil {
		g.Principal = found.principal.String()
	}
	for _, home := range found.homes {
		g.Homes = append(g.Homes, home.String())
	}
	return json.Marshal(g)
}

// ownAddresses adds the username to the addresses that the server tells, if it
// is an e-mail address: some servers tell none.
func ownAddresses(told []string, username string) []string {
	own := make([]string, 0, len(told)+1)
	for _, a := range told {
		if strings.Contains(a, ":") { // not a path to the principal
			own = append(own, a)
		}
	}
	if strings.Contains(username, "@") {
		own = append(own, "mailto:"+username)
	}
	return own
}

const iCloudServer = "https://caldav.icloud.com/"

// startOf is the address at which to begin discovery.
func startOf(login providers.Login) (*url.URL, error) {
	if login.Username == "" {
		return nil, busy.Invalid("username", "is empty: give the name or e-mail address that you sign in with")
	}
	if strings.Contains(login.Username, ":") {
		return nil, busy.Invalid("username", "must not contain a colon")
	}
	if len(login.Password) == 0 {
		return nil, busy.Invalid("password", "is empty")
	}
	address := strings.TrimSpace(login.URL)
	if address == "" {
		_, domain, isAddress := strings.Cut(login.Username, "@")
		if !isAddress {
			return nil, busy.Invalid("url", "is empty: give the address of the calendar server, such as https://cloud.example.com")
		}
		address = domain
	}
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	start, err := url.Parse(address)
	if err != nil || start.Hostname() == "" || start.Scheme != "https" && start.Scheme != "http" {
		return nil, busy.Invalid("url", "must be the address of a calendar server, such as https://cloud.example.com")
	}
	if start.User != nil {
		return nil, busy.Invalid("url", "must not contain a username or a password: give them apart")
	}
	switch strings.ToLower(start.Hostname()) {
	case "icloud.com", "www.icloud.com", "me.com", "mac.com":
		return url.Parse(iCloudServer)
	}
	if start.Path == "" {
		start.Path = "/"
	}
	start.RawQuery, start.Fragment = "", ""
	return start, nil
}

// explain says what is wrong with a login, where that is what the error means.
func explain(err error, at *url.URL) error {
	switch status := statusIn(err); {
	case status == http.StatusUnauthorized:
		return refusedPassword(err, at)
	case status == http.StatusForbidden:
		return busy.Invalid("username", "has no right to read calendars on this server")
	case providers.FaultOf(err) == providers.Throttled, status/100 == 5:
		return err
	case status != 0:
		return busy.Invalid("url", "does not lead to a CalDAV server: give the address that its settings call CalDAV or DAV, such as https://cloud.example.com/remote.php/dav")
	}
	switch providers.CodeOf(err) {
	case transport.CodeBlocked:
		return blocked(at)
	case errElsewhere.Code:
		return busy.Invalid("url", "leads to a server that points to another site, where the password is not sent: give the address of that site")
	case errDelegated.Code:
		return busy.Invalid("url", "names a domain whose calendars are hosted at another site: give the address of that provider's CalDAV server")
	case errNotCalDAV.Code, errMalformed.Code, "redirect_loop", "bad_href", "bad_address":
		return busy.Invalid("url", "does not lead to a CalDAV server: give the address that its settings call CalDAV or DAV, such as https://cloud.example.com/remote.php/dav")
	}
	if wrong := transport.Explain(err); wrong != nil {
		return wrong
	}
	return err
}

func blocked(at *url.URL) error {
	if at.Scheme == "http" {
		return busy.Invalid("url", "must begin with https://; plain http needs the operator to list the server's address in the setting network.allow")
	}
	return busy.Invalid("url", "leads to an address that is not public; the operator can allow it")
}

func refusedPassword(err error, at *url.URL) error {
	if isICloud(at.Hostname()) {
		return busy.Invalid("password", "is refused by iCloud: it must be an app-specific password, made at account.apple.com under Sign-In and Security (the password of the Apple Account itself is refused, and changing that one revokes all app-specific ones)")
	}
	if e, ok := causeOf(err); ok && !e.offersBasic {
		return busy.Invalid("url", "leads to a server that does not accept passwords the way busyd sends them (HTTP Basic over TLS): turn on Basic authentication there")
	}
	return busy.Invalid("password", "or username is refused by the server: check both; an account with a second factor needs an app password, made in the server's security settings")
}
