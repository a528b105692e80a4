package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// App is busyd's registration with a provider.
type App struct {
	ClientID     string
	ClientSecret busy.Secret
	Endpoint     oauth2.Endpoint
	Scopes       []string
	HTTP         http.RoundTripper
	Now          func() time.Time
	// Refusal reads what the token endpoint says with a 4xx, where the provider
	// has codes of its own; nil as the result, or as the function, leaves it to
	// the codes of RFC 6749 §5.2.
	Refusal func(*oauth2.RetrieveError) *providers.Error
}

func (a *App) config(redirect string, scopes []string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: a.ClientID, ClientSecret: string(a.ClientSecret), Endpoint: a.Endpoint,
		RedirectURL: redirect, Scopes: scopes,
	}
}

// AuthorizationURL is where the owner consents to the scopes.
func (a *App) AuthorizationURL(c providers.Consent, scopes []string, options ...oauth2.AuthCodeOption) string {
	options = append(options, oauth2.S256ChallengeOption(c.Verifier))
	return a.config(c.Redirect, scopes).AuthCodeURL(c.State, options...)
}

// Exchange turns the code that the browser brought into a token. Its Expiry is
// by the App's clock.
func (a *App) Exchange(ctx context.Context, c providers.Consent, code string) (*oauth2.Token, error) {
	token, err := a.config(c.Redirect, nil).Exchange(a.with(ctx), code, oauth2.VerifierOption(c.Verifier))
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	token.Expiry = a.expiry(token)
	return token, nil
}

// refresh gets a new access token, and the refresh token that goes with it.
func (a *App) refresh(ctx context.Context, g Grant) (Grant, error) {
	spent := &oauth2.Token{RefreshToken: g.Refresh}
	token, err := a.config("", nil).TokenSource(a.with(ctx), spent).Token()
	if err != nil {
		return Grant{}, a.explain(ctx, err)
	}
	g.Access, g.Expires = token.AccessToken, a.expiry(token)
	if token.RefreshToken != "" {
		g.Refresh = token.RefreshToken
	}
	return g, nil
}

// lifetime of an access token whose answer does not state one. If it is shorter,
// a refusal with 401 tells.
const lifetime = time.Hour

func (a *App) expiry(token *oauth2.Token) time.Time {
	if token.ExpiresIn <= 0 {
		return a.Now().Add(lifetime)
	}
	return a.Now().Add(time.Duration(token.ExpiresIn) * time.Second)
}

func (a *App) with(ctx context.Context) context.Context {
	client := &http.Client{
		Transport:     a.HTTP,
		Timeout:       providers.RequestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return context.WithValue(ctx, oauth2.HTTPClient, client)
}

// explain turns a failure at the token endpoint into an error that holds nothing
// of its answer.
func (a *App) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		if e := (*providers.Error)(nil); errors.As(err, &e) {
			return e
		}
		if e := (*url.Error)(nil); errors.As(err, &e) {
			return &providers.Error{Code: transport.CodeNetwork}
		}
		return &providers.Error{Code: "token_answer_unreadable"}
	}
	if a.Refusal != nil {
		if e := a.Refusal(refused); e != nil {
			return e
		}
	}
	switch status := refused.Response.StatusCode; {
	case refused.ErrorCode == "invalid_grant":
		return &providers.Error{Fault: providers.Revoked, Code: "invalid_grant"}
	case refused.ErrorCode == "invalid_client" || refused.ErrorCode == "unauthorized_client":
		return &providers.Error{Fault: providers.Operator, Code: refused.ErrorCode}
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		after := transport.RetryAfter(refused.Response.Header, a.Now())
		return &providers.Error{Fault: providers.Throttled, Code: "token_throttled", After: after}
	case status/100 == 4 && known(refused.ErrorCode):
		return &providers.Error{Fault: providers.Rejected, Code: refused.ErrorCode}
	default:
		return &providers.Error{Code: "token_endpoint_failed"}
	}
}

// known keeps text that a server made up out of codes.
func known(code string) bool {
	return strings.Contains(" invalid_request unsupported_grant_type invalid_scope ", " "+code+" ")
}
