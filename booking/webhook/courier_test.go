package webhook_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/busyd/busyd/booking/webhook"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
	"github.com/busyd/busyd/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// inbox is an endpoint: it keeps what it got, and answers as it is told.
type inbox struct {
	*httptest.Server
	mu     sync.Mutex
	got    []letter
	answer func(letter) (status int, header http.Header)
}

type letter struct {
	header http.Header
	body   string
}

func newInbox(t *testing.T) *inbox {
	i := &inbox{answer: func(letter) (int, http.Header) { return http.StatusNoContent, nil }}
	i.Server = httptest.NewTLSServer(i)
	t.Cleanup(i.Close)
	return i
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	l := letter{r.Header, string(body)}
	i.got = append(i.got, l)
	status, header := i.answer(l)
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
}

func (i *inbox) letters() []letter {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.got)
}

func (i *inbox) answers(status int, header ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	h := http.Header{}
	for n := 0; n < len(header); n += 2 {
		h.Set(header[n], header[n+1])
	}
	i.answer = func(letter) (int, http.Header) { return status, h }
}

// post is a tenant whose messages are sent, by a clock of its own.
type post struct {
	*storetest.Env
	t          *testing.T
	now        time.Time
	tenant     busy.TenantID
	connection busy.ConnectionID
	courier    *webhook.Courier
	codes      []string
}

// newPost allows the addresses, and trusts the inbox's certificate.
func newPost(t *testing.T, trusted *x509.Certificate, allow ...string) *post {
	t.Helper()
	env := storetest.New(t)
	tenant, _, calendar := env.Calendar(t, "name of the calendar")
	p := &post{Env: env, t: t, now: storetest.Now, tenant: tenant.ID, connection: calendar.Connection}
	c := transport.Config{Roots: x509.NewCertPool(), Timeout: 5 * time.Second}
	c.Roots.AddCert(trusted)
	for _, prefix := range allow {
		c.Allow = append(c.Allow, netip.MustParsePrefix(prefix))
	}
	p.courier = &webhook.Courier{
		Store: env.Store, HTTP: transport.NewClient(c), CodeOf: providers.CodeOf,
		Observe: func(code string) { p.codes = append(p.codes, code) },
		Now:     func() time.Time { return p.now }, Random: func() float64 { return 0.5 },
	}
	return p
}

func (p *post) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *post) endpoint(url string) (busy.EndpointID, string) {
	p.t.Helper()
	e, secret, err := p.Store.CreateEndpoint(p.t.Context(), p.tenant, busy.Endpoint{URL: url}, p.now)
	p.must(err)
	return e.ID, secret
}

// happen has the connection refused, and mended, which is a message.
func (p *post) happen(times int) {
	p.t.Helper()
	for range times {
		_, err := p.Owner(p.t).Exec(p.t.Context(), `update connections set state = 'needs_reconnect' where tenant_id = $1`, p.tenant.String())
		p.must(err)
		p.must(p.Store.ReplaceGrant(p.t.Context(), p.tenant, p.connection, busy.Secret("new"), nil, p.now))
	}
}

// send claims what is due, as the sweep does, and sends it, as a worker does.
func (p *post) send() (claimed int, err error) {
	p.t.Helper()
	all, err := p.Store.ClaimDispatches(p.t.Context(), p.now, 100, 25*time.Second)
	p.must(err)
	for _, d := range all {
		err = errors.Join(err, p.courier.Run(p.t.Context(), d))
	}
	return len(all), err
}

func (p *post) mustSend(claimed int) {
	p.t.Helper()
	if n, err := p.send(); err != nil || n != claimed {
		p.t.Fatalf("%d endpoints were due, want %d (%v)", n, claimed, err)
	}
}

func (p *post) state() busy.Endpoint {
	p.t.Helper()
	all, err := p.Store.Endpoints(p.t.Context(), p.tenant)
	p.must(err)
	return all[0]
}

func (p *post) waiting() int {
	p.t.Helper()
	b, err := p.Store.Backlog(p.t.Context(), p.now)
	p.must(err)
	return b.Waiting
}

const local = "127.0.0.0/8"

// A receiver with the library of Standard Webhooks verifies what it gets, also
// while the secret rotates, and finds ids and times in it and nothing else.
func TestAMessageArrives(t *testing.T) {
	in := newInbox(t)
	p := newPost(t, in.Certificate(), local)
	p.now = time.Now().UTC().Truncate(time.Second) // the library looks at the clock
	id, first := p.endpoint(in.URL + "/busyd?token=7")
	p.happen(1)
	p.mustSend(1)
	second, err := p.Store.RotateSecret(t.Context(), p.tenant, id, p.now)
	p.must(err)
	p.happen(1)
	p.mustSend(1)
	p.mustSend(0)
	got := in.letters()
	if len(got) != 2 {
		t.Fatalf("%d arrived", len(got))
	}
	for i, secrets := range [][]string{{first}, {first, second}} {
		for _, secret := range secrets {
			receiver, err := standardwebhooks.NewWebhook(secret)
			p.must(err)
			if err := receiver.Verify([]byte(got[i].body), got[i].header); err != nil {
				t.Errorf("letter %d: %v", i, err)
			}
		}
	}
	if err := func() error {
		receiver, err := standardwebhooks.NewWebhook(second)
		p.must(err)
		return receiver.Verify([]byte(got[0].body), got[0].header)
	}(); err == nil {
		t.Error("what was signed before the rotation is good with the secret after it")
	}
	resources, err := p.Store.Resources(t.Context(), p.tenant)
	p.must(err)
	want := `{"type":"connection.recovered","timestamp":"` + p.now.Format(time.RFC3339) + `","data":{"resource":"` +
		resources[0].ID.String() + `","connection":"` + p.connection.String() + `"}}`
	if diff := cmp.Diff(want, got[0].body); diff != "" {
		t.Errorf("the body (-want +got):\n%s", diff)
	}
	if got[0].header.Get("Content-Type") != "application/json" || got[0].header.Get("webhook-id") == got[1].header.Get("webhook-id") {
		t.Errorf("headers %v, %v", got[0].header, got[1].header)
	}
	if diff := cmp.Diff([]string{"delivered", "delivered"}, p.codes); diff != "" {
		t.Error(diff)
	}
	if n := p.waiting(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

// forgetful is a store at which a worker dies before it has noted a delivery.
type forgetful struct{ webhook.Store }

var errKilled = errors.New("killed")

func (forgetful) Delivered(context.Context, busy.Dispatch, int64) error { return errKilled }

func (forgetful) EndRound(context.Context, busy.Dispatch, busy.RoundEnd, time.Time) error {
	return errKilled
}

func TestAWorkerThatDiesSendsAgainUnderTheSameID(t *testing.T) {
	in := newInbox(t)
	p := newPost(t, in.Certificate(), local)
	p.endpoint(in.URL)
	p.happen(1)
	p.courier.Store = forgetful{p.Store}
	if _, err := p.send(); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	p.courier.Store = p.Store
	p.mustSend(0) // nobody knows that it is dead
	p.now = p.now.Add(time.Minute)
	p.mustSend(1)
	got := in.letters()
	if len(got) != 2 || got[0].header.Get("webhook-id") != got[1].header.Get("webhook-id") || got[0].body != got[1].body {
		t.Fatalf("arrived: %v", got)
	}
	if n := p.waiting(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

func TestWhatFailsIsTriedAgain(t *testing.T) {
	in := newInbox(t)
	p := newPost(t, in.Certificate(), local)
	p.endpoint(in.URL)
	p.happen(1)
	in.answers(500)
	p.mustSend(1)
	if e := p.state(); e.Code != "status_500" || !e.FailingSince.Equal(p.now) {
		t.Fatalf("the endpoint is %+v", e)
	}
	p.now = p.now.Add(9 * time.Second)
	p.mustSend(0)
	p.now = p.now.Add(time.Second)
	p.mustSend(1)
	in.answers(200)
	p.now = p.now.Add(39 * time.Second) // the next pause is four times as long
	p.mustSend(0)
	p.now = p.now.Add(time.Second)
	p.mustSend(1)
	if got := in.letters(); len(got) != 3 || got[0].header.Get("webhook-id") != got[2].header.Get("webhook-id") {
		t.Fatalf("arrived: %v", got)
	}
	if e := p.state(); e.Code != "" || !e.FailingSince.IsZero() {
		t.Errorf("the endpoint is %+v", e)
	}
}

// One message that the endpoint cannot bear does not hold the others up.
func TestAMessageThatAlwaysFails(t *testing.T) {
	in := newInbox(t)
	p := newPost(t, in.Certificate(), local)
	p.endpoint(in.URL)
	p.happen(5)
	var poison string
	in.answer = func(l letter) (int, http.Header) {
		if poison == "" {
			poison = l.header.Get("webhook-id")
		}
		if l.header.Get("webhook-id") == poison {
			return 400, nil
		}
		return 200, nil
	}
	p.mustSend(1)
	if n := p.waiting(); n != 1 {
		t.Fatalf("%d wait, want the one that fails", n)
	}
	for range 100 { // days later
		p.now = p.now.Add(time.Hour)
		if _, err := p.send(); err != nil {
			t.Fatal(err)
		}
	}
	if e := p.state(); !e.DisabledAt.IsZero() {
		t.Errorf("disabled for one message: %+v", e)
	}
	if n, got := p.waiting(), len(in.letters()); n != 0 || got != 4+webhook.MostAttempts {
		t.Errorf("%d wait, after %d requests", n, got)
	}
	n, err := p.Store.Replay(t.Context(), p.tenant, p.state().ID, time.Time{}, p.now)
	if err != nil || n != 1 {
		t.Errorf("%d can be replayed, want the one (%v)", n, err)
	}
}

// Several messages that fail in a row are taken for the endpoint's fault.
func TestAnEndpointThatFailsEverything(t *testing.T) {
	in := newInbox(t)
	p := newPost(t, in.Certificate(), local)
	p.endpoint(in.URL)
	p.happen(20)
	in.answers(500)
	p.mustSend(1)
	if got := len(in.letters()); got != 3 {
		t.Errorf("%d requests in a round, want 3", got)
	}
	p.mustSend(0)
}

func TestAnEndpointThatIsAwayIsLeftAlone(t *testing.T) {
	in := newInbox(t)
	p := newPost(t, in.Certificate(), local)
	p.endpoint(in.URL)
	p.happen(20)
	in.answers(503)
	p.mustSend(1)
	if got := len(in.letters()); got != 1 {
		t.Fatalf("%d requests in a round, want 1", got)
	}
	requests := 0
	for range 24 * 60 {
		p.now = p.now.Add(time.Minute)
		n, err := p.send()
		p.must(err)
		requests += n
	}
	if requests < 20 || requests > 40 {
		t.Errorf("%d rounds in a day, want one an hour", requests)
	}
	for p.state().DisabledAt.IsZero() {
		p.now = p.now.Add(time.Hour)
		if _, err := p.send(); err != nil {
			t.Fatal(err)
		}
	}
	e := p.state()
	if failed := e.DisabledAt.Sub(e.FailingSince); e.Reason != webhook.ReasonFailing || failed < webhook.DisableAfter || failed > webhook.DisableAfter+2*time.Hour {
		t.Errorf("disabled after %s: %+v", failed, e)
	}
	if n := p.waiting(); n != 0 {
		t.Errorf("%d wait for an endpoint that is disabled", n)
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	in := newInbox(t)
	p := newPost(t, in.Certificate(), local)
	p.endpoint(in.URL)
	p.happen(2)
	in.answers(429, "Retry-After", "7200")
	p.mustSend(1)
	in.answers(204)
	p.now = p.now.Add(2*time.Hour - time.Second)
	p.mustSend(0)
	p.now = p.now.Add(time.Second)
	p.mustSend(1)
	if n, got := p.waiting(), len(in.letters()); n != 0 || got != 3 {
		t.Errorf("%d wait, after %d requests", n, got)
	}
}

func TestGoneDisables(t *testing.T) {
	in := newInbox(t)
	p := newPost(t, in.Certificate(), local)
	p.endpoint(in.URL)
	p.happen(3)
	in.answers(410)
	p.mustSend(1)
	if e := p.state(); e.Reason != webhook.ReasonGone || !e.DisabledAt.Equal(p.now) || e.Code != "status_410" {
		t.Errorf("the endpoint is %+v", e)
	}
	p.now = p.now.Add(24 * time.Hour)
	p.mustSend(0)
	if got := len(in.letters()); got != 1 {
		t.Errorf("%d requests", got)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	in, elsewhere := newInbox(t), newInbox(t)
	p := newPost(t, in.Certificate(), local)
	p.endpoint(in.URL)
	p.happen(1)
	in.answers(307, "Location", elsewhere.URL)
	p.mustSend(1)
	if e := p.state(); e.Code != "status_307" || len(elsewhere.letters()) != 0 {
		t.Errorf("the endpoint is %+v; %d arrived elsewhere", e, len(elsewhere.letters()))
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	in := newInbox(t)
	p := newPost(t, in.Certificate())
	p.endpoint(in.URL)
	p.happen(1)
	p.mustSend(1)
	if e := p.state(); e.Code != transport.CodeBlocked || len(in.letters()) != 0 {
		t.Errorf("the endpoint is %+v; %d arrived", e, len(in.letters()))
	}
}

// A name that leads to a good address at first and to a private one later is found
// out when the message is sent.
func TestNamesThatAreRebound(t *testing.T) {
	good := newInbox(t)
	_, port, err := net.SplitHostPort(good.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	private, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	connected := make(chan struct{}, 100)
	go func() {
		for {
			conn, err := private.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
			connected <- struct{}{}
		}
	}()
	t.Cleanup(func() { _ = private.Close() })

	address := netip.MustParseAddr("127.0.0.1")
	p := newPost(t, good.Certificate())
	roots := x509.NewCertPool()
	roots.AddCert(good.Certificate())
	client := transport.NewClient(transport.Config{
		Roots: roots, Timeout: 5 * time.Second, Resolver: names(func() netip.Addr { return address }),
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	})
	p.courier.HTTP = client
	p.endpoint("https://example.com:" + port + "/")
	p.happen(1)
	p.mustSend(1)
	if got := len(good.letters()); got != 1 {
		t.Fatalf("%d arrived at the good address: %v", got, p.codes)
	}
	address = netip.MustParseAddr("127.0.0.2")
	client.CloseIdleConnections()
	p.happen(1)
	p.mustSend(1)
	if e := p.state(); e.Code != transport.CodeBlocked || len(connected) != 0 {
		t.Errorf("the endpoint is %+v; %d connections to the private address", e, len(connected))
	}
}

// names is a resolver for which every name has the one address.
func names(address func() netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer func() { _ = server.Close() }()
			length := make([]byte, 2)
			for {
				if _, err := io.ReadFull(server, length); err != nil {
					return
				}
				raw := make([]byte, int(length[0])<<8|int(length[1]))
				if _, err := io.ReadFull(server, raw); err != nil {
					return
				}
				answer := resolve(raw, address())
				if _, err := server.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...)); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}
}

func resolve(raw []byte, address netip.Addr) []byte {
	var m dnsmessage.Message
	if m.Unpack(raw) != nil {
		return nil
	}
	m.Response = true
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: address.As4()},
		}}
	}
	m.Additionals = nil
	answer, err := m.Pack()
	if err != nil {
		return nil
	}
	return answer
}

// A tenant whose endpoint hangs does not keep the messages of another.
func TestWhatHangsIsCutOff(t *testing.T) {
	in := newInbox(t)
	p := newPost(t, in.Certificate(), local)
	p.endpoint(in.URL)
	p.happen(3)
	hang := make(chan struct{})
	defer close(hang)
	roots := x509.NewCertPool()
	roots.AddCert(in.Certificate())
	p.courier.HTTP = transport.NewClient(transport.Config{
		Roots: roots, Timeout: 200 * time.Millisecond, Allow: []netip.Prefix{netip.MustParsePrefix(local)},
	})
	in.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	p.mustSend(1)
	if diff := cmp.Diff([]string{transport.CodeTimeout}, p.codes); diff != "" {
		t.Errorf("a round (-want +got):\n%s", diff)
	}
}

// A daemon that is being stopped blames nobody, and puts the endpoint back.
func TestAStopIsNoFailure(t *testing.T) {
	in := newInbox(t)
	p := newPost(t, in.Certificate(), local)
	p.endpoint(in.URL)
	p.happen(3)
	ctx, stop := context.WithCancel(t.Context())
	in.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		stop()
		<-r.Context().Done()
	})
	all, err := p.Store.ClaimDispatches(ctx, p.now, 100, time.Minute)
	p.must(err)
	if err := p.courier.Run(ctx, all[0]); err != nil && !strings.Contains(err.Error(), "canceled") {
		t.Fatal(err)
	}
	if e := p.state(); e.Code != "" || !e.FailingSince.IsZero() {
		t.Errorf("the endpoint is %+v", e)
	}
	in.Config.Handler = in
	p.mustSend(1)
	if n := p.waiting(); n != 0 {
		t.Errorf("%d wait", n)
	}
}
