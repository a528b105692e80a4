// Package oauth is what the providers that are connected by OAuth 2.0 share: the
// authorization-code flow with PKCE, and access tokens that are renewed once for
// all daemons and stored before they are used.
package oauth

import (
	"encoding/json"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// Grant is what is stored, sealed, of an account.
type Grant struct {
	Refresh string    `json:"refresh"`
	Access  string    `json:"access"`
	Expires time.Time `json:"expires"`
	// Account names the account at the provider; it may be an e-mail address.
	Account string   `json:"account"`
	Scopes  []string `json:"scopes"`
}

// Read decodes a stored grant. The error is of kind Revoked: only connecting
// anew mends it.
func Read(secret busy.Secret) (Grant, error) {
	var g Grant
	if err := json.Unmarshal(secret, &g); err != nil || g.Refresh == "" {
		return Grant{}, &providers.Error{Fault: providers.Revoked, Code: "grant_unreadable"}
	}
	return g, nil
}

// Secret encodes the grant to be stored.
func (g Grant) Secret() busy.Secret {
	raw, err := json.Marshal(g)
	if err != nil { // strings and a time always encode
		panic(err)
	}
	return raw
}
