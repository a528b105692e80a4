package feed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// client fetches one file.
type client struct {
	rt       http.RoundTripper
	at       *url.URL
	username string
	password string
	now      func() time.Time
}

func (p *Provider) client(at *url.URL, username, password string) *client {
	return &client{rt: p.HTTP, at: at, username: username, password: password, now: p.Now}
}

const maxRedirects = 5

// statusError is the cause of a [providers.Error] that an HTTP status led to.
type statusError struct{ status int }

func (e *statusError) Error() string { return fmt.Sprintf("the server answered %d", e.status) }

// statusIn returns the HTTP status that an error is due to; zero if to none.
func statusIn(err error) int {
	if cause := (*statusError)(nil); errors.As(err, &cause) {
		return cause.status
	}
	return 0
}

// get is fetch, with a refusal of the credential confirmed by a second one.
func (c *client) get(ctx context.Context, have validators) (*http.Response, error) {
	resp, err := c.fetch(ctx, have)
	if statusIn(err) != http.StatusUnauthorized {
		return resp, err
	}
	resp, err = c.fetch(ctx, have)
	if statusIn(err) == http.StatusUnauthorized {
		err = &providers.Error{Fault: providers.Revoked, Code: "unauthorized", Err: err}
	}
	return resp, err
}

// fetch asks for the file. The answer has the status 200, or 304 if the file is
// still the one that have marks; the caller closes its body.
func (c *client) fetch(ctx context.Context, have validators) (*http.Response, error) {
	at, trusted := c.at, true
	for range maxRedirects + 1 {
		resp, err := c.send(ctx, at, trusted, have)
		if err != nil {
			return nil, err
		}
		switch status := resp.StatusCode; {
		case status == http.StatusOK, status == http.StatusNotModified && have != validators{}:
			return resp, nil
		case !isRedirect(status):
			_ = resp.Body.Close()
			return nil, c.refusal(resp, have)
		}
		_ = resp.Body.Close()
		if at, err = follow(at, resp.Header.Get("Location")); err != nil {
			return nil, err
		}
		trusted = trusted && transport.SameSite(c.at.Hostname(), at.Hostname())
	}
	return nil, errLoop
}

// send sends one request. The credential goes along unless a redirect has led to
// another site.
func (c *client) send(ctx context.Context, at *url.URL, trusted bool, have validators) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, &providers.Error{Fault: providers.Rejected, Code: "bad_address"}
	}
	r.Header.Set("Accept", "text/calendar, */*;q=0.5")
	if trusted && c.username+c.password != "" {
		r.SetBasicAuth(c.username, c.password)
	}
	have.set(r.Header)
	resp, err := c.rt.RoundTrip(r)
	if err != nil {
		return nil, networkError(ctx, err)
	}
	return resp, nil
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	default:
		return false
	}
}

var (
	errLoop     = &providers.Error{Code: "redirect_loop", Err: errors.New("the server redirects too often")}
	errRedirect = &providers.Error{Code: "redirect_refused", Err: errors.New("the server redirects to where a calendar cannot be read safely")}
)

// follow returns where a redirect leads: over https, unless plain http is how it
// began, which the transport keeps to the addresses that the operator allows.
// Servers behind a proxy call themselves http: on the same host, that is read as
// https.
func follow(from *url.URL, location string) (*url.URL, error) {
	ref, err := url.Parse(strings.TrimSpace(location))
	if err != nil || location == "" {
		return nil, errRedirect
	}
	to := from.ResolveReference(ref)
	to.Fragment, to.User = "", nil
	if from.Scheme == "https" && to.Scheme == "http" && to.Hostname() == from.Hostname() {
		to.Scheme, to.Host = from.Scheme, from.Host
	}
	if to.Hostname() == "" || to.Scheme != "https" && (to.Scheme != "http" || from.Scheme != "http") {
		return nil, errRedirect
	}
	return to, nil
}

// networkError keeps what names its kind and nothing else.
func networkError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e := (*providers.Error)(nil); errors.As(err, &e) {
		return e
	}
	return &providers.Error{Code: transport.CodeNetwork}
}

// refusal turns an answer without a file into an error.
func (c *client) refusal(resp *http.Response, have validators) error {
	e := &providers.Error{
		Code: "unexpected_status", Err: &statusError{resp.StatusCode},
		After: transport.RetryAfter(resp.Header, c.now()),
	}
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		e.Fault, e.Code = providers.Throttled, "throttled"
	case status/100 == 5:
		e.Code = "server_error"
	case status == http.StatusUnauthorized:
		e.Code = "unauthorized_once"
	case status == http.StatusForbidden:
		e.Code = "forbidden"
	case status == http.StatusNotFound, status == http.StatusGone:
		e.Fault, e.Code = providers.CalendarGone, "calendar_gone"
	case status == http.StatusPreconditionFailed && have != validators{}:
		e.Fault, e.Code = providers.CursorExpired, "condition_refused"
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusLocked,
		status == http.StatusTooEarly, status == http.StatusPaymentRequired, status == http.StatusMisdirectedRequest:
		e.Code = "refused_for_now"
	case status/100 == 4:
		e.Fault, e.Code = providers.Rejected, "request_refused"
	}
	return e
}
