package push_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/store/storetest"
	"github.com/busyd/busyd/sync/push"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// provider is one whose sessions can be called back, as a script has it.
type provider struct {
	whole bool // a watch covers the account
	err   error
	calls []string
	lives time.Duration

	request providers.WatchRequest
	now     func() time.Time
}

func (p *provider) Calendars(context.Context) ([]providers.Calendar, error) { return nil, nil }
func (p *provider) Changes(context.Context, providers.Query) (providers.Page, error) {
	return providers.Page{}, nil
}
func (p *provider) WatchesAccount() bool { return p.whole }

func (p *provider) Watch(_ context.Context, w providers.WatchRequest) (providers.Watch, error) {
	p.calls, p.request = append(p.calls, "watch"), w
	return providers.Watch{ID: w.ID, Handle: busy.Secret(fmt.Sprint("handle ", len(p.calls))), Expires: p.now().Add(p.lives)}, p.err
}

func (p *provider) Rewatch(ctx context.Context, old providers.Watch, w providers.WatchRequest) (providers.Watch, error) {
	p.calls = append(p.calls, "rewatch "+string(old.Handle))
	made, err := p.Watch(ctx, w)
	p.calls = p.calls[:len(p.calls)-1]
	return made, err
}

func (p *provider) Unwatch(_ context.Context, w providers.Watch) error {
	p.calls = append(p.calls, "unwatch "+string(w.Handle))
	return nil
}

// Receive reads "id token news" a line.
func (p *provider) Receive(r *http.Request) (providers.Notice, error) {
	if hello := r.URL.Query().Get("hello"); hello != "" {
		return providers.Notice{Reply: []byte(hello)}, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return providers.Notice{}, err
	}
	var n providers.Notice
	for line := range strings.Lines(string(body)) {
		words := strings.Fields(line)
		if len(words) != 3 {
			return providers.Notice{}, errors.New("no callback")
		}
		n.Hints = append(n.Hints, providers.Hint{
			Watch: words[0], Token: busy.Secret(words[1]),
			News: providers.News(slices.Index([]string{"changed", "missed", "expiring", "ended", "nothing"}, words[2])),
		})
	}
	return n, nil
}

// room is a calendar with its keeper and the door for callbacks.
type room struct {
	*storetest.Env
	t        *testing.T
	now      time.Time
	tenant   busy.Tenant
	calendar busy.Calendar
	provider *provider
	keeper   *push.Keeper
	handler  http.Handler
	queued   []busy.Task
	away     error // what the queue says
	known    map[bool]int
}

func newRoom(t *testing.T) *room {
	r := &room{Env: storetest.New(t), t: t, now: storetest.Now, known: map[bool]int{}}
	r.tenant, _, r.calendar = r.Calendar(t, "tenant")
	r.provider = &provider{lives: 7 * 24 * time.Hour, now: func() time.Time { return r.now }}
	r.keeper = &push.Keeper{
		Store: r.Store, Ahead: time.Hour, Now: r.provider.now, Log: slog.New(slog.DiscardHandler),
		Callback: func(kind busy.Kind) string { return "https://busyd.example/hooks/" + string(kind) },
	}
	mux := http.NewServeMux()
	mux.Handle("POST /hooks/{kind}", push.NewHandler(push.Handler{
		Store: r.Store, Receivers: map[busy.Kind]providers.Receiver{busy.CalDAV: r.provider}, Now: r.provider.now,
		Enqueue: func(_ context.Context, tasks []busy.Task) error { r.queued = append(r.queued, tasks...); return r.away },
		Observe: func(_ busy.Kind, known bool) { r.known[known]++ },
		Log:     slog.New(slog.DiscardHandler),
	}))
	r.handler = mux
	return r
}

// poll is a run that reads the calendar and keeps its watch.
func (r *room) poll() {
	r.t.Helper()
	ctx := context.Background()
	tasks, err := r.Store.ClaimDue(ctx, r.now, 1, time.Minute)
	r.must(err)
	if len(tasks) != 1 {
		r.t.Fatalf("%d calendars are due", len(tasks))
	}
	work, err := r.Store.Take(ctx, tasks[0], r.now, time.Minute)
	r.must(err)
	r.keeper.Keep(ctx, work, r.provider)
	r.must(r.Store.Release(ctx, work.Lease, busy.Release{Outcome: busy.OutcomeUnchanged, AsOf: r.now, DueAt: r.now.Add(30 * time.Minute)}))
}

func (r *room) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) expect(calls ...string) {
	r.t.Helper()
	if !slices.Equal(r.provider.calls, calls) {
		r.t.Errorf("the provider was asked to %q, want %q", r.provider.calls, calls)
	}
	r.provider.calls = nil
}

func (r *room) post(path, body string) int {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(body)))
	return w.Code
}

func (r *room) callback(id string, token busy.Secret, news string) int {
	return r.post("/hooks/caldav", id+" "+string(token)+" "+news+"\n")
}

func TestAWatchIsMadeAndProlongedByPolls(t *testing.T) {
	r := newRoom(t)
	r.poll()
	r.expect("watch")
	if w := r.provider.request; len(w.ID) != 64 || len(w.Token) > 128 || w.Callback != "https://busyd.example/hooks/caldav" || w.Remote == nil {
		t.Errorf("asked for %+v", w)
	}
	r.now = r.now.Add(6*24*time.Hour + 22*time.Hour)
	r.poll()
	r.expect()
	r.now = r.now.Add(90 * time.Minute)
	r.poll()
	r.expect("rewatch handle 1", "unwatch handle 1")
	r.now = r.now.Add(2 * time.Hour)
	r.poll()
	r.expect()
}

func TestARefusedWatchIsLeftInPeace(t *testing.T) {
	r := newRoom(t)
	r.provider.err = &providers.Error{Fault: providers.Rejected, Code: "refused"}
	r.poll()
	r.expect("watch")
	r.now = r.now.Add(30 * time.Minute)
	r.poll()
	r.expect()
	r.now = r.now.Add(30 * time.Minute)
	r.provider.err = nil
	r.poll()
	r.expect("watch")
}

func TestACallbackMakesTheCalendarDue(t *testing.T) {
	r := newRoom(t)
	r.poll()
	r.expect("watch")
	w := r.provider.request
	if code := r.callback(w.ID, w.Token, "nothing"); code != 202 || len(r.queued) != 0 {
		t.Errorf("%d, queued %v", code, r.queued)
	}
	r.now = r.now.Add(time.Minute)
	for range 20 { // a storm is one task: all are of one epoch
		if code := r.callback(w.ID, w.Token, "changed"); code != 202 {
			t.Fatal(code)
		}
	}
	slices.SortFunc(r.queued, func(a, b busy.Task) int { return int(a.Epoch - b.Epoch) })
	if once := slices.Compact(r.queued); len(once) != 1 || once[0].Calendar != r.calendar.ID || once[0].Urgency != busy.UrgencyPushed {
		t.Errorf("queued %v", once)
	}
	r.poll()
	r.expect()

	r.away = errors.New("Redis is away") // the sweep finds it
	r.callback(w.ID, w.Token, "expiring")
	r.poll()
	r.expect("rewatch handle 1", "unwatch handle 1")
	w = r.provider.request
	r.callback(w.ID, w.Token, "ended")
	r.poll()
	r.expect("watch")
}

// To a stranger, whatever is asked sounds the same, and nothing becomes due.
func TestStrangersLearnNothing(t *testing.T) {
	r := newRoom(t)
	r.poll()
	w := r.provider.request
	other := "0" + w.ID[1:]
	if w.ID[0] == '0' {
		other = "1" + w.ID[1:]
	}
	for name, code := range map[string]int{
		"wrong token":  r.callback(w.ID, busy.Secret("x"), "changed"),
		"wrong watch":  r.callback(w.ID[:63]+"g", w.Token, "ended"),
		"wrong tenant": r.callback(other, w.Token, "changed"),
		"no watch":     r.callback("x", busy.Secret("x"), "changed"),
	} {
		if code != http.StatusAccepted {
			t.Errorf("%s: %d", name, code)
		}
	}
	if len(r.queued) != 0 || r.known[true] != 0 || r.known[false] != 4 {
		t.Errorf("queued %v, known %v", r.queued, r.known)
	}
	for path, body := range map[string]string{
		"/hooks/other": "", "/hooks/caldav?x": "garbage", "/hooks/caldav?y": strings.Repeat("x", 2<<20),
		"/hooks/caldav?z": strings.Repeat("a b changed\n", 1001),
	} {
		if code := r.post(path, body); code != http.StatusNotFound {
			t.Errorf("%s: %d", path, code)
		}
	}
	answer := httptest.NewRecorder()
	r.handler.ServeHTTP(answer, httptest.NewRequest("POST", "/hooks/caldav?hello=%3Cb%3E", nil))
	if answer.Body.String() != "<b>" || !strings.HasPrefix(answer.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%v %q", answer.Header(), answer.Body)
	}
}

// One watch of the account serves all its calendars.
func TestAWatchOfTheAccount(t *testing.T) {
	r := newRoom(t)
	r.provider.whole = true
	_, calendars := r.Connection(t, r.tenant.ID, r.calendar.Resource, "one", "two")
	r.must(r.Store.Select(context.Background(), r.tenant.ID, r.calendar.ID, false, r.now))
	r.poll()
	r.poll()
	r.expect("watch")
	w := r.provider.request
	if w.Remote != nil {
		t.Error("the request names a calendar")
	}
	r.callback(w.ID, w.Token, "missed")
	if len(r.queued) != len(calendars) {
		t.Errorf("queued %v", r.queued)
	}
}

// A watch of a connection that went meanwhile is ended at once.
func TestAWatchThatNobodyWaitsForIsEnded(t *testing.T) {
	r := newRoom(t)
	ctx := context.Background()
	work, err := r.Store.Take(ctx, busy.Task{Tenant: r.tenant.ID, Calendar: r.calendar.ID}, r.now, time.Minute)
	r.must(err)
	r.must(r.Store.Disconnect(ctx, r.tenant.ID, r.calendar.Connection, false, r.now))
	r.keeper.Keep(ctx, work, r.provider)
	r.expect("watch", "unwatch handle 1")
}

// Every hint is asked of the database: what strangers may send is bounded by
// hints, however few requests they come in.
func TestAStormOfStrangersIsTurnedAway(t *testing.T) {
	r := newRoom(t)
	body := strings.Repeat("a b nothing\n", 1000)
	var answers []int
	for range 20 {
		answers = append(answers, r.post("/hooks/caldav", body))
	}
	if !slices.Contains(answers, http.StatusTooManyRequests) || answers[0] != http.StatusAccepted {
		t.Errorf("answered %v", answers)
	}
}

// What the watches of a grant that was replaced are worth is not known.
func TestReconnectingWatchesAnew(t *testing.T) {
	r := newRoom(t)
	r.poll()
	r.expect("watch")
	r.must(r.Store.ReplaceGrant(context.Background(), r.tenant.ID, r.calendar.Connection, busy.Secret("new"), nil, r.now))
	r.poll()
	r.expect("rewatch handle 1", "unwatch handle 1")
	r.now = r.now.Add(time.Hour)
	r.poll()
	r.expect()
}
