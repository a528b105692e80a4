package api

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

func (h *house) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

func signIn(key string) *http.Request {
	r := httptest.NewRequest("POST", signInPath, strings.NewReader(url.Values{"key": {key}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestSignInAndOut(t *testing.T) {
	h := newHouse(t)
	if w := h.do(httptest.NewRequest("GET", "/", nil)); w.Code != 303 || w.Header().Get("Location") != "/week" {
		t.Errorf("/ = %d to %q", w.Code, w.Header().Get("Location"))
	}
	w := h.do(httptest.NewRequest("GET", "/week", nil))
	if w.Code != 401 || !strings.Contains(w.Body.String(), `action="/week/sign-in"`) || strings.Contains(w.Body.String(), "Ada") {
		t.Errorf("without a key the page is %d: %s", w.Code, w.Body)
	}

	w = h.do(signIn(one))
	cookies := w.Result().Cookies()
	if w.Code != 303 || len(cookies) != 1 {
		t.Fatalf("sign-in = %d with %v", w.Code, cookies)
	}
	c := cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/week" || c.MaxAge != 12*60*60 || c.Secure {
		t.Errorf("the cookie is %v", c)
	}
	page := httptest.NewRequest("GET", "/week", nil)
	page.AddCookie(c)
	w = h.do(page)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "Ada one") || !strings.Contains(w.Body.String(), "Sign out") || strings.Contains(w.Body.String(), one) {
		t.Errorf("signed in, the page is %d: %s", w.Code, w.Body)
	}
	// The cookie opens the page and nothing else.
	records := httptest.NewRequest("GET", "/v1/resources", nil)
	records.AddCookie(c)
	readProblem(t, h.do(records), 401, "unauthorized")

	out := httptest.NewRequest("POST", signOutPath, nil)
	w = h.do(out)
	if cookies = w.Result().Cookies(); w.Code != 303 || len(cookies) != 1 || cookies[0].MaxAge >= 0 || cookies[0].Value != "" {
		t.Errorf("sign-out = %d with %v", w.Code, cookies)
	}
}

func TestSignInRefusals(t *testing.T) {
	h := newHouse(t)
	for name, key := range map[string]string{"no key": "", "a wrong key": "bzd_wrong", "a key that may not read": syncToken + "_one", "a huge key": strings.Repeat("k", 5<<10)} {
		w := h.do(signIn(key))
		if w.Code < 400 || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s signs in: %d", name, w.Code)
		}
	}
	foreign := signIn(one)
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := h.do(foreign); w.Code != 403 || len(w.Result().Cookies()) > 0 {
		t.Errorf("another site's form signs in: %d", w.Code)
	}
	// A key that was revoked meanwhile signs out.
	page := httptest.NewRequest("GET", "/week", nil)
	page.AddCookie(&http.Cookie{Name: keyCookie, Value: "bzd_revoked"})
	w := h.do(page)
	if cookies := w.Result().Cookies(); w.Code != 401 || len(cookies) != 1 || cookies[0].MaxAge >= 0 {
		t.Errorf("a dead cookie: %d with %v", w.Code, cookies)
	}
}

func TestCookieIsSecureOverTLS(t *testing.T) {
	h := newHouse(t)
	direct, proxied := signIn(one), signIn(one)
	direct.TLS = &tls.ConnectionState{}
	proxied.Header.Set("X-Forwarded-Proto", "https")
	for _, r := range []*http.Request{direct, proxied} {
		if cookies := h.do(r).Result().Cookies(); len(cookies) != 1 || !cookies[0].Secure {
			t.Errorf("the cookie is %v", cookies)
		}
	}
}

func TestDevKeyOpensThePageOnThisMachineOnly(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.DevKey = one })
	for _, c := range []struct {
		peer, host, header string
		want               int
	}{
		{"127.0.0.1:4711", "127.0.0.1:8080", "", 200},
		{"[::1]:4711", "[::1]:8080", "", 200},
		{"[::ffff:127.0.0.1]:4711", "localhost:8080", "", 200},
		{"127.0.0.1:4711", "localhost", "", 200},
		{"192.0.2.1:4711", "127.0.0.1:8080", "", 401},
		{"127.0.0.1:4711", "rebound.example:8080", "", 401},
		{"127.0.0.1:4711", "127.0.0.1.example", "", 401},
		{"127.0.0.1:4711", "127.0.0.1:8080", "X-Forwarded-For", 401},
		{"127.0.0.1:4711", "127.0.0.1:8080", "Forwarded", 401},
		{"@", "localhost", "", 401},
	} {
		r := httptest.NewRequest("GET", "/week", nil)
		r.RemoteAddr, r.Host = c.peer, c.host
		if c.header != "" {
			r.Header.Set(c.header, "192.0.2.1")
		}
		if w := h.do(r); w.Code != c.want {
			t.Errorf("from %s to %s (%s) = %d, want %d", c.peer, c.host, c.header, w.Code, c.want)
		}
		records := httptest.NewRequest("GET", "/v1/resources", nil)
		records.RemoteAddr, records.Host = c.peer, c.host
		readProblem(t, h.do(records), 401, "unauthorized")
	}
	closed := newHouse(t)
	r := httptest.NewRequest("GET", "/week", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:4711", "localhost"
	if w := closed.do(r); w.Code != 401 {
		t.Errorf("without a DevKey the page is open: %d", w.Code)
	}
}

func TestPageErrorsArePages(t *testing.T) {
	h := newHouse(t)
	for target, want := range map[string]struct {
		status int
		says   string
	}{
		"/week?week=2026-W54":        {400, "must be an ISO week"},
		"/week?week=2025-W53":        {400, "must be an ISO week"},
		"/week?resource=x":           {400, "must be a UUID"},
		"/week?key=" + one:           {400, "is not a parameter"},
		"/week?resource=" + nowhere:  {404, "There is nothing of this id"},
		"/week?week=%3Cscript%3Ex":   {400, "must be an ISO week"},
		"/week?%3Cscript%3Ealert=()": {400, "&lt;script&gt;alert"},
	} {
		w := h.callPage(target, one)
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.says) || strings.Contains(w.Body.String(), "<script") ||
			!strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Errorf("%s = %d: %s", target, w.Code, w.Body)
		}
	}
	h.err = sqlState("42703")
	w := h.callPage("/week", one)
	if w.Code != 500 || strings.Contains(w.Body.String(), "42703") || !strings.Contains(w.Body.String(), w.Header().Get("X-Request-Id")) {
		t.Errorf("a fault of ours = %d: %s", w.Code, w.Body)
	}
}

func TestWeeks(t *testing.T) {
	h := newHouse(t)
	for target, wants := range map[string][]string{
		"/week":               {"2 – 8 March 2026", `href="/week?week=2026-W09"`, `href="/week?week=2026-W11"`, `aria-current="date"`},
		"/week?week=2026-W53": {"28 December 2026 – 3 January 2027", `href="/week?week=2027-W01"`, `href="/week"`, `name="week" value="2026-W53"`},
		"/week?week=2026-W14": {"30 March – 5 April 2026", "Free in working hours"},
		"/week?week=2026-W44": {"No time is offered in a week that has not been read.", "Kept from 24 February 2026 to 2 July 2026 only."},
		"/week?week=2026-W09": {"This week is over."},
		"/week?resource=" + h.resource(1): {
			"Bo one", `href="/week?resource=` + h.resource(1) + `&amp;week=2026-W09"`, `<option value="` + h.resource(1) + `" selected>Bo one</option>`,
		},
	} {
		w := h.callPage(target, one)
		for _, want := range wants {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s does not have %q", target, want)
			}
		}
	}
	if w := h.callPage("/week?resource="+h.resource(1), one); strings.Contains(w.Body.String(), "<h2 id=\"p-"+h.resource(0)) {
		t.Error("a resource that was not asked for is drawn")
	}
}

func TestPageOfNobodyAndOfMany(t *testing.T) {
	h := newHouse(t)
	h.tenants[0].resources = nil
	if w := h.callPage("/week", one); w.Code != 200 || !strings.Contains(w.Body.String(), "There is nobody yet") {
		t.Errorf("a tenant without resources: %d", w.Code)
	}
	for range listedPeople + 7 {
		h.tenants[0].resources = append(h.tenants[0].resources, busy.Resource{ID: newID[busy.Resource](h), Name: "Room", Zone: "UTC"})
	}
	body := h.callPage("/week", one).Body.String()
	if got := strings.Count(body, `class="card person"`); got != drawnPeople {
		t.Errorf("%d are drawn", got)
	}
	for _, want := range []string{"201 more: choose one above", "7 more are not in the list"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// TestEachInItsOwnWeek: on Sunday evening in New York it is Monday in Auckland.
func TestEachInItsOwnWeek(t *testing.T) {
	h := newHouse(t)
	h.now = time.Date(2026, 3, 8, 22, 0, 0, 0, time.UTC)
	h.tenants[0].resources[0].Zone = "Pacific/Auckland"
	body := h.callPage("/week", one).Body.String()
	auckland, newYork, _ := strings.Cut(body, `id="p-`+h.resource(1))
	if !strings.Contains(auckland, "Monday 9 March") || strings.Contains(auckland, "Sunday 8 March") || !strings.Contains(newYork, "Sunday 8 March") {
		t.Error("the two are not drawn each in the week of its zone")
	}
}

func TestHoursAcrossTheDayAndTheHourThatComesTwice(t *testing.T) {
	h := newHouse(t)
	ten := h.tenants[0]
	h.now = time.Date(2026, 10, 21, 9, 0, 0, 0, time.UTC)
	for i := range ten.calendars {
		ten.calendars[i].AsOf = h.now
		ten.calendars[i].Covered.End = h.now.AddDate(0, 1, 0)
	}
	ten.resources[0].Hours = busy.AlwaysOpen()
	// 02:30 of summer to 02:30 of winter: an hour, in which the clock does not move.
	ten.blocks[ten.resources[0].ID] = []busy.Block{{Start: time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC), End: time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC), State: busy.Busy}}
	body := h.callPage("/week?resource="+h.resource(0), one).Body.String()
	for _, want := range []string{"Sunday 25 October: Clocks go back 1 h.", "busy 02:30–02:30", "free 00:00–02:30", "free 02:30–24:00", ">24:00</text>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	// The block is drawn from 02:30 to 03:00 and again from 02:00 to 02:30.
	for _, want := range []string{`class="block busy" x="3%" width="94%" y="70" height="14"`, `class="block busy" x="3%" width="94%" y="56" height="14"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
}
