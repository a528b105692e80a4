package feed_test

import (
	"compress/gzip"
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/feed"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/transport"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

const twoEvents = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260302T090000Z\r\nEND:VEVENT\r\n" +
	"END:VCALENDAR\r\nBEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:b\r\nDTSTART:20260302T090000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

// TestOverSockets: what only a connection shows. The file is two calendars, so
// that its first half looks whole.
func TestOverSockets(t *testing.T) {
	half := strings.Index(twoEvents, "END:VCALENDAR\r\n") + len("END:VCALENDAR\r\n")
	for name, test := range map[string]struct {
		serve http.HandlerFunc
		want  string // a code; empty: two events
	}{
		"whole": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(twoEvents)) }, ""},
		"compressed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte(twoEvents))
			_ = z.Close()
		}, ""},
		"shorter than its length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(twoEvents)))
			_, _ = w.Write([]byte(twoEvents[:half]))
		}, "truncated"},
		"aborted between chunks": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(twoEvents[:half]))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "truncated"},
		"compressed, cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte(twoEvents[:half]))
			_ = z.Flush() // and never closed
		}, "truncated"},
		"a bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte("BEGIN:VCALENDAR\r\n"))
			blank := make([]byte, 1<<20)
			for range feed.MaxFile>>20 + 1 {
				_, _ = z.Write(blank)
			}
			_ = z.Close()
		}, "too_large"},
		"long by its own account": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(feed.MaxFile+1))
			_, _ = w.Write([]byte("BEGIN:VCALENDAR\r\n"))
		}, "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			healthy := true
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if healthy {
					_, _ = w.Write([]byte(twoEvents))
					return
				}
				test.serve(w, r)
			}))
			defer server.Close()
			roots := x509.NewCertPool()
			roots.AddCert(server.Certificate())
			a := &account{provider: feed.New(feed.Config{HTTP: transport.New(transport.Config{Allow: loopback, Roots: roots})})}
			grant, err := a.provider.Connect(context.Background(), providers.Login{URL: strings.Replace(server.URL, "https", "webcal", 1)})
			if err != nil {
				t.Fatal(err)
			}
			a.grant, a.remote, healthy = grant, []byte("feed"), false
			page, err := a.session(t).Changes(context.Background(), a.query(nil))
			switch {
			case test.want == "" && (err != nil || len(page.Events) != 2 || !page.Full):
				t.Errorf("%d events, %v", len(page.Events), err)
			case test.want != "" && (err == nil || providers.CodeOf(err) != test.want):
				t.Errorf("%d events, %v", len(page.Events), err)
			}
		})
	}
}

// TestGuard: addresses that are not public, and plain http, are for the operator
// to allow; a redirect does not get around that.
func TestGuard(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(twoEvents)) }))
	defer server.Close()
	url := server.URL + "/" + providertest.Mark
	guarded := feed.New(feed.Config{HTTP: transport.New(transport.Config{})})
	_, err := guarded.Connect(context.Background(), providers.Login{URL: url})
	if err == nil || !strings.Contains(err.Error(), "must begin with https://") || strings.Contains(err.Error(), providertest.Mark) {
		t.Errorf("plain http: %v", err)
	}
	_, err = guarded.Connect(context.Background(), providers.Login{URL: strings.Replace(url, "http", "webcal", 1)})
	if err == nil || !strings.Contains(err.Error(), "not public") {
		t.Errorf("a private address: %v", err)
	}

	lured := feed.New(feed.Config{HTTP: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "calendar.example.com" {
			to := http.Header{"Location": {strings.Replace(url, "http", "https", 1)}}
			return &http.Response{StatusCode: http.StatusFound, Header: to, Body: http.NoBody}, nil
		}
		return transport.New(transport.Config{}).RoundTrip(r)
	})})
	_, err = lured.Connect(context.Background(), providers.Login{URL: "https://calendar.example.com/"})
	if err == nil || !strings.Contains(err.Error(), "not public") || strings.Contains(err.Error(), providertest.Mark) {
		t.Errorf("a redirect to a private address: %v", err)
	}

	allowed := feed.New(feed.Config{HTTP: transport.New(transport.Config{Allow: loopback})})
	if _, err := allowed.Connect(context.Background(), providers.Login{URL: url}); err != nil {
		t.Errorf("allowed by the operator: %v", err)
	}
}
