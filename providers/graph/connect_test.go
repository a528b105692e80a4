package graph_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/graph"
	"github.com/busyd/busyd/providers/oauth"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/graphfake"
)

// come is what the browser brings back.
func come(t *testing.T, to string, err error) url.Values {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestAuthorizationURL(t *testing.T) {
	provider := graph.New(graph.Config{ClientID: "client", Now: newClock().Now})
	for push, scope := range map[bool]string{
		false: "openid offline_access https://graph.microsoft.com/Calendars.ReadBasic",
		true:  "openid offline_access https://graph.microsoft.com/Calendars.Read",
	} {
		u, err := url.Parse(provider.AuthorizationURL(consent(push)))
		if err != nil {
			t.Fatal(err)
		}
		if at := u.Scheme + "://" + u.Host + u.Path; at != "https://login.microsoftonline.com/common/oauth2/v2.0/authorize" {
			t.Errorf("the owner is sent to %s", at)
		}
		q := u.Query()
		if q.Get("scope") != scope || q.Get("code_challenge_method") != "S256" || q.Get("prompt") != "select_account" ||
			q.Get("state") != "state" || q.Get("redirect_uri") != graphfake.Redirect {
			t.Errorf("push %t: the request is %v", push, q)
		}
		if strings.Contains(u.String(), verifier()) {
			t.Error("the verifier is in the address")
		}
	}
}

func TestAccount(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	account := func(grant busy.Secret) string {
		name, err := a.provider.AccountOf(grant)
		if err != nil {
			t.Fatal(err)
		}
		return string(name)
	}
	first := account(*a.grant)
	again, err := a.authorize(consent(false))
	if err != nil {
		t.Fatal(err)
	}
	if account(again) != first {
		t.Error("the same person has two accounts")
	}
	a.server.SetPerson("somebody-else")
	other, err := a.authorize(consent(false))
	if err != nil {
		t.Fatal(err)
	}
	if account(other) == first {
		t.Error("two people have one account")
	}
	if strings.Contains(first, "@") {
		t.Error("the account is named by an address")
	}
}

// violation fails the test unless the error tells a person about the field.
func violation(t *testing.T, err error, field, text string) {
	t.Helper()
	var v *busy.Violation
	if !errors.As(err, &v) || v.Field != field || !strings.Contains(v.Detail, text) {
		t.Errorf("got %v, want a violation of %s that says %q", err, field, text)
	}
}

func TestConsentRefused(t *testing.T) {
	ctx := context.Background()
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	at := a.provider.AuthorizationURL(consent(false))

	to, err := a.server.Decline(at, 65004)
	_, err = a.provider.Authorize(ctx, consent(false), come(t, to, err))
	violation(t, err, "consent", "accept")

	to, err = a.server.Decline(at, 90094)
	_, err = a.provider.Authorize(ctx, consent(false), come(t, to, err))
	if providers.FaultOf(err) != providers.AwaitingAdmin {
		t.Errorf("an administrator must consent: %v", err)
	}

	for query, want := range map[string]providers.Fault{
		"error=access_denied&error_description=AADSTS65001:+x":         providers.AwaitingAdmin,
		"error=access_denied&error_description=AADSTS90095:+x":         providers.AwaitingAdmin,
		"error=interaction_required&error_description=x":               providers.AwaitingAdmin,
		"error=consent_required":                                       providers.AwaitingAdmin,
		"error=unauthorized_client&error_description=AADSTS700016:+x":  providers.Operator,
		"error=invalid_request&error_description=AADSTS50011:+x":       providers.Operator,
		"error=server_error":                                           providers.Transient,
		"error=temporarily_unavailable&error_description=AADSTS90006:": providers.Transient,
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.provider.Authorize(ctx, consent(false), q)
		if got := providers.FaultOf(err); err == nil || got != want || errors.Is(err, busy.ErrInvalid) {
			t.Errorf("%s: %v, want %v", query, err, want)
		}
	}
	_, err = a.provider.Authorize(ctx, consent(false), url.Values{"error": {"access_denied"}, "error_description": {providertest.Mark}})
	violation(t, err, "consent", "administrator")
	if strings.Contains(err.Error(), providertest.Mark) {
		t.Error("what Microsoft says is in the error")
	}
	_, err = a.provider.Authorize(ctx, consent(false), url.Values{"error": {"invalid_resource"}})
	violation(t, err, "consent", "begin anew")
	_, err = a.provider.Authorize(ctx, consent(false), url.Values{})
	violation(t, err, "code", "begin anew")
}

func TestAdminConsent(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	r, err := http.NewRequest(http.MethodGet, a.provider.AdminConsentURL(consent(false)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(r.URL.Path, "/organizations/v2.0/adminconsent") {
		t.Errorf("the administrator is sent to %s", r.URL.Path)
	}
	resp, err := a.server.Transport().RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Fatalf("%v %v", resp, err)
	}
	if back := come(t, resp.Header.Get("Location"), nil); !a.provider.AdminConsented(back) {
		t.Errorf("came back with %v", back)
	}
	for _, other := range []url.Values{{}, {"code": {"c"}}, {"admin_consent": {"True"}, "error": {"access_denied"}}} {
		if a.provider.AdminConsented(other) {
			t.Errorf("%v counts as an administrator's consent", other)
		}
	}
	refused(t, a.server)
}

func TestPermissionsLeftOut(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	a.server.Withheld = []string{graph.ScopeBasic}
	_, err := a.authorize(consent(false))
	violation(t, err, "consent", "permission to read calendars")

	// The narrow one was granted before, the wide one is not now.
	a.server.Withheld = nil
	a.server.FailNext(graphfake.Edit("scopes", func(body string) string {
		return strings.Replace(body, graph.ScopeRead, graph.ScopeBasic, 1)
	}).On("token"))
	_, err = a.authorize(consent(true))
	violation(t, err, "consent", "told of changes")
}

// TestForeignIDToken: an account that was named to somebody else is not believed.
func TestForeignIDToken(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	encode := base64.RawURLEncoding.EncodeToString
	for name, claims := range map[string]string{
		"somebody else's":   `{"iss":"https://login.test","sub":"x","aud":"another"}`,
		"without a subject": `{"iss":"https://login.test","aud":"` + graphfake.ClientID + `"}`,
		"without an issuer": `{"sub":"x","aud":"` + graphfake.ClientID + `"}`,
	} {
		token := "e30." + encode([]byte(claims)) + ".x"
		a.server.FailNext(graphfake.Body(`{"token_type":"Bearer","access_token":"a","refresh_token":"r","expires_in":3600,` +
			`"scope":"Calendars.ReadBasic","id_token":"` + token + `"}`).On("token"))
		if _, err := a.authorize(consent(false)); providers.CodeOf(err) != "id_token_unreadable" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCode(t *testing.T) {
	ctx := context.Background()
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	to, err := a.server.Approve(a.provider.AuthorizationURL(consent(false)))
	back := come(t, to, err)

	wrong := consent(false)
	wrong.Verifier = strings.ToUpper(verifier())
	_, err = a.provider.Authorize(ctx, wrong, back)
	violation(t, err, "consent", "Begin anew")

	if _, err := a.provider.Authorize(ctx, consent(false), back); err != nil {
		t.Fatal(err)
	}
	_, err = a.provider.Authorize(ctx, consent(false), back)
	violation(t, err, "consent", "was used before")
}

func TestExchangeRefused(t *testing.T) {
	for name, c := range map[string]struct {
		refusal graphfake.Refusal
		want    providers.Fault
	}{
		"an administrator must consent": {graphfake.Refusal{Error: "invalid_grant", Numbers: []int{65001}}, providers.AwaitingAdmin},
		"and again":                     {graphfake.Refusal{Error: "invalid_grant", Numbers: []int{90094}}, providers.AwaitingAdmin},
		"the secret is wrong":           {graphfake.Refusal{Error: "invalid_client", Numbers: []int{7000215}}, providers.Operator},
		"not now":                       {graphfake.Refusal{Error: "temporarily_unavailable", Numbers: []int{90033}}, providers.Transient},
	} {
		a := connect(t, graphfake.Options{}, graph.Config{}, false)
		a.server.FailNext(graphfake.Refuse(http.StatusBadRequest, c.refusal))
		if _, err := a.authorize(consent(false)); providers.FaultOf(err) != c.want || errors.Is(err, busy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	a.server.FailNext(graphfake.Refuse(http.StatusBadRequest, graphfake.Refusal{Error: "invalid_grant", Numbers: []int{53003}}))
	_, err := a.authorize(consent(false))
	violation(t, err, "account", "AADSTS53003")

	a.server.FailNext(graphfake.Body(`{"token_type":"Bearer","access_token":"a","refresh_token":"r","expires_in":3600,"scope":"Calendars.ReadBasic","id_token":"nothing"}`).On("token"))
	if _, err := a.authorize(consent(false)); providers.CodeOf(err) != "id_token_unreadable" {
		t.Errorf("an account without a name: %v", err)
	}
}

// TestScopesAsMicrosoftWritesThem: without the resource's address, in any case, and
// with all that the owner ever granted.
func TestScopesAsMicrosoftWritesThem(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	answer := func(scope string) graphfake.Fault {
		return graphfake.Edit("scopes", func(body string) string {
			return strings.Replace(body, `"scope":"openid `+graph.ScopeBasic+`"`, `"scope":"`+scope+`"`, 1)
		}).On("token")
	}
	for scope, watches := range map[string]bool{
		"calendars.readbasic openid":                false,
		"Calendars.ReadBasic Calendars.Read openid": true,
		"profile Calendars.ReadWrite":               true,
	} {
		a.server.FailNext(answer(scope))
		grant, err := a.authorize(consent(false))
		if err != nil {
			t.Fatalf("%s: %v", scope, err)
		}
		a.grant = &grant
		if _, ok := a.Open(t).(providers.Watcher); ok != watches {
			t.Errorf("%s: can watch: %t", scope, ok)
		}
	}
}

// TestRenewal: an access token lasts, and the refresh token that comes with a new
// one is stored before the new one is used.
func TestRenewal(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	list := func() {
		t.Helper()
		if _, err := a.Open(t).Calendars(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	a.server.Forget()
	list()
	list()
	kinds := func() (all []string) {
		for _, r := range a.server.Requests() {
			all = append(all, r.Kind)
		}
		return all
	}
	if got := kinds(); !slices.Equal(got, []string{"calendars", "calendars"}) {
		t.Errorf("requests: %v", got)
	}
	before, err := oauth.Read(*a.grant)
	if err != nil {
		t.Fatal(err)
	}
	a.clock.pass(time.Hour)
	list()
	after, err := oauth.Read(*a.grant)
	if err != nil {
		t.Fatal(err)
	}
	if after.Refresh == before.Refresh || after.Access == before.Access || after.Account != before.Account {
		t.Error("the renewed grant is not what is stored")
	}
	list()
	if got := kinds()[2:]; !slices.Equal(got, []string{"token", "calendars", "calendars"}) {
		t.Errorf("requests after an hour: %v", got)
	}
	if _, err := a.provider.Open(context.Background(), providers.Account{Grant: busy.Secret("nothing")}); providers.FaultOf(err) != providers.Revoked {
		t.Errorf("a grant that cannot be read: %v", err)
	}
}
