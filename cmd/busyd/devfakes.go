package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/ewsfake"
	"github.com/busyd/busyd/providers/providertest/googlefake"
	"github.com/busyd/busyd/providers/providertest/graphfake"
	"github.com/busyd/busyd/sync/connect"
	"github.com/busyd/busyd/sync/recur"
)

// fakes stand in for the providers that nobody can run at home. They keep nothing
// from start to start, but for their addresses and what is in their calendars.
type fakes struct {
	google  *googlefake.Server
	graph   *graphfake.Server
	ews     *ewsfake.Server
	stands  []*stand
	address map[busy.Kind]string // http://host:port; of the feed, the file's
	// connections are those of the demo people, once they are connected.
	connections map[busy.Kind]busy.ConnectionID
}

// startFakes serves the stand-ins. callback is where their consent pages send
// browsers back to.
func (g *ground) startFakes(ctx context.Context, callback string, now func() time.Time) error {
	f := &fakes{
		google:  googlefake.New(googlefake.Options{Email: "gil@example.com", Redirects: []string{callback}, Now: now}),
		graph:   graphfake.New(graphfake.Options{Expand: recur.New(), Now: now, Redirect: callback}),
		ews:     ewsfake.New(ewsfake.Options{Expand: recur.New()}),
		address: make(map[busy.Kind]string), connections: make(map[busy.Kind]busy.ConnectionID),
	}
	for _, kind := range []busy.Kind{busy.Google, busy.Graph, busy.Exchange, busy.Feed} {
		listener, err := g.keptListener(ctx, string(kind)+".address")
		if err != nil {
			return err
		}
		s := f.stand(kind, listener.Addr().String())
		s.now = now
		for i, e := range demoEntries(now()) {
			s.put(fmt.Sprintf("demo%d", i), e)
		}
		f.stands = append(f.stands, s)
		f.address[kind] = s.base + s.file
		g.serveFake(listener, &http.Server{Handler: s, ConnContext: ewsfake.ConnContext})
	}
	g.fakes = f
	return nil
}

func (f *fakes) exchangeURL() string { return f.address[busy.Exchange] + "/EWS/Exchange.asmx" }

func (g *ground) serveFake(listener net.Listener, server *http.Server) {
	server.ReadHeaderTimeout = 5 * time.Second
	go func() { _ = server.Serve(listener) }()
	g.onClose(func() { _ = server.Close() })
}

// keptListener listens where it did at the last start: connections lead there.
func (g *ground) keptListener(ctx context.Context, file string) (net.Listener, error) {
	address, err := g.home.read(file)
	if err != nil {
		return nil, err
	}
	first := address == ""
	if first {
		address = "127.0.0.1:0"
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve sample calendars: %w: free that port, or begin anew with another --data", err)
	}
	if first {
		err = g.home.write(file, listener.Addr().String()+"\n")
	}
	return listener, err
}

// demoEntries are a week worth looking at: a daily series with a moved and a
// cancelled occurrence, an all-day entry, one shown as free and one declined.
func demoEntries(now time.Time) []providertest.Entry {
	const zone = "Europe/Berlin"
	now = now.UTC()
	monday := time.Date(now.Year(), now.Month(), now.Day()-(int(now.Weekday())+6)%7, 0, 0, 0, 0, time.UTC)
	at := func(day, hour, minute int) busy.Moment {
		return busy.Moment{Wall: monday.AddDate(0, 0, day).Add(time.Duration(hour*60+minute) * time.Minute), Zone: zone}
	}
	on := func(day int) busy.Moment { return busy.Moment{Wall: monday.AddDate(0, 0, day), Date: true} }
	return []providertest.Entry{
		{
			Subject: "Stand-up", Start: at(-28, 9, 30), End: at(-28, 9, 45), Rule: "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
			Exceptions: []providertest.Exception{
				{Original: at(2, 9, 30), Start: at(2, 11, 0), End: at(2, 11, 15), Subject: "Stand-up, later"},
				{Original: at(4, 9, 30), Start: at(4, 9, 30), End: at(4, 9, 45), Subject: "Stand-up", Cancelled: true},
			},
		},
		{Subject: "Planning", Start: at(1, 13, 0), End: at(1, 15, 0), Rule: "FREQ=WEEKLY;INTERVAL=2"},
		{Subject: "Fair", Start: on(3), End: on(4)},
		{Subject: "Birthday of a colleague", Start: on(2), End: on(3), Free: true},
		{Subject: "Vendor call", Start: at(0, 16, 0), End: at(0, 17, 0), Declined: true},
	}
}

// registrations are busyd's with the stand-ins, as the configuration has them.
func (f *fakes) registrations() string {
	if f == nil {
		return ""
	}
	id, secret := f.google.Client()
	return fmt.Sprintf("google: {client_id: %q, client_secret: %q, endpoint: %q}\n", id, secret, f.address[busy.Google]) +
		fmt.Sprintf("microsoft: {client_id: %q, client_secret: %q, endpoint: %q}\n",
			graphfake.ClientID, graphfake.ClientSecret, f.address[busy.Graph])
}

// approve is the owner at a stand-in's consent page.
func (f *fakes) approve(kind busy.Kind, address string) (url.Values, error) {
	if kind == busy.Google {
		return f.google.Approve(address, googlefake.Consent{})
	}
	back, err := f.graph.Approve(address)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(back)
	if err != nil {
		return nil, err
	}
	return u.Query(), nil
}

// seedFakes connects one demo person at each stand-in, the way that owners do.
func (s *session) seedFakes(f *fakes) error {
	for _, stand := range f.stands {
		r, err := s.seedResource(busy.Resource{Name: stand.person, Zone: "Europe/Berlin"}, "mon-fri 09:00-17:00")
		if err != nil {
			return err
		}
		switch stand.kind {
		case busy.Exchange:
			err = s.seedConnection(busy.Exchange, r.ID, providers.Login{
				URL: f.exchangeURL(), Username: ewsfake.Username, Password: busy.Secret(ewsfake.Password),
			}, false)
		case busy.Feed:
			err = s.seedConnection(busy.Feed, r.ID, providers.Login{URL: f.address[busy.Feed]}, false)
		default:
			err = s.seedConsent(f, stand.kind, r.ID)
		}
		if err != nil {
			return fmt.Errorf("connect %s: %w", stand.person, err)
		}
	}
	all, err := s.store.Connections(s, s.tenant.ID)
	for _, c := range all {
		if c.State != busy.ConnectionDisconnected {
			f.connections[c.Kind] = c.ID
		}
	}
	return err
}

// seedConsent connects the resource, or reconnects it: a stand-in knows nothing
// of the grants that it gave before.
func (s *session) seedConsent(f *fakes, kind busy.Kind, resource busy.ResourceID) error {
	all, err := s.store.Connections(s, s.tenant.ID)
	if err != nil {
		return err
	}
	consent := busy.Consent{Tenant: s.tenant.ID, Kind: kind, Resource: resource}
	if i := slices.IndexFunc(all, func(c busy.Connection) bool {
		return c.Resource == resource && c.State != busy.ConnectionDisconnected
	}); i >= 0 {
		consent.Connection = all[i].ID
	}
	service := s.accounts()
	if err := s.consentTo(service, f, consent); err == nil || !errors.Is(err, busy.ErrInvalid) || consent.Connection.IsZero() {
		return err
	}
	consent.Connection = busy.ConnectionID{} // it was another account's
	return s.consentTo(service, f, consent)
}

func (s *session) consentTo(service *connect.Service, f *fakes, c busy.Consent) error {
	address, err := service.Begin(s, c)
	if err != nil {
		return err
	}
	back, err := f.approve(c.Kind, address)
	if err != nil {
		return err
	}
	_, err = service.Finish(s, back)
	return err
}
