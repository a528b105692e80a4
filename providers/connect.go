package providers

import (
	"context"
	"net/url"

	"github.com/busyd/busyd/busy"
)

// Authorizer is a provider whose accounts are connected by OAuth: the owner
// consents in a browser, which comes back with a code (RFC 6749 §4.1).
type Authorizer interface {
	// AuthorizationURL is where the owner's browser goes to consent.
	AuthorizationURL(c Consent) string
	// Authorize turns what the browser came back with into the grant to store.
	// An error is a [busy.Violation] where the owner did something else than was
	// asked, such as leaving a permission out, and says what to do; it is of kind
	// AwaitingAdmin where the owner's organisation must consent first.
	Authorize(ctx context.Context, c Consent, callback url.Values) (busy.Secret, error)
	// AccountOf names the account at the provider that a grant is for, so that
	// several connections of one account are known as such. It is personal.
	AccountOf(grant busy.Secret) (busy.Secret, error)
}

// Consent is one attempt at connecting an account.
type Consent struct {
	State    string // comes back with the browser
	Verifier string // of PKCE (RFC 7636), S256
	Redirect string // exactly as registered with the provider
	// Push asks for what being told of changes takes, where that is more.
	Push bool
}

// Revoker is a provider that can be told that a grant is not wanted any more.
type Revoker interface {
	// Revoke withdraws the grant. A grant that the provider does not know any more
	// is withdrawn. It may withdraw all grants that the account has given busyd.
	Revoke(ctx context.Context, grant busy.Secret) error
}

// AdminConsenter is a provider of which a whole organisation's administrator can
// consent for its people. Nothing is connected by that.
type AdminConsenter interface {
	// AdminConsentURL is where an administrator consents. The address is not secret
	// and stays good; the browser comes back to c.Redirect. c's state is not needed.
	AdminConsentURL(c Consent) string
	// AdminConsented reports whether what a browser came back with says that an
	// administrator has consented. Nothing may be done about it but to say so.
	AdminConsented(callback url.Values) bool
}
