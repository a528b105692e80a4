package api

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
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
	// A browser has one jar for all ports of a machine: the key of yesterday's daemon is in it.
	old := httptest.NewRequest("GET", "/week", nil)
	old.RemoteAddr, old.Host = "127.0.0.1:4711", "localhost:8080"
	old.AddCookie(&http.Cookie{Name: keyCookie, Value: "bzd_of_another_daemon"})
	if w := h.do(old); w.Code != 200 || len(w.Result().Cookies()) != 1 {
		t.Errorf("with another daemon's cookie = %d, cookies %v", w.Code, w.Result().Cookies())
	}
	closed := newHouse(t)
	r := httptest.NewRequest("GET", "/week", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:4711", "localhost"
	if w := closed.do(r); w.Code != 401 {
		t.Errorf("without a DevKey the page is open: %d", w.Code)
	}
}
