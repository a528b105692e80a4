package transport

import (
	"io"
	"net/http"
	"sync"
)

// Accounts bounds how many requests of one account are under way at once. The
// zero Accounts is ready; it remembers only accounts that are in use.
type Accounts struct {
	mu    sync.Mutex
	lanes map[string]*lane
}

type lane struct {
	slots chan struct{}
	users int
}

// Limit returns next bounded to n requests at a time, counted over all
// RoundTrippers with the same account. A request ends when its body is closed,
// so a caller must close one before it sends the next. Waiting ends with the
// request's context.
func (a *Accounts) Limit(account string, n int, next http.RoundTripper) http.RoundTripper {
	return &limited{accounts: a, name: func(*http.Request) string { return account }, n: n, next: next}
}

// LimitServers is as Limit, for all requests to one host.
func (a *Accounts) LimitServers(n int, next http.RoundTripper) http.RoundTripper {
	return &limited{accounts: a, name: func(r *http.Request) string { return r.URL.Host }, n: n, next: next}
}

type limited struct {
	accounts *Accounts
	name     func(*http.Request) string
	n        int
	next     http.RoundTripper
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] reach the pools.
func (l *limited) CloseIdleConnections() { closeIdle(l.next) }

// RoundTrip implements [http.RoundTripper].
func (l *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	account := l.name(r)
	lane := l.accounts.enter(account, l.n)
	select {
	case lane.slots <- struct{}{}:
	case <-r.Context().Done():
		closeBody(r)
		l.accounts.leave(account)
		return nil, r.Context().Err()
	}
	done := sync.OnceFunc(func() {
		<-lane.slots
		l.accounts.leave(account)
	})
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		done()
		return nil, err
	}
	resp.Body = &slot{ReadCloser: resp.Body, done: done}
	return resp, nil
}

type slot struct {
	io.ReadCloser
	done func()
}

func (s *slot) Close() error {
	defer s.done()
	return s.ReadCloser.Close()
}

func (a *Accounts) enter(account string, n int) *lane {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.lanes[account]
	if l == nil {
		if a.lanes == nil {
			a.lanes = make(map[string]*lane)
		}
		l = &lane{slots: make(chan struct{}, n)}
		a.lanes[account] = l
	}
	l.users++
	return l
}

func (a *Accounts) leave(account string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.lanes[account]
	if l.users--; l.users == 0 {
		delete(a.lanes, account)
	}
}
