package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/caldavfake"
	"github.com/busyd/busyd/providers/providertest/ewsfake"
	"github.com/busyd/busyd/providers/providertest/feedfake"
	"github.com/busyd/busyd/providers/providertest/googlefake"
	"github.com/busyd/busyd/providers/providertest/graphfake"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/sync/recur"
)

var (
	manyAccounts = flag.Int("many.accounts", 1000, "how many accounts BenchmarkManyAccounts has")
	manyFor      = flag.Duration("many.for", 3*time.Minute, "for how long it watches them")
)

// BenchmarkManyAccounts has one process keep accounts at all providers in sync, each
// polled twice a minute, while their owners make five changes a second. It reports
// how late calendars are read, and the process's memory, over time: both must
// stay as they are.
func BenchmarkManyAccounts(b *testing.B) {
	for b.Loop() {
		c := newCrowd(b)
		c.start()
		c.awaitFirstReadings()
		c.b.Logf("%8s %12s %12s %12s %10s %10s %10s", "after", "lag p50", "lag p95", "lag most", "RSS MB", "heap MB", "goroutines")
		var last sample
		began := time.Now()
		for at := time.Duration(0); at <= *manyFor; at += *manyFor / 6 {
			c.live(time.Until(began.Add(at)))
			last = c.sample()
			c.b.Logf("%8s %12s %12s %12s %10.0f %10.0f %10.0f", at.Round(time.Second), last.lag[0], last.lag[1], last.lag[2], last.rss, last.heap, last.goroutines)
		}
		b.ReportMetric(last.lag[1].Seconds(), "lag-p95-s")
		b.ReportMetric(last.rss, "RSS-MB")
	}
}

// crowd are many accounts, each with a server of its own.
type crowd struct {
	*machine
	b         *testing.B
	listener  net.Listener
	byHost    map[string]http.Handler // of the servers that users name
	google    []*googlefake.Server
	graph     []*graphfake.Server
	puts      []func(name string, e providertest.Entry)
	store     *store.Store
	owner     *pgx.Conn
	providers map[busy.Kind]providers.Provider
	address   string

	plans map[[16]byte]plan
	lags  []time.Duration // of readings since the last sample
}

const crowdPoll = 30 * time.Second

func newCrowd(b *testing.B) *crowd {
	b.Helper()
	c := &crowd{machine: newMachine(b), b: b, byHost: map[string]http.Handler{}, providers: map[busy.Kind]providers.Provider{}, plans: map[[16]byte]plan{}}
	var err error
	c.listener, err = new(net.ListenConfig).Listen(b.Context(), "tcp", "0.0.0.0:0")
	must(b, err)
	server := &http.Server{ConnContext: ewsfake.ConnContext, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(c.serveHost)}
	go func() { _ = server.Serve(c.listener) }()
	b.Cleanup(func() { _ = server.Close() })
	google := httptest.NewServer(byToken(func(n int) http.Handler { return c.google[n] }))
	b.Cleanup(google.Close)
	graph := httptest.NewServer(byToken(func(n int) http.Handler { return c.graph[n] }))
	b.Cleanup(graph.Close)
	id, secret := googlefake.New(googlefake.Options{}).Client()
	for name, value := range map[string]string{
		"PUBLIC_URL": "http://busyd.test", "SYNC_POLL_MIN": crowdPoll.String(), "SYNC_POLL_MAX": crowdPoll.String(), "SYNC_LEASE": "25s",
		"GOOGLE_CLIENT_ID": id, "GOOGLE_CLIENT_SECRET": secret, "GOOGLE_ENDPOINT": google.URL,
		"MICROSOFT_CLIENT_ID": graphfake.ClientID, "MICROSOFT_CLIENT_SECRET": graphfake.ClientSecret, "MICROSOFT_ENDPOINT": graph.URL,
	} {
		c.set("BUSYD_"+name, value)
	}
	c.must("migrate")
	config, err := configs.Load("", c.environ)
	must(b, err)
	c.store, err = openStore(b.Context(), config, nil)
	must(b, err)
	b.Cleanup(c.store.Close)
	c.owner, err = pgx.Connect(b.Context(), string(config.MigrateURL))
	must(b, err)
	b.Cleanup(func() { _ = c.owner.Close(context.Background()) })
	for _, p := range newProviders(config, nil, nil) {
		c.providers[p.Kind()] = p
	}
	c.settle()
	return c
}

// settle connects the accounts, a hundred a tenant.
func (c *crowd) settle() {
	c.b.Helper()
	var tenant busy.Tenant
	for n := range *manyAccounts {
		if n%100 == 0 {
			var err error
			tenant, err = c.store.CreateTenant(c.b.Context(), fmt.Sprint("tenant ", n/100), time.Now())
			must(c.b, err)
		}
		kind, grant := c.account(n)
		for i := range 10 {
			c.edit(n, i)
		}
		session, err := c.providers[kind].Open(c.b.Context(), providers.Account{Grant: grant})
		must(c.b, err)
		found, err := session.Calendars(c.b.Context())
		must(c.b, err)
		resource, err := c.store.CreateResource(c.b.Context(), tenant.ID, busy.Resource{Name: fmt.Sprint("owner ", n), Zone: "Europe/Berlin"})
		must(c.b, err)
		_, _, err = c.store.CreateConnection(c.b.Context(), tenant.ID, busy.NewConnection{
			Resource: resource.ID, Kind: kind, Grant: grant,
			Calendars: []busy.NewCalendar{{Remote: found[0].Remote, Name: found[0].Name, Zone: found[0].Zone, Selected: true}},
		}, time.Now())
		must(c.b, err)
	}
}

// account makes the server of an account, and connects it.
func (c *crowd) account(n int) (busy.Kind, busy.Secret) {
	c.b.Helper()
	_, port, err := net.SplitHostPort(c.listener.Addr().String())
	must(c.b, err)
	host := fmt.Sprintf("127.1.%d.%d:%s", n/250, n%250+1, port) // all of 127/8 is this machine
	at := "http://" + host
	switch kind := []busy.Kind{busy.CalDAV, busy.Exchange, busy.Feed, busy.Google, busy.Graph}[n%5]; kind {
	case busy.CalDAV:
		s := caldavfake.New(caldavfake.Options{Host: host})
		s.AddCalendar("work", caldavfake.Properties{Title: "Work"})
		username, password := s.Login()
		c.puts = append(c.puts, func(name string, e providertest.Entry) { s.Put("work", name+".ics", e.ICS(name, username)) })
		return kind, c.login(kind, host, s, providers.Login{URL: at, Username: username, Password: busy.Secret(password)})
	case busy.Exchange:
		s := ewsfake.New(ewsfake.Options{Expand: recur.New()})
		c.puts = append(c.puts, func(name string, e providertest.Entry) { s.Put(ewsfake.Calendar, name, e) })
		return kind, c.login(kind, host, s, providers.Login{
			URL: at + "/EWS/Exchange.asmx", Username: ewsfake.Username, Password: busy.Secret(ewsfake.Password),
		})
	case busy.Feed:
		s := feedfake.New(feedfake.Options{Host: host})
		c.puts = append(c.puts, func(name string, e providertest.Entry) { s.Put(name, e.ICS(name, "")) })
		return kind, c.login(kind, host, s, providers.Login{URL: strings.Replace(s.URL(), "webcal", "http", 1)})
	case busy.Google:
		s := googlefake.New(googlefake.Options{})
		c.google = append(c.google, s)
		c.puts = append(c.puts, func(name string, e providertest.Entry) { s.Put(s.Primary(), name, e) })
		return kind, c.consent(kind, len(c.google)-1, func(address string) (url.Values, error) {
			return s.Approve(address, googlefake.Consent{})
		})
	default:
		s := graphfake.New(graphfake.Options{Expand: recur.New(), Now: time.Now, Redirect: consentedAt})
		c.graph = append(c.graph, s)
		c.puts = append(c.puts, func(name string, e providertest.Entry) { s.Put(graphfake.Primary, name, e) })
		return kind, c.consent(kind, len(c.graph)-1, func(address string) (url.Values, error) {
			back, err := s.Approve(address)
			must(c.b, err)
			u, err := url.Parse(back)
			return u.Query(), err
		})
	}
}

func (c *crowd) login(kind busy.Kind, host string, server http.Handler, l providers.Login) busy.Secret {
	c.b.Helper()
	c.byHost[host] = server
	grant, err := c.providers[kind].(providers.Connector).Connect(c.b.Context(), l)
	must(c.b, err)
	return grant
}

const consentedAt = "http://busyd.test/oauth/callback"

// consent goes to the n-th server of a kind: the code that comes back says so,
// as do all tokens.
func (c *crowd) consent(kind busy.Kind, n int, approve func(string) (url.Values, error)) busy.Secret {
	c.b.Helper()
	authorizer := c.providers[kind].(providers.Authorizer)
	consent := providers.Consent{State: "state", Verifier: strings.Repeat("verifier", 6), Redirect: consentedAt}
	back, err := approve(authorizer.AuthorizationURL(consent))
	must(c.b, err)
	back.Set("code", numbered(n, back.Get("code")))
	grant, err := authorizer.Authorize(c.b.Context(), consent, back)
	must(c.b, err)
	return grant
}

func numbered(n int, token string) string { return fmt.Sprintf("n%d.%s", n, token) }

func denumbered(token string) (n int, plain string) {
	number, plain, _ := strings.Cut(strings.TrimPrefix(token, "n"), ".")
	n, _ = strconv.Atoi(number)
	return n, plain
}

var tokens = regexp.MustCompile(`"(access_token|refresh_token)":\s*"`)

// byToken leads to the server that a code or a token is of.
func byToken(server func(n int) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && scheme == "Bearer" {
			n, plain := denumbered(token)
			r.Header.Set("Authorization", "Bearer "+plain)
			server(n).ServeHTTP(w, r)
			return
		}
		if err := r.ParseForm(); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		n := 0
		for _, name := range []string{"code", "refresh_token"} {
			if r.PostForm.Has(name) {
				var plain string
				n, plain = denumbered(r.PostForm.Get(name))
				r.PostForm.Set(name, plain)
			}
		}
		form := r.PostForm.Encode()
		r.Body, r.ContentLength, r.Form, r.PostForm = io.NopCloser(strings.NewReader(form)), int64(len(form)), nil, nil
		answer := httptest.NewRecorder()
		server(n).ServeHTTP(answer, r)
		w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(tokens.ReplaceAll(answer.Body.Bytes(), []byte(`"$1":"`+numbered(n, ""))))
	})
}

func (c *crowd) serveHost(w http.ResponseWriter, r *http.Request) { c.byHost[r.Host].ServeHTTP(w, r) }

// edit writes the i-th entry of an account: a series, at another time each time.
func (c *crowd) edit(n, i int) {
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, rand.IntN(30))
	at := func(minutes int) busy.Moment {
		return busy.Moment{Wall: day.Add(time.Duration(i*60+minutes) * time.Minute), Zone: "Europe/Berlin"}
	}
	c.puts[n](fmt.Sprint("e", i), providertest.Entry{
		Subject: "Meeting", Start: at(rand.IntN(30)), End: at(30 + rand.IntN(30)), Rule: "FREQ=WEEKLY;COUNT=10",
	})
}

func (c *crowd) start() {
	c.b.Helper()
	c.address = freeAddress(c.b)
	startProcess(c.b, append(slices.Clone(c.environ), "BUSYD_LISTEN="+c.address, "BUSYD_LOG_LEVEL=error"), "serve")
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if answer, err := http.Get("http://" + c.address + "/livez"); err == nil {
			_ = answer.Body.Close()
			return
		}
		if time.Now().After(end) {
			c.b.Fatal("busyd does not start")
		}
	}
}

func (c *crowd) awaitFirstReadings() {
	c.b.Helper()
	began := time.Now()
	for unread := -1; unread != 0; time.Sleep(100 * time.Millisecond) {
		must(c.b, c.owner.QueryRow(c.b.Context(), `select count(*) from calendars where as_of is null`).Scan(&unread))
		if time.Since(began) > 5*time.Minute {
			c.b.Fatalf("%d calendars are unread after five minutes", unread)
		}
	}
	c.b.Logf("%d accounts read for the first time within %v", *manyAccounts, time.Since(began).Round(time.Second))
}

// live lets owners make five changes a second, and watches the readings.
func (c *crowd) live(d time.Duration) {
	c.b.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(d); ; {
		select {
		case <-end:
			return
		case <-tick.C:
			c.edit(rand.IntN(*manyAccounts), rand.IntN(10))
			c.watch()
		}
	}
}

// plan is when a calendar is to be read next, as the run before left it.
type plan struct {
	epoch int64
	due   time.Time
}

// watch notes how long after its date each calendar was taken, that was since the
// last look. A sweep that claims a calendar moves the date, but by then it was seen.
func (c *crowd) watch() {
	c.b.Helper()
	rows, err := c.owner.Query(c.b.Context(), `select id, epoch, due_at, taken_at from calendars where lease_until is null`)
	must(c.b, err)
	var id [16]byte
	var taken time.Time
	var seen plan
	_, err = pgx.ForEachRow(rows, []any{&id, &seen.epoch, &seen.due, &taken}, func() error {
		last, known := c.plans[id]
		if known && last.epoch == seen.epoch {
			return nil
		}
		if known && last.epoch == seen.epoch-1 {
			c.lags = append(c.lags, taken.Sub(last.due))
		}
		c.plans[id] = seen
		return nil
	})
	must(c.b, err)
}

// sample is how the process does.
type sample struct {
	lag        [3]time.Duration // since the last sample: the median, the 95th of a hundred, the greatest
	rss, heap  float64          // in MB
	goroutines float64
}

func (c *crowd) sample() (s sample) {
	c.b.Helper()
	if n := len(c.lags); n > 0 {
		slices.Sort(c.lags)
		for i, at := range []int{n / 2, n * 95 / 100, n - 1} {
			s.lag[i] = c.lags[at].Round(time.Millisecond)
		}
		c.lags = nil
	}
	var failing int
	must(c.b, c.owner.QueryRow(c.b.Context(), `select count(*) from calendars where failures > 0`).Scan(&failing))
	if failing > 0 {
		c.b.Errorf("%d calendars fail", failing)
	}
	answer, err := http.Get("http://" + c.address + "/metrics")
	must(c.b, err)
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	must(c.b, err)
	s.rss = gauge(c.b, body, "process_resident_memory_bytes") / (1 << 20)
	s.heap = gauge(c.b, body, "go_memstats_heap_inuse_bytes") / (1 << 20)
	s.goroutines = gauge(c.b, body, "go_goroutines")
	return s
}

func gauge(b *testing.B, metrics []byte, name string) float64 {
	b.Helper()
	_, after, _ := bytes.Cut(metrics, []byte("\n"+name+" "))
	value, _, _ := bytes.Cut(after, []byte("\n"))
	f, err := strconv.ParseFloat(string(value), 64)
	must(b, err)
	return f
}
