package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/ewsfake"
	"github.com/busyd/busyd/providers/providertest/googlefake"
	"github.com/busyd/busyd/providers/providertest/graphfake"
	"github.com/busyd/busyd/sync/recur"
)

// clouds are Google, Outlook and Exchange, with a mark in everything that they send
// and busyd must not keep. What they send is kept, to know that it was there.
type clouds struct {
	google *googlefake.Server
	graph  *graphfake.Server
	ews    *ewsfake.Server
	url    map[busy.Kind]string

	mu     sync.Mutex
	marked map[busy.Kind]bool // a mark was sent
	tokens map[string]bool    // that were given out
}

// raiseClouds has the daemons, from here on, find them where the providers are.
func (j *journey) raiseClouds() {
	j.t.Helper()
	callback := "http://" + j.address + "/oauth/callback"
	c := &clouds{
		google: googlefake.New(googlefake.Options{
			Email: nowhere + "gil@" + nowhere + ".example", Secret: nowhere + "registered", Redirects: []string{callback}, Leaky: true,
		}),
		graph:  graphfake.New(graphfake.Options{Expand: recur.New(), Now: time.Now, Redirect: callback}),
		ews:    ewsfake.New(ewsfake.Options{Expand: recur.New()}),
		url:    map[busy.Kind]string{},
		marked: map[busy.Kind]bool{}, tokens: map[string]bool{},
	}
	for kind, handler := range map[busy.Kind]http.Handler{busy.Google: c.google, busy.Graph: c.graph, busy.Exchange: c.ews} {
		server := httptest.NewUnstartedServer(c.recorded(kind, handler))
		server.Config.ConnContext = ewsfake.ConnContext
		server.Start()
		j.t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
		c.url[kind] = server.URL
	}
	c.google.AddCalendar("team", googlefake.Calendar{Title: naming + " at Google"})
	c.graph.AddCalendar(naming + " at Microsoft")
	c.ews.AddCalendar("team", naming+" at Exchange")
	for i, e := range demoEntries(time.Now()) {
		e.Subject = fmt.Sprintf("%s %d", subject, i)
		name := fmt.Sprintf("entry%d", i)
		c.google.Put(c.google.Primary(), name, e)
		c.graph.Put(graphfake.Primary, name, e)
		c.ews.Put(ewsfake.Calendar, name, e)
	}
	id, secret := c.google.Client()
	for name, value := range map[string]string{
		"BUSYD_PUBLIC_URL":       "http://" + j.address,
		"BUSYD_GOOGLE_CLIENT_ID": id, "BUSYD_GOOGLE_CLIENT_SECRET": secret, "BUSYD_GOOGLE_ENDPOINT": c.url[busy.Google],
		"BUSYD_MICROSOFT_CLIENT_ID": graphfake.ClientID, "BUSYD_MICROSOFT_CLIENT_SECRET": graphfake.ClientSecret,
		"BUSYD_MICROSOFT_ENDPOINT": c.url[busy.Graph],
	} {
		j.set(name, value)
	}
	j.secret("Outlook's registration", graphfake.ClientSecret)
	j.secret("who signs in at Exchange", ewsfake.Username)
	j.secret("the password for Exchange", ewsfake.Password)
	j.trail.needles = append(j.trail.needles, newMark("what a provider sends beside", providertest.Mark))
	j.clouds = c
}

// newMark is a needle of which the letters' case tells it from other words.
func newMark(name, text string) needle {
	n := newNeedle(name, []byte(text))
	n.exact = append(n.exact, []byte(text))
	n.folded = n.folded[1:] // in hexadecimal digits
	return n
}

// recorded notes whether a mark was sent, and the tokens.
func (c *clouds) recorded(kind busy.Kind, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&heard{ResponseWriter: w, clouds: c, kind: kind}, r)
	})
}

type heard struct {
	http.ResponseWriter
	clouds *clouds
	kind   busy.Kind
}

func (h *heard) Flush() { h.ResponseWriter.(http.Flusher).Flush() }

func (h *heard) Write(p []byte) (int, error) {
	h.clouds.mu.Lock()
	defer h.clouds.mu.Unlock()
	if bytes.Contains(p, []byte(providertest.Mark)) {
		h.clouds.marked[h.kind] = true
	}
	var given struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
	}
	if json.Unmarshal(p, &given) == nil {
		for _, token := range []string{given.Access, given.Refresh, given.ID} {
			if token != "" {
				h.clouds.tokens[token] = true
			}
		}
	}
	return h.ResponseWriter.Write(p)
}

// consent connects somebody at each of them, the way that owners do.
func (j *journey) consent() {
	j.t.Helper()
	j.consentOf("acme", busy.Google, "google")
	j.consentOf("acme", busy.Graph, "outlook")
	j.cli(exitOK, "", "connection", "add", "google", "--tenant", "acme", "--resource", "Ada", "--wait=false", "--json") // nobody opens it
	j.cli(exitOK, "", "connection", "add", "outlook", "--tenant", "acme", "--resource", "Ada", "--wait=false", "--json")
	j.cli(exitOK, "", "resource", "create", "Ana", "--tenant", "acme", "--timezone", "Europe/Berlin")
	j.cli(exitOK, ewsfake.Password, "connection", "add", "exchange", "--tenant", "acme", "--resource", "Ana",
		"--url", j.clouds.url[busy.Exchange]+"/EWS/Exchange.asmx", "--username", ewsfake.Username, "--password-file", "-")
}

func (j *journey) consentOf(tenant string, kind busy.Kind, command string) {
	j.t.Helper()
	resource := "whom " + command + " knows"
	j.cli(exitOK, "", "resource", "create", resource, "--tenant", tenant, "--timezone", "Europe/Berlin")
	j.comeBack(kind, strings.TrimSpace(j.cli(exitOK, "",
		"connection", "add", command, "--tenant", tenant, "--resource", resource, "--wait=false")))
}

// comeBack is an owner who consents, whose browser is sent back to the daemon, and
// who has it come once more.
func (j *journey) comeBack(kind busy.Kind, address string) {
	j.t.Helper()
	back, err := (&fakes{google: j.clouds.google, graph: j.clouds.graph}).approve(kind, address)
	if err != nil {
		j.t.Fatal(err)
	}
	j.secret("a code", back.Get("code"))
	page := j.call("GET", "/oauth/callback", "/oauth/callback?"+back.Encode(), "")
	if !bytes.Contains(page, []byte("What is read")) {
		j.t.Errorf("not connected: %s", page)
	}
	j.callAs("", "an address that was used", "GET", "/oauth/callback?"+back.Encode(), "")
	j.callAs("", "no consent", "GET", "/oauth/callback?"+url.Values{"state": {nowhere}, "error": {nowhere}, "error_description": {nowhere}}.Encode(), "")
}

// heardAll wants every provider to have sent a mark, and to have been read.
func (j *journey) heardAll() {
	j.t.Helper()
	var kinds []string
	j.query(func(conn *pgx.Conn) error {
		rows, err := conn.Query(context.Background(), `
			select distinct n.kind from events e
			join calendars c on c.tenant_id = e.tenant_id and c.id = e.calendar_id
			join connections n on n.tenant_id = c.tenant_id and n.id = c.connection_id
			where e.subject_sealed is not null order by 1`)
		if err != nil {
			return err
		}
		kinds, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if got := strings.Join(kinds, " "); got != "caldav ews feed google graph" {
		j.t.Errorf("events are kept of %s", got)
	}
	j.clouds.mu.Lock()
	defer j.clouds.mu.Unlock()
	for _, kind := range []busy.Kind{busy.Google, busy.Graph, busy.Exchange} {
		if !j.clouds.marked[kind] {
			j.t.Errorf("%s sent nothing that must not be kept", kind)
		}
	}
}

// renew has the access tokens expire, so that others are given out.
func (j *journey) renew() {
	j.t.Helper()
	for kind, expire := range map[busy.Kind]func(){busy.Google: j.clouds.google.ExpireAccess, busy.Graph: j.clouds.graph.ExpireTokens} {
		before := j.clouds.given()
		expire()
		j.resync(exitOK)
		if j.clouds.given() == before {
			j.t.Errorf("%s gave out no token anew", kind)
		}
	}
}

func (c *clouds) given() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tokens)
}

// tokensAreSecret adds all that were given out to what is searched for.
func (j *journey) tokensAreSecret() {
	for token := range j.clouds.tokens {
		j.secret("a token", token)
	}
}

// cloudsSuffer has each of them fail in its own words, and forget what busyd knows.
func (j *journey) cloudsSuffer() {
	for _, failure := range []providertest.Failure{providertest.Down, providertest.Foreign, providertest.CutOff} {
		j.clouds.google.Break(failure)
		j.clouds.graph.FailNext(graphfake.Body(providertest.Mark).Times(-1))
		j.clouds.ews.FailNext(ewsfake.Body(providertest.Mark).Times(-1))
		j.resync(exitAttention)
		j.look()
		j.clouds.google.Heal()
		j.clouds.graph.Heal()
		j.clouds.ews.Heal()
	}
	j.clouds.google.ForgetTokens()
	j.clouds.graph.ForgetTokens()
	j.clouds.ews.ForgetStates()
	j.resync(exitOK)
	j.renew()
}
