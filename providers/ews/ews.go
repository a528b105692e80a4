// Package ews reads calendars of Exchange Server on premises over Exchange Web
// Services: SOAP 1.1, with NTLM, Basic or bearer authentication.
//
// It only reads: no other operation than those in requests.go is ever sent.
package ews

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/oauth"
	"github.com/busyd/busyd/providers/transport"
)

// Config of the provider.
type Config struct {
	// Pool makes a RoundTripper with connections of its own; see [transport.New].
	// NTLM authenticates a connection, not a request: no two credentials may share
	// one. It must speak HTTP/1.1 and not follow redirects.
	Pool func() http.RoundTripper
	// Stream is as Pool, for answers that take StreamTime; nil: Listen is refused.
	Stream func() http.RoundTripper
	// Debounce is how long Listen gathers events; zero: 5 seconds.
	Debounce time.Duration
	// Bearer renews the tokens of accounts that came with one; nil: there are none.
	Bearer *oauth.App
	// Trusted are hosts that a password may be sent to although they are at
	// another site than the address that pointed to them.
	Trusted []string
	// Now tells the time; nil: time.Now.
	Now func() time.Time
	// InFlight bounds the requests of one account at a time; zero: 2. It is 1
	// with NTLM.
	InFlight int
	// PageEvents bounds the events of one page; zero: 500.
	PageEvents int
	// ViewItems bounds the items of one calendar view; zero: 1000, which is what
	// Exchange allows unless an administrator says otherwise.
	ViewItems int
}

// Provider is the Exchange provider.
type Provider struct {
	Config
	accounts transport.Accounts
	pools    pools
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
	if c.InFlight == 0 {
		c.InFlight = 2
	}
	if c.PageEvents == 0 {
		c.PageEvents = 500
	}
	if c.Debounce == 0 {
		c.Debounce = 5 * time.Second
	}
	if c.ViewItems == 0 {
		c.ViewItems = 1000
	}
	return &Provider{Config: c, pools: pools{make: c.Pool, now: c.Now}}
}

// Kind implements [providers.Provider].
func (p *Provider) Kind() busy.Kind { return busy.Exchange }

// CloseIdleConnections closes the connections that no request is using.
func (p *Provider) CloseIdleConnections() { p.pools.close() }

// grant is what Connect learnt. It holds the password: it exists unsealed in
// memory only.
type grant struct {
	URL      string `json:"url"`
	Scheme   scheme `json:"scheme"`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	// Version is the newest version of the protocol that both sides speak.
	Version string `json:"version"`
	// Mailbox is the e-mail address of the mailbox to read, where it is not the
	// user's own; Impersonate is how it is opened.
	Mailbox     string `json:"mailbox,omitempty"`
	Impersonate bool   `json:"impersonate,omitempty"`
	// Token is an [oauth.Grant], where the scheme is bearer.
	Token json.RawMessage `json:"token,omitempty"`
}

func (g grant) secret() busy.Secret {
	raw, err := json.Marshal(g)
	if err != nil { // strings, a bool and JSON always encode
		panic(err)
	}
	return raw
}

// BearerGrant is the grant of an account whose server accepts access tokens
// (hybrid modern authentication). The address is that of the Exchange Web
// Services; mailbox may be empty.
func BearerGrant(address, mailbox string, token oauth.Grant) busy.Secret {
	return grant{
		URL: address, Scheme: bearer, Username: token.Account, Version: versions[0],
		Mailbox: mailbox, Token: json.RawMessage(token.Secret()),
	}.secret()
}

var errGrant = &providers.Error{Fault: providers.Revoked, Code: "grant_unreadable"}

func readGrant(secret busy.Secret) (grant, *url.URL, error) {
	var g grant
	if err := json.Unmarshal(secret, &g); err != nil || !g.Scheme.known() {
		return grant{}, nil, errGrant
	}
	at, err := url.Parse(g.URL)
	if err != nil || at.Host == "" {
		return grant{}, nil, errGrant
	}
	return g, at, nil
}

// Open implements [providers.Provider].
func (p *Provider) Open(_ context.Context, account providers.Account) (providers.Session, error) {
	g, at, err := readGrant(account.Grant)
	if err != nil {
		return nil, err
	}
	rt, err := p.authenticated(at, g, account)
	if err != nil {
		return nil, err
	}
	return &session{provider: p, client: p.client(rt, at, g), grant: g, account: account}, nil
}

func (p *Provider) client(rt http.RoundTripper, at *url.URL, g grant) *client {
	return &client{
		rt: rt, at: at, now: p.Now, version: g.Version,
		mailbox: g.Mailbox, impersonate: g.Impersonate,
	}
}

// authenticated sends requests with the grant's credential, as many at a time as
// the account may.
func (p *Provider) authenticated(at *url.URL, g grant, account providers.Account) (http.RoundTripper, error) {
	name := strings.ToLower(at.Host) + "\x00" + strings.ToLower(g.Username)
	rt, err := p.signed(p.pools.of(name, string(g.Scheme), g.Password), g, account)
	if err != nil {
		return nil, err
	}
	if g.Scheme == ntlm || g.Scheme == negotiate {
		// One at a time: the steps of a handshake must meet on one connection.
		return p.accounts.Limit(name, 1, rt), nil
	}
	return p.accounts.Limit(name, p.InFlight, rt), nil
}

// signed sends requests with the grant's credential over the connections of a pool.
func (p *Provider) signed(pool *pool, g grant, account providers.Account) (http.RoundTripper, error) {
	switch g.Scheme {
	case bearer:
		source, err := p.source(g, account)
		if err != nil {
			return nil, err
		}
		return source.Transport(pool.base), nil
	case basic:
		return &basicAuth{pool.base, g.Username, g.Password}, nil
	default:
		return &handshake{pool, p.Now, g.Scheme, g.Username, g.Password}, nil
	}
}

// source hands out the account's tokens. What it stores when it renews them is
// the whole grant.
func (p *Provider) source(g grant, account providers.Account) (*oauth.Source, error) {
	if p.Bearer == nil {
		return nil, &providers.Error{Fault: providers.Operator, Code: "no_oauth_app"}
	}
	inner := providers.Account{Grant: busy.Secret(g.Token)}
	if account.Renew != nil {
		inner.Renew = func(ctx context.Context, f func(context.Context, busy.Secret) (busy.Secret, error)) (busy.Secret, error) {
			stored, err := account.Renew(ctx, func(ctx context.Context, current busy.Secret) (busy.Secret, error) {
				now, _, err := readGrant(current)
				if err != nil {
					return nil, err
				}
				token, err := f(ctx, busy.Secret(now.Token))
				if err != nil {
					return nil, err
				}
				now.Token = json.RawMessage(token)
				return now.secret(), nil
			})
			if err != nil {
				return nil, err
			}
			now, _, err := readGrant(stored)
			return busy.Secret(now.Token), err
		}
	}
	return p.Bearer.Source(inner)
}
