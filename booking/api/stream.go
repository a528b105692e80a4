package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/busyd/busyd/busy"
)

// MessageStore reads what happened.
type MessageStore interface {
	// Present is the mark of this moment.
	Present(ctx context.Context, tenant busy.TenantID) (busy.Mark, error)
	// Kept reports whether all that was written after the mark is still there.
	Kept(ctx context.Context, tenant busy.TenantID, m busy.Mark) (bool, error)
	// Listen returns messages after the mark, in the order of their marks. No message
	// ever appears before one that was returned.
	Listen(ctx context.Context, tenant busy.TenantID, after busy.Mark, limit int) ([]busy.Heard, error)
}

const (
	eventsPath = "/v1/events"
	// MaxListeners is how many streams a tenant may have open at one process.
	MaxListeners = 20

	// lookEvery is how often a process looks for new messages of a tenant that has
	// listeners.
	lookEvery = time.Second
	// heartbeat is how often something is sent where nothing happens, so that both
	// sides notice when the other is gone, and how soon the stream of a key that was
	// revoked is closed.
	heartbeat = 15 * time.Second
	// patience is how long a client may take to receive what is sent.
	patience = 10 * time.Second
	// mostHeard is how many messages are read at once.
	mostHeard = 100
)

var (
	lastEventParam = param{
		name: "Last-Event-ID", in: "header",
		about:  "The id of the last event that was received: those after it follow. Without it, the stream begins now.",
		schema: huma.Schema{Type: "string", Examples: []any{"8137.4"}},
	}
	tooManyListeners = problem{"too_many_listeners", 429, "Too many streams are open", "A tenant may have 20 streams open at a process: close some, or let one server pass events on to its clients."}
)

func streamRoutes() []route {
	return []route{{
		method: http.MethodGet, path: eventsPath, id: "listen", scope: busy.ScopeRead,
		summary: "What happens, as server-sent events",
		about: "A stream of messages, for frontends that repaint. An event's name is the message's type, its data the body " +
			"that webhooks get, with ids and times only. Whoever comes back with `Last-Event-ID` misses nothing that is " +
			"still kept, which is for seven days; where something may be missing, an event `reset` says so: read everything " +
			"anew. A comment every 15 seconds keeps the connection alive.",
		params: []param{lastEventParam},
		status: http.StatusOK, answer: "", media: "text/event-stream", problems: []problem{tooManyListeners},
		serve: (*api).listen,
	}}
}

// stream is an answer that goes on. It writes until the client, its key or the
// process is at an end.
type stream func(w http.ResponseWriter)

func (a *api) listen(r *request) (any, error) {
	if err := r.params.err(); err != nil {
		return nil, err
	}
	l := &listener{api: a, tenant: r.tenant, token: r.token, ctx: r.ctx}
	if err := l.begin(r.params.values.Get(lastEventParam.name)); err != nil {
		return nil, err
	}
	bell, err := a.bells.hang(r.tenant, l.after)
	if err != nil {
		return nil, err
	}
	return stream(func(w http.ResponseWriter) {
		defer a.bells.take(r.tenant, bell)
		l.run(w, bell)
	}), nil
}

// listener is one stream.
type listener struct {
	*api
	ctx    context.Context
	tenant busy.TenantID
	token  string
	after  busy.Mark // what was sent last
	reset  bool      // something before it may be missing
}

// begin finds where the stream goes on.
func (l *listener) begin(last string) error {
	ctx, cancel := context.WithTimeout(l.ctx, l.Timeout)
	defer cancel()
	if last != "" {
		mark, err := busy.ParseMark(last)
		if err != nil {
			return violations{{lastEventParam.name, "must be the id of an event"}}
		}
		kept, err := l.Store.Kept(ctx, l.tenant, mark)
		if err != nil {
			return err
		}
		if kept {
			l.after = mark
			return nil
		}
		l.reset = true
	}
	var err error
	l.after, err = l.Store.Present(ctx, l.tenant)
	return err
}

func (l *listener) run(w http.ResponseWriter, bell <-chan struct{}) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy in between passes events on at once
	out := &outflow{w: w, control: http.NewResponseController(w)}
	begun := fmt.Sprintf("retry: 3000\nid: %s\n\n", l.after)
	if l.reset {
		begun = fmt.Sprintf("retry: 3000\nid: %s\nevent: reset\ndata: {}\n\n", l.after)
	}
	if out.write([]byte(begun)) != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if l.say(out) != nil {
			return
		}
		select {
		case <-l.ctx.Done():
			return
		case <-l.Stopping:
			return
		case <-bell:
		case <-beat.C:
			if l.allowed() != nil || out.write([]byte(":\n\n")) != nil {
				return
			}
		}
	}
}

// say sends what was written since. The key is asked for again before anything is:
// from the moment at which it is revoked, nothing more is told to who has it.
func (l *listener) say(out *outflow) error {
	for {
		ctx, cancel := context.WithTimeout(l.ctx, l.Timeout)
		heard, err := l.Store.Listen(ctx, l.tenant, l.after, mostHeard)
		cancel()
		if err != nil || len(heard) == 0 {
			return l.tolerate(err)
		}
		if err := l.allowed(); err != nil {
			return err
		}
		events, err := eventsOf(heard)
		if err != nil {
			return err
		}
		if err := out.write(events); err != nil {
			return err
		}
		l.after = heard[len(heard)-1].Mark
		if len(heard) < mostHeard {
			return nil
		}
	}
}

// tolerate lets a stream outlast a database that is away for a while.
func (l *listener) tolerate(err error) error {
	if err == nil || l.ctx.Err() != nil {
		return l.ctx.Err()
	}
	l.Log.WarnContext(l.ctx, "messages cannot be read for a listener", "error", err.Error())
	return nil
}

var errNotAllowed = errors.New("the key is not good any more")

// allowed fails once the key is revoked or has expired.
func (l *listener) allowed() error {
	ctx, cancel := context.WithTimeout(l.ctx, l.Timeout)
	defer cancel()
	tenant, key, err := l.Store.Authenticate(ctx, l.token, l.Now())
	if err != nil {
		return err
	}
	if tenant != l.tenant || !key.Allows(busy.ScopeRead) {
		return errNotAllowed
	}
	return nil
}

func eventsOf(heard []busy.Heard) ([]byte, error) {
	var b bytes.Buffer
	for _, h := range heard {
		body, err := json.Marshal(h.Message)
		if err != nil {
			return nil, fmt.Errorf("encode a message: %w", err)
		}
		fmt.Fprintf(&b, "id: %s\nevent: %s\ndata: %s\n\n", h.Mark, h.Message.Type, body)
	}
	return b.Bytes(), nil
}

// outflow sends what is written at once, and gives the client a moment for it: the
// server's own deadline is for answers that end.
type outflow struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (o *outflow) write(b []byte) error {
	if err := o.control.SetWriteDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := o.w.Write(b); err != nil {
		return err
	}
	return o.control.Flush()
}

// bells ring when there is something new for a tenant. A process looks once for
// all of a tenant's listeners; each then reads from where it is. A database's own
// notifications are no alternative: they let one transaction commit at a time.
type bells struct {
	store    MessageStore
	every    time.Duration
	patience time.Duration
	mu       sync.Mutex
	of       map[busy.TenantID]*tower
}

// tower has the bells of one tenant.
type tower struct {
	bells map[<-chan struct{}]chan struct{}
	stop  context.CancelFunc
}

func newBells(c Config) *bells {
	return &bells{store: c.Store, every: lookEvery, patience: c.Timeout, of: make(map[busy.TenantID]*tower)}
}

// hang makes a bell, which must be taken down again.
func (b *bells) hang(tenant busy.TenantID, from busy.Mark) (<-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.of[tenant]
	if t == nil {
		ctx, stop := context.WithCancel(context.Background())
		t = &tower{bells: make(map[<-chan struct{}]chan struct{}), stop: stop}
		b.of[tenant] = t
		go b.watch(ctx, tenant, from)
	}
	if len(t.bells) >= MaxListeners {
		return nil, tooManyListeners
	}
	bell := make(chan struct{}, 1)
	t.bells[bell] = bell
	return bell, nil
}

func (b *bells) take(tenant busy.TenantID, bell <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.of[tenant]
	delete(t.bells, bell)
	if len(t.bells) == 0 {
		t.stop()
		delete(b.of, tenant)
	}
}

func (b *bells) ring(tenant busy.TenantID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.of[tenant]
	if t == nil {
		return
	}
	for _, bell := range t.bells {
		select {
		case bell <- struct{}{}:
		default: // it rings already
		}
	}
}

// watch looks for messages until the last bell is taken down.
func (b *bells) watch(ctx context.Context, tenant busy.TenantID, after busy.Mark) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(b.every):
		}
		within, cancel := context.WithTimeout(ctx, b.patience)
		heard, err := b.store.Listen(within, tenant, after, mostHeard)
		cancel()
		if err != nil || len(heard) == 0 {
			continue // a listener that reads will say what is wrong
		}
		after = heard[len(heard)-1].Mark
		b.ring(tenant)
	}
}
