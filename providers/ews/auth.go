package ews

import (
	"net/http"
	"strings"
)

// scheme is a way to authenticate (RFC 9110 §11).
type scheme string

// The schemes, as the grant stores them.
const (
	ntlm      scheme = "ntlm"
	negotiate scheme = "negotiate" // NTLM's messages, without Kerberos around them
	basic     scheme = "basic"
	bearer    scheme = "bearer"
)

func (s scheme) known() bool { return s == ntlm || s == negotiate || s == basic || s == bearer }

// label is the scheme in a header. The messages of the two NTLM schemes are the
// same.
func (s scheme) label() string {
	switch s {
	case ntlm:
		return "NTLM"
	case negotiate:
		return "Negotiate"
	case basic:
		return "Basic"
	default:
		return "Bearer"
	}
}

// offered are the schemes for a password that a 401 offers: one that does not
// send it, before the one that does. Each refusal counts towards locking the
// account, so what comes to the same is tried once.
func offered(h http.Header) []scheme {
	var found []scheme
	for _, s := range []scheme{ntlm, negotiate, basic} {
		if _, ok := challenge(h, s); ok && (s == basic || len(found) == 0) {
			found = append(found, s)
		}
	}
	return found
}

// challenge is what follows the scheme's name in its WWW-Authenticate.
func challenge(h http.Header, s scheme) (token string, found bool) {
	for _, value := range h.Values("WWW-Authenticate") {
		for _, one := range strings.Split(value, ",") {
			name, rest, _ := strings.Cut(strings.TrimSpace(one), " ")
			if strings.EqualFold(name, s.label()) {
				return strings.TrimSpace(rest), true
			}
		}
	}
	return "", false
}

// basicAuth sends the password with each request (RFC 7617).
type basicAuth struct {
	base               http.RoundTripper
	username, password string
}

// RoundTrip implements [http.RoundTripper].
func (b *basicAuth) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := r.Clone(r.Context())
	sent.SetBasicAuth(b.username, b.password)
	return b.base.RoundTrip(sent)
}
