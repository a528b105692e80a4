// Package connect begins and ends the life of a connection: it takes an owner
// through a provider's consent, or checks a password, finds the calendars and
// lets the first sync begin; and it tells a provider when a connection is over.
package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// Store is what connecting needs of the database.
type Store interface {
	CreateConsent(ctx context.Context, tenant busy.TenantID, c busy.Consent, now time.Time) (state string, err error)
	TakeConsent(ctx context.Context, state string, now time.Time) (busy.Consent, error)
	EndConsent(ctx context.Context, tenant busy.TenantID, state string, end busy.ConsentEnd) error
	CreateConnection(ctx context.Context, tenant busy.TenantID, c busy.NewConnection, now time.Time) (busy.Connection, []busy.Calendar, error)
	Connection(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID) (busy.Connection, error)
	Connections(ctx context.Context, tenant busy.TenantID) ([]busy.Connection, error)
	Account(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID) (busy.Secret, error)
	ReplaceGrant(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, grant, account busy.Secret, now time.Time) error
	Await(ctx context.Context, tenant busy.TenantID, c busy.Consent, reason string, now time.Time) (busy.ConnectionID, error)
	Pause(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, now time.Time) error
	Resume(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, now time.Time) error
	Disconnect(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, farewell bool, now time.Time) error
	Downgrade(ctx context.Context, tenant busy.TenantID, downgraded bool, now time.Time) error
	ClaimFarewells(ctx context.Context, now time.Time, limit int, again time.Duration) ([]busy.FarewellID, error)
	Farewells(ctx context.Context, tenant busy.TenantID) ([]busy.FarewellID, error)
	Farewell(ctx context.Context, id busy.FarewellID) (busy.Farewell, error)
	Settle(ctx context.Context, id busy.FarewellID, said bool, next time.Time) error
}

// Config wires a Service. All fields are required.
type Config struct {
	Store     Store
	Providers []providers.Provider
	// Callback is the address that providers send browsers back to, exactly as it
	// is registered with them.
	Callback string
	Now      func() time.Time
	Random   func() float64 // jitter, in [0, 1)
	Log      *slog.Logger
}

// Service connects and disconnects. It is safe for concurrent use.
type Service struct {
	Config
	providers map[busy.Kind]providers.Provider
}

// New returns a Service.
func New(c Config) *Service {
	return &Service{Config: c, providers: providers.ByKind(c.Providers)}
}

// Connected is an account that was connected.
type Connected struct {
	Tenant     busy.TenantID
	Connection busy.Connection
	Calendars  []busy.Calendar // nil after a reconnect: they are those there were
	// Consented: an administrator has consented for an organisation. Nothing was
	// connected by that, and all else is empty.
	Consented bool
}

// AwaitingAdmin is the error of a consent that an owner cannot give before the
// organisation's administrator has.
type AwaitingAdmin struct {
	URL string // where the administrator consents; empty: nobody but the provider knows
	Err error
}

func (e *AwaitingAdmin) Error() string {
	return "the organisation must consent first: " + e.Err.Error()
}

func (e *AwaitingAdmin) Unwrap() error { return e.Err }

// Begin returns the address at which the owner consents, and where to be sent
// back with what Finish takes. A [busy.Violation] for a provider that is not
// connected this way.
func (s *Service) Begin(ctx context.Context, c busy.Consent) (string, error) {
	authorizer, ok := s.providers[c.Kind].(providers.Authorizer)
	if !ok {
		return "", busy.Invalid("kind", "must be one that is connected by consent: "+s.kinds(isAuthorizer))
	}
	if err := s.checkReconnect(ctx, c); err != nil {
		return "", err
	}
	c.Verifier = oauth2.GenerateVerifier()
	state, err := s.Store.CreateConsent(ctx, c.Tenant, c, s.Now())
	if err != nil {
		return "", err
	}
	return authorizer.AuthorizationURL(providers.Consent{
		State: state, Verifier: c.Verifier, Redirect: s.Callback, Push: c.Push,
	}), nil
}

// checkReconnect wants a connection that can be reconnected this way.
func (s *Service) checkReconnect(ctx context.Context, c busy.Consent) error {
	if c.Connection.IsZero() {
		return nil
	}
	connection, err := s.Store.Connection(ctx, c.Tenant, c.Connection)
	if err != nil {
		return err
	}
	if connection.State == busy.ConnectionDisconnected || connection.Kind != c.Kind || connection.Resource != c.Resource {
		return busy.Invalid("connection", "must be a live one of this provider and resource")
	}
	return nil
}

// Finish takes what a browser came back with. Its state is good once; a state
// that is not, and a consent that was not given, are [busy.Violation]s that say
// what to do; one that the organisation must give first is an [AwaitingAdmin]. The
// tenant is the state's, and known even where the rest fails. Whoever waits for the
// consent can read how it ended in the store.
func (s *Service) Finish(ctx context.Context, callback url.Values) (Connected, error) {
	if s.adminConsented(callback) {
		return Connected{Consented: true}, nil
	}
	state := callback.Get("state")
	consent, err := s.Store.TakeConsent(ctx, state, s.Now())
	if errors.Is(err, busy.ErrNotFound) {
		return Connected{}, busy.Invalid("state", "is not one that busyd waits for: it was used, or is older than ten minutes. Begin anew")
	}
	if err != nil {
		return Connected{}, err
	}
	done, err := s.settle(ctx, consent, callback)
	// The owner may have closed the window; whoever waits is told all the same.
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), notingWithin)
	defer cancel()
	if err := s.Store.EndConsent(noting, consent.Tenant, state, endOf(done, err)); err != nil {
		s.Log.Error("how a consent ended is not noted: whoever waits for it goes on", "tenant", consent.Tenant, "error", err)
	}
	return done, err
}

const notingWithin = 5 * time.Second

func endOf(done Connected, err error) busy.ConsentEnd {
	var waiting *AwaitingAdmin
	var wrong *busy.Violation
	switch {
	case err == nil:
		return busy.ConsentEnd{State: busy.ConsentGiven, Connection: done.Connection.ID}
	case errors.As(err, &waiting):
		return busy.ConsentEnd{State: busy.ConsentAwaitingAdmin, Connection: done.Connection.ID}
	case errors.As(err, &wrong):
		return busy.ConsentEnd{State: busy.ConsentFailed, Problem: wrong.Error()}
	default:
		return busy.ConsentEnd{State: busy.ConsentFailed}
	}
}

// settle connects what the owner has consented to.
func (s *Service) settle(ctx context.Context, consent busy.Consent, callback url.Values) (Connected, error) {
	done := Connected{Tenant: consent.Tenant}
	authorizer, ok := s.providers[consent.Kind].(providers.Authorizer)
	if !ok {
		return done, busy.Invalid("kind", "must be one that is connected by consent: "+s.kinds(isAuthorizer))
	}
	grant, err := authorizer.Authorize(ctx, providers.Consent{
		Verifier: consent.Verifier, Redirect: s.Callback, Push: consent.Push,
	}, callback)
	if providers.FaultOf(err) == providers.AwaitingAdmin {
		waiting := &AwaitingAdmin{URL: s.AdminConsentURL(consent.Kind, consent.Push), Err: err}
		if done.Connection.ID, err = s.Store.Await(ctx, consent.Tenant, consent, providers.CodeOf(err), s.Now()); err != nil {
			return done, err
		}
		return done, waiting
	}
	if err != nil {
		return done, fmt.Errorf("exchange the consent: %w", err)
	}
	account, err := authorizer.AccountOf(grant)
	if err != nil {
		return done, fmt.Errorf("find the account's name: %w", err)
	}
	if !consent.Connection.IsZero() {
		was, err := s.Store.Account(ctx, consent.Tenant, consent.Connection)
		if err != nil {
			return done, err
		}
		if was != nil {
			done.Connection, err = s.reconnect(ctx, consent, grant, was, account)
			return done, err
		}
		// It still waits for its first consent: creating one gives it that.
		if err := s.checkReconnect(ctx, consent); err != nil {
			return done, err
		}
	}
	done.Connection, done.Calendars, err = s.create(ctx, consent.Tenant, busy.NewConnection{
		Resource: consent.Resource, Kind: consent.Kind, Grant: grant, Account: account, Waiting: consent.Connection,
	})
	return done, err
}

// AdminConsentURL is where an administrator consents for all people of an
// organisation; empty for a provider that has no such page.
func (s *Service) AdminConsentURL(kind busy.Kind, push bool) string {
	p, ok := s.providers[kind].(providers.AdminConsenter)
	if !ok {
		return ""
	}
	return p.AdminConsentURL(providers.Consent{Redirect: s.Callback, Push: push})
}

// adminConsented needs no state: whoever says so learns and changes nothing.
func (s *Service) adminConsented(callback url.Values) bool {
	for _, p := range s.Config.Providers {
		if c, ok := p.(providers.AdminConsenter); ok && c.AdminConsented(callback) {
			return true
		}
	}
	return false
}

// Pause has nothing of a connection read, or all of it again. A [busy.Violation]
// for one that is not read for another reason.
func (s *Service) Pause(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, paused bool) (busy.Connection, error) {
	change := s.Store.Resume
	if paused {
		change = s.Store.Pause
	}
	if err := change(ctx, tenant, id, s.Now()); err != nil {
		return busy.Connection{}, err
	}
	return s.Store.Connection(ctx, tenant, id)
}

// Password connects an account with a password. The login is verified against
// the server before anything is stored.
func (s *Service) Password(ctx context.Context, tenant busy.TenantID, resource busy.ResourceID, kind busy.Kind,
	login providers.Login,
) (Connected, error) {
	connector, ok := s.providers[kind].(providers.Connector)
	if !ok {
		return Connected{}, busy.Invalid("kind", "must be one that is connected with a password: "+s.kinds(isConnector))
	}
	grant, err := connector.Connect(ctx, login)
	if err != nil {
		return Connected{}, err
	}
	done := Connected{Tenant: tenant}
	done.Connection, done.Calendars, err = s.create(ctx, tenant, busy.NewConnection{
		Resource: resource, Kind: kind, Grant: grant, Account: accountOf(login),
	})
	return done, err
}

// Reconnect gives a connection that has a password another login, after it was
// tried, and keeps what is known of its calendars. The login must be of the account
// that the connection reads: another account's calendars are not among those that
// it has. A feed may have another address, for a new secret one is why a feed is
// reconnected. A [busy.Violation] says what is wrong.
func (s *Service) Reconnect(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, login providers.Login) error {
	connection, err := s.Store.Connection(ctx, tenant, id)
	if err != nil {
		return err
	}
	if connection.State == busy.ConnectionDisconnected {
		return busy.Invalid("connection", "is disconnected, which is final: connect the account anew")
	}
	connector, ok := s.providers[connection.Kind].(providers.Connector)
	if !ok {
		return busy.Invalid("connection", "is renewed by its owner's consent, not with a password: "+renewal(connection))
	}
	if err := s.checkLogin(ctx, tenant, connection, login); err != nil {
		return err
	}
	grant, err := connector.Connect(ctx, login)
	if err != nil {
		return err
	}
	var account busy.Secret // as it was
	if connection.Kind == busy.Feed {
		account = accountOf(login)
	}
	return s.Store.ReplaceGrant(ctx, tenant, id, grant, account, s.Now())
}

// renewal is the command that sends an owner through the consent again.
func renewal(c busy.Connection) string {
	provider := string(c.Kind)
	if c.Kind == busy.Graph {
		provider = "outlook"
	}
	return "use `busyd connection add " + provider + " --reconnect " + c.ID.String() + "`"
}

// checkLogin wants the login to be of the account that the connection reads, if
// that is known. No server is asked for a login that is not.
func (s *Service) checkLogin(ctx context.Context, tenant busy.TenantID, c busy.Connection, login providers.Login) error {
	if c.Kind == busy.Feed {
		return nil
	}
	account, err := s.Store.Account(ctx, tenant, c.ID)
	if err != nil {
		return err
	}
	was, known := loginOf(account)
	switch {
	case !known:
		return nil
	case was.Username != login.Username:
		return busy.Invalid("username", "must be the one that the connection signs in with: another account is another connection, add it as that")
	case was.Mailbox != login.Mailbox:
		return busy.Invalid("mailbox", "must be the one that the connection reads, or be left out where it was: another mailbox is another connection, add it as that")
	case strings.TrimRight(was.URL, "/") != strings.TrimRight(login.URL, "/"):
		return busy.Invalid("url", "must be given as when the account was connected, or be left out where it was: an account elsewhere is another connection, add it as that")
	default:
		return nil
	}
}

// accountOf names the account of a login. The same account typed in another way is
// another one.
func accountOf(l providers.Login) busy.Secret {
	return busy.Secret(l.URL + "\x00" + l.Username + "\x00" + l.Mailbox)
}

// loginOf is what accountOf made the name of, without a password.
func loginOf(account busy.Secret) (l providers.Login, known bool) {
	parts := strings.Split(string(account), "\x00")
	if len(parts) != 3 {
		return l, false
	}
	return providers.Login{URL: parts[0], Username: parts[1], Mailbox: parts[2]}, true
}

// create finds the account's calendars and stores all of it. The store makes the
// first sync due.
func (s *Service) create(ctx context.Context, tenant busy.TenantID, c busy.NewConnection) (busy.Connection, []busy.Calendar, error) {
	session, err := s.providers[c.Kind].Open(ctx, providers.Account{Grant: c.Grant})
	if err != nil {
		return busy.Connection{}, nil, fmt.Errorf("open a session: %w", err)
	}
	found, err := session.Calendars(ctx)
	if closer, ok := session.(io.Closer); ok {
		_ = closer.Close()
	}
	if err != nil {
		return busy.Connection{}, nil, fmt.Errorf("list the calendars: %w", err)
	}
	for _, calendar := range found {
		c.Calendars = append(c.Calendars, busy.NewCalendar{
			Remote: calendar.Remote, Name: calendar.Name, Zone: calendar.Zone, Selected: calendar.Blocking,
		})
	}
	return s.Store.CreateConnection(ctx, tenant, c, s.Now())
}

// reconnect gives a connection the new grant, if it is for the account that it was.
func (s *Service) reconnect(ctx context.Context, c busy.Consent, grant, was, account busy.Secret) (busy.Connection, error) {
	if string(was) != string(account) {
		return busy.Connection{}, busy.Invalid("account", "must be the one that the connection reads: sign in to that one, or make a new connection")
	}
	if err := s.Store.ReplaceGrant(ctx, c.Tenant, c.Connection, grant, nil, s.Now()); err != nil {
		return busy.Connection{}, err
	}
	return s.Store.Connection(ctx, c.Tenant, c.Connection)
}

func isAuthorizer(p providers.Provider) bool { _, ok := p.(providers.Authorizer); return ok }
func isConnector(p providers.Provider) bool  { _, ok := p.(providers.Connector); return ok }

// kinds lists the configured providers of which is is true.
func (s *Service) kinds(is func(providers.Provider) bool) string {
	list := ""
	for _, p := range s.Config.Providers {
		if !is(p) {
			continue
		}
		if list != "" {
			list += ", "
		}
		list += string(p.Kind())
	}
	if list == "" {
		return "none is configured"
	}
	return list
}
