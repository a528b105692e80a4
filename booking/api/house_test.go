package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

// house is two tenants with data of the same shape, held in memory, behind the
// API. The suites that need speed use it; storetest has the true store.
type house struct {
	t       testing.TB
	now     time.Time
	tenants []*tenant
	err     error // returned by every call
	handler http.Handler
	log     strings.Builder
	random  io.Reader

	stopping chan struct{} // closed: streams end when all is said
}

type tenant struct {
	id          busy.TenantID
	keys        map[string]busy.APIKey
	resources   []busy.Resource
	connections []busy.Connection
	calendars   []busy.Calendar
	blocks      map[busy.ResourceID][]busy.Block
	resynced    []Scope

	endpoints []busy.Endpoint
	heard     []busy.Heard

	downgradedAt time.Time
	ledger
}

const (
	readToken  = "bzd_read"
	syncToken  = "bzd_sync"
	adminToken = "bzd_admin"
	bookToken  = "bzd_book"
)

// moment is a Wednesday at 10:20 in Berlin.
var moment = time.Date(2026, 3, 4, 9, 20, 0, 0, time.UTC)

func newHouse(t testing.TB, change ...func(*Config)) *house {
	t.Helper()
	h := &house{t: t, now: moment, random: rand.NewChaCha8([32]byte{1}), stopping: make(chan struct{})}
	close(h.stopping)
	for _, name := range []string{"one", "two"} {
		h.tenants = append(h.tenants, h.newTenant(name))
	}
	c := Config{
		Store: h, Syncer: h, Accounts: h, StaleAfter: 30 * time.Minute, Version: "test",
		Log: h.logger(), Stopping: h.stopping,
		Now: func() time.Time { return h.now }, Random: h.random,
	}
	c.Desk = &booking.Desk{Store: h, Now: c.Now, Random: h.random, StaleAfter: c.StaleAfter}
	for _, f := range change {
		f(&c)
	}
	handler, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	h.handler = handler
	return h
}

func (h *house) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&h.log, nil)) }

func newID[Of any](h *house) busy.ID[Of] {
	id, err := busy.NewID[Of](h.random)
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *house) newTenant(name string) *tenant {
	ten := &tenant{id: newID[busy.Tenant](h), keys: map[string]busy.APIKey{}, blocks: map[busy.ResourceID][]busy.Block{}}
	ten.answers = map[string]*busy.Once{}
	for token, scope := range map[string]busy.Scope{readToken: busy.ScopeRead, syncToken: busy.ScopeSync, bookToken: busy.ScopeBook, adminToken: busy.ScopeAdmin} {
		ten.keys[token+"_"+name] = busy.APIKey{Scopes: []busy.Scope{scope}}
	}
	for _, person := range []struct{ name, zone, hours string }{
		{"Ada " + name, "Europe/Berlin", "mon-fri 09:00-17:00"},
		{"Bo " + name, "America/New_York", "mon-thu 08:30-12:00 13:00-17:30; fri 08:30-12:00"},
	} {
		ten.addResource(h, person.name, person.zone, person.hours)
	}
	ten.furnish(h, name)
	ten.addEndpoint(h, name)
	return ten
}

// addResource adds a resource with one connection of one calendar, fresh, and a
// block of an hour tomorrow at ten.
func (ten *tenant) addResource(h *house, name, zone, hours string) busy.ResourceID {
	parsed, err := busy.ParseHours(hours)
	if err != nil {
		h.t.Fatal(err)
	}
	r := busy.Resource{ID: newID[busy.Resource](h), Name: name, Zone: zone, Hours: parsed}
	c := busy.Connection{
		ID: newID[busy.Connection](h), Resource: r.ID, Kind: busy.CalDAV, State: busy.ConnectionActive,
		CreatedAt: h.now.AddDate(0, -1, 0), ChangedAt: h.now.AddDate(0, -1, 0),
	}
	ten.resources = append(ten.resources, r)
	ten.connections = append(ten.connections, c)
	ten.addCalendar(h, c, "Calendar of "+name)
	location, err := time.LoadLocation(zone)
	if err != nil {
		h.t.Fatal(err)
	}
	ten.blocks[r.ID] = []busy.Block{{
		Start: time.Date(2026, 3, 5, 10, 0, 0, 0, location).UTC(), End: time.Date(2026, 3, 5, 11, 0, 0, 0, location).UTC(), State: busy.Busy,
	}}
	return r.ID
}

func (ten *tenant) addCalendar(h *house, c busy.Connection, name string) *busy.Calendar {
	ten.calendars = append(ten.calendars, busy.Calendar{
		ID: newID[busy.Calendar](h), Connection: c.ID, Resource: c.Resource, Kind: c.Kind, Name: name,
		Selected: true, Connected: busy.ConnectionActive,
		Freshness: busy.Freshness{
			AsOf: h.now.Add(-40 * time.Second), Outcome: busy.OutcomeUnchanged, DueAt: h.now.Add(5 * time.Minute),
			Covered: busy.Span{Start: h.now.AddDate(0, 0, -8), End: h.now.AddDate(0, 0, 120)},
		},
	})
	return &ten.calendars[len(ten.calendars)-1]
}

func (h *house) tenant(id busy.TenantID) *tenant {
	for _, ten := range h.tenants {
		if ten.id == id {
			return ten
		}
	}
	h.t.Fatalf("asked for the tenant %s", id)
	return nil
}

func (h *house) Authenticate(_ context.Context, token string, _ time.Time) (busy.TenantID, busy.APIKey, error) {
	for _, ten := range h.tenants {
		if key, ok := ten.keys[token]; ok {
			return ten.id, key, nil
		}
	}
	return busy.TenantID{}, busy.APIKey{}, busy.ErrNotFound
}

func (h *house) Agendas(ctx context.Context, id busy.TenantID, ids []busy.ResourceID, span busy.Span) ([]busy.Agenda, error) {
	if h.err != nil {
		return nil, h.err
	}
	ten := h.tenant(id)
	var agendas []busy.Agenda
	for _, r := range ten.resources {
		for _, want := range ids {
			if r.ID == want {
				agendas = append(agendas, ten.agenda(h, r, span))
			}
		}
	}
	if len(agendas) < len(ids) {
		return nil, busy.ErrNotFound
	}
	return agendas, ctx.Err()
}

// Standings are never those that somebody has seen: nothing is remembered here.
func (h *house) Standings(ctx context.Context, id busy.TenantID, ids []busy.ResourceID) ([]busy.Agenda, error) {
	agendas, err := h.Agendas(ctx, id, ids, busy.Span{})
	for i := range agendas {
		agendas[i].Version = -1
	}
	return agendas, err
}

func (ten *tenant) agenda(h *house, r busy.Resource, span busy.Span) busy.Agenda {
	a := busy.Agenda{Resource: r, Claims: ten.claims(h, r.ID), Version: ten.version}
	for _, c := range ten.calendars {
		if c.Resource == r.ID && c.Selected {
			c.Name = "" // as the store has it
			a.Calendars = append(a.Calendars, c)
		}
	}
	for _, b := range ten.blocks[r.ID] {
		if span.Overlaps(busy.Span{Start: b.Start, End: b.End}) {
			a.Blocks = append(a.Blocks, b)
		}
	}
	return a
}

func (h *house) Resources(_ context.Context, id busy.TenantID) ([]busy.Resource, error) {
	return append([]busy.Resource(nil), h.tenant(id).resources...), h.err
}

func (h *house) Connections(_ context.Context, id busy.TenantID) ([]busy.Connection, error) {
	return append([]busy.Connection(nil), h.tenant(id).connections...), h.err
}

func (h *house) Calendars(_ context.Context, id busy.TenantID) ([]busy.Calendar, error) {
	return append([]busy.Calendar(nil), h.tenant(id).calendars...), h.err
}

func (h *house) Calendar(_ context.Context, tenant busy.TenantID, id busy.CalendarID) (busy.Calendar, error) {
	for _, c := range h.tenant(tenant).calendars {
		if c.ID == id {
			return c, h.err
		}
	}
	return busy.Calendar{}, busy.ErrNotFound
}

func (h *house) Select(_ context.Context, tenant busy.TenantID, id busy.CalendarID, selected bool, _ time.Time) error {
	for i, c := range h.tenant(tenant).calendars {
		if c.ID == id {
			h.tenant(tenant).calendars[i].Selected = selected
			return h.err
		}
	}
	return busy.ErrNotFound
}

func (h *house) FindTenant(_ context.Context, id string) (busy.Tenant, error) {
	for i, ten := range h.tenants {
		if ten.id.String() == id {
			return busy.Tenant{ID: ten.id, Name: []string{"one", "two"}[i], DowngradedAt: ten.downgradedAt}, h.err
		}
	}
	return busy.Tenant{}, busy.ErrNotFound
}

func (h *house) Begin(_ context.Context, c busy.Consent) (string, error) {
	for _, r := range h.tenant(c.Tenant).resources {
		if r.ID == c.Resource {
			return "https://provider.example/consent?state=s", h.err
		}
	}
	return "", busy.ErrNotFound
}

func (h *house) Finish(_ context.Context, callback url.Values) (Connected, error) {
	ten := h.tenants[0]
	if callback.Get("state") == "admin" {
		return Connected{Consented: true}, nil
	}
	if callback.Get("state") != "good" {
		return Connected{}, busy.Invalid("state", "is not one that busyd waits for")
	}
	c := ten.connections[0]
	c.Kind = busy.Google
	calendars := append([]busy.Calendar(nil), ten.calendars...)
	calendars[1].Selected = false
	return Connected{Connection: c, Calendars: calendars}, h.err
}

func (h *house) Connect(_ context.Context, tenant busy.TenantID, _ busy.ResourceID, _ busy.Kind, login Login) (Connected, error) {
	if string(login.Password) != "right" {
		return Connected{}, busy.Invalid("password", "is refused")
	}
	ten := h.tenant(tenant)
	return Connected{Connection: ten.connections[0], Calendars: ten.calendars[:1]}, h.err
}

func (h *house) Downgrade(_ context.Context, tenant busy.TenantID, downgraded bool) error {
	h.tenant(tenant).downgradedAt = time.Time{}
	if downgraded {
		h.tenant(tenant).downgradedAt = h.now
	}
	return h.err
}

func (h *house) AdminConsentURL(kind busy.Kind) string {
	return "https://provider.example/admin/" + string(kind)
}

func (h *house) Pause(_ context.Context, tenant busy.TenantID, id busy.ConnectionID, paused bool) (busy.Connection, error) {
	for i, c := range h.tenant(tenant).connections {
		if c.ID != id {
			continue
		}
		c.State = busy.ConnectionActive
		if paused {
			c.State = busy.ConnectionPaused
		}
		h.tenant(tenant).connections[i] = c
		return c, h.err
	}
	return busy.Connection{}, busy.ErrNotFound
}

func (h *house) Disconnect(_ context.Context, tenant busy.TenantID, id busy.ConnectionID) error {
	for i, c := range h.tenant(tenant).connections {
		if c.ID == id {
			h.tenant(tenant).connections[i].State = busy.ConnectionDisconnected
			h.tenant(tenant).connections[i].ChangedAt = h.now
			return h.err
		}
	}
	return busy.ErrNotFound
}

func (h *house) Resync(_ context.Context, id busy.TenantID, scope Scope, _ time.Time) ([]busy.CalendarID, error) {
	ten := h.tenant(id)
	var ids []busy.CalendarID
	for _, c := range ten.calendars {
		if (scope.Calendar.IsZero() || scope.Calendar == c.ID) && (scope.Connection.IsZero() || scope.Connection == c.Connection) {
			ids = append(ids, c.ID)
		}
	}
	if len(ids) == 0 {
		return nil, busy.ErrNotFound
	}
	ten.resynced = append(ten.resynced, scope)
	return ids, h.err
}

// call sends a request with a token; a body makes it JSON.
func (h *house) call(method, target, token, body string, headers ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Idempotency-Key", newID[request](h).String())
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

// callPage is a browser's call: signed in with the token as page and API want it.
func (h *house) callPage(target, token string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.AddCookie(&http.Cookie{Name: keyCookie, Value: token})
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

// problem calls and expects a problem of this status and code.
func (h *house) problem(method, target, token, body string, status int, code string) Problem {
	h.t.Helper()
	return readProblem(h.t, h.call(method, target, token, body), status, code)
}

func readProblem(t testing.TB, w *httptest.ResponseRecorder, status int, code string) Problem {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("the body is no problem: %v: %s", err, w.Body)
	}
	if w.Code != status || p.Status != status || p.Code != code {
		t.Fatalf("got %d %s, want %d %s: %s", w.Code, p.Code, status, code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type = %q", got)
	}
	if p.Title == "" || p.Detail == "" || p.Instance != "urn:uuid:"+w.Header().Get("X-Request-Id") || p.Type != "urn:busyd:problem:"+code {
		t.Errorf("the problem is incomplete: %s", w.Body)
	}
	return p
}

// read calls and decodes what must be a success.
func read[T any](h *house, method, target, token, body string) T {
	h.t.Helper()
	w := h.call(method, target, token, body)
	var out T
	if w.Code >= 300 {
		h.t.Fatalf("%s %s = %d: %s", method, target, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		h.t.Fatalf("%s %s: %v", method, target, err)
	}
	return out
}
