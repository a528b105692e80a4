// Package graph reads the calendars of Outlook.com and Microsoft 365 through
// Microsoft Graph (v1.0).
//
// Graph expands series itself, and so each occurrence is an event of its own
// here. A poll reads the whole window, or asks whether it changed and reads it
// then; what the caller holds already is not delivered again.
//
// There is no Revoker: Microsoft can end all sessions that an owner has with
// everybody, and nothing smaller. Who disconnects takes the consent back at
// https://account.live.com/consent/Manage (Outlook.com) or
// https://myapps.microsoft.com (Microsoft 365; an administrator under Enterprise
// applications). Until then, the tokens that busyd destroyed would still be good
// for whoever had kept them: 90 days after the last use at most.
package graph

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/oauth"
	"github.com/busyd/busyd/providers/transport"
)

// Endpoints are where Microsoft is, without a slash at the end. National clouds
// have their own.
type Endpoints struct {
	Login string // of the sign-in service
	Graph string // of the API, with its version
}

// Production is where Microsoft is for nearly everybody.
func Production() Endpoints {
	return Endpoints{Login: "https://login.microsoftonline.com", Graph: "https://graph.microsoft.com/v1.0"}
}

// Config of the provider. ClientID, ClientSecret, HTTP and Now are required.
type Config struct {
	ClientID     string
	ClientSecret busy.Secret
	// HTTP sends the requests; see [transport.New]. It must not follow redirects.
	HTTP http.RoundTripper
	Now  func() time.Time
	// Tenant is whose accounts may be connected: a directory's id, "organizations"
	// or "consumers"; empty: "common", everybody's.
	Tenant string
	// Endpoints; zero: Production.
	Endpoints Endpoints
	// ViewEvents is the size of Graph's pages; zero: 500. It allows 1000, yet is
	// known to run out of time then.
	ViewEvents int
	// PageEvents bounds the events of one page of Changes; zero: 500.
	PageEvents int
	// Reread is the number of events up to which a window is read anew by each
	// poll: that is one request, as asking what changed would be, and it cannot
	// miss a change. Zero: 200; less: none is.
	Reread int
}

// Provider is the Microsoft Graph provider.
type Provider struct {
	Config
	app      *oauth.App
	mailbox  transport.Accounts
	breakers breakers
}

var (
	_ providers.Provider   = (*Provider)(nil)
	_ providers.Authorizer = (*Provider)(nil)
	_ providers.Receiver   = (*Provider)(nil)
	_ providers.Session    = (*session)(nil)
	_ providers.Watcher    = watching{}
)

// New returns the provider.
func New(c Config) *Provider {
	if c.Tenant == "" {
		c.Tenant = "common"
	}
	if c.Endpoints == (Endpoints{}) {
		c.Endpoints = Production()
	}
	if c.ViewEvents == 0 {
		c.ViewEvents = 500
	}
	if c.PageEvents == 0 {
		c.PageEvents = 500
	}
	if c.Reread == 0 {
		c.Reread = 200
	}
	return &Provider{Config: c, app: &oauth.App{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret, HTTP: c.HTTP, Now: c.Now,
		Endpoint: oauth2.Endpoint{
			AuthURL: c.login("/oauth2/v2.0/authorize"), TokenURL: c.login("/oauth2/v2.0/token"),
			AuthStyle: oauth2.AuthStyleInParams,
		},
		Refusal: refusalOf,
	}}
}

func (c Config) login(path string) string {
	return c.Endpoints.Login + "/" + url.PathEscape(c.Tenant) + path
}

// Kind implements [providers.Provider].
func (p *Provider) Kind() busy.Kind { return busy.Graph }

// inFlight is what Graph allows of requests for one mailbox at a time.
const inFlight = 4

// Open implements [providers.Provider]. The session of an account that consented
// to what watching takes is a [providers.Watcher].
func (p *Provider) Open(_ context.Context, account providers.Account) (providers.Session, error) {
	source, err := p.app.Source(account)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(p.Endpoints.Graph)
	if err != nil || base.Host == "" {
		return nil, &providers.Error{Fault: providers.Operator, Code: "bad_endpoint"}
	}
	grant := source.Grant()
	limited := p.mailbox.Limit(grant.Account, inFlight, p.HTTP)
	s := &session{provider: p, client: &client{
		rt:   p.breakers.guard(grant.Account, p.Now, source.Transport(limited)),
		base: base, now: p.Now,
	}}
	if readsAll(grant.Scopes) {
		return watching{s}, nil
	}
	// What a delta shows of an event cannot be chosen. Only under the permission
	// that withholds bodies is it asked for at all.
	s.deltas = true
	return s, nil
}

// The permissions that are asked for. ScopeBasic reads all that busyd wants and
// withholds bodies and attachments; being told of changes takes ScopeRead.
const (
	ScopeBasic = "https://graph.microsoft.com/Calendars.ReadBasic"
	ScopeRead  = "https://graph.microsoft.com/Calendars.Read"
)

// scopes are what to ask for. openid names the account, to busyd alone and
// without telling whose it is; offline_access is for a refresh token.
func scopes(push bool) []string {
	if push {
		return []string{"openid", "offline_access", ScopeRead}
	}
	return []string{"openid", "offline_access", ScopeBasic}
}

// readsAll reports whether the permissions granted show whole events. Microsoft
// returns every permission that the owner has ever granted, with the resource's
// address or without, in any case.
func readsAll(granted []string) bool {
	return has(granted, "calendars.read") || has(granted, "calendars.readwrite") ||
		has(granted, "calendars.read.shared") || has(granted, "calendars.readwrite.shared")
}

func readsOwn(granted []string) bool {
	return has(granted, "calendars.readbasic") || has(granted, "calendars.read") || has(granted, "calendars.readwrite")
}

func has(granted []string, name string) bool {
	for _, scope := range granted {
		scope = strings.ToLower(scope)
		if scope[strings.LastIndexByte(scope, '/')+1:] == name {
			return true
		}
	}
	return false
}
