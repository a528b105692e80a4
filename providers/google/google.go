// Package google reads Google calendars (Calendar API v3). It asks for series and
// their exceptions, not for occurrences, so that one sync token serves whatever
// the window is; expanding them is the reader's work.
package google

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	calendar "google.golang.org/api/calendar/v3"
	"google.golang.org/api/option"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/oauth"
)

// The permissions that are asked for. They are the narrowest that can list
// calendars, and read their events with a sync token; being told of changes takes
// no more.
const (
	ScopeCalendars = "https://www.googleapis.com/auth/calendar.calendarlist.readonly"
	ScopeEvents    = "https://www.googleapis.com/auth/calendar.events.readonly"
)

// Endpoints are where Google is.
type Endpoints struct {
	Authorize string
	Token     string
	Revoke    string
	Calendar  string // of the API, with the slash at its end
}

// Production is where Google is for everybody.
func Production() Endpoints {
	return Endpoints{
		Authorize: "https://accounts.google.com/o/oauth2/v2/auth",
		Token:     "https://oauth2.googleapis.com/token",
		Revoke:    "https://oauth2.googleapis.com/revoke",
		Calendar:  "https://www.googleapis.com/calendar/v3/",
	}
}

// Config of the provider. ClientID, ClientSecret, HTTP and Now are required.
type Config struct {
	ClientID     string
	ClientSecret busy.Secret
	HTTP         http.RoundTripper
	Now          func() time.Time
	// Endpoints; zero: Production.
	Endpoints Endpoints
	// PageEvents and PageCalendars are entries a page; zero: the most that Google
	// allows. A cursor is good for one PageEvents only.
	PageEvents, PageCalendars int64
}

const (
	maxPageEvents    = 2500
	maxPageCalendars = 250
)

// Provider implements [providers.Provider] and its optional interfaces.
type Provider struct {
	Config
	app *oauth.App
}

var (
	_ providers.Provider   = (*Provider)(nil)
	_ providers.Authorizer = (*Provider)(nil)
	_ providers.Revoker    = (*Provider)(nil)
	_ providers.Receiver   = (*Provider)(nil)
	_ providers.Session    = (*session)(nil)
	_ providers.Watcher    = (*session)(nil)
)

// New returns the provider.
func New(c Config) *Provider {
	if c.Endpoints == (Endpoints{}) {
		c.Endpoints = Production()
	}
	if c.PageEvents == 0 {
		c.PageEvents = maxPageEvents
	}
	if c.PageCalendars == 0 {
		c.PageCalendars = maxPageCalendars
	}
	return &Provider{Config: c, app: &oauth.App{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret, HTTP: c.HTTP, Now: c.Now,
		Endpoint: oauth2.Endpoint{
			AuthURL: c.Endpoints.Authorize, TokenURL: c.Endpoints.Token, AuthStyle: oauth2.AuthStyleInParams,
		},
		Scopes:  []string{ScopeCalendars, ScopeEvents},
		Refusal: refusal,
	}}
}

// Kind implements [providers.Provider].
func (p *Provider) Kind() busy.Kind { return busy.Google }

// Open implements [providers.Provider].
func (p *Provider) Open(ctx context.Context, account providers.Account) (providers.Session, error) {
	return p.open(ctx, account)
}

func (p *Provider) open(ctx context.Context, account providers.Account) (*session, error) {
	source, err := p.app.Source(account)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Transport:     source.Transport(p.HTTP),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// The library would log requests and answers, tokens and titles and all, if
	// an environment variable asked for it.
	service, err := calendar.NewService(ctx, option.WithHTTPClient(client),
		option.WithEndpoint(p.Endpoints.Calendar), option.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, fmt.Errorf("prepare the client: %w", err)
	}
	service.UserAgent = "busyd"
	return &session{Provider: p, service: service}, nil
}

// session is one account's. The sync token's rounds live in it, see changes.go.
type session struct {
	*Provider
	service *calendar.Service
	round   *round
}
