package transport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func get(t *testing.T, rt http.RoundTripper, address string) (string, error) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	e := (*providers.Error)(nil)
	if !errors.As(err, &e) || e.Code != code || e.Fault != providers.Transient {
		t.Fatalf("error: %v, want the code %s", err, code)
	}
}

func roots(s *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func TestReachesWhatIsAllowed(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.UserAgent()+" "+r.Proto)
	})
	plain, secure := httptest.NewServer(handler), httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer plain.Close()
	defer secure.Close()
	c := transport.Config{Allow: loopback, Roots: roots(secure), UserAgent: "busyd/1"}
	for address, want := range map[string]string{plain.URL: "busyd/1 HTTP/1.1", secure.URL: "busyd/1 HTTP/2.0"} {
		if got, err := get(t, transport.New(c), address); err != nil || got != want {
			t.Errorf("%s: %q, %v", address, got, err)
		}
	}
	c.HTTP1 = true
	if got, err := get(t, transport.New(c), secure.URL); err != nil || got != "busyd/1 HTTP/1.1" {
		t.Errorf("HTTP/1.1 only: %q, %v", got, err)
	}
}

func TestRefusesLoopback(t *testing.T) {
	reached := false
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	t.Setenv("HTTPS_PROXY", plain.URL) // a proxy must not be a way around
	for _, address := range []string{
		plain.URL, secure.URL, strings.Replace(secure.URL, "127.0.0.1", "localhost", 1),
		strings.Replace(secure.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1),
		strings.Replace(secure.URL, "127.0.0.1", "2130706433", 1),
		strings.Replace(secure.URL, "127.0.0.1", "0.0.0.0", 1),
	} {
		_, err := get(t, transport.New(transport.Config{Resolver: noNames}), address)
		if code := providers.CodeOf(err); code != transport.CodeBlocked && code != transport.CodeDNS {
			t.Errorf("%s: %v", address, err)
		}
	}
	if reached {
		t.Error("a request went through")
	}
	_, err := get(t, transport.New(transport.Config{}), "ftp://example.com/")
	wantCode(t, err, transport.CodeScheme)
}

// noNames reaches no name server.
var noNames = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("there is no name server")
}}

func TestNamesFailures(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	defer func() { _ = silent.Close() }()
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	defer untrusted.Close()
	untrusted.Config.ErrorLog = nil
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	go func() {
		for {
			conn, err := plain.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}()
	rt := transport.New(transport.Config{Allow: loopback, Resolver: noNames})
	for address, code := range map[string]string{
		"http://" + closed.Addr().String(): transport.CodeRefused,
		"https://name.invalid/":            transport.CodeDNS,
		untrusted.URL:                      transport.CodeTLS,
		"https://" + plain.Addr().String(): transport.CodeTLS,
	} {
		_, err := get(t, rt, address)
		if providers.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", address, err, code)
		}
		if err != nil && (strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "invalid/")) {
			t.Errorf("the error names the host: %v", err)
		}
	}
	_, err = get(t, transport.New(transport.Config{Allow: loopback, Timeout: 50 * time.Millisecond}), "http://"+silent.Addr().String())
	wantCode(t, err, transport.CodeTimeout)
}

func TestTheCallerGivesUp(t *testing.T) {
	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-arrived
		cancel()
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = transport.New(transport.Config{Allow: loopback}).RoundTrip(r)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error: %v", err)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(bytes.Repeat([]byte("a"), 10_000))
	_ = z.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/exact":
			_, _ = w.Write(bytes.Repeat([]byte("a"), 1000))
		case "/zipped":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		case "/broken":
			w.Header().Set("Content-Length", "500")
			_, _ = w.Write([]byte("a"))
		case "/slow":
			_, _ = w.Write([]byte("a"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			_, _ = w.Write(bytes.Repeat([]byte("a"), 1001))
		}
	}))
	defer server.Close()
	rt := transport.New(transport.Config{Allow: loopback, MaxBody: 1000})
	if body, err := get(t, rt, server.URL+"/exact"); err != nil || len(body) != 1000 {
		t.Errorf("a body of the greatest length: %d bytes, %v", len(body), err)
	}
	for path, code := range map[string]string{
		"/longer": transport.CodeTooLarge, "/zipped": transport.CodeTooLarge,
		"/broken": transport.CodeTruncated,
	} {
		body, err := get(t, rt, server.URL+path)
		if providers.CodeOf(err) != code || len(body) > 1000 {
			t.Errorf("%s: %d bytes, %v; want %s", path, len(body), err, code)
		}
	}
	_, err := get(t, transport.New(transport.Config{Allow: loopback, Timeout: 100 * time.Millisecond}), server.URL+"/slow")
	wantCode(t, err, transport.CodeTimeout)
}

func TestDoesNotFollowRedirects(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer server.Close()
	resp, err := transport.NewClient(transport.Config{Allow: loopback}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		t.Fatalf("status: %d", resp.StatusCode)
	}
}

func TestObserve(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/many" {
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	var calls []transport.Call
	rt := transport.New(transport.Config{Kind: busy.CalDAV, Allow: loopback, Observe: func(c transport.Call) { calls = append(calls, c) }})
	_, _ = get(t, rt, server.URL)
	_, _ = get(t, rt, server.URL+"/many")
	server.Close()
	_, _ = get(t, rt, server.URL)
	var results []string
	for _, c := range calls {
		if c.Kind != busy.CalDAV || c.Method != http.MethodGet || c.Duration <= 0 {
			t.Errorf("call: %+v", c)
		}
		results = append(results, c.Result)
	}
	if got := strings.Join(results, " "); got != "2xx 429 refused" {
		t.Errorf("results: %s", got)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"120":                           2 * time.Minute,
		" 7 ":                           7 * time.Second,
		"-5":                            0,
		"soon":                          0,
		"1.5":                           0,
		"999999999":                     time.Hour,
		"99999999999999999999":          0,
		"Tue, 24 Nov 2026 12:05:00 GMT": 5 * time.Minute,
		"Tue, 24 Nov 2026 11:00:00 GMT": 0,
		"Tue, 24 Nov 2099 11:00:00 GMT": time.Hour,
	} {
		if got := transport.RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After: %q is %v, want %v", value, got, want)
		}
	}
}

// gate lets requests in and holds them there.
type gate struct {
	mu       sync.Mutex
	in, most int
	entered  chan struct{}
	release  chan struct{}
}

func (g *gate) RoundTrip(*http.Request) (*http.Response, error) {
	g.mu.Lock()
	g.in++
	g.most = max(g.most, g.in)
	g.mu.Unlock()
	g.entered <- struct{}{}
	<-g.release
	g.mu.Lock()
	g.in--
	g.mu.Unlock()
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestAccountsBoundWhatIsUnderWay(t *testing.T) {
	var accounts transport.Accounts
	g := &gate{entered: make(chan struct{}, 10), release: make(chan struct{})}
	first, second := accounts.Limit("alice", 2, g), accounts.Limit("alice", 2, g)
	var all sync.WaitGroup
	for i := range 6 {
		rt := first
		if i%2 == 0 {
			rt = second
		}
		all.Go(func() {
			r, _ := http.NewRequest(http.MethodGet, "http://host/", nil)
			resp, err := rt.RoundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
		})
	}
	<-g.entered
	<-g.entered
	// A third must wait, and may give up.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://host/", nil)
	if _, err := first.RoundTrip(r); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that waits and is given up: %v", err)
	}
	close(g.release)
	all.Wait()
	if g.most != 2 {
		t.Errorf("%d requests were under way at once, want 2", g.most)
	}
}
