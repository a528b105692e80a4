package feed

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/ical"
	"github.com/busyd/busyd/providers/transport"
)

// Connect implements [providers.Connector]: the URL is that of the file. A username
// and a password are for files that are protected by HTTP Basic authentication
// (RFC 7617); mostly there are none.
func (p *Provider) Connect(ctx context.Context, login providers.Login) (busy.Secret, error) {
	at, err := addressOf(login.URL)
	if err != nil {
		return nil, err
	}
	if strings.Contains(login.Username, ":") {
		return nil, busy.Invalid("username", "must not contain a colon")
	}
	g := grant{URL: at.String(), Username: login.Username, Password: string(login.Password)}
	file, err := p.client(at, g.Username, g.Password).file(ctx)
	if err != nil {
		return nil, explain(err, at, g)
	}
	g.Name, g.Zone = string(file.Name[:min(len(file.Name), maxName)]), file.Zone
	return json.Marshal(g)
}

// maxName bounds the name that is kept, in bytes.
const maxName = 1 << 10

func (c *client) file(ctx context.Context) (ical.Calendar, error) {
	resp, err := c.fetch(ctx, validators{})
	if err != nil {
		return ical.Calendar{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	return read(ctx, resp, "", nil)
}

// addressOf reads the address as calendars show it. Plain http is left to the
// transport, which keeps it to the addresses that the operator allows.
func addressOf(address string) (*url.URL, error) {
	address = strings.TrimSpace(address)
	if address == "" {
		return nil, busy.Invalid("url", "is empty: give the address of the calendar file as the calendar's settings show it, such as https://calendar.example.com/private/basic.ics or webcal://...")
	}
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	at, err := url.Parse(address)
	if err != nil || at.Hostname() == "" {
		return nil, errAddress
	}
	switch at.Scheme {
	case "webcal", "webcals":
		at.Scheme = "https"
	case "https", "http":
	default:
		return nil, errAddress
	}
	if at.User != nil {
		return nil, busy.Invalid("url", "must not contain a username or a password: give them apart")
	}
	if at.Path == "" {
		at.Path = "/"
	}
	at.Fragment, at.RawFragment = "", ""
	return at, nil
}

var errAddress = busy.Invalid("url", "must be the address of a calendar file and begin with https:// or webcal://, such as https://calendar.example.com/private/basic.ics")

// explain says what is wrong with a login, where that is what the error means.
func explain(err error, at *url.URL, g grant) error {
	switch status := statusIn(err); {
	case status == http.StatusUnauthorized && g.Username+g.Password == "":
		return busy.Invalid("url", "leads to a file that is protected by a password: give the username and the password, or the private address that the calendar's settings show")
	case status == http.StatusUnauthorized:
		return busy.Invalid("password", "or username is refused by the server: check both")
	case status == http.StatusForbidden:
		return busy.Invalid("url", "leads to a file that may not be read: share the calendar by a private or public address, and give that one")
	case status == http.StatusNotFound, status == http.StatusGone:
		return busy.Invalid("url", "leads to nothing: copy the address from the calendar's settings again, to its last character; it changes when it is reset")
	case providers.FaultOf(err) == providers.Throttled, status/100 == 5:
		return err
	case status != 0:
		return notAFile
	}
	switch providers.CodeOf(err) {
	case errPage.Code:
		return busy.Invalid("url", "leads to a web page, not to a calendar file: give the address that the calendar's settings call iCal, ICS or subscription address; it often ends in .ics")
	case errEmpty.Code:
		return busy.Invalid("url", "leads to an empty file: a calendar file holds at least the lines BEGIN:VCALENDAR and END:VCALENDAR")
	case errNoFile.Code:
		return notAFile
	case errTruncated.Code:
		return busy.Invalid("url", "leads to a calendar file that breaks off before its end (the line END:VCALENDAR): try again, and if that does not help, export the calendar anew")
	case errTooLarge.Code:
		return busy.Invalid("url", "leads to a calendar file that is too large: the limit is 32 MiB and 100,000 events; publish fewer years of it")
	case transport.CodeBlocked:
		return blocked(at)
	case errLoop.Code:
		return busy.Invalid("url", "leads in circles: the server redirects it more than five times")
	case errRedirect.Code:
		return busy.Invalid("url", "is redirected to an address that is not read: it must begin with https://")
	}
	if wrong := transport.Explain(err); wrong != nil {
		return wrong
	}
	return err
}

var notAFile = busy.Invalid("url", "does not lead to a calendar file: give the address that the calendar's settings call iCal, ICS or subscription address; it often ends in .ics")

func blocked(at *url.URL) error {
	if at.Scheme == "http" {
		return busy.Invalid("url", "must begin with https:// or webcal://; plain http needs the operator to list the server's address in the setting network.allow")
	}
	return busy.Invalid("url", "leads to an address that is not public; the operator can allow it")
}
