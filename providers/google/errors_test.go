package google_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/google"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/googlefake"
)

func withBody(answer *http.Response, change func(string) string) *http.Response {
	raw, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(strings.NewReader(change(string(raw))))
	return answer
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status int
		reason string
		fault  providers.Fault
		code   string
	}{
		{403, "rateLimitExceeded", providers.Throttled, "rateLimitExceeded"},
		{403, "userRateLimitExceeded", providers.Throttled, "userRateLimitExceeded"},
		{403, "quotaExceeded", providers.Throttled, "quotaExceeded"},
		{403, "dailyLimitExceeded", providers.Throttled, "dailyLimitExceeded"},
		{429, "rateLimitExceeded", providers.Throttled, "rateLimitExceeded"},
		{429, "", providers.Throttled, "status_429"},
		{503, "", providers.Throttled, "status_503"},
		{410, "fullSyncRequired", providers.CursorExpired, "fullSyncRequired"},
		{410, "updatedMinTooLongAgo", providers.CursorExpired, "updatedMinTooLongAgo"},
		{410, "deleted", providers.Transient, "not_found"}, // the calendar is still listed
		{410, "", providers.Transient, "status_410"},
		{404, "notFound", providers.Transient, "not_found"},
		{403, "forbidden", providers.Transient, "not_found"},
		{401, "authError", providers.Revoked, "authError"},
		{401, "", providers.Revoked, "unauthorized"},
		{403, "insufficientPermissions", providers.Revoked, "insufficientPermissions"},
		{403, "accessNotConfigured", providers.Operator, "accessNotConfigured"},
		{403, "domainPolicy", providers.AwaitingAdmin, "domainPolicy"},
		{403, "notACalendarUser", providers.AwaitingAdmin, "notACalendarUser"},
		{403, "somethingNew", providers.Rejected, "status_403"},
		{400, "badRequest", providers.Rejected, "badRequest"},
		{400, "timeRangeEmpty", providers.Rejected, "status_400"},
		{400, "", providers.Rejected, "status_400"},
		{500, "backendError", providers.Transient, "backendError"},
		{502, "", providers.Transient, "status_502"},
		{302, "", providers.Transient, "status_302"},
	} {
		a := newAccount(t, googlefake.Options{})
		a.server.Refuse(googlefake.Refusal{Status: c.status, Reason: c.reason, On: "/events"})
		_, err := a.Open(t).Changes(context.Background(), query(work, nil))
		if providers.FaultOf(err) != c.fault || providers.CodeOf(err) != c.code {
			t.Errorf("%d %s: %v, want %s (%s)", c.status, c.reason, err, c.code, c.fault)
		}
		clean(t, err)
	}
}

// clean fails the test if an error tells whose calendar it is, or what was in the
// answer.
func clean(t *testing.T, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		for _, secret := range []string{providertest.Mark, "work@", "alice", "ya29", "1//", "description that nobody", "test"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds %q: %v", secret, err)
			}
		}
	}
}

func TestPauses(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":                              0,
		"30":                            30 * time.Second,
		"Tue, 10 Mar 2026 12:01:00 GMT": time.Minute,
	} {
		a := newAccount(t, googlefake.Options{})
		a.server.Refuse(googlefake.Refusal{
			Status: http.StatusForbidden, Reason: "userRateLimitExceeded", Header: http.Header{"Retry-After": {value}},
		})
		_, err := a.Open(t).Changes(context.Background(), query(work, nil))
		if got := providers.AfterOf(err); got != want {
			t.Errorf("%q is a pause of %v, want %v", value, got, want)
		}
	}
}

// TestDeletedCalendar: 410 deleted says nothing of the cursor.
func TestDeletedCalendar(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	_, cursor := readAll(t, a, nil)
	a.server.RemoveCalendar(work)
	a.server.Refuse(googlefake.Refusal{Status: http.StatusGone, Reason: "deleted", On: "/events"})
	_, err := a.Open(t).Changes(context.Background(), query(work, cursor))
	if providers.FaultOf(err) != providers.CalendarGone {
		t.Errorf("the error is %v", err)
	}
}

// TestNotFoundWhileListFails: what cannot be confirmed is not believed.
func TestNotFoundWhileListFails(t *testing.T) {
	for name, c := range map[string]struct {
		old, with string
		want      providers.Fault
	}{
		"cut off":     {`"nextSyncToken"`, `"lost"`, providers.Transient},
		"emptied":     {`"primary":true`, `"primary":false`, providers.Transient},
		"not a word":  {`{`, `<`, providers.Transient},
		"nothing odd": {`nowhere`, ``, providers.CalendarGone},
	} {
		a := newAccount(t, googlefake.Options{})
		a.server.RemoveCalendar(work)
		a.provider = google.New(google.Config{
			HTTP: onList{edited(a.server.Transport(), c.old, c.with), a.server.Transport()}, Endpoints: endpoints(),
			Now: func() time.Time { return now },
		})
		_, err := a.Open(t).Changes(context.Background(), query(work, nil))
		if providers.FaultOf(err) != c.want || err == nil {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		clean(t, err)
	}
}

// onList sends requests of the calendar list one way, all others another.
type onList struct{ list, other http.RoundTripper }

func (o onList) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/calendarList") {
		return o.list.RoundTrip(r)
	}
	return o.other.RoundTrip(r)
}

// TestRenewalFailures: what storage says comes through, without the address that
// the request was meant for.
func TestRenewalFailures(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	a.server.ExpireAccess()
	session, err := a.provider.Open(context.Background(), providers.Account{
		Grant: a.grant,
		Renew: func(context.Context, func(context.Context, busy.Secret) (busy.Secret, error)) (busy.Secret, error) {
			return nil, busy.ErrNotFound
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = session.Changes(context.Background(), query(work, nil))
	if !errors.Is(err, busy.ErrNotFound) {
		t.Errorf("the error is %v", err)
	}
	clean(t, err)
}

// TestTokenRefusals: what the token endpoint says when a token is renewed.
func TestTokenRefusals(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   providers.Fault
		code   string
	}{
		{400, `{"error":"invalid_grant","error_description":"CANARY"}`, providers.Revoked, "invalid_grant"},
		{401, `{"error":"invalid_client","error_description":"CANARY"}`, providers.Operator, "invalid_client"},
		{401, `{"error":"deleted_client"}`, providers.Operator, "deleted_client"},
		{403, `{"error":"org_internal"}`, providers.Operator, "org_internal"},
		{400, `{"error":"unauthorized_client"}`, providers.Operator, "unauthorized_client"},
		{400, `{"error":"admin_policy_enforced"}`, providers.AwaitingAdmin, "admin_policy_enforced"},
		{400, `{"error":"invalid_request"}`, providers.Rejected, "invalid_request"},
		{429, `{"error":"rate_limit_exceeded"}`, providers.Throttled, "token_throttled"},
		{400, `{"error":"CANARY"}`, providers.Transient, "token_endpoint_failed"},
		{500, `CANARY`, providers.Transient, "token_endpoint_failed"},
		{200, `CANARY`, providers.Transient, "token_answer_unreadable"},
		{200, `{}`, providers.Transient, "token_answer_unreadable"},
	} {
		a := newAccount(t, googlefake.Options{})
		a.server.ExpireAccess()
		id, secret := a.server.Client()
		a.provider = google.New(google.Config{
			ClientID: id, ClientSecret: busy.Secret(secret), Endpoints: endpoints(), Now: func() time.Time { return now },
			HTTP: atToken{a.server.Transport(), c.status, c.body},
		})
		_, err := a.Open(t).Changes(context.Background(), query(work, nil))
		if providers.FaultOf(err) != c.want || providers.CodeOf(err) != c.code {
			t.Errorf("%d %s: %v, want %s (%s)", c.status, c.body, err, c.code, c.want)
		}
		clean(t, err)
	}
}

// atToken answers at the token endpoint.
type atToken struct {
	next   http.RoundTripper
	status int
	body   string
}

func (a atToken) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != googlefake.TokenPath {
		return a.next.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(a.body)),
	}, nil
}
