package graphfake_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/graphfake"
	"github.com/busyd/busyd/sync/recur"
)

var now = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func newServer(o graphfake.Options) *graphfake.Server {
	o.Expand, o.Now = recur.New(), func() time.Time { return now }
	return graphfake.New(o)
}

// send sends a request, and returns the status and the body.
func send(t *testing.T, s *graphfake.Server, method, at, token, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Prefer", `IdType="ImmutableId", outlook.timezone="UTC", odata.maxpagesize=2`)
	resp, err := s.Transport().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func config(scopes ...string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: graphfake.ClientID, ClientSecret: graphfake.ClientSecret, RedirectURL: graphfake.Redirect, Scopes: scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL: graphfake.Login + "/common/oauth2/v2.0/authorize", TokenURL: graphfake.Login + "/common/oauth2/v2.0/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

// signIn returns an access token for the scopes.
func signIn(t *testing.T, s *graphfake.Server, scopes ...string) string {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	c := config(scopes...)
	to, err := s.Approve(c.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: s.Transport()})
	token, err := c.Exchange(ctx, u.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken
}

const basic, whole = "https://graph.microsoft.com/Calendars.ReadBasic", "https://graph.microsoft.com/Calendars.Read"

func entry(subject string) providertest.Entry {
	at := func(hour int) busy.Moment {
		return busy.Moment{Wall: time.Date(2026, 3, 2, hour, 0, 0, 0, time.UTC), Zone: providertest.Zone}
	}
	return providertest.Entry{Subject: subject, Start: at(9), End: at(10)}
}

// TestStrict: what a client must not ask for is refused, and noted.
func TestStrict(t *testing.T) {
	s := newServer(graphfake.Options{})
	token := signIn(t, s, "openid", "offline_access", basic)
	calendar := graphfake.Graph + "/me/calendars/" + s.CalendarID(graphfake.Primary)
	const span = "startDateTime=2026-03-01T00:00:00Z&endDateTime=2026-06-01T00:00:00Z"
	good := calendar + "/calendarView?" + span + "&$top=10&$select=id,subject,start,end"
	if status, body := send(t, s, http.MethodGet, good, token, ""); status != http.StatusOK {
		t.Fatalf("a good request: %d %s", status, body)
	}
	for name, at := range map[string]string{
		"no select":           calendar + "/calendarView?" + span + "&$top=10",
		"a field of no event": calendar + "/calendarView?" + span + "&$top=10&$select=id,colour",
		"createdDateTime":     calendar + "/calendarView?" + span + "&$top=10&$select=id,createdDateTime",
		"bodies":              calendar + "/calendarView?" + span + "&$top=10&$select=id,body",
		"a huge page":         calendar + "/calendarView?" + span + "&$top=1001&$select=id",
		"no page":             calendar + "/calendarView?" + span + "&$select=id",
		"a filter":            calendar + "/calendarView?" + span + "&$top=10&$select=id&$filter=isAllDay eq true",
		"no span":             calendar + "/calendarView?$top=10&$select=id",
		"no offset":           calendar + "/calendarView?startDateTime=2026-03-01T00:00:00&endDateTime=2026-06-01T00:00:00&$top=10&$select=id",
		"six years":           calendar + "/calendarView?startDateTime=2026-03-01T00:00:00Z&endDateTime=2032-06-01T00:00:00Z&$top=10&$select=id",
		"a delta's select":    calendar + "/calendarView/delta?" + span + "&$select=id",
		"a delta's token":     calendar + "/calendarView/delta?" + span + "&$deltatoken=x",
		"an unknown token":    calendar + "/calendarView/delta?$deltatoken=x",
		"all of calendars":    graphfake.Graph + "/me/calendars",
		"mail":                graphfake.Graph + "/me/messages",
		"the person":          graphfake.Graph + "/me",
	} {
		s.Forget()
		status, _ := send(t, s, http.MethodGet, strings.ReplaceAll(at, " ", "%20"), token, "")
		if seen := s.Requests(); status != http.StatusBadRequest || seen[0].Refused == "" {
			t.Errorf("%s: %d, noted %q", name, status, seen[0].Refused)
		}
	}
	if status, _ := send(t, s, http.MethodDelete, calendar, token, ""); status/100 != 4 {
		t.Errorf("a calendar is deleted: %d", status)
	}
	if status, _ := send(t, s, http.MethodGet, good, "stolen", ""); status != http.StatusUnauthorized {
		t.Errorf("another token: %d", status)
	}
	if status, _ := send(t, s, http.MethodPost, graphfake.Graph+"/subscriptions", token, "{}"); status != http.StatusForbidden {
		t.Errorf("a subscription under the narrow permission: %d", status)
	}
	s.ExpireTokens()
	if status, _ := send(t, s, http.MethodGet, good, token, ""); status != http.StatusUnauthorized {
		t.Errorf("an expired token: %d", status)
	}
}

// TestSubscriptionsAreChecked: only those that Graph would take are.
func TestSubscriptionsAreChecked(t *testing.T) {
	s := newServer(graphfake.Options{Outbound: http.DefaultTransport})
	token := signIn(t, s, "openid", "offline_access", whole)
	for name, change := range map[string][2]string{
		"another resource": {"me/events", "me/messages"},
		"too long":         {"2026-03-03T", "2026-03-09T"},
		"expired":          {"2026-03-03T", "2026-02-03T"},
		"no token":         {`"secret"`, `""`},
		"plain http":       {"https:", "http:"},
		"an old TLS":       {"v1_2", "v1_0"},
	} {
		body := `{"changeType":"created,updated,deleted","resource":"me/events","notificationUrl":"https://busyd.test/x",` +
			`"lifecycleNotificationUrl":"https://busyd.test/x","clientState":"secret","expirationDateTime":"2026-03-03T00:00:00Z","latestSupportedTlsVersion":"v1_2"}`
		s.Forget()
		status, _ := send(t, s, http.MethodPost, graphfake.Graph+"/subscriptions", token, strings.Replace(body, change[0], change[1], 1))
		if seen := s.Requests(); status != http.StatusBadRequest || seen[0].Refused == "" {
			t.Errorf("%s: %d, noted %q", name, status, seen[0].Refused)
		}
	}
}

// TestSignIn: requests and codes that Microsoft refuses.
func TestSignIn(t *testing.T) {
	s := newServer(graphfake.Options{})
	good := config("openid", "offline_access", basic).AuthCodeURL("state", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))
	for name, change := range map[string][2]string{
		"another client":   {graphfake.ClientID, "another"},
		"another redirect": {"busyd.test", "evil.test"},
		"no state":         {"state=state", "state="},
		"no proof":         {"S256", "plain"},
		"another scope":    {"Calendars.ReadBasic", "Mail.Read"},
		"no code":          {"response_type=code", "response_type=token"},
	} {
		if _, err := s.Approve(strings.Replace(good, change[0], change[1], 1)); err == nil {
			t.Errorf("%s is approved", name)
		}
	}
	status, body := send(t, s, http.MethodPost, graphfake.Login+"/common/oauth2/v2.0/token", "",
		url.Values{"client_id": {graphfake.ClientID}, "client_secret": {"guess"}, "grant_type": {"refresh_token"}}.Encode())
	var answer struct {
		Error   string `json:"error"`
		Numbers []int  `json:"error_codes"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusUnauthorized ||
		answer.Error != "invalid_client" || answer.Numbers[0] != 7000215 {
		t.Errorf("a wrong secret: %d %s", status, body)
	}
}

// TestBrowser: over sockets, the page lets a person decide, and links lead back to
// where the client came.
func TestBrowser(t *testing.T) {
	s := newServer(graphfake.Options{PageCalendars: 1})
	s.AddCalendar("Work")
	server := httptest.NewServer(s)
	defer server.Close()
	at := strings.Replace(config("openid", basic).AuthCodeURL("the-state", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())),
		graphfake.Login, server.URL, 1)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(raw), "Calendars.ReadBasic") {
		t.Fatalf("the page: %d %s %v", resp.StatusCode, raw, err)
	}
	for decision, want := range map[string]string{"approve": "code", "65004": "error", "90094": "error"} {
		resp, err := client.PostForm(at, url.Values{"decision": {decision}})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		to, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || resp.StatusCode != http.StatusFound || to.Query().Get(want) == "" || to.Query().Get("state") != "the-state" {
			t.Errorf("%s: %d to %s", decision, resp.StatusCode, to)
		}
	}
	r, err := http.NewRequest(http.MethodGet, server.URL+"/v1.0/me/calendars?$select=id", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+signIn(t, s, "openid", basic))
	r.Header.Set("Prefer", `IdType="ImmutableId", outlook.timezone="UTC"`)
	if resp, err = client.Do(r); err != nil {
		t.Fatal(err)
	}
	var page struct {
		Next string `json:"@odata.nextLink"`
	}
	err = json.NewDecoder(resp.Body).Decode(&page)
	_ = resp.Body.Close()
	if err != nil || !strings.HasPrefix(page.Next, server.URL+"/v1.0/") {
		t.Errorf("the next page is at %s: %v", page.Next, err)
	}
}

// TestDelta: pages, tokens that differ and mean the same, and what became of an
// event.
func TestDelta(t *testing.T) {
	s := newServer(graphfake.Options{})
	token := signIn(t, s, "openid", basic)
	for _, name := range []string{"a", "b", "c"} {
		s.Put(graphfake.Primary, name, entry(name))
	}
	type page struct {
		Value []map[string]any `json:"value"`
		Next  string           `json:"@odata.nextLink"`
		Delta string           `json:"@odata.deltaLink"`
	}
	get := func(at string) (p page) {
		t.Helper()
		status, body := send(t, s, http.MethodGet, at, token, "")
		if err := json.Unmarshal([]byte(body), &p); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		return p
	}
	first := get(graphfake.Graph + "/me/calendarView/delta?startDateTime=2026-03-01T00:00:00Z&endDateTime=2026-06-01T00:00:00Z")
	if len(first.Value) != 2 || first.Next == "" || first.Delta != "" {
		t.Fatalf("the first page: %+v", first)
	}
	last := get(first.Next)
	if len(last.Value) != 1 || last.Delta == "" {
		t.Fatalf("the last page: %+v", last)
	}
	quiet := get(last.Delta)
	if len(quiet.Value) != 0 || quiet.Delta == last.Delta || quiet.Delta == "" {
		t.Errorf("nothing new: %+v", quiet)
	}
	s.Remove(graphfake.Primary, "a")
	for _, link := range []string{last.Delta, quiet.Delta} {
		if news := get(link); len(news.Value) != 1 || news.Value[0]["@removed"] == nil {
			t.Errorf("a removed event: %+v", news)
		}
	}
	s.ForgetTokens()
	if status, body := send(t, s, http.MethodGet, last.Delta, token, ""); status != http.StatusGone || !strings.Contains(body, "SyncStateNotFound") {
		t.Errorf("a forgotten token: %d %s", status, body)
	}
}
