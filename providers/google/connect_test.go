package google_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/google"
	"github.com/busyd/busyd/providers/oauth"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/googlefake"
)

func TestAuthorizationURL(t *testing.T) {
	p := google.New(google.Config{ClientID: "id", ClientSecret: busy.Secret("hush")})
	u, err := url.Parse(p.AuthorizationURL(consent()))
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Scheme + "://" + u.Host + u.Path; got != "https://accounts.google.com/o/oauth2/v2/auth" {
		t.Errorf("goes to %s", got)
	}
	q := u.Query()
	for name, want := range map[string]string{
		"client_id": "id", "redirect_uri": redirect, "response_type": "code", "state": "state",
		"access_type": "offline", "prompt": "consent", "code_challenge_method": "S256",
		"scope": google.ScopeCalendars + " " + google.ScopeEvents,
	} {
		if got := q.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if strings.Contains(u.String(), "hush") || strings.Contains(u.String(), consent().Verifier) {
		t.Error("the address tells a secret")
	}
}

func TestAuthorize(t *testing.T) {
	a := newAccount(t, googlefake.Options{Email: "Alice@Gmail.test"})
	grant, err := oauth.Read(a.grant)
	if err != nil {
		t.Fatal(err)
	}
	if grant.Refresh == "" || grant.Access == "" || !grant.Expires.Equal(now.Add(3599*time.Second)) || len(grant.Scopes) != 2 {
		t.Errorf("the grant ends %v, for %d scopes", grant.Expires, len(grant.Scopes))
	}
	account, err := a.provider.AccountOf(a.grant)
	if err != nil || string(account) != "alice@gmail.test" {
		t.Errorf("the account is %q, %v", []byte(account), err)
	}
	// A second consent has a refresh token too, and is for the same account.
	again := connected(t, a)
	if second, err := a.provider.AccountOf(again); err != nil || string(second) != string(account) {
		t.Errorf("the second grant: %v", err)
	}
}

func TestUnticked(t *testing.T) {
	for name, c := range map[string]struct {
		untick      []string
		says, omits string
	}{
		"events":    {[]string{google.ScopeEvents}, "tick “View events on all your calendars”", "See the list"},
		"calendars": {[]string{google.ScopeCalendars}, "tick “See the list of Google calendars", "View events"},
		"both":      {[]string{google.ScopeCalendars, google.ScopeEvents}, "” and “", "nothing"},
	} {
		a := newAccount(t, googlefake.Options{})
		callback, err := a.server.Approve(a.provider.AuthorizationURL(consent()), googlefake.Consent{Untick: c.untick})
		if err != nil {
			t.Fatal(err)
		}
		grants := a.server.Grants()
		_, err = a.provider.Authorize(context.Background(), consent(), callback)
		if !errors.Is(err, busy.ErrInvalid) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), c.omits) {
			t.Errorf("%s: %v", name, err)
		}
		if a.server.Grants() != grants+1 {
			t.Errorf("%s: a grant was withdrawn, and the account's others with it", name)
		}
	}
}

func TestCallbackErrors(t *testing.T) {
	for code, want := range map[string]providers.Fault{
		"admin_policy_enforced":   providers.AwaitingAdmin,
		"server_error":            providers.Transient,
		"temporarily_unavailable": providers.Transient,
		"invalid_scope":           providers.Operator,
		"redirect_uri_mismatch":   providers.Operator,
		providertest.Mark:         providers.Rejected,
	} {
		a := newAccount(t, googlefake.Options{})
		_, err := a.provider.Authorize(context.Background(), consent(), url.Values{"error": {code}})
		if err == nil || providers.FaultOf(err) != want {
			t.Errorf("%s: %v, want %s", code, err, want)
		}
		clean(t, err)
	}
	a := newAccount(t, googlefake.Options{})
	for name, callback := range map[string]url.Values{
		"declined": {"error": {"access_denied"}}, "no code": {}, "a code of no one": {"code": {"4/x"}},
	} {
		if _, err := a.provider.Authorize(context.Background(), consent(), callback); !errors.Is(err, busy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCodeOnce: a code is good once, with its verifier and redirect only.
func TestCodeOnce(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	approve := func() url.Values {
		callback, err := a.server.Approve(a.provider.AuthorizationURL(consent()), googlefake.Consent{})
		if err != nil {
			t.Fatal(err)
		}
		return callback
	}
	authorize := func(c providers.Consent, callback url.Values) error {
		_, err := a.provider.Authorize(context.Background(), c, callback)
		return err
	}
	callback := approve()
	if err := authorize(consent(), callback); err != nil {
		t.Fatal(err)
	}
	if err := authorize(consent(), callback); !errors.Is(err, busy.ErrInvalid) {
		t.Errorf("the second time: %v", err)
	}
	other := consent()
	other.Verifier = strings.Repeat("x", 43)
	if err := authorize(other, approve()); !errors.Is(err, busy.ErrInvalid) {
		t.Errorf("another verifier: %v", err)
	}
	other = consent()
	other.Redirect = "https://evil.test/"
	if err := authorize(other, approve()); !errors.Is(err, busy.ErrInvalid) {
		t.Errorf("another redirect: %v", err)
	}
}

func TestWrongSecret(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	id, _ := a.server.Client()
	a.provider = google.New(google.Config{
		ClientID: id, ClientSecret: busy.Secret("wrong"), HTTP: a.sent, Endpoints: endpoints(), Now: func() time.Time { return now },
	})
	callback, err := a.server.Approve(a.provider.AuthorizationURL(consent()), googlefake.Consent{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.provider.Authorize(context.Background(), consent(), callback); providers.FaultOf(err) != providers.Operator {
		t.Errorf("connecting: %v", err)
	}
	a.server.ExpireAccess()
	if _, err := a.Open(t).Changes(context.Background(), query(work, nil)); providers.FaultOf(err) != providers.Operator {
		t.Errorf("reading: %v", err)
	}
}

func TestNotLasting(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	online := strings.Replace(a.provider.AuthorizationURL(consent()), "access_type=offline", "access_type=online", 1)
	callback, err := a.server.Approve(online, googlefake.Consent{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.provider.Authorize(context.Background(), consent(), callback); !errors.Is(err, busy.ErrInvalid) {
		t.Errorf("without a refresh token: %v", err)
	}
}

// TestRevoke: one withdrawal ends every grant of the account, and a second one is
// none.
func TestRevoke(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	first := a.stored()
	a.grant = connected(t, a)
	for range 2 {
		if err := a.provider.Revoke(context.Background(), first); err != nil {
			t.Fatal(err)
		}
	}
	if a.server.Grants() != 0 {
		t.Errorf("%d grants are left", a.server.Grants())
	}
	if _, err := a.Open(t).Changes(context.Background(), query(work, nil)); providers.FaultOf(err) != providers.Revoked {
		t.Errorf("the other connection: %v", err)
	}
	if err := a.provider.Revoke(context.Background(), busy.Secret("x")); err != nil {
		t.Errorf("a grant that is none: %v", err)
	}
}

func TestRevokeFails(t *testing.T) {
	for failure, want := range map[providertest.Failure]providers.Fault{
		providertest.Down: providers.Transient, providertest.Busy: providers.Rejected, providertest.Missing: providers.Transient,
	} {
		a := newAccount(t, googlefake.Options{})
		a.server.Break(failure)
		err := a.provider.Revoke(context.Background(), a.grant)
		if err == nil || providers.FaultOf(err) != want {
			t.Errorf("%s: %v", failure, err)
		}
		clean(t, err)
		if a.server.Grants() != 1 {
			t.Errorf("%s: the grant is gone", failure)
		}
	}
}

// TestWithdrawn: an owner who removes busyd at Google is found out at the next
// poll, even while an access token would still be good by its time.
func TestWithdrawn(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	_, cursor := readAll(t, a, nil)
	a.server.Withdraw()
	before := a.Requests()
	_, err := a.Open(t).Changes(context.Background(), query(work, cursor))
	if providers.FaultOf(err) != providers.Revoked || providers.CodeOf(err) != "invalid_grant" {
		t.Errorf("the error is %v", err)
	}
	if sent := a.Requests() - before; sent != 2 {
		t.Errorf("%d requests, want the refused one and the token's", sent)
	}
}

// TestRenewedOnce: a token that ended early costs two requests more, once.
func TestRenewedOnce(t *testing.T) {
	a := newAccount(t, googlefake.Options{Rotate: true})
	_, cursor := readAll(t, a, nil)
	a.server.ExpireAccess()
	for _, want := range []int{3, 1} {
		before := a.Requests()
		_ = changes(t, a.Open(t), query(work, cursor))
		if sent := a.Requests() - before; sent != want {
			t.Errorf("%d requests, want %d", sent, want)
		}
	}
}

// TestRefusedTwice: a second 401 is not a third request.
func TestRefusedTwice(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	a.server.Refuse(googlefake.Refusal{Status: http.StatusUnauthorized, Reason: "authError"})
	before := a.Requests()
	_, err := a.Open(t).Changes(context.Background(), query(work, nil))
	if providers.FaultOf(err) != providers.Revoked {
		t.Errorf("the error is %v", err)
	}
	if sent := a.Requests() - before; sent != 3 {
		t.Errorf("%d requests, want 3", sent)
	}
}
