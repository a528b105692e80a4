package feed_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/feed"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/feedfake"
	"github.com/busyd/busyd/providers/transport"
)

func TestConnectFindsTheCalendar(t *testing.T) {
	for name, test := range map[string]struct {
		o          feedfake.Options
		name, zone string
	}{
		"named":                {feedfake.Options{Name: `Work\, mostly`, Zone: "Romance Standard Time"}, "Work, mostly", "Europe/Paris"},
		"nameless":             {feedfake.Options{}, "Calendar feed", ""},
		"named by its address": {feedfake.Options{Name: owner, Zone: "Nowhere/Land"}, "Calendar feed", ""},
		"redirected":           {feedfake.Options{Name: "Far", Hops: 5}, "Far", ""},
		"elsewhere":            {feedfake.Options{Name: "Far", Username: "a", Password: "b", Hops: 4, FilesHost: "cdn.example.net"}, "Far", ""},
		"elsewhere, same site": {feedfake.Options{Name: "Near", FilesHost: "files.fake.test"}, "Near", ""},
		"a token as username":  {feedfake.Options{Name: "T", Username: "token"}, "T", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := connect(t, test.o)
			sent := a.Requests()
			found, err := a.session(t).Calendars(context.Background())
			if err != nil || len(found) != 1 || found[0].Name != test.name || found[0].Zone != test.zone || !found[0].Blocking {
				t.Errorf("found %+v, %v", found, err)
			}
			hops := test.o.Hops
			if test.o.FilesHost != "" {
				hops++
			}
			if sent != hops+1 || a.Requests() != sent {
				t.Errorf("%d requests to connect and %d to list, want %d and none", sent, a.Requests()-sent, hops+1)
			}
		})
	}
}

// TestConnectSaysWhatIsWrong: each answer names the field and the cure, and
// nothing of the address or of what was found there.
func TestConnectSaysWhatIsWrong(t *testing.T) {
	const url = "webcal://feeds.fake.test/private-CANARY/basic.ics?token=CANARY"
	for name, test := range map[string]struct {
		login providers.Login
		fault feedfake.Fault
		want  string
	}{
		"no address":       {providers.Login{}, feedfake.Body(""), "url is empty"},
		"not an address":   {providers.Login{URL: "https://CANARY CANARY/"}, feedfake.Body(""), "url must be the address"},
		"another scheme":   {providers.Login{URL: "ftp://CANARY/"}, feedfake.Body(""), "url must be the address"},
		"no host":          {providers.Login{URL: "https:///CANARY.ics"}, feedfake.Body(""), "url must be the address"},
		"user in address":  {providers.Login{URL: "https://CANARY:x@feeds.fake.test/"}, feedfake.Body(""), "give them apart"},
		"colon":            {providers.Login{URL: url, Username: "a:b"}, feedfake.Body(""), "username must not contain a colon"},
		"page":             {providers.Login{URL: url}, feedfake.Body("\ufeff \r\n<!doctype html>CANARY"), "url leads to a web page"},
		"empty":            {providers.Login{URL: url}, feedfake.Body(" \r\n"), "url leads to an empty file"},
		"nothing":          {providers.Login{URL: url}, feedfake.Body(""), "url leads to an empty file"},
		"text":             {providers.Login{URL: url}, feedfake.Body("CANARY"), "does not lead to a calendar file"},
		"only events":      {providers.Login{URL: url}, feedfake.Body("BEGIN:VEVENT\r\nUID:CANARY\r\nEND:VEVENT\r\n"), "does not lead to a calendar file"},
		"contacts":         {providers.Login{URL: url}, feedfake.Body("BEGIN:VCARD\r\nFN:CANARY\r\nEND:VCARD\r\n"), "does not lead to a calendar file"},
		"vCalendar":        {providers.Login{URL: url}, feedfake.Body("BEGIN:VCALENDAR\r\nVERSION:1.0\r\nEND:VCALENDAR\r\n"), "does not lead to a calendar file"},
		"JSON":             {providers.Login{URL: url}, feedfake.Body(`{"error":"CANARY"}`), "does not lead to a calendar file"},
		"cut":              {providers.Login{URL: url}, feedfake.CutOff(0.8), "breaks off before its end"},
		"aborted":          {providers.Login{URL: url}, feedfake.Abort(), "breaks off before its end"},
		"large":            {providers.Login{URL: url}, feedfake.Body("BEGIN:VCALENDAR\r\n" + strings.Repeat("X-CANARY:1\r\n", feed.MaxFile/12+1) + "END:VCALENDAR\r\n"), "too large"},
		"many events":      {providers.Login{URL: url}, feedfake.Body("BEGIN:VCALENDAR\r\n" + strings.Repeat("BEGIN:VEVENT\r\n", 100_001) + "END:VCALENDAR\r\n"), "too large"},
		"locked":           {providers.Login{URL: url}, feedfake.Status(http.StatusUnauthorized, ""), "url leads to a file that is protected"},
		"wrong password":   {providers.Login{URL: url, Username: "CANARY", Password: busy.Secret("CANARY")}, feedfake.Status(http.StatusUnauthorized, ""), "password or username is refused"},
		"forbidden":        {providers.Login{URL: url}, feedfake.Status(http.StatusForbidden, ""), "url leads to a file that may not be read"},
		"missing":          {providers.Login{URL: url}, feedfake.Status(http.StatusNotFound, ""), "url leads to nothing"},
		"gone":             {providers.Login{URL: url}, feedfake.Status(http.StatusGone, ""), "url leads to nothing"},
		"refused":          {providers.Login{URL: url}, feedfake.Status(http.StatusBadRequest, ""), "does not lead to a calendar file"},
		"nothing there":    {providers.Login{URL: url}, feedfake.Status(http.StatusNoContent, ""), "does not lead to a calendar file"},
		"not modified":     {providers.Login{URL: url}, feedfake.Status(http.StatusNotModified, ""), "does not lead to a calendar file"},
		"circles":          {providers.Login{URL: url}, feedfake.Redirect(http.StatusFound, "?token=CANARY").Times(-1), "leads in circles"},
		"downgraded":       {providers.Login{URL: url}, feedfake.Redirect(http.StatusFound, "http://CANARY.example.com/"), "must begin with https"},
		"to a file":        {providers.Login{URL: url}, feedfake.Redirect(http.StatusFound, "file:///etc/CANARY"), "must begin with https"},
		"to nowhere":       {providers.Login{URL: url}, feedfake.Redirect(http.StatusFound, ""), "must begin with https"},
		"to no address":    {providers.Login{URL: url}, feedfake.Redirect(http.StatusFound, "https://CANARY CANARY/"), "must begin with https"},
		"to https's alias": {providers.Login{URL: url}, feedfake.Redirect(http.StatusFound, "http://feeds.fake.test/CANARY").Times(-1), "leads in circles"},
	} {
		t.Run(name, func(t *testing.T) {
			server := feedfake.New(feedfake.Options{Username: test.login.Username, Password: string(test.login.Password)})
			server.FailNext(test.fault)
			provider := feed.New(feed.Config{HTTP: server.Transport()})
			_, err := provider.Connect(context.Background(), test.login)
			if !errors.Is(err, busy.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if strings.Contains(strings.ToUpper(err.Error()), providertest.Mark) {
				t.Errorf("the error lets out what it must not: %v", err)
			}
		})
	}
}

// TestConnectFailsForNow: what may pass by itself is no fault of the login.
func TestConnectFailsForNow(t *testing.T) {
	for name, fault := range map[string]feedfake.Fault{
		"throttled": feedfake.Status(http.StatusTooManyRequests, "60"),
		"down":      feedfake.Status(http.StatusBadGateway, ""),
	} {
		server := feedfake.New(feedfake.Options{})
		server.FailNext(fault)
		_, err := feed.New(feed.Config{HTTP: server.Transport()}).Connect(context.Background(), providers.Login{URL: server.URL()})
		if e := (*providers.Error)(nil); !errors.As(err, &e) || errors.Is(err, busy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// failing is a network that fails in one way.
type failing string

func (f failing) RoundTrip(*http.Request) (*http.Response, error) {
	if f == "raw" {
		return nil, errors.New("dial CANARY.example.com")
	}
	return nil, &providers.Error{Code: string(f)}
}

func TestConnectWithoutANetwork(t *testing.T) {
	for _, test := range []struct{ code, url, want string }{
		{transport.CodeDNS, "https://x.example.com", "names a server that does not exist"},
		{transport.CodeRefused, "https://x.example.com", "accepts no connections"},
		{transport.CodeTLS, "https://x.example.com", "trusted certificate"},
		{transport.CodeBlocked, "https://x.example.com", "not public"},
		{transport.CodeBlocked, "http://x.example.com", "must begin with https://"},
		{transport.CodeTimeout, "https://x.example.com", "timeout (transient)"},
		{"raw", "https://x.example.com", "network (transient)"},
	} {
		_, err := feed.New(feed.Config{HTTP: failing(test.code)}).Connect(context.Background(), providers.Login{URL: test.url})
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), providertest.Mark) {
			t.Errorf("%s at %s: %v", test.code, test.url, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for given, want := range map[string]string{
		"webcal://x.example.com/a?b=c#d":      "https://x.example.com/a?b=c",
		" WEBCALS://x.example.com/a ":         "https://x.example.com/a",
		"x.example.com/a%2Fb.ics":             "https://x.example.com/a%2Fb.ics",
		"https://x.example.com:8443":          "https://x.example.com:8443/",
		"http://x.example.com/a":              "http://x.example.com/a",
		"https://x.example.com/a;b,c+d?e=%20": "https://x.example.com/a;b,c+d?e=%20",
	} {
		var sent string
		rt := roundTrip(func(r *http.Request) (*http.Response, error) {
			sent = r.URL.String()
			return nil, errors.New("enough")
		})
		_, _ = feed.New(feed.Config{HTTP: rt}).Connect(context.Background(), providers.Login{URL: given})
		if sent != want {
			t.Errorf("%q is read at %q, want %q", given, sent, want)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestUnreadableGrants(t *testing.T) {
	for _, g := range []string{"", "{}", "CANARY", `{"url":"https://CANARY:x y/"}`, `{"url":1}`} {
		_, err := feed.New(feed.Config{}).Open(context.Background(), providers.Account{Grant: busy.Secret(g)})
		if providers.FaultOf(err) != providers.Revoked || strings.Contains(fmt.Sprint(err), "CANARY") {
			t.Errorf("%q: %v", g, err)
		}
	}
}
