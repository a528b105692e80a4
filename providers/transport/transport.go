// Package transport builds the HTTP clients that providers speak through. What
// a person types as a server's address is not trusted: the address is checked
// when it is dialled, bodies and times are bounded, redirects are not followed,
// and every failure comes out as a [providers.Error] that names no host.
package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// Config of a transport. The zero Config reaches public addresses over https.
type Config struct {
	// Kind labels the calls in Observe.
	Kind busy.Kind
	// UserAgent is sent where a request names none; empty: "busyd".
	UserAgent string
	// Timeout bounds one request from dialling to the last byte of its body;
	// zero: providers.RequestTimeout.
	Timeout time.Duration
	// HeaderTimeout bounds the wait for an answer's header; zero: Timeout.
	HeaderTimeout time.Duration
	// MaxBody bounds a body after decompression, in bytes; zero: 64 MiB.
	MaxBody int64
	// Allow are the operator's exceptions: addresses that may be reached
	// although they are not public. Only these may be reached over plain http.
	Allow []netip.Prefix
	// Resolver finds the addresses of names; nil: the system's.
	Resolver *net.Resolver
	// Roots replaces the system's certificate authorities; nil: the system's.
	Roots *x509.CertPool
	// HTTP1 keeps to HTTP/1.1, for servers that mishandle multiplexing.
	HTTP1 bool
	// Observe is told of each call once its header has arrived or it has
	// failed; it is called from many goroutines. It may be nil.
	Observe func(Call)
}

// Call is what metrics may know of a request: nothing that names an account.
type Call struct {
	Kind   busy.Kind
	Method string
	// Result is "2xx" to "5xx", "429" for itself, "canceled" where the caller
	// gave up, or the Code of the [providers.Error].
	Result string
	// Duration until the header arrived, or the failure.
	Duration time.Duration
}

const defaultMaxBody = 64 << 20

// New returns a RoundTripper that keeps to the configuration. The environment's
// proxy variables are ignored: behind a proxy the guard could not see whom it
// talks to.
func New(c Config) http.RoundTripper {
	if c.UserAgent == "" {
		c.UserAgent = "busyd"
	}
	if c.Timeout == 0 {
		c.Timeout = providers.RequestTimeout
	}
	if c.HeaderTimeout == 0 {
		c.HeaderTimeout = c.Timeout
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	return &guarded{
		Config: c,
		https:  dialling(c, guard{allow: c.Allow, public: true}),
		http:   dialling(c, guard{allow: c.Allow}),
	}
}

// NewClient is New as a client that does not follow redirects: an adapter that
// wants to follow one must check where it leads before it sends a credential.
func NewClient(c Config) *http.Client {
	return &http.Client{
		Transport: New(c),
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

func dialling(c Config, g guard) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Resolver: c.Resolver, ControlContext: g.control}
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  c.HeaderTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        30 * time.Second,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(!c.HTTP1)
	return t
}

type guarded struct {
	Config
	https, http *http.Transport
}

// RoundTrip implements [http.RoundTripper]. The body it returns must be closed.
func (g *guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := g.send(r)
	if g.Observe != nil {
		g.Observe(Call{Kind: g.Kind, Method: r.Method, Result: result(resp, err), Duration: time.Since(start)})
	}
	return resp, err
}

func (g *guarded) send(r *http.Request) (*http.Response, error) {
	base := g.https
	switch r.URL.Scheme {
	case "https":
	case "http":
		base = g.http
	default:
		closeBody(r)
		return nil, &providers.Error{Code: CodeScheme, Err: errScheme}
	}
	caller := r.Context()
	ctx, cancel := context.WithTimeout(caller, g.Timeout)
	sent := r.Clone(ctx)
	if sent.Header.Get("User-Agent") == "" {
		sent.Header.Set("User-Agent", g.UserAgent)
	}
	resp, err := base.RoundTrip(sent)
	if err != nil {
		cancel()
		return nil, classify(caller, err)
	}
	resp.Request = r
	resp.Body = &body{from: resp.Body, left: g.MaxBody, caller: caller, cancel: cancel}
	return resp, nil
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] reach the pools.
func (g *guarded) CloseIdleConnections() {
	g.https.CloseIdleConnections()
	g.http.CloseIdleConnections()
}

func closeIdle(rt http.RoundTripper) {
	if c, ok := rt.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

func result(resp *http.Response, err error) string {
	switch {
	case err != nil:
		return codeOf(err)
	case resp.StatusCode == http.StatusTooManyRequests:
		return "429"
	default:
		return strconv.Itoa(resp.StatusCode/100) + "xx"
	}
}

// body is a response's body, bounded in size and time.
type body struct {
	from   io.ReadCloser
	left   int64
	caller context.Context
	cancel context.CancelFunc
}

func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, &providers.Error{Code: CodeTooLarge, Err: errTooLarge}
	}
	// One byte more than is left tells a body that ends here from one too long.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.from.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, &providers.Error{Code: CodeTooLarge, Err: errTooLarge}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = classify(b.caller, err)
	}
	return n, err
}

func (b *body) Close() error {
	defer b.cancel()
	return b.from.Close()
}
