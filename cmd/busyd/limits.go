package main

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/transport"
)

// budget is what a provider gets of requests, by all daemons together.
type budget struct {
	account busy.Rate // for each connection; zero: there is no such limit
	project busy.Rate // for all connections; zero: there is no such limit
	server  busy.Rate // for each host; zero: there is no such limit
	// inFlight is how many requests this process has under way at one host; zero:
	// any number.
	inFlight int
}

// budgets stay at four fifths of what Google and Microsoft allow, the burst
// included. What the servers of others bear is not known.
var budgets = map[busy.Kind]budget{
	// Allowed: 600 a minute for an account, 10,000 for the project.
	busy.Google: {
		account: busy.Rate{Requests: 400, Per: time.Minute, Burst: 80},
		project: busy.Rate{Requests: 7000, Per: time.Minute, Burst: 1000},
	},
	// Allowed: 10,000 in ten minutes for a mailbox, 2,000 a second for the app.
	busy.Graph: {
		account: busy.Rate{Requests: 7500, Per: 10 * time.Minute, Burst: 500},
		project: busy.Rate{Requests: 1400, Per: time.Second, Burst: 200},
	},
	// An administrator may have set any limit.
	busy.Exchange: {
		account:  busy.Rate{Requests: 5, Per: time.Second, Burst: 50},
		server:   busy.Rate{Requests: 20, Per: time.Second, Burst: 50},
		inFlight: 2,
	},
	busy.Feed: {
		account: busy.Rate{Requests: 1, Per: time.Second, Burst: 10},
		server:  busy.Rate{Requests: 50, Per: time.Second, Burst: 500},
	},
	// The burst is for first readings, which take a few requests at a time.
	busy.CalDAV: {
		account: busy.Rate{Requests: 10, Per: time.Second, Burst: 200},
		server:  busy.Rate{Requests: 50, Per: time.Second, Burst: 500},
	},
}

// behind puts the requests to a provider behind the gate; nil: there is none.
func behind(g *transport.Gate, kind busy.Kind, base http.RoundTripper) http.RoundTripper {
	if g == nil {
		return base
	}
	return g.Limit(base, budgets[kind].of(kind))
}

func (b budget) of(kind busy.Kind) transport.Budgets {
	key := func(parts ...string) string { return string(kind) + ":" + strings.Join(parts, ":") }
	of := func(r *http.Request, account string) []busy.Bucket {
		buckets := make([]busy.Bucket, 0, 3)
		if account != "" && b.account.Requests > 0 {
			buckets = append(buckets, busy.Bucket{Key: key("account", account), Rate: b.account})
		}
		if b.server.Requests > 0 {
			buckets = append(buckets, busy.Bucket{Key: key("server", hashed(r.URL.Host)), Rate: b.server})
		}
		if b.project.Requests > 0 {
			buckets = append(buckets, busy.Bucket{Key: key("project"), Rate: b.project})
		}
		return buckets
	}
	return transport.Budgets{Of: of, InFlight: b.inFlight}
}

// hashed names a host to Redis, for a host's name can be a person's.
func hashed(host string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(host)))
	return hex.EncodeToString(sum[:16])
}
