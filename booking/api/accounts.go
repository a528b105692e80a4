package api

import (
	"context"
	"errors"
	"net/url"
	"slices"

	"github.com/busyd/busyd/busy"
)

// Accounts connects and disconnects accounts at providers. Its errors are a
// [busy.Violation] for what the caller can mend, busy.ErrNotFound for an id that
// is not the tenant's, and a [ProviderError].
type Accounts interface {
	// Begin returns the address at which the owner consents.
	Begin(ctx context.Context, c busy.Consent) (authorizationURL string, err error)
	// Finish takes what the owner's browser came back with.
	Finish(ctx context.Context, callback url.Values) (Connected, error)
	// Connect connects an account with a password, after it was tried.
	Connect(ctx context.Context, tenant busy.TenantID, resource busy.ResourceID, kind busy.Kind, login Login) (Connected, error)
	// AdminConsentURL is where an administrator consents for an organisation; empty
	// where a provider has no such page.
	AdminConsentURL(kind busy.Kind) string
	// Pause has nothing of a connection read, or all of it again.
	Pause(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, paused bool) (busy.Connection, error)
	// Disconnect is final.
	Disconnect(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID) error
	// Downgrade takes calendars out of the tenant's plan, or puts them back.
	Downgrade(ctx context.Context, tenant busy.TenantID, downgraded bool) error
}

// Login is what an account is connected with that has a password.
type Login struct {
	URL      string
	Username string
	Password busy.Secret
	Mailbox  string // to read, where it is not the user's own
}

// Connected is an account that was connected.
type Connected struct {
	Connection busy.Connection
	Calendars  []busy.Calendar // nil after a reconnect
	// Consented: an administrator has consented for an organisation, and nothing
	// was connected.
	Consented bool
}

// ProviderError says that a provider could not be asked, or will not answer yet.
type ProviderError struct {
	AwaitingAdmin bool   // the owner's organisation must consent
	AdminURL      string // where; empty: the provider has no such page
	Err           error
}

func (e *ProviderError) Error() string { return "the provider: " + e.Err.Error() }

func (e *ProviderError) Unwrap() error { return e.Err }

type connectBody struct {
	Provider   busy.Kind  `json:"provider" enum:"google,graph,ews,caldav,feed" example:"google" doc:"With the owner's consent: google; graph, which is Outlook and Microsoft 365. With login: caldav; ews, an Exchange Server; feed, a published .ics file."`
	Resource   string     `json:"resource" format:"uuid" doc:"Whose time the calendars block."`
	Connection *string    `json:"connection,omitempty" format:"uuid" doc:"To reconnect this one. It keeps its id and its calendars."`
	Push       bool       `json:"push,omitempty" doc:"Ask for what being told of changes takes, where a provider wants more for that."`
	Login      *loginBody `json:"login,omitempty" doc:"For providers without OAuth."`
}

type loginBody struct {
	URL      string `json:"url,omitempty" doc:"Where to begin looking for the calendars; with feed, the file's address."`
	Username string `json:"username,omitempty" doc:"Required, except with a feed that does not ask for it."`
	Password string `json:"password,omitempty" doc:"Required as the username is. An app-specific password where the provider has them. It is stored sealed, and never shown."`
	Mailbox  string `json:"mailbox,omitempty" doc:"With Exchange: the e-mail address of the mailbox to read, where it is not the user's own."`
}

type connectAnswer struct {
	AuthorizationURL *string         `json:"authorization_url,omitempty" format:"uri" doc:"Send the owner's browser here, within ten minutes."`
	Connection       *connectionItem `json:"connection,omitempty" doc:"With login: what was connected."`
	Calendars        []calendarItem  `json:"calendars,omitempty" nullable:"false" doc:"With login: the calendars that were found."`
}

func (a *api) connect(r *request) (any, error) {
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body connectBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	consent, err := body.consent(r.tenant)
	if err != nil {
		return nil, err
	}
	if body.Login == nil {
		return a.begin(r, consent)
	}
	if err := a.owns(r, consent.Resource); err != nil {
		return nil, err
	}
	done, err := a.Accounts.Connect(r.ctx, r.tenant, consent.Resource, body.Provider, Login{
		URL: body.Login.URL, Username: body.Login.Username, Password: busy.Secret(body.Login.Password),
		Mailbox: body.Login.Mailbox,
	})
	if err != nil {
		return nil, ofProvider(err)
	}
	item := a.connectionItem(done.Connection)
	answer := connectAnswer{Connection: &item}
	for _, c := range done.Calendars {
		answer.Calendars = append(answer.Calendars, a.calendarItem(c, r.now))
	}
	return answer, nil
}

func (a *api) begin(r *request, c busy.Consent) (any, error) {
	address, err := a.Accounts.Begin(r.ctx, c)
	if err != nil {
		return nil, ofProvider(err)
	}
	return connectAnswer{AuthorizationURL: &address}, nil
}

// ofProvider names the field provider as the body does: inside it is a kind.
func ofProvider(err error) error {
	var v *busy.Violation
	if errors.As(err, &v) && v.Field == "kind" {
		return violations{{"provider", v.Detail}}
	}
	return err
}

// owns is busy.ErrNotFound if the tenant has no such resource: no provider is
// asked for a stranger.
func (a *api) owns(r *request, id busy.ResourceID) error {
	all, err := a.Store.Resources(r.ctx, r.tenant)
	if err == nil && !slices.ContainsFunc(all, func(res busy.Resource) bool { return res.ID == id }) {
		err = busy.ErrNotFound
	}
	return err
}

func (b connectBody) consent(tenant busy.TenantID) (busy.Consent, error) {
	c := busy.Consent{Tenant: tenant, Kind: b.Provider, Push: b.Push}
	var wrong violations
	var err error
	if b.Provider == "" {
		wrong = append(wrong, violation{"provider", "is required, such as google or caldav"})
	}
	if c.Resource, err = busy.ParseID[busy.Resource](b.Resource); err != nil {
		wrong = append(wrong, violation{"resource", uuidForm})
	}
	if b.Connection != nil {
		if c.Connection, err = busy.ParseID[busy.Connection](*b.Connection); err != nil {
			wrong = append(wrong, violation{"connection", uuidForm})
		}
	}
	if b.Login != nil && b.Connection != nil {
		wrong = append(wrong, violation{"login", "must not be given together with connection"})
	}
	// A feed's address may be all that it takes.
	if b.Login != nil && b.Provider != busy.Feed && (b.Login.Username == "" || b.Login.Password == "") {
		wrong = append(wrong, violation{"login", "must have a username and a password"})
	}
	if len(wrong) > 0 {
		return busy.Consent{}, wrong
	}
	return c, nil
}

type pauseBody struct {
	Paused *bool `json:"paused" nullable:"false" doc:"Whether nothing of the account is read."`
}

func (a *api) pause(r *request) (any, error) {
	id := idOf[busy.Connection](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body pauseBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	if body.Paused == nil {
		return nil, violations{{"paused", "is required: true or false"}}
	}
	connection, err := a.Accounts.Pause(r.ctx, r.tenant, id, *body.Paused)
	if err != nil {
		return nil, err
	}
	return a.connectionItem(connection), nil
}

func (a *api) disconnect(r *request) (any, error) {
	id := idOf[busy.Connection](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	return nil, a.Accounts.Disconnect(r.ctx, r.tenant, id)
}

func isProviderError(err error) (awaitingAdmin, ok bool) {
	var e *ProviderError
	ok = errors.As(err, &e)
	return ok && e.AwaitingAdmin, ok
}
