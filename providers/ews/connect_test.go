package ews_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/ews"
	"github.com/busyd/busyd/providers/oauth"
	"github.com/busyd/busyd/providers/providertest/ewsfake"
	"github.com/busyd/busyd/providers/transport"
	"github.com/busyd/busyd/sync/recur"
)

// connect connects to a server with these options.
func connect(t *testing.T, o ewsfake.Options, c ews.Config, l providers.Login, faults ...ewsfake.Fault) (*ewsfake.Server, busy.Secret, error) {
	t.Helper()
	o.Expand = recur.New()
	server := ewsfake.New(o)
	server.FailNext(faults...)
	c.Pool = server.Transport
	grant, err := ews.New(c).Connect(context.Background(), l)
	return server, grant, err
}

func with(change func(*providers.Login)) providers.Login {
	l := login()
	change(&l)
	return l
}

func TestConnect(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options ewsfake.Options
		login   providers.Login
		scheme  string // of the credential that opened the mailbox
	}{
		"the server alone":    {ewsfake.Options{}, with(func(l *providers.Login) { l.URL = "mail.corp.test" }), "NTLM"},
		"its web page":        {ewsfake.Options{}, with(func(l *providers.Login) { l.URL = "https://mail.corp.test/owa/?x=1#y" }), "NTLM"},
		"domain and name":     {ewsfake.Options{}, with(func(l *providers.Login) { l.Username = `CORP\ana` }), "NTLM"},
		"only Negotiate":      {ewsfake.Options{Schemes: []string{"Negotiate"}}, login(), "Negotiate"},
		"only Basic":          {ewsfake.Options{Schemes: []string{"Basic"}}, login(), "Basic"},
		"NTLM is blocked":     {ewsfake.Options{Loop: true}, login(), "Basic"},
		"an old server":       {ewsfake.Options{Version: "Exchange2010_SP2"}, login(), "NTLM"},
		"discovered":          {ewsfake.Options{}, with(func(l *providers.Login) { l.URL = "" }), "NTLM"},
		"by plain XML":        {ewsfake.Options{Discover: map[string]ewsfake.Discovery{ewsfake.Domain: {NoSOAP: true, External: ewsfake.URL}}}, with(func(l *providers.Login) { l.URL = "" }), "NTLM"},
		"by the second host":  {ewsfake.Options{Discover: map[string]ewsfake.Discovery{ewsfake.Domain: {Status: 403}, "autodiscover.corp.test": {External: ewsfake.URL}}}, with(func(l *providers.Login) { l.URL = "" }), "NTLM"},
		"inside the network":  {ewsfake.Options{Discover: map[string]ewsfake.Discovery{ewsfake.Domain: {Internal: ewsfake.URL}}}, with(func(l *providers.Login) { l.URL = "" }), "NTLM"},
		"redirected":          {ewsfake.Options{Discover: map[string]ewsfake.Discovery{ewsfake.Domain: {Status: 302, Location: "https://x.corp.test/autodiscover/autodiscover.svc"}, "x.corp.test": {External: ewsfake.URL}}}, with(func(l *providers.Login) { l.URL = "" }), "NTLM"},
		"redirected inside":   {ewsfake.Options{Discover: map[string]ewsfake.Discovery{ewsfake.Domain: {RedirectURL: "https://x.corp.test/autodiscover/autodiscover.svc"}, "x.corp.test": {External: ewsfake.URL}}}, with(func(l *providers.Login) { l.URL = "" }), "NTLM"},
		"a shared calendar":   {ewsfake.Options{Shared: "room@corp.test"}, shared("room@corp.test"), "NTLM"},
		"as somebody else":    {ewsfake.Options{Impersonated: "boss@corp.test"}, shared("boss@corp.test"), "NTLM"},
		"somebody else's own": {ewsfake.Options{Shared: "room@corp.test"}, with(func(l *providers.Login) { l.URL, l.Mailbox, l.Username = "", "room@corp.test", `CORP\ana` }), "NTLM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, grant, err := connect(t, c.options, ews.Config{}, c.login)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(grant), `"url":"https://mail.corp.test/EWS/Exchange.asmx"`) {
				t.Errorf("the grant leads elsewhere")
			}
			last := server.Requests()[len(server.Requests())-1]
			scheme := ""
			for _, r := range server.Requests() {
				if r.Scheme != "" {
					scheme = r.Scheme
				}
			}
			if last.Operation != "GetFolder" || scheme != c.scheme {
				t.Errorf("the last request is %s with %s", last.Operation, scheme)
			}
			if c.login.Mailbox != "" && last.Anchor != c.login.Mailbox {
				t.Error("the request has no anchor")
			}
			refused(t, server)
		})
	}
}

func TestConnectSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	online := "connect this calendar as Outlook"
	noURL := with(func(l *providers.Login) { l.URL = "" })
	says := func(d ewsfake.Discovery) ewsfake.Options {
		return ewsfake.Options{Discover: map[string]ewsfake.Discovery{ewsfake.Domain: d}}
	}
	for name, c := range map[string]struct {
		options ewsfake.Options
		login   providers.Login
		fault   ewsfake.Fault
		field   string
		detail  string
	}{
		"no username":         {login: with(func(l *providers.Login) { l.Username = "" }), field: "username", detail: "empty"},
		"no password":         {login: with(func(l *providers.Login) { l.Password = nil }), field: "password", detail: "empty"},
		"no address":          {login: with(func(l *providers.Login) { l.URL, l.Username = "", `CORP\ana` }), field: "url", detail: "not an e-mail address"},
		"a bad mailbox":       {login: shared("room"), field: "mailbox", detail: "e-mail address"},
		"a bad address":       {login: with(func(l *providers.Login) { l.URL = "ftp://x" }), field: "url", detail: "must be the address"},
		"a password in it":    {login: with(func(l *providers.Login) { l.URL = "https://a:b@mail.corp.test" }), field: "url", detail: "give them apart"},
		"Exchange Online":     {login: with(func(l *providers.Login) { l.URL = "https://outlook.office365.com/EWS/Exchange.asmx" }), field: "url", detail: online},
		"Outlook.com":         {login: with(func(l *providers.Login) { l.URL, l.Username = "", "ana@outlook.com" }), field: "url", detail: online},
		"a wrong password":    {login: with(func(l *providers.Login) { l.Password = busy.Secret("wrong") }), field: "password", detail: "refused"},
		"a wrong name":        {login: with(func(l *providers.Login) { l.Username = "eva@corp.test" }), field: "password", detail: "refused"},
		"a loop":              {options: ewsfake.Options{Schemes: []string{"NTLM"}, Loop: true}, login: login(), field: "url", detail: "Extended Protection"},
		"no scheme of ours":   {options: ewsfake.Options{Schemes: []string{"Bearer"}}, login: login(), field: "url", detail: "neither NTLM nor Basic"},
		"too old":             {options: ewsfake.Options{Version: "Exchange2007_SP1"}, login: login(), field: "url", detail: "too old"},
		"no EWS there":        {login: with(func(l *providers.Login) { l.URL = "https://mail.corp.test/other" }), field: "url", detail: "does not lead to Exchange Web Services"},
		"a login page":        {login: login(), fault: ewsfake.Body("<html>"), field: "url", detail: "does not lead to Exchange Web Services"},
		"forbidden":           {login: login(), fault: ewsfake.Status(403), field: "username", detail: "must enable EWS"},
		"password expired":    {login: login(), fault: ewsfake.SOAPFault(500, "ErrorPasswordExpired", 0).On("GetFolder"), field: "password", detail: "expired"},
		"no mailbox":          {login: login(), fault: ewsfake.SOAPFault(500, "ErrorNonExistentMailbox", 0).On("GetFolder"), field: "username", detail: "no mailbox"},
		"not shared":          {login: shared("secret@corp.test"), field: "mailbox", detail: "share its calendar"},
		"no autodiscover":     {options: ewsfake.Options{Discover: map[string]ewsfake.Discovery{}}, login: noURL, field: "url", detail: "no Autodiscover"},
		"it points online":    {options: says(ewsfake.Discovery{External: "https://outlook.office365.com/EWS/Exchange.asmx"}), login: noURL, field: "url", detail: online},
		"it redirects online": {options: says(ewsfake.Discovery{Status: 302, Location: "https://autodiscover-s.outlook.com/autodiscover/autodiscover.xml"}), login: noURL, field: "url", detail: online},
		"an online address":   {options: says(ewsfake.Discovery{RedirectAddress: "ana@corp.mail.onmicrosoft.com"}), login: noURL, field: "url", detail: online},
		"it points away":      {options: says(ewsfake.Discovery{External: "https://mail.hoster.example/EWS/Exchange.asmx"}), login: noURL, field: "url", detail: "another site"},
		"it redirects away":   {options: says(ewsfake.Discovery{Status: 301, Location: "https://mail.hoster.example/autodiscover/autodiscover.svc"}), login: noURL, field: "url", detail: "another site"},
		"another's address":   {options: says(ewsfake.Discovery{RedirectAddress: "ana@hoster.example"}), login: noURL, field: "url", detail: "another site"},
		"without encryption":  {options: says(ewsfake.Discovery{RedirectURL: "http://x.corp.test/autodiscover/autodiscover.svc"}), login: noURL, field: "url", detail: "without encryption"},
		"it does not know":    {options: says(ewsfake.Discovery{Unknown: true}), login: noURL, field: "username", detail: "not the e-mail address"},
		"it does not tell":    {options: says(ewsfake.Discovery{}), login: noURL, field: "url", detail: "does not tell"},
		"it goes in circles":  {options: says(ewsfake.Discovery{Status: 302, Location: "https://corp.test/autodiscover/autodiscover.svc"}), login: noURL, field: "url", detail: "no Autodiscover"},
		"it refuses":          {login: with(func(l *providers.Login) { l.URL, l.Password = "", busy.Secret("wrong") }), field: "password", detail: "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _, err := connect(t, c.options, ews.Config{}, c.login, c.fault.Times(-1))
			var v *busy.Violation
			if !errors.As(err, &v) || v.Field != c.field || !strings.Contains(v.Detail, c.detail) {
				t.Fatalf("%v, want %s: %s", err, c.field, c.detail)
			}
			for _, r := range server.Requests() {
				if !strings.HasSuffix(r.Host, ewsfake.Domain) {
					t.Errorf("a request was sent to %s", r.Host)
				}
			}
		})
	}
}

// A server that cannot be asked is not a wrong login.
func TestConnectToAServerThatFails(t *testing.T) {
	t.Parallel()
	for _, fault := range []ewsfake.Fault{ewsfake.Status(500), ewsfake.Throttle("60"), ewsfake.SOAPFault(500, "ErrorServerBusy", 0).On("GetFolder")} {
		_, _, err := connect(t, ewsfake.Options{}, ews.Config{}, login(), fault.Times(-1))
		if err == nil || errors.Is(err, busy.ErrInvalid) {
			t.Errorf("%v", err)
		}
	}
}

func TestTrustedHosts(t *testing.T) {
	t.Parallel()
	o := ewsfake.Options{Discover: map[string]ewsfake.Discovery{
		ewsfake.Domain: {RedirectURL: "https://mail.hoster.example/autodiscover/autodiscover.svc"}, "mail.hoster.example": {External: ewsfake.URL},
	}}
	_, _, err := connect(t, o, ews.Config{Trusted: []string{"mail.hoster.example"}}, with(func(l *providers.Login) { l.URL = "" }))
	if err != nil {
		t.Fatal(err)
	}
}

// Over TLS the answer to a challenge is bound to the channel, which is what
// Extended Protection demands.
func TestExtendedProtection(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]bool{"this channel": true, "another channel": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := ewsfake.New(ewsfake.Options{Expand: recur.New(), Schemes: []string{"NTLM"}})
			web := httptest.NewUnstartedServer(server)
			web.Config.ConnContext = ewsfake.ConnContext
			web.StartTLS()
			t.Cleanup(web.Close)
			server.Binding = ewsfake.BindingOf(web.Certificate())
			if !bound {
				server.Binding[0]++
			}
			provider := ews.New(ews.Config{Pool: func() http.RoundTripper {
				return transport.New(transport.Config{Allow: loopback, Roots: web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, HTTP1: true})
			}})
			t.Cleanup(provider.CloseIdleConnections)
			grant, err := provider.Connect(context.Background(), with(func(l *providers.Login) { l.URL = web.URL }))
			if !bound {
				if !errors.Is(err, busy.ErrInvalid) {
					t.Fatalf("a foreign binding: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			before := len(server.Requests())
			session, err := provider.Open(context.Background(), providers.Account{Grant: grant})
			if err != nil {
				t.Fatal(err)
			}
			if found, err := session.Calendars(context.Background()); err != nil || len(found) != 1 {
				t.Fatalf("%d calendars, %v", len(found), err)
			}
			if n := len(server.Requests()) - before; n != 2 {
				t.Errorf("two operations on a connection that is authenticated took %d requests", n)
			}
		})
	}
}

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	web.Config.ErrorLog = quiet
	provider := ews.New(ews.Config{Pool: func() http.RoundTripper { return transport.New(transport.Config{Allow: loopback, HTTP1: true}) }})
	_, err := provider.Connect(context.Background(), with(func(l *providers.Login) { l.URL = web.URL }))
	var v *busy.Violation
	if !errors.As(err, &v) || !strings.Contains(v.Detail, "certificate is not trusted") {
		t.Fatal(err)
	}
}

// Two credentials never meet on one connection.
func TestConnectionsAreNotShared(t *testing.T) {
	t.Parallel()
	server := ewsfake.New(ewsfake.Options{Expand: recur.New()})
	now := time.Now()
	var made atomic.Int64
	provider := ews.New(ews.Config{
		Now:  func() time.Time { return now },
		Pool: func() http.RoundTripper { made.Add(1); return server.Transport() },
	})
	if _, err := provider.Connect(context.Background(), login()); err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Connect(context.Background(), login()); err != nil || made.Load() != 2 {
		t.Fatalf("one credential, and a look at the server, took %d pools: %v", made.Load(), err)
	}
	_, err := provider.Connect(context.Background(), with(func(l *providers.Login) { l.Password = busy.Secret("wrong") }))
	if !errors.Is(err, busy.ErrInvalid) {
		t.Fatalf("a wrong password on the heels of the right one: %v", err)
	}
	before := made.Load()
	now = now.Add(time.Hour)
	if _, err := provider.Connect(context.Background(), login()); err != nil || made.Load() != before+2 {
		t.Fatalf("pools are kept for ever: %v", err)
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	server := ewsfake.New(ewsfake.Options{Expand: recur.New(), Schemes: []string{"Bearer"}, Token: "new"})
	renewals := 0
	tokens := transportFunc(func(r *http.Request) (*http.Response, error) {
		renewals++
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.WriteString(`{"access_token":"new","refresh_token":"next","token_type":"Bearer","expires_in":3600}`)
		return w.Result(), nil
	})
	provider := ews.New(ews.Config{Pool: server.Transport, Bearer: &oauth.App{
		ClientID: "busyd", Endpoint: oauth2.Endpoint{TokenURL: "https://login.corp.test/token"}, HTTP: tokens, Now: time.Now,
	}})
	stored := ews.BearerGrant(ewsfake.URL, "", oauth.Grant{Refresh: "first", Access: "old", Expires: time.Now().Add(time.Hour), Account: "ana"})
	account := providers.Account{Grant: stored, Renew: func(ctx context.Context, f func(context.Context, busy.Secret) (busy.Secret, error)) (busy.Secret, error) {
		renewed, err := f(ctx, stored)
		if err == nil {
			stored = renewed
		}
		return stored, err
	}}
	for range 2 {
		account.Grant = stored
		session, err := provider.Open(context.Background(), account)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := session.Calendars(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if renewals != 1 || !strings.Contains(string(stored), `"refresh":"next"`) || !strings.Contains(string(stored), `"scheme":"bearer"`) {
		t.Errorf("%d renewals", renewals)
	}
	none := ews.New(ews.Config{Pool: server.Transport})
	if _, err := none.Open(context.Background(), account); providers.FaultOf(err) != providers.Operator {
		t.Errorf("without an application: %v", err)
	}
}

func TestCalendars(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ewsfake.Options{}, ews.Config{}, login())
	a.server.AddFolder("mail", "Mail", "IPF.Note", "msgfolderroot")
	a.server.AddFolder("tasks", "Tasks", "IPF.Task", "msgfolderroot")
	a.server.AddFolder("birthdays", "Birthdays", "IPF.Appointment.Birthday", ewsfake.Calendar)
	a.server.AddFolder("old", "Deleted", "IPF.Appointment", "deleteditems")
	for i := range 120 {
		a.server.AddCalendar("c"+strings.Repeat("x", i), "Many")
	}
	found, err := a.Open(t).Calendars(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for i, c := range found {
		names[c.Name]++
		if c.Blocking != (i == 0) || i == 0 && c.Name != "Calendar" {
			t.Errorf("%s, the %dth, blocks: %v", c.Name, i, c.Blocking)
		}
	}
	if len(found) != 123 || names["Many"] != 120 || names["Birthdays"] != 1 || names["Work"] != 1 {
		t.Errorf("%v", names)
	}
}
