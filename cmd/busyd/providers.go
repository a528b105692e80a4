package main

import (
	"cmp"
	"crypto/x509"
	"net/http"
	"os"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/caldav"
	"github.com/busyd/busyd/providers/ews"
	"github.com/busyd/busyd/providers/feed"
	"github.com/busyd/busyd/providers/google"
	"github.com/busyd/busyd/providers/graph"
	"github.com/busyd/busyd/providers/transport"
)

// newProviders returns every provider that is configured. Requests go through the
// gate, and observe is told of each; both may be nil.
func newProviders(c configs.Config, gate *transport.Gate, observe func(transport.Call)) []providers.Provider {
	ca := roots(c.Network.CAFile)
	bare := func(kind busy.Kind, change ...func(*transport.Config)) http.RoundTripper {
		t := transport.Config{
			Kind: kind, UserAgent: "busyd/" + version(), Allow: c.Network.Allow, Roots: ca, Observe: observe,
		}
		for _, f := range change {
			f(&t)
		}
		return transport.New(t)
	}
	reach := func(kind busy.Kind, change ...func(*transport.Config)) http.RoundTripper {
		return behind(gate, kind, bare(kind, change...))
	}
	known := []providers.Provider{
		caldav.New(caldav.Config{HTTP: reach(busy.CalDAV)}),
		ews.New(ews.Config{
			Pool: func() http.RoundTripper {
				return reach(busy.Exchange, func(t *transport.Config) { t.HTTP1 = true })
			},
			// Not behind the gate: a stream would keep a place there for as long as it
			// lasts, and is paced by who listens.
			Stream: func() http.RoundTripper {
				return bare(busy.Exchange, func(t *transport.Config) {
					t.HTTP1, t.Timeout, t.HeaderTimeout = true, ews.StreamTime, providers.RequestTimeout
				})
			},
			Debounce: time.Second,
		}),
		feed.New(feed.Config{HTTP: reach(busy.Feed, func(t *transport.Config) { t.MaxBody = feed.MaxFile })}),
	}
	if c.Google.ClientID != "" {
		known = append(known, google.New(google.Config{
			ClientID: c.Google.ClientID, ClientSecret: c.Google.ClientSecret, HTTP: reach(busy.Google), Now: time.Now,
			Endpoints: googleAt(c.Google.Endpoint),
		}))
	}
	if c.Microsoft.ClientID != "" {
		known = append(known, graph.New(graph.Config{
			ClientID: c.Microsoft.ClientID, ClientSecret: c.Microsoft.ClientSecret, Tenant: c.Microsoft.Tenant,
			HTTP: reach(busy.Graph), Now: time.Now, Endpoints: graphAt(c.Microsoft.Endpoint),
		}))
	}
	return known
}

// googleAt is where Google is, or what stands in for it.
func googleAt(base string) google.Endpoints {
	if base == "" {
		return google.Production()
	}
	return google.Endpoints{
		Authorize: base + "/o/oauth2/v2/auth", Token: base + "/token", Revoke: base + "/revoke", Calendar: base + "/calendar/v3/",
	}
}

// graphAt is where Microsoft is, or what stands in for it.
func graphAt(base string) graph.Endpoints {
	if base == "" {
		return graph.Production()
	}
	return graph.Endpoints{Login: base, Graph: base + "/v1.0"}
}

// roots are the system's certificate authorities and those in the file; nil: the
// system's alone. The configuration has made sure that the file can be read.
func roots(file string) *x509.CertPool {
	pem, err := os.ReadFile(cmp.Or(file, os.DevNull))
	if err != nil || file == "" {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(pem)
	return pool
}
