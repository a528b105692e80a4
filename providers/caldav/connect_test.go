package caldav_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/caldav"
	"github.com/busyd/busyd/providers/providertest/caldavfake"
	"github.com/busyd/busyd/providers/transport"
)

// hosts is an internet: a RoundTripper by host name. What is not there does not
// resolve.
type hosts map[string]http.RoundTripper

func (h hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	if at := h[r.URL.Host]; at != nil {
		return at.RoundTrip(r)
	}
	return nil, &providers.Error{Code: transport.CodeDNS}
}

// answers is a host at which one function answers everything.
type answers func(w http.ResponseWriter, r *http.Request)

func (f answers) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	f(w, r)
	return w.Result(), nil
}

// broken is a host that fails with a code.
type broken string

func (b broken) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &providers.Error{Code: string(b)}
}

func status(code int, header ...string) answers {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// dns knows services by domain.
type dns struct {
	service map[string]*net.SRV
	path    string
}

func (d dns) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if srv := d.service[name]; srv != nil && service == "caldavs" && proto == "tcp" {
		return "", []*net.SRV{srv}, nil
	}
	return "", nil, &net.DNSError{IsNotFound: true}
}

func (d dns) LookupTXT(_ context.Context, name string) ([]string, error) {
	if d.path != "" && strings.HasPrefix(name, "_caldavs._tcp.") {
		return []string{"other=1", "path=" + d.path}, nil
	}
	return nil, &net.DNSError{IsNotFound: true}
}

func fakeServer(o caldavfake.Options) *caldavfake.Server {
	server := caldavfake.New(o)
	server.AddCalendar(work, caldavfake.Properties{Title: "Work"})
	return server
}

func connect(rt http.RoundTripper, d caldav.Resolver, login providers.Login) (busy.Secret, error) {
	return caldav.New(caldav.Config{HTTP: rt, Resolver: d}).Connect(context.Background(), login)
}

// secretURL is in every login: no error may repeat it.
const secretPath = "/secret-path/"

func TestConnectFindsTheCalendars(t *testing.T) {
	login := func(address string) providers.Login {
		return providers.Login{URL: address, Username: "alice@fake.test", Password: busy.Secret("secret")}
	}
	server := func() http.RoundTripper { return fakeServer(caldavfake.Options{}).Transport() }
	redirect := func(code int, to string) answers { return status(code, "Location", to) }
	for name, c := range map[string]struct {
		hosts hosts
		dns   dns
		login providers.Login
	}{
		"address of the server":    {hosts{"dav.fake.test": server()}, dns{}, login("https://dav.fake.test/")},
		"bare host":                {hosts{"dav.fake.test": server()}, dns{}, login("dav.fake.test")},
		"address of the principal": {hosts{"dav.fake.test": server()}, dns{}, login("https://dav.fake.test/1234/principal/")},
		"any path":                 {hosts{"dav.fake.test": server()}, dns{}, login("https://dav.fake.test/nothing/here")},
		"well-known":               {hosts{"dav.fake.test": server()}, dns{}, login("https://dav.fake.test/.well-known/caldav")},
		"redirect 301":             {hosts{"www.fake.test": redirect(301, "https://dav.fake.test/"), "dav.fake.test": server()}, dns{}, login("www.fake.test")},
		"redirect 302":             {hosts{"www.fake.test": redirect(302, "//dav.fake.test/"), "dav.fake.test": server()}, dns{}, login("www.fake.test")},
		"redirect 307":             {hosts{"www.fake.test": redirect(307, "https://dav.fake.test:443/"), "dav.fake.test": server()}, dns{}, login("www.fake.test")},
		"redirect 308":             {hosts{"www.fake.test": redirect(308, "https://dav.fake.test/"), "dav.fake.test": server()}, dns{}, login("www.fake.test")},
		"SRV":                      {hosts{"dav.fake.test": server()}, dns{service: map[string]*net.SRV{"fake.test": {Target: "dav.fake.test.", Port: 443}}}, login("fake.test")},
		"SRV with a port":          {hosts{"dav.fake.test:8443": rehosted{server(), "dav.fake.test"}}, dns{service: map[string]*net.SRV{"fake.test": {Target: "dav.fake.test.", Port: 8443}}}, login("fake.test")},
		"SRV and TXT":              {hosts{"dav.fake.test": server()}, dns{service: map[string]*net.SRV{"fake.test": {Target: "dav.fake.test.", Port: 443}}, path: "/1234/principal/"}, login("fake.test")},
		"e-mail address alone":     {hosts{"dav.fake.test": server()}, dns{service: map[string]*net.SRV{"fake.test": {Target: "dav.fake.test.", Port: 443}}}, login("")},
		"behind a proxy that says http": {hosts{"dav.fake.test": answers(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "http://dav.fake.test/1234/principal/", http.StatusMovedPermanently)
				return
			}
			forward(w, r, server())
		})}, dns{}, login("dav.fake.test")},
	} {
		t.Run(name, func(t *testing.T) {
			grant, err := connect(c.hosts, c.dns, c.login)
			if err != nil {
				t.Fatal(err)
			}
			if printed := fmt.Sprintf("%v %+v %s %q", grant, grant, grant, grant); strings.Contains(printed, "secret") {
				t.Errorf("the grant prints its password: %s", printed)
			}
			session, err := caldav.New(caldav.Config{HTTP: c.hosts}).Open(context.Background(), providers.Account{Grant: grant})
			if err != nil {
				t.Fatal(err)
			}
			found, err := session.Calendars(context.Background())
			if err != nil || len(found) != 1 || found[0].Name != "Work" {
				t.Fatalf("calendars: %v, %v", found, err)
			}
		})
	}
}

// rehosted passes requests on under another host.
type rehosted struct {
	next http.RoundTripper
	host string
}

func (h rehosted) RoundTrip(r *http.Request) (*http.Response, error) {
	to := r.Clone(r.Context())
	to.URL.Host = h.host
	return h.next.RoundTrip(to)
}

func forward(w http.ResponseWriter, r *http.Request, to http.RoundTripper) {
	resp, err := to.RoundTrip(r)
	if err != nil {
		panic(err)
	}
	defer func() { _ = resp.Body.Close() }()
	w.WriteHeader(resp.StatusCode)
	buffer := make([]byte, 1<<20)
	for {
		n, err := resp.Body.Read(buffer)
		_, _ = w.Write(buffer[:n])
		if err != nil {
			return
		}
	}
}

func TestConnectSaysWhatIsWrong(t *testing.T) {
	const address = "https://dav.fake.test" + secretPath
	login := func(change func(*providers.Login)) providers.Login {
		l := providers.Login{URL: address, Username: "bob-name@fake.test", Password: busy.Secret("bob-password")}
		if change != nil {
			change(&l)
		}
		return l
	}
	at := func(url string) providers.Login { return login(func(l *providers.Login) { l.URL = url }) }
	everywhere := func(rt http.RoundTripper) hosts { return hosts{"dav.fake.test": rt} }
	empty := caldavfake.New(caldavfake.Options{Username: "bob-name@fake.test", Password: "bob-password"})
	tasks := caldavfake.New(caldavfake.Options{Username: "bob-name@fake.test", Password: "bob-password"})
	tasks.AddCalendar("tasks", caldavfake.Properties{Components: []string{"VTODO"}})
	for name, c := range map[string]struct {
		hosts hosts
		dns   dns
		login providers.Login
		field string
		words string // that the detail must hold
	}{
		"no username":       {login: login(func(l *providers.Login) { l.Username = "" }), field: "username", words: "empty"},
		"no password":       {login: login(func(l *providers.Login) { l.Password = nil }), field: "password", words: "empty"},
		"no url":            {login: providers.Login{Username: "bob", Password: busy.Secret("x")}, field: "url", words: "empty"},
		"no url at all":     {login: at("https://"), field: "url", words: "must be the address"},
		"another scheme":    {login: at("ftp://dav.fake.test/"), field: "url", words: "must be the address"},
		"password in url":   {login: at("https://bob:bob-password@dav.fake.test/"), field: "url", words: "must not contain"},
		"wrong password":    {hosts: everywhere(fakeServer(caldavfake.Options{}).Transport()), login: login(nil), field: "password", words: "refused"},
		"only Digest":       {hosts: everywhere(status(401, "WWW-Authenticate", "Digest realm=x")), login: login(nil), field: "url", words: "Basic"},
		"iCloud":            {hosts: hosts{"caldav.icloud.com": status(401)}, login: at("icloud.com"), field: "password", words: "app-specific password"},
		"iCloud by address": {hosts: hosts{"caldav.icloud.com": status(401)}, login: providers.Login{Username: "bob-name@me.com", Password: busy.Secret("bob-password")}, field: "password", words: "app-specific password"},
		"forbidden":         {hosts: everywhere(status(403)), login: login(nil), field: "username", words: "no right"},
		"a web site":        {hosts: everywhere(status(200)), login: login(nil), field: "url", words: "CalDAV server"},
		"not found":         {hosts: everywhere(status(404)), login: login(nil), field: "url", words: "CalDAV server"},
		"no WebDAV":         {hosts: everywhere(status(405)), login: login(nil), field: "url", words: "CalDAV server"},
		"a web page as 207": {hosts: everywhere(answers(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusMultiStatus)
			_, _ = w.Write([]byte("<html><body>Sign in</body></html>"))
		})), login: login(nil), field: "url", words: "CalDAV server"},
		"redirect loop": {hosts: everywhere(answers(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusTemporaryRedirect)
		})), login: login(nil), field: "url", words: "CalDAV server"},
		"redirect to evil": {hosts: hosts{"dav.fake.test": status(308, "Location", "https://evil.test/"), "evil.test": leak(t)}, login: login(nil), field: "url", words: "another site"},
		"redirect to http": {hosts: hosts{"dav.fake.test": status(308, "Location", "http://www.fake.test/"), "www.fake.test": leak(t)}, login: login(nil), field: "url", words: "another site"},
		"redirect nowhere": {hosts: everywhere(status(301)), login: login(nil), field: "url", words: "CalDAV server"},
		"home at evil":     {hosts: everywhere(fakeHome("https://evil.test/home/")), login: login(nil), field: "url", words: "another site"},
		"SRV to elsewhere": {hosts: hosts{"evil.test": leak(t)}, dns: dns{service: map[string]*net.SRV{"nowhere.test": {Target: "evil.test.", Port: 443}}}, login: at("nowhere.test"), field: "url", words: "does not exist"},
		"no calendars":     {hosts: everywhere(empty.Transport()), login: login(nil), field: "url", words: "no calendar"},
		"tasks only":       {hosts: everywhere(tasks.Transport()), login: login(nil), field: "url", words: "no calendar"},
		"no such host":     {login: login(nil), field: "url", words: "does not exist"},
		"refused":          {hosts: everywhere(broken(transport.CodeRefused)), login: login(nil), field: "url", words: "port"},
		"bad certificate":  {hosts: everywhere(broken(transport.CodeTLS)), login: login(nil), field: "url", words: "certificate"},
		"private address":  {hosts: everywhere(broken(transport.CodeBlocked)), login: login(nil), field: "url", words: "not public"},
		"plain http":       {hosts: everywhere(broken(transport.CodeBlocked)), login: at("http://dav.fake.test" + secretPath), field: "url", words: "https://"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connect(c.hosts, c.dns, c.login)
			v := (*busy.Violation)(nil)
			if !errors.As(err, &v) || v.Field != c.field || !strings.Contains(v.Detail, c.words) {
				t.Fatalf("error: %v; want one of %s with %q", err, c.field, c.words)
			}
			for _, private := range []string{"bob-", "secret-path", "fake.test"} {
				if strings.Contains(err.Error(), private) {
					t.Errorf("the error repeats what was typed: %v", err)
				}
			}
		})
	}
}

// leak is a host that must not be spoken to.
func leak(t *testing.T) answers {
	return func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request went to %s, with a credential: %t", r.URL.Host, r.Header.Get("Authorization") != "")
	}
}

// fakeHome is a server whose principal has its home-set somewhere.
func fakeHome(href string) answers {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = fmt.Fprintf(w, `<multistatus xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><response><href>/p/</href><propstat>
			<prop><current-user-principal><href>/p/</href></current-user-principal><c:calendar-home-set><href>%s</href></c:calendar-home-set></prop>
			<status>HTTP/1.1 200 OK</status></propstat></response></multistatus>`, href)
	}
}

func TestConnectLeavesPassingFailuresAlone(t *testing.T) {
	login := providers.Login{URL: "https://dav.fake.test/", Username: "alice", Password: busy.Secret("x")}
	for name, c := range map[string]struct {
		at    http.RoundTripper
		fault providers.Fault
		code  string
	}{
		"throttled": {status(429, "Retry-After", "9"), providers.Throttled, "throttled"},
		"busy":      {status(503), providers.Throttled, "throttled"},
		"down":      {status(500), providers.Transient, "server_error"},
		"slow":      {broken(transport.CodeTimeout), providers.Transient, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connect(hosts{"dav.fake.test": c.at}, dns{}, login)
			if errors.Is(err, busy.ErrInvalid) || providers.FaultOf(err) != c.fault || providers.CodeOf(err) != c.code {
				t.Fatalf("error: %v", err)
			}
		})
	}
}

// Servers lock accounts after a few wrong passwords.
func TestConnectTriesAPasswordOnce(t *testing.T) {
	server := fakeServer(caldavfake.Options{})
	_, err := connect(server.Transport(), dns{}, providers.Login{URL: server.URL(), Username: "alice@fake.test", Password: busy.Secret("wrong")})
	if err == nil || len(server.Requests()) != 1 {
		t.Fatalf("%d requests, %v", len(server.Requests()), err)
	}
}

// A redirection must not lose the method, the body, the depth or the credential.
func TestRedirectsKeepTheRequest(t *testing.T) {
	server := fakeServer(caldavfake.Options{})
	for _, code := range []int{301, 302, 307, 308} {
		server.FailNext(caldavfake.Redirect(code, "https://dav.fake.test/1234/principal/").On("PROPFIND"))
		server.Forget()
		if _, err := connect(server.Transport(), dns{}, providers.Login{URL: server.URL(), Username: "alice@fake.test", Password: busy.Secret("secret")}); err != nil {
			t.Fatalf("%d: %v", code, err)
		}
		first, second := server.Requests()[0], server.Requests()[1]
		if second.Method != first.Method || second.Body != first.Body || second.Depth != first.Depth || second.Status != 207 {
			t.Errorf("%d: %+v became %+v", code, first, second)
		}
	}
}

// A person is invited under several addresses.
func TestOwnAddresses(t *testing.T) {
	server := fakeServer(caldavfake.Options{Addresses: []string{"mailto:alice@fake.test", "MAILTO:alias@fake.test", "urn:uuid:1234"}})
	event := func(attendee string) string {
		return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260302T090000Z\r\nDTEND:20260302T100000Z\r\nSUMMARY:S\r\n" +
			"ATTENDEE;PARTSTAT=DECLINED:" + attendee + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	}
	for attendee, want := range map[string]busy.State{
		"mailto:Alice@fake.test": busy.Free, "mailto:alias@fake.test": busy.Free,
		"urn:uuid:1234": busy.Free, "mailto:bob@fake.test": busy.Busy,
	} {
		server.Put(work, "a.ics", event(attendee))
		page := changes(t, open(t, server), server, nil)
		if len(page.Events) != 1 || page.Events[0].State != want {
			t.Errorf("declined by %s: %+v", attendee, page.Events)
		}
	}
}
