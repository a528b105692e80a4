package google

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/oauth"
)

// AuthorizationURL implements [providers.Authorizer]. Consent is asked for even
// where it was given before, for otherwise Google returns no refresh token.
func (p *Provider) AuthorizationURL(c providers.Consent) string {
	return p.app.AuthorizationURL(c, p.app.Scopes, oauth2.AccessTypeOffline, oauth2.ApprovalForce)
}

// Authorize implements [providers.Authorizer].
//
// A grant that turns out to be of no use is dropped, not withdrawn: withdrawing
// it would withdraw every grant that the account has given busyd.
func (p *Provider) Authorize(ctx context.Context, c providers.Consent, callback url.Values) (busy.Secret, error) {
	if err := refused(callback.Get("error")); err != nil {
		return nil, err
	}
	code := callback.Get("code")
	if code == "" {
		return nil, busy.Invalid("code", "is missing from the address that the browser came back to: connect once more")
	}
	token, err := p.app.Exchange(ctx, c, code)
	if providers.FaultOf(err) == providers.Revoked {
		return nil, busy.Invalid("code", "was used before, or is too old: connect once more")
	}
	if err != nil {
		return nil, err
	}
	scope, _ := token.Extra("scope").(string)
	granted := strings.Fields(scope)
	if err := unticked(granted); err != nil {
		return nil, err
	}
	if token.RefreshToken == "" {
		return nil, busy.Invalid("consent", "is not lasting: remove busyd under https://myaccount.google.com/connections and connect once more")
	}
	grant := oauth.Grant{
		Refresh: token.RefreshToken, Access: token.AccessToken, Expires: token.Expiry, Scopes: granted,
	}
	if grant.Account, err = p.nameOf(ctx, grant); err != nil {
		return nil, err
	}
	return grant.Secret(), nil
}

// AccountOf implements [providers.Authorizer].
func (p *Provider) AccountOf(grant busy.Secret) (busy.Secret, error) {
	g, err := oauth.Read(grant)
	if err != nil {
		return nil, err
	}
	return busy.Secret(g.Account), nil
}

// nameOf is the account's name: the id of its primary calendar, which is the
// address that the account is signed in with.
func (p *Provider) nameOf(ctx context.Context, g oauth.Grant) (string, error) {
	s, err := p.open(ctx, providers.Account{Grant: g.Secret()})
	if err != nil {
		return "", err
	}
	primary, err := s.service.CalendarList.Get("primary").Fields("id").Context(ctx).Do()
	if err != nil {
		return "", p.explain(ctx, err)
	}
	if primary.Id == "" {
		return "", &providers.Error{Code: codeUnreadable}
	}
	return strings.ToLower(primary.Id), nil
}

// boxes are what the consent page calls the permissions.
var boxes = []struct{ scope, label string }{
	{ScopeCalendars, "See the list of Google calendars you’re subscribed to"},
	{ScopeEvents, "View events on all your calendars"},
}

// unticked is the violation of an owner who left a box of the consent page open.
func unticked(granted []string) error {
	var open []string
	for _, box := range boxes {
		if !slices.Contains(granted, box.scope) {
			open = append(open, "“"+box.label+"”")
		}
	}
	if len(open) == 0 {
		return nil
	}
	return busy.Invalid("consent", "lacks a permission that busyd cannot work without: connect once more, and tick "+strings.Join(open, " and "))
}

// refused reads the error that the browser came back with (RFC 6749 §4.1.2.1).
func refused(code string) error {
	switch code {
	case "":
		return nil
	case "access_denied":
		return busy.Invalid("consent", "was declined: connect once more, and choose Continue on Google's page")
	case "admin_policy_enforced", "access_not_configured":
		return &providers.Error{Fault: providers.AwaitingAdmin, Code: code}
	case "server_error", "temporarily_unavailable":
		return &providers.Error{Code: code}
	case "unauthorized_client", "invalid_client", "invalid_scope", "invalid_request", "unsupported_response_type",
		"redirect_uri_mismatch", "org_internal", "deleted_client", "disabled_client":
		return &providers.Error{Fault: providers.Operator, Code: code}
	default:
		return &providers.Error{Fault: providers.Rejected, Code: "authorization_refused"}
	}
}

// refusal reads Google's own codes of the token endpoint.
func refusal(e *oauth2.RetrieveError) *providers.Error {
	switch e.ErrorCode {
	case "deleted_client", "disabled_client", "org_internal", "redirect_uri_mismatch":
		return &providers.Error{Fault: providers.Operator, Code: e.ErrorCode}
	case "admin_policy_enforced":
		return &providers.Error{Fault: providers.AwaitingAdmin, Code: e.ErrorCode}
	default:
		return nil
	}
}

// Revoke implements [providers.Revoker]. It withdraws all grants that the account
// has given busyd, those of other connections and tenants too.
func (p *Provider) Revoke(ctx context.Context, grant busy.Secret) error {
	g, err := oauth.Read(grant)
	if err != nil {
		return nil // nothing that could be withdrawn
	}
	form := url.Values{"token": {g.Refresh}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Endpoints.Revoke, strings.NewReader(form.Encode()))
	if err != nil {
		return &providers.Error{Fault: providers.Operator, Code: "revoke_endpoint"}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := p.HTTP.RoundTrip(r)
	if err != nil {
		return p.explain(ctx, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode/100 == 2 {
		return nil
	}
	var said struct {
		Error string `json:"error"`
	}
	_ = json.NewDecoder(io.LimitReader(answer.Body, maxRefusal)).Decode(&said) // what cannot be read says nothing
	if said.Error == "invalid_token" {
		return nil
	}
	return p.byStatus(answer.StatusCode, answer.Header)
}

// maxRefusal bounds what is read of a refusal, in bytes.
const maxRefusal = 16 << 10
