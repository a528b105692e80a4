package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// Bounds of the booking page.
const (
	bookForm   = 8 << 10          // of a form, in bytes
	bookHold   = 10 * time.Minute // how long a time is kept while somebody types
	longest    = 40 * time.Minute // however often that is asked for again
	mostHolds  = 20               // that are open for one service when the page makes another
	bookOffers = 500_000          // the starts of all resources in a month, together
)

// bookPage is where one public service is booked without an API key. Who has the
// link can book. The page shows the service's name and
// when it is free: no resource, no event and no booking but the visitor's own, which
// has a link of its own with a secret in it.
//
// It needs no script and may stand in a frame of the pages of Config.Origins, if
// they are named.
type bookPage struct {
	*api
	style  template.CSS
	policy string
	framed bool // pages of some origin may show it
}

func newBookPage(a *api) (*bookPage, error) {
	own, err := pages.ReadFile("pages/book.css")
	if err != nil {
		return nil, fmt.Errorf("read the style sheet: %w", err)
	}
	style := string(a.site.style) + string(own)
	sum := sha256.Sum256([]byte(style))
	// A page with a button that cancels is not for every site that knows its link.
	ancestors := strings.Join(slices.DeleteFunc(slices.Clone(a.Origins), func(o string) bool { return o == "*" }), " ")
	framed := ancestors != ""
	if !framed {
		ancestors = "'none'"
	}
	return &bookPage{
		api: a, style: template.CSS(style), framed: framed,
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; " +
			"img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors " + ancestors,
	}, nil
}

func (a *api) mountBookPage() error {
	b, err := newBookPage(a)
	if err != nil {
		return err
	}
	const of, own = "/book/{tenant}/{service}", "/book/{tenant}/{service}/{booking}/{token}"
	a.mux.HandleFunc("GET "+of, b.serve((*visit).times))
	a.mux.HandleFunc("POST "+of, b.serve((*visit).hold))
	a.mux.HandleFunc("GET "+own, b.serve((*visit).show))
	a.mux.HandleFunc("POST "+own, b.serve((*visit).book))
	a.mux.HandleFunc("POST "+own+"/keep", b.serve((*visit).prolong))
	a.mux.HandleFunc("POST "+own+"/cancel", b.serve((*visit).cancel))
	return nil
}

// visit is one request of a visitor.
type visit struct {
	*bookPage
	ctx     context.Context
	tenant  busy.TenantID
	service busy.ServiceID
	id      busy.BookingID // zero: of no booking
	token   string         // that opens the booking
	values  url.Values     // of the form or, without one, of the address
	form    bool
	now     time.Time
}

// serve answers a visit. A form is carried out to its end even if the visitor has
// gone: a second click makes the browser leave the first.
func (b *bookPage) serve(answer func(*visit) (busy.Answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := b.visit(w, r)
		var out busy.Answer
		if err == nil {
			if r.Method == http.MethodPost {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), b.Timeout)
				defer cancel()
				v.ctx = ctx
			}
			out, err = answer(v)
		}
		if err != nil {
			out = b.sorry(r, err)
		}
		h := w.Header()
		h.Set("Content-Security-Policy", b.policy)
		h.Set("Referrer-Policy", "same-origin") // with none, a browser hides where a form came from
		h.Set("X-Robots-Tag", "noindex")
		if b.framed {
			h.Del("X-Frame-Options") // it cannot name origins
		}
		send(w, out)
	}
}

func (b *bookPage) visit(w http.ResponseWriter, r *http.Request) (*visit, error) {
	v := &visit{bookPage: b, ctx: r.Context(), token: r.PathValue("token"), values: r.URL.Query(), now: b.Now()}
	var err, wrong error
	if v.tenant, err = busy.ParseID[busy.Tenant](r.PathValue("tenant")); err != nil {
		return nil, notFound
	}
	if v.service, err = busy.ParseID[busy.Service](r.PathValue("service")); err != nil {
		return nil, notFound
	}
	if given := r.PathValue("booking"); given != "" {
		if v.id, wrong = busy.ParseID[busy.Booking](given); wrong != nil {
			return nil, notFound
		}
	}
	if r.Method != http.MethodPost {
		return v, nil
	}
	if http.NewCrossOriginProtection().Check(r) != nil {
		return nil, crossOrigin
	}
	r.Body = http.MaxBytesReader(w, r.Body, bookForm)
	if err := r.ParseForm(); err != nil {
		return nil, violations{{"body", "must be the form of the page"}}
	}
	v.values, v.form = r.PostForm, true
	return v, nil
}

// BookingPath is the path of the page of a public service.
func BookingPath(tenant busy.TenantID, service busy.ServiceID) string {
	return "/book/" + tenant.String() + "/" + service.String()
}

// address is that of the service's page, with the query that matters in it.
func (v *visit) address(query ...string) string {
	return withQuery(BookingPath(v.tenant, v.service), query...)
}

// own is the address of a booking.
func (v *visit) own(id busy.BookingID, token string, query ...string) string {
	return withQuery(v.address()+"/"+id.String()+"/"+url.PathEscape(token), query...)
}

// withQuery adds the names that have values.
func withQuery(path string, query ...string) string {
	q := url.Values{}
	for i := 0; i < len(query); i += 2 {
		if query[i+1] != "" {
			q.Set(query[i], query[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

func redirect(to string) busy.Answer {
	return busy.Answer{Status: http.StatusSeeOther, Header: map[string]string{"Location": to}}
}

func (b *bookPage) page(status int, name, title string, body any) (busy.Answer, error) {
	var out bytes.Buffer
	if err := b.site.templates.ExecuteTemplate(&out, name, view{Title: title, Style: b.style, Body: body}); err != nil {
		return busy.Answer{}, fmt.Errorf("render the page %s: %w", name, err)
	}
	return busy.Answer{Status: status, Header: map[string]string{"Content-Type": "text/html; charset=utf-8"}, Body: out.Bytes()}, nil
}

// sorry is the page of an error.
func (b *bookPage) sorry(r *http.Request, err error) busy.Answer {
	p := b.logged(r, err)
	body := struct {
		failure
		Back string
	}{failure{Title: p.title, Detail: p.detail, Violations: violationsOf(err), Request: requestID(r)}, ""}
	switch {
	case p.code == notFound.code:
		body.Title, body.Detail = "There is nothing to book here", "The link may be incomplete, or no longer in use. Ask whoever gave it to you."
	case p.code == notFresh.code:
		body.Title, body.Detail = "Free times cannot be shown just now", "Try again in a few minutes."
	case p.code == keyInFlight.code:
		body.Title, body.Detail = "This is still being worked on", "Wait a moment, then go back and send the form again: nothing is done twice."
	case p.status >= http.StatusInternalServerError:
		body.Detail = "Try again in a few minutes."
	}
	if p.code != notFound.code {
		body.Back = withQuery("/book/" + url.PathEscape(r.PathValue("tenant")) + "/" + url.PathEscape(r.PathValue("service")))
	}
	answer, broken := b.page(p.status, "book-sorry.html", body.Title, body)
	if broken != nil {
		return problemAnswer(internal, errors.Join(err, broken), requestID(r))
	}
	return answer
}

// formKey draws what makes a form one that is carried out once.
func (b *bookPage) formKey() (string, error) {
	var drawn [16]byte
	if _, err := io.ReadFull(b.Random, drawn[:]); err != nil {
		return "", fmt.Errorf("draw a form's key: %w", err)
	}
	return hex.EncodeToString(drawn[:]), nil
}

// firstLook and lastLook are how often a form looks whether an earlier click on it
// is done, and stillWaiting for how long.
const (
	firstLook    = 20 * time.Millisecond
	lastLook     = 200 * time.Millisecond
	stillWaiting = 3 * time.Second
)

// once carries a form out once: whoever sends it again is sent where the first
// went. All answers that are kept are redirects.
func (v *visit) once(of string, do func(once busy.Once) (busy.Answer, error)) (busy.Answer, error) {
	key := v.values.Get("key")
	if drawn, err := hex.DecodeString(key); err != nil || len(drawn) != 16 {
		return busy.Answer{}, violations{{"key", "must be that of the form"}}
	}
	// The start is in the key, too: going back and choosing another time is another
	// request of the same form.
	digest := sha256.Sum256([]byte("POST " + v.address() + " " + of))
	once := busy.Once{Key: "page " + key + " " + of, Request: digest[:]}
	once, given, err := v.reserve(once)
	if err != nil {
		return busy.Answer{}, err
	}
	if given != nil {
		return *given, nil
	}
	return do(once)
}

func (v *visit) reserve(once busy.Once) (busy.Once, *busy.Answer, error) {
	ctx, cancel := context.WithTimeout(v.ctx, stillWaiting)
	defer cancel()
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		taken, given, err := v.Store.Reserve(v.ctx, v.tenant, once, v.now)
		if !errors.Is(err, busy.ErrInFlight) {
			return taken, given, err
		}
		select {
		case <-ctx.Done():
			return once, nil, err
		case <-time.After(pause):
		}
	}
}

// keep keeps the answer of a form that changed nothing.
func (v *visit) keep(once busy.Once, answer busy.Answer) (busy.Answer, error) {
	once.Answer = &answer
	return answer, v.Store.Answer(v.ctx, v.tenant, once, v.now)
}
