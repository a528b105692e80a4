package caldav

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// client sends WebDAV requests as one user.
//
// go-webdav's client is not used: it drops the host of a home-set, fails a whole
// answer for one bad member, hides the status of a failure in an internal type,
// buffers bodies, and knows neither sync-collection nor the properties that a
// cheap poll needs. Its server and types are fine, see caldavserver.
type client struct {
	rt       http.RoundTripper
	username string
	password string
	now      func() time.Time
}

const (
	maxRedirects = 5
	maxErrorBody = 64 << 10
)

// httpError is the cause of a [providers.Error] that an HTTP status led to.
type httpError struct {
	status        int
	preconditions map[string]bool
	offersBasic   bool // a 401 names Basic among its challenges, or none at all
}

func (e *httpError) Error() string { return fmt.Sprintf("the server answered %d", e.status) }

func causeOf(err error) (cause *httpError, ok bool) {
	ok = errors.As(err, &cause)
	return cause, ok
}

// statusIn returns the HTTP status that an error is due to; zero if to none.
func statusIn(err error) int {
	if cause, ok := causeOf(err); ok {
		return cause.status
	}
	return 0
}

func failsPrecondition(err error, name string) bool {
	cause, ok := causeOf(err)
	return ok && cause.preconditions[name]
}

// query is a request whose answer is a multistatus.
type query struct {
	method string // PROPFIND or REPORT
	depth  string
	body   string
}

// ask sends the query and hands on each response of the multistatus, with the
// address that answered in the end. It returns the multistatus's sync-token.
func (c *client) ask(ctx context.Context, at *url.URL, q query, each func(*url.URL, *answer) error) (string, error) {
	resp, at, err := c.send(ctx, at, q)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusMultiStatus {
		return "", c.refusal(resp)
	}
	token, err := multistatus(resp.Body, func(a *answer) error { return each(at, a) })
	if err != nil {
		return "", err
	}
	// Reading to the end lets the connection be used again.
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
	return token, nil
}

// get fetches one object and hands on its body and its etag.
func (c *client) get(ctx context.Context, at *url.URL, read func(body io.Reader, etag string) error) error {
	resp, _, err := c.send(ctx, at, query{method: http.MethodGet})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp)
	}
	return read(resp.Body, resp.Header.Get("ETag"))
}

// send sends the query and follows redirects, which net/http would turn into a
// GET without body or strip of the credential.
func (c *client) send(ctx context.Context, at *url.URL, q query) (*http.Response, *url.URL, error) {
	for range maxRedirects + 1 {
		r, err := http.NewRequestWithContext(ctx, q.method, at.String(), strings.NewReader(q.body))
		if err != nil {
			return nil, at, &providers.Error{Fault: providers.Rejected, Code: "bad_address"}
		}
		// iCloud's 401 may not even offer Basic: it is sent without being asked for.
		r.SetBasicAuth(c.username, c.password)
		if q.body != "" {
			r.Header.Set("Content-Type", "application/xml; charset=utf-8")
			r.Header.Set("Depth", q.depth)
		}
		resp, err := c.rt.RoundTrip(r)
		if err != nil {
			return nil, at, networkError(ctx, err)
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			_ = resp.Body.Close()
		default:
			return resp, at, nil
		}
		next, err := resolve(at, resp.Header.Get("Location"))
		if err != nil {
			return nil, at, err
		}
		at = next
	}
	return nil, at, &providers.Error{Code: "redirect_loop"}
}

// errElsewhere: the server points to a place that must not see the password.
var errElsewhere = &providers.Error{Code: "redirect_refused", Err: errors.New("the server points to another site")}

// iCloud writes the default port out.
var defaultPort = map[string]string{"https": ":443", "http": ":80"}

// resolve returns where a reference leads, if the credential for base may be
// sent there: over https, within the same registrable domain. Plain http is
// left to the transport, which keeps it to the addresses that the operator
// allows. Servers behind a proxy call themselves http: on the same host, that
// is read as https.
func resolve(base *url.URL, reference string) (*url.URL, error) {
	ref, err := url.Parse(strings.TrimSpace(reference))
	if err != nil || reference == "" {
		return nil, &providers.Error{Code: "bad_href", Err: errors.New("the server sent a reference that is no URL")}
	}
	to := base.ResolveReference(ref)
	to.Fragment, to.User = "", nil
	if base.Scheme == "https" && to.Scheme == "http" && to.Hostname() == base.Hostname() {
		to.Scheme, to.Host = base.Scheme, base.Host
	}
	to.Host = strings.TrimSuffix(to.Host, defaultPort[to.Scheme])
	if to.Scheme != "https" && to.Scheme != base.Scheme || !transport.SameSite(base.Hostname(), to.Hostname()) {
		return nil, errElsewhere
	}
	return to, nil
}

// locate reads the href of a collection's member. Servers forget to escape
// names: what is no URL is taken for a path as it stands, since a member that
// was left out of a listing would count as removed.
func locate(base *url.URL, href string) *url.URL {
	if u, err := base.Parse(href); err == nil {
		return u
	}
	if _, rest, absolute := strings.Cut(href, "://"); absolute {
		_, path, _ := strings.Cut(rest, "/")
		href = "/" + path
	}
	return base.ResolveReference(&url.URL{Path: href})
}

func networkError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e := (*providers.Error)(nil); errors.As(err, &e) {
		return e
	}
	return &providers.Error{Code: transport.CodeNetwork}
}

// refusal turns an answer that is not a multistatus into an error. What a 401 or
// a 404 means is for the session to find out.
func (c *client) refusal(resp *http.Response) error {
	cause := &httpError{
		status:        resp.StatusCode,
		preconditions: preconditions(io.LimitReader(resp.Body, maxErrorBody)),
		offersBasic:   offersBasic(resp.Header.Values("WWW-Authenticate")),
	}
	e := &providers.Error{Err: cause, After: transport.RetryAfter(resp.Header, c.now())}
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		e.Fault, e.Code = providers.Throttled, "throttled"
	case status/100 == 5:
		e.Code = "server_error"
	case status == http.StatusUnauthorized:
		e.Code = "unauthorized"
	case status == http.StatusForbidden:
		e.Code = "forbidden"
	case status == http.StatusNotFound, status == http.StatusGone, status == http.StatusMisdirectedRequest:
		e.Code = "not_found"
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusLocked,
		status == http.StatusTooEarly, status == http.StatusPaymentRequired:
		e.Code = "refused_for_now"
	case status/100 == 4:
		e.Fault, e.Code = providers.Rejected, "request_refused"
	default:
		e.Code = "not_caldav"
	}
	return e
}

func offersBasic(challenges []string) bool {
	if len(challenges) == 0 {
		return true
	}
	for _, c := range challenges {
		if strings.Contains(strings.ToLower(c), "basic") {
			return true
		}
	}
	return false
}
