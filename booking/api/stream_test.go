package api

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/storetest"
)

// radio is the API on the true store, over the network, as streams need it.
type radio struct {
	t        *testing.T
	env      *storetest.Env
	address  string
	stopping chan struct{}
}

func newRadio(t *testing.T) *radio {
	t.Helper()
	r := &radio{t: t, env: storetest.New(t), stopping: make(chan struct{})}
	handler, err := New(Config{
		Store: r.env.Store, Version: "test", Log: slog.New(slog.DiscardHandler), Now: time.Now, Stopping: r.stopping,
		Timeout: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config = NewServer(handler, slog.New(slog.DiscardHandler))
	server.Start()
	t.Cleanup(server.Close)
	r.address = server.URL
	return r
}

// station is a tenant with a connection, whose going and coming it is told of.
type station struct {
	*radio
	tenant     busy.TenantID
	connection busy.ConnectionID
	key        busy.APIKey
	token      string
}

func (r *radio) station(name string) *station {
	r.t.Helper()
	tenant, _, calendar := r.env.Calendar(r.t, name)
	key, token, err := r.env.Store.CreateKey(r.t.Context(), tenant.ID, "key", []busy.Scope{busy.ScopeRead}, time.Time{}, storetest.Now)
	if err != nil {
		r.t.Fatal(err)
	}
	return &station{r, tenant.ID, calendar.Connection, key, token}
}

// happen has the connection refused, and mended.
func (s *station) happen() {
	s.t.Helper()
	ctx := s.t.Context()
	if _, err := s.env.Owner(s.t).Exec(ctx, `update connections set state = 'needs_reconnect' where tenant_id = $1`, s.tenant.String()); err != nil {
		s.t.Fatal(err)
	}
	if err := s.env.Store.ReplaceGrant(ctx, s.tenant, s.connection, busy.Secret("new"), nil, storetest.Now); err != nil {
		s.t.Fatal(err)
	}
}

// ear is an open stream.
type ear struct {
	t     *testing.T
	lines chan string
	err   error // that ended the lines; none: the server did
	end   context.CancelFunc
}

func (s *station) listen(last string) (*ear, *http.Response) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	s.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address+"/v1/events", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = answer.Body.Close() })
	e := &ear{t: s.t, lines: make(chan string, 1000), end: cancel}
	go func() {
		defer close(e.lines)
		scanner := bufio.NewScanner(answer.Body)
		for scanner.Scan() {
			e.lines <- scanner.Text()
		}
		e.err = scanner.Err()
	}()
	return e, answer
}

// event returns the fields of the next event: id, event and data.
func (e *ear) event() (fields map[string]string) {
	e.t.Helper()
	fields = map[string]string{}
	for line := range e.lines {
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && len(fields) > 0:
			return fields
		case name != "" && line != ":":
			fields[name] = value
		}
	}
	return fields
}

// over waits for the stream to be closed by the server.
func (e *ear) over() {
	e.t.Helper()
	for line := range e.lines {
		if strings.HasPrefix(line, "data: ") {
			e.t.Errorf("heard %s", line)
		}
	}
	if e.err != nil { // the listener's own deadline among others
		e.t.Errorf("the server did not close the stream: %v", e.err)
	}
}

func TestAStream(t *testing.T) {
	r := newRadio(t)
	s, other := r.station("station"), r.station("other")
	e, answer := s.listen("")
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %s", answer.StatusCode, answer.Header)
	}
	if first := e.event(); first["retry"] == "" || first["id"] == "" || first["data"] != "" {
		t.Fatalf("the stream begins with %v", first)
	}
	other.happen()
	s.happen()
	heard := e.event()
	want := `{"type":"connection.recovered","timestamp":"2026-03-02T09:00:00Z","data":{"resource":"`
	if heard["event"] != "connection.recovered" || !strings.HasPrefix(heard["data"], want) || !strings.Contains(heard["data"], s.connection.String()) {
		t.Fatalf("heard %v", heard)
	}
	e.end()
	s.happen() // nobody listens
	s.happen()
	e, _ = s.listen(heard["id"])
	e.event() // the beginning
	second, third := e.event(), e.event()
	if second["event"] != "connection.recovered" || third["event"] != "connection.recovered" || second["id"] == heard["id"] || second["id"] == third["id"] {
		t.Fatalf("after coming back: %v, %v", second, third)
	}
	close(r.stopping)
	e.over()
}

// From where the messages are not kept any more, a listener is told so.
func TestAStreamThatMissedSomething(t *testing.T) {
	s := newRadio(t).station("station")
	for _, last := range []string{"1.1", "999999999999.0"} {
		e, _ := s.listen(last)
		if first := e.event(); first["event"] != "reset" || first["data"] != "{}" || first["id"] == last {
			t.Errorf("%s: the stream begins with %v", last, first)
		}
		s.happen()
		if next := e.event(); next["event"] != "connection.recovered" {
			t.Errorf("%s: and goes on with %v", last, next)
		}
		e.end()
	}
	if _, answer := s.listen("yesterday"); answer.StatusCode != 400 {
		t.Errorf("a mark that is none: %d", answer.StatusCode)
	}
}

// Whose key is revoked hears nothing that happens afterwards.
func TestAStreamEndsWithItsKey(t *testing.T) {
	s := newRadio(t).station("station")
	e, _ := s.listen("")
	e.event()
	if err := s.env.Store.RevokeKey(t.Context(), s.tenant, s.key.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.happen()
	e.over()
}

func TestStreamsAreBounded(t *testing.T) {
	r := newRadio(t)
	s, other := r.station("station"), r.station("other")
	var first *ear
	for range MaxListeners {
		e, answer := s.listen("")
		if answer.StatusCode != 200 {
			t.Fatalf("%d", answer.StatusCode)
		}
		e.event()
		first = e
	}
	_, answer := s.listen("")
	body, err := io.ReadAll(answer.Body)
	if answer.StatusCode != 429 {
		t.Fatalf("one more: %d %s %v", answer.StatusCode, body, err)
	}
	if _, answer := other.listen(""); answer.StatusCode != 200 {
		t.Errorf("another tenant: %d", answer.StatusCode)
	}
	first.end()
	for { // the server notices in a moment
		e, answer := s.listen("")
		if answer.StatusCode == 200 {
			e.event()
			return
		}
	}
}
