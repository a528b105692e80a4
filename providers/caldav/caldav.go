// Package caldav reads calendars over CalDAV (RFC 4791): iCloud, Nextcloud,
// Fastmail, Radicale and every other server that speaks it.
package caldav

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// Resolver finds a domain's CalDAV service in the DNS (RFC 6764); a
// *net.Resolver is one.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Config of the provider.
type Config struct {
	// HTTP sends the requests; see [transport.New]. It must not follow redirects.
	HTTP http.RoundTripper
	// Resolver is for discovery only; nil: the system's.
	Resolver Resolver
	// Now tells the time that a date in Retry-After is compared with; nil: time.Now.
	Now func() time.Time
	// InFlight bounds the requests of one account at a time; zero: 4. iCloud gets
	// one. With 1, the order of requests is always the same.
	InFlight int
	// PageObjects bounds the objects fetched for one page; zero: 800, four rounds
	// of four batches.
	PageObjects int
	// BatchObjects bounds the objects of one multiget; zero: 50.
	BatchObjects int
}

// Provider is the CalDAV provider.
type Provider struct {
	Config
	accounts transport.Accounts
	moves    moves
}

var (
	_ providers.Provider  = (*Provider)(nil)
	_ providers.Connector = (*Provider)(nil)
)

// New returns the provider.
func New(c Config) *Provider {
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.InFlight == 0 {
		c.InFlight = 4
	}
	if c.PageObjects == 0 {
		c.PageObjects = 800
	}
	if c.BatchObjects == 0 {
		c.BatchObjects = 50
	}
	return &Provider{Config: c}
}

// Kind implements [providers.Provider].
func (p *Provider) Kind() busy.Kind { return busy.CalDAV }

// grant is what Connect learnt. It holds the password: it exists unsealed in
// memory only.
type grant struct {
	URL       string   `json:"url"` // where discovery found the principal
	Username  string   `json:"username"`
	Password  string   `json:"password"`
	Principal string   `json:"principal,omitempty"`
	Homes     []string `json:"homes"`
	// Addresses are those under which the user is invited, to tell the user's own
	// participation status from the other attendees'.
	Addresses []string `json:"addresses"`
}

// Open implements [providers.Provider].
func (p *Provider) Open(_ context.Context, account providers.Account) (providers.Session, error) {
	var g grant
	if err := json.Unmarshal(account.Grant, &g); err != nil || g.URL == "" || g.Username == "" {
		return nil, &providers.Error{Fault: providers.Revoked, Code: "grant_unreadable"}
	}
	start, err := url.Parse(g.URL)
	if err != nil {
		return nil, &providers.Error{Fault: providers.Revoked, Code: "grant_unreadable"}
	}
	inFlight := p.inFlight(start)
	return &session{
		provider: p,
		client:   p.client(start, inFlight, g.Username, g.Password),
		grant:    g,
		inFlight: inFlight,
	}, nil
}

func (p *Provider) client(start *url.URL, inFlight int, username, password string) *client {
	account := start.Host + "\x00" + username
	return &client{
		rt:       p.accounts.Limit(account, inFlight, p.HTTP),
		username: username, password: password, now: p.Now,
	}
}

func (p *Provider) inFlight(at *url.URL) int {
	if isICloud(at.Hostname()) {
		return 1
	}
	return p.InFlight
}

func isICloud(host string) bool {
	host = strings.ToLower(host)
	return host == "icloud.com" || strings.HasSuffix(host, ".icloud.com")
}

// moves remembers calendars that were found at another address than the stored
// one, until the process ends; iCloud moves accounts between hosts.
type moves struct {
	mu sync.Mutex
	to map[string]*url.URL
}

const maxMoves = 10_000

func (m *moves) find(remote string) *url.URL {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.to[remote]
}

func (m *moves) record(remote string, to *url.URL) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.to == nil || len(m.to) >= maxMoves {
		m.to = make(map[string]*url.URL)
	}
	m.to[remote] = to
}
