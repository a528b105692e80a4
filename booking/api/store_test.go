package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// syncs wants calendars of the store, as the daemon does.
type syncs struct{ store *store.Store }

func (s syncs) Resync(ctx context.Context, tenant busy.TenantID, scope Scope, now time.Time) ([]busy.CalendarID, error) {
	w := store.WantScope{Full: scope.Full}
	if !scope.Connection.IsZero() {
		w.Connection = &scope.Connection
	}
	if !scope.Calendar.IsZero() {
		w.Calendar = &scope.Calendar
	}
	tasks, err := s.store.Want(ctx, tenant, w, now)
	var ids []busy.CalendarID
	for _, task := range tasks {
		ids = append(ids, task.Calendar)
	}
	return ids, err
}

// ground is the API on the true store.
type ground struct {
	env     *storetest.Env
	handler http.Handler
	now     time.Time
}

func newGround(t *testing.T) *ground {
	t.Helper()
	env := storetest.New(t)
	stopping := make(chan struct{})
	close(stopping)
	g := &ground{env: env, now: moment}
	handler, err := New(Config{
		Stopping: stopping,
		Store:    env.Store, Syncer: syncs{env.Store}, Accounts: newAccounts(env.Store), StaleAfter: 30 * time.Minute, Version: "test",
		Desk: &booking.Desk{Store: env.Store, Now: func() time.Time { return moment }, Random: rand.Reader, StaleAfter: 30 * time.Minute},
		Log:  slog.New(slog.DiscardHandler), Now: func() time.Time { return g.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	g.handler = handler
	return g
}

// settle makes a tenant with a resource, a calendar and its meetings, the same
// for every tenant but for their ids.
func (g *ground) settle(t *testing.T, name string) (busy.TenantID, party) {
	t.Helper()
	ctx := t.Context()
	tenant, resource, calendar := g.env.Calendar(t, name)
	p := party{
		keys: map[busy.Scope]string{}, resource: resource.ID.String(), connection: calendar.Connection.String(), calendar: calendar.ID.String(),
		marks: []string{tenant.ID.String(), resource.ID.String(), calendar.Connection.String(), calendar.ID.String(), name},
	}
	for _, scope := range busy.Scopes() {
		_, token, err := g.env.Store.CreateKey(ctx, tenant.ID, string(scope), []busy.Scope{scope}, time.Time{}, storetest.Now)
		if err != nil {
			t.Fatal(err)
		}
		p.keys[scope] = token
	}
	e, _, err := g.env.Store.CreateEndpoint(ctx, tenant.ID, busy.Endpoint{URL: "https://" + name + ".example.com/"}, storetest.Now)
	if err != nil {
		t.Fatal(err)
	}
	p.endpoint, p.marks = e.ID.String(), append(p.marks, e.ID.String())
	g.mirror(t, tenant.ID, calendar.ID,
		busy.Span{Start: utc(4, 13, 0), End: utc(4, 14, 0)}, busy.Span{Start: utc(4, 13, 30), End: utc(4, 15, 0)}, busy.Span{Start: utc(5, 9, 0), End: utc(5, 10, 0)})
	g.furnish(t, &p, name)
	return tenant.ID, p
}

// furnish gives the party a service, an override and bookings on Friday.
func (g *ground) furnish(t *testing.T, p *party, name string) {
	t.Helper()
	made := func(target, body string, scope busy.Scope) map[string]any {
		w := serve(g.handler, "POST", target, p.keys[scope], body)
		var v map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != 201 {
			t.Fatalf("%s = %d: %s", target, w.Code, w.Body)
		}
		return v
	}
	details := `,"personal_data":{"reference":"case of ` + name + `","fields":{"phone":"number of ` + name + `"}}}`
	want := func(hour int) string { return strings.TrimSuffix(wantText(p.service, utc(6, hour, 0)), "}") + details }
	p.service = made("/v1/services", strings.TrimSuffix(serviceText("Visit "+name, p.resource), "}")+`,"public":true}`, busy.ScopeAdmin)["id"].(string)
	p.override = made("/v1/resources/"+p.resource+"/overrides", `{"first":"2026-03-20","closed":true}`, busy.ScopeAdmin)["id"].(string)
	p.booking = made("/v1/bookings", strings.TrimSuffix(want(9), "}")+`,"state":"pending"}`, busy.ScopeBook)["id"].(string)
	hold := made("/v1/holds", want(10), busy.ScopeBook)
	p.hold, p.token = hold["booking"].(map[string]any)["id"].(string), hold["token"].(string)
	spare := made("/v1/holds", want(11), busy.ScopeBook)
	p.spare, p.spareToken = spare["booking"].(map[string]any)["id"].(string), spare["token"].(string)
	p.marks = append(p.marks, p.service, p.override, p.booking, p.hold, p.token, p.spare, p.spareToken, "case of "+name, "number of "+name)
}

// mirror runs a sync of the calendar in which the provider has meetings at these
// times.
func (g *ground) mirror(t *testing.T, tenant busy.TenantID, calendar busy.CalendarID, meetings ...busy.Span) {
	t.Helper()
	ctx := t.Context()
	tasks, err := g.env.Store.Want(ctx, tenant, store.WantScope{Calendar: &calendar}, g.now)
	if err != nil {
		t.Fatal(err)
	}
	work, err := g.env.Store.Take(ctx, tasks[0], g.now, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	page := busy.Page{Seen: map[string]struct{}{}, Window: busy.Span{Start: moment.AddDate(0, 0, -2), End: moment.AddDate(0, 0, 90)}, Zone: work.Zone}
	for i, m := range meetings {
		key := fmt.Sprint("meeting ", i)
		page.Events = append(page.Events, busy.Event{Key: key, Series: key, Subject: "a secret subject", State: busy.Busy, Start: busy.InstantOf(m.Start), End: busy.InstantOf(m.End)})
	}
	expand := func(_ context.Context, series []busy.Event) ([]busy.Occurrence, error) {
		return []busy.Occurrence{{Start: series[0].Start.Wall, End: series[0].End.Wall, State: busy.Busy}}, nil
	}
	if _, err := g.env.Store.Apply(ctx, work.Lease, page, expand); err != nil {
		t.Fatal(err)
	}
	err = g.env.Store.Release(ctx, work.Lease, busy.Release{Outcome: busy.OutcomeChanged, AsOf: g.now, FullAt: g.now, DueAt: g.now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStrangersOnTheStore(t *testing.T) {
	g := newGround(t)
	_, one := g.settle(t, "tenant-one")
	_, two := g.settle(t, "tenant-two")
	checkStrangers(t, g.handler, one, two)
}

func TestAnswersFromTheStore(t *testing.T) {
	g := newGround(t)
	_, p := g.settle(t, "ada")
	read := func(target string) string {
		w := serve(g.handler, "GET", target, p.keys[busy.ScopeRead], "")
		if w.Code != 200 {
			t.Fatalf("%s = %d: %s", target, w.Code, w.Body)
		}
		return strings.NewReplacer(p.resource, "RESOURCE", p.calendar, "CALENDAR", p.connection, "CONNECTION").Replace(w.Body.String())
	}
	for target, want := range map[string]string{
		"/v1/busy?resource=" + p.resource + "&from=2026-03-04T13:15:00Z&to=2026-03-05T09:30:00Z": `{"from":"2026-03-04T13:15:00Z","to":"2026-03-05T09:30:00Z","resources":[` +
			`{"id":"RESOURCE","as_of":"2026-03-04T09:20:00Z","state":"fresh","calendars":[{"id":"CALENDAR","state":"fresh","as_of":"2026-03-04T09:20:00Z"}],` +
			`"busy":[{"start":"2026-03-04T13:15:00Z","end":"2026-03-04T15:00:00Z"},{"start":"2026-03-05T09:00:00Z","end":"2026-03-05T09:30:00Z"}]}]}`,
		"/v1/availability?resource=" + p.resource + "&from=2026-03-04T12:00:00Z&to=2026-03-05T00:00:00Z&duration=1h&interval=30m": `{"slots":[` +
			`{"start":"2026-03-04T12:00:00Z","end":"2026-03-04T13:00:00Z","resources":["RESOURCE"]},{"start":"2026-03-04T15:00:00Z","end":"2026-03-04T16:00:00Z","resources":["RESOURCE"]}],` +
			`"resources":[{"id":"RESOURCE","as_of":"2026-03-04T09:20:00Z","state":"fresh"}]}`,
		"/v1/resources": `{"resources":[{"id":"RESOURCE","name":"ada","zone":"Europe/Berlin","hours":"mon 09:00-17:00; tue 09:00-17:00; wed 09:00-17:00; thu 09:00-17:00; fri 09:00-17:00"}]}`,
	} {
		if diff := cmp.Diff(want+"\n", read(target)); diff != "" {
			t.Errorf("%s: expected (-), got (+):\n%s", target, diff)
		}
	}
	page := read("/week")
	for _, want := range []string{"busy 14:00–16:00", "Fresh, read just now.", "<b>ada</b>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(page, "secret subject") {
		t.Error("the page shows a subject")
	}
}

func TestChangesReachTheStore(t *testing.T) {
	g := newGround(t)
	tenant, p := g.settle(t, "ada")
	ctx := t.Context()
	admin := p.keys[busy.ScopeAdmin]
	busyAnswerOf := func() string {
		return serve(g.handler, "GET", "/v1/busy?resource="+p.resource+days, p.keys[busy.ScopeRead], "").Body.String()
	}

	if w := serve(g.handler, "POST", "/v1/resync", p.keys[busy.ScopeSync], `{"full":true}`); w.Code != 202 || !strings.Contains(w.Body.String(), p.calendar) {
		t.Errorf("resync = %d: %s", w.Code, w.Body)
	}
	due, err := g.env.Store.ClaimDue(ctx, moment, 10, time.Minute)
	if err != nil || !slices.ContainsFunc(due, func(task busy.Task) bool { return task.Calendar.String() == p.calendar }) {
		t.Errorf("after a resync %v is due (%v)", due, err)
	}
	for _, selected := range []bool{false, true} {
		w := serve(g.handler, "PATCH", "/v1/calendars/"+p.calendar, admin, fmt.Sprintf(`{"selected":%v}`, selected))
		if w.Code != 200 || !strings.Contains(w.Body.String(), fmt.Sprintf(`"selected":%v`, selected)) {
			t.Errorf("selected %v = %d: %s", selected, w.Code, w.Body)
		}
		want := map[bool]string{false: `"state":"fresh","calendars":[],"busy":[]`, true: `"state":"pending"`}[selected]
		if got := busyAnswerOf(); !strings.Contains(got, want) {
			t.Errorf("selected %v: %s", selected, got)
		}
	}
	for range 2 { // disconnecting is final, and may be said twice
		if w := serve(g.handler, "DELETE", "/v1/connections/"+p.connection, admin, ""); w.Code != 204 {
			t.Errorf("disconnect = %d: %s", w.Code, w.Body)
		}
	}
	if calendars, err := g.env.Store.Calendars(ctx, tenant); err != nil || len(calendars) > 0 {
		t.Errorf("after the disconnect there are %v (%v)", calendars, err)
	}
}

func TestARevokedKeyIsWorthNothingASecondLater(t *testing.T) {
	g := newGround(t)
	tenant, p := g.settle(t, "ada")
	keys, err := g.env.Store.Keys(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range p.keys { // also one that was used a moment ago
		serve(g.handler, "GET", "/v1/resources", token, "")
	}
	for _, k := range keys {
		if err := g.env.Store.RevokeKey(t.Context(), tenant, k.ID, moment); err != nil {
			t.Fatal(err)
		}
	}
	g.now = g.now.Add(time.Second)
	for scope, token := range p.keys {
		readProblem(t, serve(g.handler, "GET", "/v1/resources", token, ""), 401, "unauthorized")
		if w := serve(g.handler, "GET", "/week", token, ""); w.Code != 401 {
			t.Errorf("the page with a revoked key of scope %s = %d", scope, w.Code)
		}
	}
}
