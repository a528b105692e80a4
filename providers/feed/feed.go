// Package feed reads calendars that are published as a file: an iCalendar file
// (RFC 5545) at an https or webcal address, as every calendar service offers one.
// The file is all there is: no account, no history, no identity of its events but
// their UIDs.
//
// The address of such a file is mostly its password as well. It is kept in the
// grant, and is in no error.
package feed

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/subject"
)

// Config of the provider.
type Config struct {
	// HTTP sends the requests; see [transport.New]. It must not follow redirects.
	HTTP http.RoundTripper
	// Now tells the time that a date in an answer's header is compared with; nil:
	// time.Now.
	Now func() time.Time
	// PageObjects bounds the UIDs whose events one page holds; zero: 500.
	PageObjects int
}

// MaxFile bounds a calendar file, in bytes after decompression.
const MaxFile = 32 << 20

// Provider is the provider of calendar feeds.
type Provider struct {
	Config
}

var (
	_ providers.Provider  = (*Provider)(nil)
	_ providers.Connector = (*Provider)(nil)
)

// New returns the provider.
func New(c Config) *Provider {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.PageObjects == 0 {
		c.PageObjects = 500
	}
	return &Provider{Config: c}
}

// Kind implements [providers.Provider].
func (p *Provider) Kind() busy.Kind { return busy.Feed }

// grant is what Connect learnt. It exists unsealed in memory only.
type grant struct {
	URL      string `json:"url"`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	Name     string `json:"name,omitempty"` // as the file has it: it may be the owner's address
	Zone     string `json:"zone,omitempty"` // an IANA name
}

// remote is the address of the one calendar. It stays the same when its owner
// reconnects it under a new URL.
const remote = "feed"

// Open implements [providers.Provider].
func (p *Provider) Open(_ context.Context, account providers.Account) (providers.Session, error) {
	var g grant
	if err := json.Unmarshal(account.Grant, &g); err != nil || g.URL == "" {
		return nil, errGrant
	}
	at, err := url.Parse(g.URL)
	if err != nil {
		return nil, errGrant
	}
	return &session{provider: p, client: p.client(at, g.Username, g.Password), grant: g}, nil
}

var errGrant = &providers.Error{Fault: providers.Revoked, Code: "grant_unreadable"}

// session reads one file.
type session struct {
	provider *Provider
	client   *client
	grant    grant
	pending  *pending // what a reading found and no page has delivered yet
}

// Calendars implements [providers.Session]: there is one, as it was when it was
// connected.
func (s *session) Calendars(context.Context) ([]providers.Calendar, error) {
	return []providers.Calendar{{
		Remote: busy.Secret(remote), Name: nameOf(s.grant.Name), Zone: s.grant.Zone, Blocking: true,
	}}, nil
}

// nameOf is what the owner calls the calendar. Google calls a primary calendar by
// the account's address, which is not shown.
func nameOf(name string) string {
	if name = subject.Of(name); strings.Trim(name, "… ") != "" {
		return name
	}
	return "Calendar feed"
}

// self are the addresses under which the owner is invited, as far as they are
// known: of such a calendar's name, and of whom its password is for.
func (g grant) self() []string {
	var own []string
	for _, a := range []string{g.Name, g.Username} {
		if strings.Contains(a, "@") {
			own = append(own, a)
		}
	}
	return own
}
