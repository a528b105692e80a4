package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"slices"

	"github.com/busyd/busyd/busy"
)

//go:embed pages
var pages embed.FS

const (
	weekPath    = "/week"
	signInPath  = "/week/sign-in"
	signOutPath = "/week/sign-out"
	keyCookie   = "busyd_key"
)

// site renders the page. Its style sheet stands in the page itself, and the
// policy that browsers get lets nothing else in: no script, no picture, no font.
type site struct {
	templates *template.Template
	style     template.CSS
	policy    string
}

func newSite() (*site, error) {
	templates, err := template.ParseFS(pages, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the pages: %w", err)
	}
	style, err := pages.ReadFile("pages/style.css")
	if err != nil {
		return nil, fmt.Errorf("read the style sheet: %w", err)
	}
	sum := sha256.Sum256(style)
	return &site{
		templates: templates,
		style:     template.CSS(style),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; " +
			"img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	}, nil
}

// view is what every page gets.
type view struct {
	Title string
	Style template.CSS
	Body  any
}

func (a *api) render(w http.ResponseWriter, r *http.Request, status int, name, title string, body any) {
	var b bytes.Buffer
	if err := a.site.templates.ExecuteTemplate(&b, name, view{Title: title, Style: a.site.style, Body: body}); err != nil {
		a.fail(w, r, fmt.Errorf("render the page %s: %w", name, err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", a.site.policy)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func (a *api) mountPage() {
	a.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, weekPath, http.StatusSeeOther)
	})
	a.mux.HandleFunc("GET "+weekPath, a.showWeek)
	a.mux.HandleFunc("POST "+signInPath, a.signIn)
	a.mux.HandleFunc("POST "+signOutPath, a.signOut)
}

func (a *api) showWeek(w http.ResponseWriter, r *http.Request) {
	tenant, signedIn, err := a.visitor(w, r)
	if errors.Is(err, unauthorized) {
		a.render(w, r, http.StatusUnauthorized, "sign-in.html", "Sign in", nil)
		return
	}
	if err != nil {
		a.pageFail(w, r, err)
		return
	}
	week, err := a.week(r, tenant, signedIn)
	if err != nil {
		a.pageFail(w, r, err)
		return
	}
	a.render(w, r, http.StatusOK, "week.html", week.Title, week)
}

// visitor returns the tenant of whoever asks for the page: of the key that was
// signed in with or, for a browser on this machine, of development's.
func (a *api) visitor(w http.ResponseWriter, r *http.Request) (tenant busy.TenantID, signedIn bool, err error) {
	if c, err := r.Cookie(keyCookie); err == nil && c.Value != "" {
		tenant, err := a.reader(r, c.Value)
		if !errors.Is(err, unauthorized) {
			return tenant, true, err
		}
		forgetKey(w, r)
	}
	if a.DevKey == "" || !local(r) {
		return busy.TenantID{}, false, unauthorized
	}
	tenant, err = a.reader(r, a.DevKey)
	return tenant, false, err
}

// reader returns the tenant of a key that may read.
func (a *api) reader(r *http.Request, token string) (busy.TenantID, error) {
	tenant, key, err := a.Store.Authenticate(r.Context(), token, a.Now())
	if errors.Is(err, busy.ErrNotFound) || err == nil && !key.Allows(busy.ScopeRead) {
		return busy.TenantID{}, unauthorized
	}
	return tenant, err
}

// local reports whether a browser on this machine asks, by a name of this
// machine: any other name that leads here may be that of a page elsewhere, which
// would read this one.
func local(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	if r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != "" {
		return false // by a proxy on this machine, for who knows whom
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1", "[::1]"}, host)
}

func (a *api) signIn(w http.ResponseWriter, r *http.Request) {
	if http.NewCrossOriginProtection().Check(r) != nil {
		a.pageFail(w, r, crossOrigin)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	if err := r.ParseForm(); err != nil {
		a.pageFail(w, r, violations{{"body", "must be the form of the page"}})
		return
	}
	token := r.PostForm.Get("key")
	_, err := a.reader(r, token)
	if errors.Is(err, unauthorized) {
		a.render(w, r, http.StatusUnauthorized, "sign-in.html", "Sign in", "This key is not good for reading.")
		return
	}
	if err != nil {
		a.pageFail(w, r, err)
		return
	}
	http.SetCookie(w, cookie(r, token, 12*60*60))
	http.Redirect(w, r, weekPath, http.StatusSeeOther)
}

func (a *api) signOut(w http.ResponseWriter, r *http.Request) {
	if http.NewCrossOriginProtection().Check(r) != nil {
		a.pageFail(w, r, crossOrigin)
		return
	}
	forgetKey(w, r)
	http.Redirect(w, r, weekPath, http.StatusSeeOther)
}

func forgetKey(w http.ResponseWriter, r *http.Request) { http.SetCookie(w, cookie(r, "", -1)) }

// cookie holds the key for the page's own requests: out of reach of scripts and
// of other sites, and gone with the working day.
func cookie(r *http.Request, token string, seconds int) *http.Cookie {
	return &http.Cookie{
		Name: keyCookie, Value: token, Path: weekPath, MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
}

// failure is a problem as a page shows it.
type failure struct {
	Title, Detail string
	Violations    violations
	Request       string
}

func (a *api) pageFail(w http.ResponseWriter, r *http.Request, err error) {
	p := a.logged(r, err)
	a.render(w, r, p.status, "failure.html", p.title, failure{
		Title: p.title, Detail: p.detail, Violations: violationsOf(err), Request: requestID(r),
	})
}
