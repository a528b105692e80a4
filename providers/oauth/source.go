package oauth

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// early is how long before its end an access token is renewed: a clock that is a
// little wrong, and a slow request, must not meet a token that is just over.
const early = 2 * time.Minute

// Source hands out the access tokens of one account.
type Source struct {
	app     *App
	account providers.Account

	mu    sync.Mutex
	grant Grant
}

// Source returns the source of an account's tokens. It does not use the network.
func (a *App) Source(account providers.Account) (*Source, error) {
	grant, err := Read(account.Grant)
	if err != nil {
		return nil, err
	}
	return &Source{app: a, account: account, grant: grant}, nil
}

// Grant is the grant as it is now.
func (s *Source) Grant() Grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grant
}

// Token returns an access token that is good for now.
func (s *Source) Token(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.good(s.grant) {
		return s.grant.Access, nil
	}
	return s.renew(ctx, "")
}

// Instead returns another access token than the one that the provider refused.
func (s *Source) Instead(ctx context.Context, refused string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grant.Access != refused && s.good(s.grant) {
		return s.grant.Access, nil
	}
	return s.renew(ctx, refused)
}

func (s *Source) good(g Grant) bool {
	return g.Access != "" && s.app.Now().Before(g.Expires.Add(-early))
}

// renew renews the stored grant under the lock that all daemons share. Another
// may have done so while this one waited.
func (s *Source) renew(ctx context.Context, refused string) (string, error) {
	if s.account.Renew == nil {
		grant, err := s.app.refresh(ctx, s.grant)
		if err != nil {
			return "", err
		}
		s.grant = grant
		return grant.Access, nil
	}
	stored, err := s.account.Renew(ctx, func(ctx context.Context, current busy.Secret) (busy.Secret, error) {
		grant, err := Read(current)
		if err != nil {
			return nil, err
		}
		if s.good(grant) && grant.Access != refused {
			return current, nil
		}
		if grant, err = s.app.refresh(ctx, grant); err != nil {
			return nil, err
		}
		return grant.Secret(), nil
	})
	if err != nil {
		return "", err
	}
	if s.grant, err = Read(stored); err != nil {
		return "", err
	}
	return s.grant.Access, nil
}

// Transport sends requests with the account's token. One that is refused with
// 401 is sent once more with a new token; a second 401 is the caller's to read.
func (s *Source) Transport(base http.RoundTripper) http.RoundTripper { return bearer{s, base} }

type bearer struct {
	source *Source
	base   http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := b.source.Token(r.Context())
	if err != nil {
		closeBody(r)
		return nil, err
	}
	answer, err := b.base.RoundTrip(authorized(r, r.Body, token))
	if err != nil || answer.StatusCode != http.StatusUnauthorized || r.Body != nil && r.GetBody == nil {
		return answer, err
	}
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10)
	_ = answer.Body.Close()
	if token, err = b.source.Instead(r.Context(), token); err != nil {
		return nil, err
	}
	body := r.Body
	if r.GetBody != nil {
		if body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return b.base.RoundTrip(authorized(r, body, token))
}

func authorized(r *http.Request, body io.ReadCloser, token string) *http.Request {
	clone := r.Clone(r.Context())
	clone.Body = body
	clone.Header.Set("Authorization", "Bearer "+token)
	return clone
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
