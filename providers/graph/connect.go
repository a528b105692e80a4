package graph

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/oauth"
)

// AuthorizationURL implements [providers.Authorizer]. It lets the owner choose
// among accounts, and does not force a consent: where an administrator has
// consented for everybody, the owner may not be allowed to.
func (p *Provider) AuthorizationURL(c providers.Consent) string {
	return p.app.AuthorizationURL(c, scopes(c.Push), oauth2.SetAuthURLParam("prompt", "select_account"))
}

// AdminConsentURL implements [providers.AdminConsenter].
func (p *Provider) AdminConsentURL(c providers.Consent) string {
	tenant := p.Tenant
	if tenant == "common" || tenant == "consumers" {
		tenant = "organizations"
	}
	scope := ScopeBasic
	if c.Push {
		scope = ScopeRead
	}
	q := url.Values{"client_id": {p.ClientID}, "scope": {scope}, "redirect_uri": {c.Redirect}}
	return p.Endpoints.Login + "/" + url.PathEscape(tenant) + "/v2.0/adminconsent?" + q.Encode()
}

// AdminConsented implements [providers.AdminConsenter].
func (p *Provider) AdminConsented(callback url.Values) bool {
	return callback.Get("error") == "" && strings.EqualFold(callback.Get("admin_consent"), "true")
}

// Authorize implements [providers.Authorizer].
func (p *Provider) Authorize(ctx context.Context, c providers.Consent, callback url.Values) (busy.Secret, error) {
	if callback.Get("error") != "" {
		return nil, refusedConsent(callback)
	}
	if callback.Get("code") == "" {
		return nil, busy.Invalid("code", "is missing: begin anew")
	}
	token, err := p.app.Exchange(ctx, c, callback.Get("code"))
	if err != nil {
		return nil, refusedCode(err)
	}
	granted, _ := token.Extra("scope").(string)
	grant := oauth.Grant{
		Refresh: token.RefreshToken, Access: token.AccessToken, Expires: token.Expiry,
		Scopes: strings.Fields(granted),
	}
	switch {
	case !readsOwn(grant.Scopes), grant.Refresh == "":
		return nil, busy.Invalid("consent", "leaves out the permission to read calendars: connect again, and accept all that is asked for")
	case c.Push && !readsAll(grant.Scopes):
		return nil, busy.Invalid("consent", "leaves out the permission that being told of changes takes: connect again and accept it, or connect without push")
	}
	raw, _ := token.Extra("id_token").(string)
	if grant.Account, err = p.accountIn(raw); err != nil {
		return nil, err
	}
	return grant.Secret(), nil
}

var errNoAccount = &providers.Error{Code: "id_token_unreadable"}

// accountIn reads the account from an id_token: its issuer, which is the owner's
// organisation, and its subject, which is the owner as busyd's registration alone
// knows it. The token came from the token endpoint over TLS, so that its
// signature need not be looked at (OpenID Connect Core §3.1.3.7).
//
// The other names that Microsoft has for an account take the permission to read
// the owner's name and address. They would outlive a change of the registration,
// as this one does not; its tokens do not either.
func (p *Provider) accountIn(idToken string) (string, error) {
	parts := strings.Split(idToken, ".")
	if len(parts) != 3 {
		return "", errNoAccount
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", errNoAccount
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil || claims.Issuer == "" || claims.Subject == "" || claims.Audience != p.ClientID {
		return "", errNoAccount
	}
	return claims.Issuer + " " + claims.Subject, nil
}

// AccountOf implements [providers.Authorizer].
func (p *Provider) AccountOf(grant busy.Secret) (busy.Secret, error) {
	g, err := oauth.Read(grant)
	if err != nil {
		return nil, err
	}
	return busy.Secret(g.Account), nil
}

// refusedConsent reads what the sign-in page sent the browser back with. Its
// numbers are in prose here.
func refusedConsent(callback url.Values) error {
	code := callback.Get("error")
	numbers := numbersIn(callback.Get("error_description"))
	for _, n := range numbers {
		if needsAdmin[n] {
			return &providers.Error{Fault: providers.AwaitingAdmin, Code: codeOf(n)}
		}
	}
	fault, n := faultOf(numbers)
	switch {
	case code == "consent_required" || code == "interaction_required":
		return &providers.Error{Fault: providers.AwaitingAdmin, Code: code}
	case code == "access_denied":
		return busy.Invalid("consent", "was not given: connect again and accept it; where Microsoft asks for an administrator's approval, have an administrator of your organisation consent first")
	case code == "temporarily_unavailable" || code == "server_error":
		return &providers.Error{Code: code}
	case code == "unauthorized_client" || code == "invalid_client" || code == "invalid_scope" || n != 0 && fault == providers.Operator:
		return &providers.Error{Fault: providers.Operator, Code: "authorization_refused"}
	default:
		return busy.Invalid("consent", "could not be completed: begin anew")
	}
}

// refusedCode says what to do where a code is not good. At this point there is no
// grant yet that could be revoked.
func refusedCode(err error) error {
	code := providers.CodeOf(err)
	for n := range needsAdmin {
		if code == codeOf(n) {
			return &providers.Error{Fault: providers.AwaitingAdmin, Code: code}
		}
	}
	if providers.FaultOf(err) != providers.Revoked {
		return err
	}
	for n := range byPolicy {
		if code == codeOf(n) {
			return busy.Invalid("account", "may not be used like this by the rules of its organisation: ask its administrator, and name AADSTS"+code[len(codePrefix):])
		}
	}
	return busy.Invalid("consent", "could not be used: it is older than ten minutes, or was used before. Begin anew")
}
