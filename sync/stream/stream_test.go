package stream

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/ews"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/ewsfake"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
	"github.com/busyd/busyd/sync/recur"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// office is a mailbox that is connected, at a server whose streams are real ones.
type office struct {
	*storetest.Env
	t        *testing.T
	server   *ewsfake.Server
	provider *ews.Provider
	grant    busy.Secret
	tenant   busy.Tenant
	stream   busy.Stream
	calendar busy.Calendar
	now      time.Time
	hinted   chan []busy.Task
}

func newOffice(t *testing.T) *office {
	o := &office{
		Env: storetest.New(t), t: t, now: storetest.Now, hinted: make(chan []busy.Task, 100),
		server: ewsfake.New(ewsfake.Options{Expand: recur.New()}),
	}
	transport := func() http.RoundTripper { return o.server.Transport() }
	o.provider = ews.New(ews.Config{Pool: transport, Stream: transport, Debounce: time.Millisecond})
	var err error
	o.grant, err = o.provider.Connect(t.Context(), providers.Login{
		URL: ewsfake.URL, Username: ewsfake.Username, Password: busy.Secret(ewsfake.Password),
	})
	o.must(err)
	o.tenant = o.Tenant(t, "tenant")
	connection, calendars, err := o.Store.CreateConnection(t.Context(), o.tenant.ID, busy.NewConnection{
		Resource: o.Resource(t, o.tenant.ID, "resource").ID, Kind: busy.Exchange, Grant: o.grant,
		Calendars: []busy.NewCalendar{{Remote: busy.Secret("remote"), Name: "Calendar", Selected: true}},
	}, o.now)
	o.must(err)
	o.stream, o.calendar = busy.Stream{Tenant: o.tenant.ID, Connection: connection.ID}, calendars[0]
	return o
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// process is a daemon that listens, and does so no longer when the test is over.
func (o *office) process() *Listener {
	self, err := busy.NewID[busy.Stream](rand.Reader)
	o.must(err)
	l := New(Config{
		Store: o.Store, Provider: o.provider, Self: self, Now: func() time.Time { return o.now },
		Hint:    func(_ context.Context, tasks []busy.Task) { o.hinted <- tasks },
		Observe: func(busy.Kind) {}, Random: func() float64 { return 0.5 }, Log: slog.New(slog.DiscardHandler),
		Lease: 20 * time.Second, Most: 10, Pause: time.Millisecond,
	})
	o.t.Cleanup(func() { l.close(context.Background()) })
	return l
}

// entry changes the calendar.
func (o *office) entry(name string) {
	at := func(hour int) busy.Moment {
		return busy.Moment{Wall: time.Date(2026, 3, 3, hour, 0, 0, 0, time.UTC), Zone: "Europe/Berlin"}
	}
	o.server.Put(ewsfake.Calendar, name, providertest.Entry{Subject: name, Start: at(9), End: at(10)})
}

// told waits for a hint that is about the calendar.
func (o *office) told() {
	o.t.Helper()
	tasks := <-o.hinted
	if len(tasks) != 1 || tasks[0].Calendar != o.calendar.ID || tasks[0].Urgency != busy.UrgencyPushed {
		o.t.Errorf("hinted %v", tasks)
	}
}

func (o *office) operations(name string) (n int) {
	for _, r := range o.server.Requests() {
		if r.Operation == name {
			n++
		}
	}
	return n
}

func TestAChangeMakesTheCalendarDue(t *testing.T) {
	o := newOffice(t)
	work, err := o.Store.Take(t.Context(), busy.Task{Tenant: o.tenant.ID, Calendar: o.calendar.ID}, o.now, time.Minute)
	o.must(err)
	o.must(o.Store.Release(t.Context(), work.Lease, busy.Release{Outcome: busy.OutcomeUnchanged, AsOf: o.now, DueAt: o.now.Add(time.Hour)}))
	o.process().round(t.Context())
	o.server.AwaitListener()
	o.entry("a")
	o.told()
	due, err := o.Store.ClaimDue(t.Context(), o.now, 10, time.Minute)
	o.must(err)
	if len(due) != 1 || due[0].Urgency != busy.UrgencyPushed {
		t.Errorf("due %v", due)
	}
}

// Of all processes one listens; another takes over from one that stops or dies.
func TestOneListens(t *testing.T) {
	o := newOffice(t)
	first, second, third := o.process(), o.process(), o.process()
	first.round(t.Context())
	o.server.AwaitListener()
	for range 3 {
		o.now = o.now.Add(first.Lease / 2)
		first.round(t.Context())
		second.round(t.Context())
	}
	if len(first.open) != 1 || len(second.open) != 0 {
		t.Fatalf("%d and %d listen", len(first.open), len(second.open))
	}
	first.close(t.Context())
	second.round(t.Context())
	o.server.AwaitListener()
	if subscribed := o.operations("Subscribe"); len(second.open) != 1 || subscribed != 2 {
		t.Fatalf("%d listen, %d times subscribed", len(second.open), subscribed)
	}

	o.now = o.now.Add(second.Lease) // in which nobody hears of the second
	third.round(t.Context())
	o.server.AwaitListener()
	lost := second.open[o.stream]
	second.round(t.Context())
	<-lost.ended
	if second.round(t.Context()); len(second.open) != 0 || len(third.open) != 1 {
		t.Errorf("%d and %d listen", len(second.open), len(third.open))
	}
	o.entry("a")
	o.told()
}

// A connection that is not read any more is not listened to, and one with another
// grant is listened to with that.
func TestTheEndOfListening(t *testing.T) {
	for name, end := range map[string]func(*office) error{
		"disconnected": func(o *office) error {
			return o.Store.Disconnect(t.Context(), o.tenant.ID, o.stream.Connection, false, o.now)
		},
		"paused": func(o *office) error { return o.Store.Pause(t.Context(), o.tenant.ID, o.stream.Connection, o.now) },
		"refused": func(o *office) error {
			work, err := o.Store.Take(t.Context(), busy.Task{Tenant: o.tenant.ID, Calendar: o.calendar.ID}, o.now, time.Minute)
			o.must(err)
			return o.Store.Release(t.Context(), work.Lease, busy.Release{
				Outcome: busy.OutcomeUnauthorized, Connection: busy.ConnectionNeedsReconnect,
			})
		},
		"reconnected": func(o *office) error {
			return o.Store.ReplaceGrant(t.Context(), o.tenant.ID, o.stream.Connection, o.grant, nil, o.now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			l := o.process()
			l.round(t.Context())
			o.server.AwaitListener()
			o.must(end(o))
			was := l.open[o.stream]
			l.round(t.Context())
			<-was.ended
			l.round(t.Context())
			if again := len(l.open) == 1; again != (name == "reconnected") {
				t.Errorf("listened to after that: %t", again)
			}
			if name == "reconnected" {
				o.server.AwaitListener()
			}
			if ended := o.operations("Unsubscribe"); ended != 1 {
				t.Errorf("%d subscriptions were ended", ended)
			}
		})
	}
}

// A server that fails is listened to again. What a stream that broke has not told is
// looked for.
func TestListeningGoesOnAfterFailures(t *testing.T) {
	o := newOffice(t)
	l := o.process()
	o.server.FailNext(ewsfake.SOAPFault(500, "ErrorInternalServerError", 0).On("Subscribe"),
		ewsfake.SOAPFault(500, "ErrorServerBusy", 1).On("Subscribe"))
	l.round(t.Context())
	o.server.AwaitListener()
	if len(o.hinted) > 0 {
		t.Error("a server that cannot be listened to is a reason to ask it")
	}
	o.now = o.now.Add(steady)
	o.server.FailNext(ewsfake.FailingStream("ErrorInternalServerError"))
	o.server.CloseStreams()
	o.told()
	o.server.AwaitListener()
	o.entry("a")
	o.told()
}

// A refused credential is looked into by a run, and not tried again and again.
func TestARefusedCredentialIsNotTriedAgain(t *testing.T) {
	o := newOffice(t)
	o.server.FailNext(ewsfake.SOAPFault(500, "ErrorAccountDisabled", 0).On("Subscribe"))
	o.process().round(t.Context())
	o.told()
	time.Sleep(50 * time.Millisecond) // as many pauses as would do after another failure
	if subscribed := o.operations("Subscribe"); subscribed != 1 {
		t.Errorf("subscribed %d times", subscribed)
	}
}

// While the database is away what is open stays open, as long as nobody else can
// have taken it.
func TestListeningOutlastsTheDatabase(t *testing.T) {
	o := newOffice(t)
	l := o.process()
	l.round(t.Context())
	o.server.AwaitListener()
	s := l.open[o.stream]
	l.Store = away{o.Store}
	l.round(t.Context())
	if len(l.open) != 1 {
		t.Error("closed at once")
	}
	o.now = o.now.Add(l.Lease)
	l.round(t.Context())
	<-s.ended
}

type away struct{ *store.Store }

func (away) KeepStreams(context.Context, busy.ListenerID, time.Time, time.Time) ([]busy.Stream, error) {
	return nil, context.DeadlineExceeded
}

// Run listens and, when it ends, leaves everything to others.
func TestRun(t *testing.T) {
	o := newOffice(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { o.process().Run(ctx); close(ended) }()
	o.server.AwaitListener()
	stop()
	<-ended
	other := busy.ListenerID{1}
	free, err := o.Store.ClaimStreams(t.Context(), other, o.now, o.now.Add(time.Minute), 10)
	o.must(err)
	if !slices.Equal(free, []busy.Stream{o.stream}) {
		t.Errorf("left to others: %v", free)
	}
}
