// Package api is busyd over HTTP: the /v1 API with its OpenAPI document, and the
// page that shows a week. Every route stands in one table, from which the mux
// and the document are both made.
package api

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

// Store is what the API reads and changes. An id that is not the tenant's is
// busy.ErrNotFound.
type Store interface {
	// Authenticate returns busy.ErrNotFound for a token that is not good, and
	// does not tell why.
	Authenticate(ctx context.Context, token string, now time.Time) (busy.TenantID, busy.APIKey, error)
	// Agendas returns the resources' selected calendars, which need no names, and
	// their blocks that overlap the span, in any order.
	Agendas(ctx context.Context, tenant busy.TenantID, resources []busy.ResourceID, span busy.Span) ([]busy.Agenda, error)
	// Standings returns the same without blocks, claims and overrides, in the order
	// of the resources.
	Standings(ctx context.Context, tenant busy.TenantID, resources []busy.ResourceID) ([]busy.Agenda, error)
	Resources(ctx context.Context, tenant busy.TenantID) ([]busy.Resource, error)
	Connections(ctx context.Context, tenant busy.TenantID) ([]busy.Connection, error)
	Calendars(ctx context.Context, tenant busy.TenantID) ([]busy.Calendar, error)
	Calendar(ctx context.Context, tenant busy.TenantID, id busy.CalendarID) (busy.Calendar, error)
	Select(ctx context.Context, tenant busy.TenantID, id busy.CalendarID, selected bool, now time.Time) error
	// SetIgnore says which of the calendar's events do not block.
	SetIgnore(ctx context.Context, tenant busy.TenantID, id busy.CalendarID, tentative, allDay bool, now time.Time) error
	// FindTenant takes an id.
	FindTenant(ctx context.Context, id string) (busy.Tenant, error)
	ResourceStore
	ServiceStore
	BookingStore
	OnceStore
	EndpointStore
	MessageStore
}

// Syncer starts sync runs.
type Syncer interface {
	// Resync makes the calendars of the scope due at once and returns them. An id
	// that is not the tenant's is busy.ErrNotFound.
	Resync(ctx context.Context, tenant busy.TenantID, scope Scope, now time.Time) ([]busy.CalendarID, error)
}

// Scope is what to resync: everything of the tenant that is selected, unless it
// names a connection or a calendar.
type Scope struct {
	Connection busy.ConnectionID // zero: any
	Calendar   busy.CalendarID   // zero: any
	Full       bool              // read everything anew
}

// Config makes an API.
type Config struct {
	Store    Store
	Syncer   Syncer
	Accounts Accounts
	Desk     *booking.Desk // takes the bookings
	// StaleAfter is the age at which what was read of a calendar is stale.
	StaleAfter time.Duration
	// Stopping, if set, is closed when streams are to end.
	Stopping <-chan struct{}
	// Timeout bounds a request, but for streams; 0: 10 s.
	Timeout time.Duration
	// Origins may call /v1 from a browser, "https://booking.example" each or "*";
	// none: no page of another origin may.
	Origins []string
	// DevKey opens the page without a sign-in for a browser on this machine.
	// Empty, as it must be in production, asks everybody for a key.
	DevKey string
	// Version stands in the OpenAPI document.
	Version string

	// Hooks answers the callbacks of providers, POST /hooks/{kind}, if set.
	Hooks http.Handler
	// Live, Ready and Metrics answer /livez, /readyz and /metrics where set.
	Live, Ready, Metrics http.Handler
	// Observe, if set, is called after each request with the route's pattern.
	Observe func(route string, status int, elapsed time.Duration)

	Log    *slog.Logger     // nil: slog.Default()
	Now    func() time.Time // nil: time.Now
	Random io.Reader        // draws request ids; nil: crypto/rand
}

type api struct {
	Config
	mux     *http.ServeMux
	openapi []byte
	site    *site
	bells   *bells

	admissions admissions
	answers    answers
}

// New returns the handler of everything that busyd answers over HTTP.
func New(c Config) (http.Handler, error) {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	a := &api{Config: c, mux: http.NewServeMux(), bells: newBells(c)}
	document, err := document(routes(), c.Version)
	if err != nil {
		return nil, err
	}
	a.openapi = document
	if a.site, err = newSite(); err != nil {
		return nil, err
	}
	a.mount()
	if err := a.mountBookPage(); err != nil {
		return nil, err
	}
	return a.guard(a.mux), nil
}

// NewServer returns a server for the handler that no slow or greedy client can
// hold: it bounds the time to read and to write, and the size of headers.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func (a *api) mount() {
	for _, r := range routes() {
		a.mux.Handle(r.method+" "+r.path, a.endpoint(r))
	}
	a.mux.HandleFunc("GET "+openapiPath, a.serveOpenAPI)
	for path, h := range map[string]http.Handler{"/livez": a.Live, "/readyz": a.Ready, "/metrics": a.Metrics} {
		if h != nil {
			a.mux.Handle("GET "+path, h)
		}
	}
	a.mux.HandleFunc("GET "+callbackPath, a.callback)
	if a.Hooks != nil {
		a.mux.Handle("POST /hooks/{kind}", a.Hooks)
	}
	a.mountPage()
	a.mux.HandleFunc("/", a.unrouted)
}
