package connect_test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/store/storetest"
	"github.com/busyd/busyd/sync/connect"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// provider consents to everything, unless a script says otherwise.
type provider struct {
	calls     []string
	authorize error
	revoke    error
	unwatch   error
	meanwhile func() // while a watch is ended
	account   string
	closed    int
}

func (p *provider) Kind() busy.Kind { return busy.Google }

func (p *provider) Open(_ context.Context, a providers.Account) (providers.Session, error) {
	p.calls = append(p.calls, "open "+string(a.Grant))
	return session{p}, nil
}

func (p *provider) AuthorizationURL(c providers.Consent) string {
	return "https://provider.example/?" + url.Values{"state": {c.State}, "verifier": {c.Verifier}, "redirect": {c.Redirect}}.Encode()
}

func (p *provider) Authorize(_ context.Context, c providers.Consent, callback url.Values) (busy.Secret, error) {
	if callback.Get("verifier") != c.Verifier {
		return nil, errors.New("another verifier")
	}
	return busy.Secret("grant of " + p.account), p.authorize
}

func (p *provider) AdminConsentURL(c providers.Consent) string {
	return "https://provider.example/admin?" + url.Values{"redirect": {c.Redirect}}.Encode()
}

func (p *provider) AdminConsented(callback url.Values) bool { return callback.Has("admin") }

func (p *provider) AccountOf(busy.Secret) (busy.Secret, error) { return busy.Secret(p.account), nil }

func (p *provider) Revoke(_ context.Context, grant busy.Secret) error {
	p.calls = append(p.calls, "revoke "+string(grant))
	return p.revoke
}

// vault is a provider with passwords.
type vault struct{ *provider }

func (vault) Kind() busy.Kind { return busy.CalDAV }

func (v vault) Connect(_ context.Context, l providers.Login) (busy.Secret, error) {
	if string(l.Password) != "right" {
		return nil, busy.Invalid("password", "is refused")
	}
	return busy.Secret("login"), nil
}

// press is a provider that publishes files.
type press struct{ vault }

func (press) Kind() busy.Kind { return busy.Feed }

type session struct{ p *provider }

func (s session) Close() error { s.p.closed++; return nil }

func (s session) Calendars(context.Context) ([]providers.Calendar, error) {
	return []providers.Calendar{{Remote: busy.Secret("a"), Name: "Mine", Blocking: true}, {Remote: busy.Secret("b"), Name: "Theirs"}}, nil
}

func (session) Changes(context.Context, providers.Query) (providers.Page, error) {
	return providers.Page{}, errors.New("is not read")
}
func (session) WatchesAccount() bool { return false }

func (session) Watch(context.Context, providers.WatchRequest) (providers.Watch, error) {
	return providers.Watch{}, errors.New("is not watched")
}

func (session) Rewatch(context.Context, providers.Watch, providers.WatchRequest) (providers.Watch, error) {
	return providers.Watch{}, errors.New("is not watched")
}

func (s session) Unwatch(_ context.Context, w providers.Watch) error {
	s.p.calls = append(s.p.calls, "unwatch "+string(w.Handle))
	if s.p.meanwhile != nil {
		s.p.meanwhile()
	}
	return s.p.unwatch
}

type room struct {
	*storetest.Env
	t        *testing.T
	now      time.Time
	provider *provider
	service  *connect.Service
	tenant   busy.Tenant
	resource busy.Resource
}

var ctx = context.Background()

func newRoom(t *testing.T) *room {
	r := &room{Env: storetest.New(t), t: t, now: storetest.Now, provider: &provider{account: "ada"}}
	r.service = connect.New(connect.Config{
		Store: r.Store, Providers: []providers.Provider{r.provider, vault{r.provider}, press{vault{r.provider}}}, Callback: "https://busyd.example/oauth/callback",
		Now: func() time.Time { return r.now }, Random: func() float64 { return 0 }, Log: slog.New(slog.DiscardHandler),
	})
	r.tenant = r.Tenant(t, "tenant")
	r.resource = r.Resource(t, r.tenant.ID, "resource")
	return r
}

func (r *room) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// begin returns what the owner's browser will come back with.
func (r *room) begin(c busy.Consent) url.Values {
	r.t.Helper()
	c.Tenant, c.Kind, c.Resource = r.tenant.ID, busy.Google, r.resource.ID
	address, err := r.service.Begin(ctx, c)
	r.must(err)
	u, err := url.Parse(address)
	r.must(err)
	if u.Query().Get("redirect") != "https://busyd.example/oauth/callback" || len(u.Query().Get("verifier")) < 43 {
		r.t.Errorf("sent to %s", address)
	}
	return u.Query()
}

func (r *room) connect() connect.Connected {
	r.t.Helper()
	done, err := r.service.Finish(ctx, r.begin(busy.Consent{}))
	r.must(err)
	return done
}

func (r *room) state(id busy.ConnectionID) busy.ConnectionState {
	r.t.Helper()
	c, err := r.Store.Connection(ctx, r.tenant.ID, id)
	r.must(err)
	return c.State
}

// lose has a run find the connection's grant withdrawn.
func (r *room) lose(done connect.Connected) {
	r.t.Helper()
	work, err := r.Store.Take(ctx, busy.Task{Tenant: r.tenant.ID, Calendar: done.Calendars[0].ID}, r.now, time.Minute)
	r.must(err)
	r.must(r.Store.Release(ctx, work.Lease, busy.Release{Outcome: busy.OutcomeUnauthorized, Connection: busy.ConnectionNeedsReconnect}))
}

// watch notes a watch of the account's first calendar.
func (r *room) watch(done connect.Connected) {
	r.t.Helper()
	id, token, err := r.Store.NewWatchID(r.tenant.ID)
	r.must(err)
	r.must(r.Store.SaveWatch(ctx, r.tenant.ID, busy.Watch{
		ID: id, Connection: done.Connection.ID, Calendar: done.Calendars[0].ID, Handle: busy.Secret("channel"), Expires: r.now.Add(time.Hour),
	}, token))
}

func (r *room) expect(calls ...string) {
	r.t.Helper()
	if !slices.Equal(r.provider.calls, calls) {
		r.t.Errorf("the provider was asked to %q, want %q", r.provider.calls, calls)
	}
	r.provider.calls = nil
}

func TestAConsentConnects(t *testing.T) {
	r := newRoom(t)
	done := r.connect()
	r.expect("open grant of ada")
	if len(done.Calendars) != 2 || !done.Calendars[0].Selected || done.Calendars[1].Selected || r.provider.closed != 1 {
		t.Errorf("connected %+v, closed %d sessions", done, r.provider.closed)
	}
	due, err := r.Store.ClaimDue(ctx, r.now, 10, time.Minute)
	r.must(err)
	if len(due) != 1 || due[0].Calendar != done.Calendars[0].ID {
		t.Errorf("due %v", due)
	}
}

// Whoever waits for an owner learns how it ended, in the words that the owner reads.
func TestTheEndOfAConsentIsNoted(t *testing.T) {
	r := newRoom(t)
	finish := func(c busy.Consent, want busy.ConsentEnd) (connect.Connected, busy.ConnectionID) {
		t.Helper()
		callback := r.begin(c)
		done, _ := r.service.Finish(ctx, callback)
		got, err := r.Store.ConsentEnd(ctx, r.tenant.ID, callback.Get("state"))
		r.must(err)
		if got.State != want.State || got.Problem != want.Problem || !got.Since.Equal(r.now) {
			t.Errorf("ended %+v, want %+v", got, want)
		}
		return done, got.Connection
	}
	done, id := finish(busy.Consent{}, busy.ConsentEnd{State: busy.ConsentGiven})
	if id.IsZero() || id != done.Connection.ID {
		t.Errorf("connected %v, noted %v", done.Connection.ID, id)
	}
	again := busy.Consent{Connection: id}
	for want, authorize := range map[busy.ConsentEnd]error{
		{State: busy.ConsentGiven, Connection: id}:                              nil,
		{State: busy.ConsentAwaitingAdmin, Connection: id}:                      &providers.Error{Fault: providers.AwaitingAdmin, Code: "consent_required"},
		{State: busy.ConsentFailed, Problem: "consent was declined: once more"}: busy.Invalid("consent", "was declined: once more"),
		{State: busy.ConsentFailed}:                                             &providers.Error{Fault: providers.Rejected, Code: "internal"},
	} {
		r.provider.authorize = authorize
		if _, id := finish(again, want); id != want.Connection {
			t.Errorf("%s: noted %v, want %v", want.State, id, want.Connection)
		}
	}
	// What waits could not be noted: the tenant may connect nothing any more.
	r.provider.authorize = &providers.Error{Fault: providers.AwaitingAdmin, Code: "consent_required"}
	callback := r.begin(busy.Consent{})
	r.must(r.Store.Downgrade(ctx, r.tenant.ID, true, r.now))
	_, err := r.service.Finish(ctx, callback)
	end, errEnd := r.Store.ConsentEnd(ctx, r.tenant.ID, callback.Get("state"))
	r.must(errEnd)
	if !errors.Is(err, busy.ErrInvalid) || end.State != busy.ConsentFailed || end.Problem != err.Error() || !end.Connection.IsZero() {
		t.Errorf("of a tenant that was downgraded: %v, noted %+v", err, end)
	}
}

// Another account's consent is refused, and whoever waits is told why.
func TestTheConsentOfAnotherAccountIsNoted(t *testing.T) {
	r := newRoom(t)
	again := busy.Consent{Connection: r.connect().Connection.ID}
	r.provider.account = "bo"
	callback := r.begin(again)
	_, err := r.service.Finish(ctx, callback)
	end, errEnd := r.Store.ConsentEnd(ctx, r.tenant.ID, callback.Get("state"))
	r.must(errEnd)
	if !errors.Is(err, busy.ErrInvalid) || end.State != busy.ConsentFailed || end.Problem != err.Error() {
		t.Errorf("%v, noted %+v", err, end)
	}
}

func TestAPasswordIsTriedFirst(t *testing.T) {
	r := newRoom(t)
	try := func(kind busy.Kind, password string) error {
		_, err := r.service.Password(ctx, r.tenant.ID, r.resource.ID, kind, providers.Login{Password: busy.Secret(password)})
		return err
	}
	for _, err := range []error{try(busy.CalDAV, "wrong"), try(busy.Google, "right"), try("fax", "right")} {
		if !errors.Is(err, busy.ErrInvalid) {
			t.Errorf("%v", err)
		}
	}
	r.must(try(busy.CalDAV, "right"))
	r.expect("open login")
}

func TestReconnectingKeepsTheConnection(t *testing.T) {
	r := newRoom(t)
	first := r.connect()
	id := first.Connection.ID
	r.provider.authorize = &providers.Error{Fault: providers.AwaitingAdmin, Code: "consent_required"}
	refused := func(want busy.ConnectionState) {
		t.Helper()
		if _, err := r.service.Finish(ctx, r.begin(busy.Consent{Connection: id})); providers.FaultOf(err) != providers.AwaitingAdmin {
			t.Errorf("%v", err)
		}
		if state := r.state(id); state != want {
			t.Errorf("is %s, want %s", state, want)
		}
	}
	refused(busy.ConnectionActive) // its grant is as good as it was, and a run goes on
	r.lose(first)
	refused(busy.ConnectionAwaitingAdmin)
	r.provider.authorize = nil
	r.provider.account = "bo"
	if _, err := r.service.Finish(ctx, r.begin(busy.Consent{Connection: id})); !errors.Is(err, busy.ErrInvalid) {
		t.Errorf("another account: %v", err)
	}
	r.provider.account = "ada"
	done, err := r.service.Finish(ctx, r.begin(busy.Consent{Connection: id}))
	r.must(err)
	if done.Connection.ID != id || done.Connection.State != busy.ConnectionActive {
		t.Errorf("reconnected %+v", done.Connection)
	}
	r.must(r.service.Disconnect(ctx, r.tenant.ID, id))
	_, err = r.service.Begin(ctx, busy.Consent{Tenant: r.tenant.ID, Kind: busy.Google, Resource: r.resource.ID, Connection: id})
	if !errors.Is(err, busy.ErrInvalid) {
		t.Errorf("a disconnected one: %v", err)
	}
}

// An owner whose organisation must consent first is told where, waits as a
// connection that everybody sees, and is connected as that once it has.
func TestWaitingForTheAdministrator(t *testing.T) {
	r := newRoom(t)
	r.provider.authorize = &providers.Error{Fault: providers.AwaitingAdmin, Code: "consent_required"}
	_, err := r.service.Finish(ctx, r.begin(busy.Consent{}))
	var waiting *connect.AwaitingAdmin
	if !errors.As(err, &waiting) || waiting.URL != "https://provider.example/admin?redirect=https%3A%2F%2Fbusyd.example%2Foauth%2Fcallback" {
		t.Fatalf("%v", err)
	}
	all, err := r.Store.Connections(ctx, r.tenant.ID)
	r.must(err)
	if len(all) != 1 || all[0].State != busy.ConnectionAwaitingAdmin || all[0].Reason != "consent_required" {
		t.Fatalf("%+v", all)
	}
	if done, err := r.service.Finish(ctx, url.Values{"admin": {"yes"}}); err != nil || !done.Consented {
		t.Errorf("the administrator comes back to %+v, %v", done, err)
	}
	r.provider.authorize = nil
	for _, how := range []busy.Consent{{Connection: all[0].ID}, {}} {
		done, err := r.service.Finish(ctx, r.begin(how))
		if how.Connection.IsZero() { // it was connected just before
			if !errors.Is(err, busy.ErrInvalid) {
				t.Errorf("connected twice: %v", err)
			}
			continue
		}
		r.must(err)
		if done.Connection.ID != all[0].ID || len(done.Calendars) != 2 || r.state(all[0].ID) != busy.ConnectionActive {
			t.Errorf("connected %+v", done)
		}
	}
}

// The same login is one account.
func TestAPasswordIsConnectedOnce(t *testing.T) {
	r := newRoom(t)
	login := providers.Login{URL: "https://dav.example", Username: "ada", Password: busy.Secret("right")}
	try := func() error {
		_, err := r.service.Password(ctx, r.tenant.ID, r.resource.ID, busy.CalDAV, login)
		return err
	}
	r.must(try())
	if err := try(); !errors.Is(err, busy.ErrInvalid) {
		t.Errorf("the second time: %v", err)
	}
	login.Username = "bo"
	r.must(try())
}

// reconnect gives the connection another login, and returns the field that is wrong.
func (r *room) reconnect(id busy.ConnectionID, l providers.Login) string {
	r.t.Helper()
	err := r.service.Reconnect(ctx, r.tenant.ID, id, l)
	wrong := (*busy.Violation)(nil)
	if errors.As(err, &wrong) {
		return wrong.Field
	}
	r.must(err)
	return ""
}

// A login of another account would leave the connection with calendars that are
// not there: it is refused before a server is asked.
func TestAnotherLoginIsOfTheSameAccount(t *testing.T) {
	r := newRoom(t)
	login := providers.Login{URL: "https://dav.example", Username: "ada", Mailbox: "ada@example.com", Password: busy.Secret("right")}
	done, err := r.service.Password(ctx, r.tenant.ID, r.resource.ID, busy.CalDAV, login)
	r.must(err)
	for want, change := range map[string]func(l *providers.Login){
		"username": func(l *providers.Login) { l.URL, l.Username = "https://dav.example/bo", "bo" },
		"url":      func(l *providers.Login) { l.URL = "https://elsewhere.example" },
		"mailbox":  func(l *providers.Login) { l.Mailbox = "" },
		"password": func(l *providers.Login) { l.Password = busy.Secret("wrong") },
		"":         func(l *providers.Login) { l.URL += "/" },
	} {
		again := login
		change(&again)
		if got := r.reconnect(done.Connection.ID, again); got != want {
			t.Errorf("wrong is %q, want %q", got, want)
		}
	}
	r.must(r.service.Disconnect(ctx, r.tenant.ID, done.Connection.ID))
	if got := r.reconnect(done.Connection.ID, login); got != "connection" {
		t.Errorf("a disconnected one: wrong is %q", got)
	}
}

// A feed moves to another secret address; an owner's consent is no login.
func TestAnotherLoginOfOtherKinds(t *testing.T) {
	r := newRoom(t)
	login := providers.Login{URL: "https://feeds.example/secret", Password: busy.Secret("right")}
	feed, err := r.service.Password(ctx, r.tenant.ID, r.resource.ID, busy.Feed, login)
	r.must(err)
	login.URL = "https://feeds.example/new-secret"
	if got := r.reconnect(feed.Connection.ID, login); got != "" {
		t.Errorf("a new address: wrong is %q", got)
	}
	again := func(address, want string) {
		t.Helper()
		_, err := r.service.Password(ctx, r.tenant.ID, r.resource.ID, busy.Feed, providers.Login{URL: address, Password: busy.Secret("right")})
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s, another time: %v, want %q", address, err, want)
		}
	}
	again(login.URL, "is connected to this resource already, as the connection "+feed.Connection.ID.String())
	again("https://feeds.example/secret", "") // somebody else's by now
	if got := r.reconnect(feed.Connection.ID, providers.Login{URL: "https://feeds.example/secret", Password: busy.Secret("right")}); got != "account" {
		t.Errorf("an address that another connection reads: wrong is %q", got)
	}
	id := r.connect().Connection.ID
	err = r.service.Reconnect(ctx, r.tenant.ID, id, login)
	if !errors.Is(err, busy.ErrInvalid) || !strings.Contains(err.Error(), "busyd connection add google --reconnect "+id.String()) {
		t.Errorf("a consent: %v", err)
	}
}

func TestPartingTellsTheProvider(t *testing.T) {
	r := newRoom(t)
	done := r.connect()
	r.watch(done)
	r.provider.calls = nil
	r.must(r.service.Disconnect(ctx, r.tenant.ID, done.Connection.ID))
	r.expect("open grant of ada", "unwatch channel", "revoke grant of ada")
	if left, err := r.Store.Farewells(ctx, r.tenant.ID); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	r.must(r.service.Disconnect(ctx, r.tenant.ID, done.Connection.ID))
	r.expect()
}

// While another connection reads the account, its grant is not withdrawn.
func TestASharedGrantIsKept(t *testing.T) {
	r := newRoom(t)
	first := r.connect()
	r.resource = r.Resource(t, r.tenant.ID, "another")
	second := r.connect()
	r.provider.calls = nil
	r.must(r.service.Disconnect(ctx, r.tenant.ID, first.Connection.ID))
	r.expect()
	r.must(r.service.Disconnect(ctx, r.tenant.ID, second.Connection.ID))
	r.expect("revoke grant of ada")
}

// An account that is connected anew while its watches are being ended keeps the
// grant that it has just given.
func TestAGrantThatIsSharedMeanwhileIsKept(t *testing.T) {
	r := newRoom(t)
	done := r.connect()
	r.watch(done)
	r.provider.calls = nil
	r.provider.meanwhile = func() { r.provider.meanwhile = nil; r.connect() }
	r.must(r.service.Disconnect(ctx, r.tenant.ID, done.Connection.ID))
	r.expect("open grant of ada", "unwatch channel", "open grant of ada")
}

// A watch that cannot be ended lapses; the grant would last, and is withdrawn.
func TestAWatchThatCannotBeEndedDoesNotKeepTheGrant(t *testing.T) {
	r := newRoom(t)
	done := r.connect()
	r.watch(done)
	r.provider.calls, r.provider.unwatch = nil, &providers.Error{Fault: providers.Rejected, Code: "forbidden"}
	r.must(r.service.Disconnect(ctx, r.tenant.ID, done.Connection.ID))
	for range 5 {
		r.now = r.now.Add(time.Hour)
		r.service.Look(ctx)
	}
	if slices.Contains(r.provider.calls, "revoke grant of ada") {
		t.Error("withdrawn before the watch was given up")
	}
	r.provider.calls = nil
	r.now = r.now.Add(time.Hour)
	r.service.Look(ctx)
	r.expect("open grant of ada", "unwatch channel", "revoke grant of ada")
	if left, err := r.Store.Farewells(ctx, r.tenant.ID); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// A provider that is away is told later, by whichever daemon runs.
func TestAFarewellIsNeverForgotten(t *testing.T) {
	r := newRoom(t)
	done := r.connect()
	r.provider.calls, r.provider.revoke = nil, &providers.Error{Code: "away"}
	r.must(r.service.Disconnect(ctx, r.tenant.ID, done.Connection.ID))
	r.expect("revoke grant of ada")
	for n, pause := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute} {
		r.now = r.now.Add(pause - time.Second)
		r.service.Look(ctx)
		r.expect()
		r.now = r.now.Add(time.Second)
		if n == 2 {
			r.provider.revoke = &providers.Error{Fault: providers.Revoked, Code: "unknown"} // as good as told
		}
		r.service.Look(ctx)
		r.expect("revoke grant of ada")
	}
	r.now = r.now.AddDate(0, 1, 0)
	r.service.Look(ctx)
	r.expect()
}

func TestDowngradingDisconnectsEverything(t *testing.T) {
	r := newRoom(t)
	r.connect()
	r.resource = r.Resource(t, r.tenant.ID, "another")
	r.connect()
	r.provider.calls = nil
	r.must(r.service.Downgrade(ctx, r.tenant.ID, true))
	r.expect("revoke grant of ada", "revoke grant of ada")
	if _, err := r.service.Finish(ctx, r.begin(busy.Consent{})); !errors.Is(err, busy.ErrInvalid) {
		t.Errorf("connected all the same: %v", err)
	}
	r.must(r.service.Downgrade(ctx, r.tenant.ID, false))
	r.connect()
}
