package ews

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/busyd/busyd/providers"
)

// A stream of events is an answer that goes on: streamFor is how long the server
// is asked to keep it up, StreamTime what the transport must allow for it.
const (
	streamFor  = 20 * time.Minute
	StreamTime = streamFor + time.Minute
)

var _ providers.Listener = (*session)(nil)

var errNoStream = &providers.Error{Fault: providers.Operator, Code: "no_stream"}

// Listen implements [providers.Listener]. It takes a connection of its own for as
// long as it runs, and calls changed also when events were lost.
func (s *session) Listen(ctx context.Context, changed func()) error {
	if s.provider.Stream == nil {
		return errNoStream
	}
	own := &pool{base: s.provider.Stream()}
	defer own.close()
	rt, err := s.provider.signed(own, s.grant, s.account)
	if err != nil {
		return err
	}
	l := &listener{session: s, stream: s.provider.client(rt, s.client.at, s.grant), changed: changed}
	for {
		err := l.subscription(ctx)
		if providers.CodeOf(err) != codeUnsubscribed {
			return err
		}
		changed() // what happened meanwhile is not told any more
	}
}

type listener struct {
	session *session
	stream  *client
	changed func()
}

type subscribedMessage struct {
	message
	ID string `xml:"SubscriptionId"`
}

// subscription listens to one subscription until it is lost.
func (l *listener) subscription(ctx context.Context) error {
	calendars, err := l.session.Calendars(ctx)
	if err != nil {
		return err
	}
	folders := make([]string, len(calendars))
	for i, c := range calendars {
		folders[i] = string(c.Remote)
	}
	var got answers[subscribedMessage]
	if err := l.session.client.call(ctx, subscribe(folders), &got); err != nil {
		return err
	}
	m, err := got.only()
	if err != nil {
		return err
	}
	defer l.end(ctx, m.ID)
	for {
		if err := l.follow(ctx, m.ID); err != nil {
			return err
		}
	}
}

// end tells the server that nobody listens any more. If that fails, the
// subscription ends by itself, half an hour later.
func (l *listener) end(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = l.session.client.call(ctx, unsubscribe(id), &answers[struct{ message }]{})
}

// follow reads one stream, which the server closes after a while.
func (l *listener) follow(ctx context.Context, id string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := request(ctx, l.stream.at, l.stream.envelope(streamEvents(id)), l.stream.mailbox)
	if err != nil {
		return err
	}
	resp, err := l.stream.rt.RoundTrip(r)
	if err != nil {
		return networkError(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		failed := &reply{status: resp.StatusCode, header: resp.Header, body: body}
		if err := failed.read("", nil, l.stream.now()); err != nil {
			return err
		}
		return errForeign
	}
	events, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- readEvents(resp.Body, events) }()
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		case <-events:
			l.debounce(ctx)
		}
	}
}

// debounce gathers the events that one change makes, and tells of them at once.
func (l *listener) debounce(ctx context.Context) {
	timer := time.NewTimer(l.session.provider.Debounce)
	defer timer.Stop()
	select {
	case <-timer.C:
		l.changed()
	case <-ctx.Done():
	}
}

// readEvents reads envelope after envelope. It returns nil once the server says
// that the stream is over.
func readEvents(body io.Reader, events chan<- struct{}) error {
	d := xml.NewTokenDecoder(&plain{d: xml.NewDecoder(body)})
	for {
		part, err := next(d)
		if errors.Is(err, io.EOF) {
			return errIncomplete // it did not say so
		}
		if err != nil {
			return err
		}
		switch name := part.Name.Local; {
		case name == "Fault":
			return readFault(d, part)
		case name == "GetStreamingEventsResponseMessage":
			closed, err := readNotice(d, part, events)
			if err != nil || closed {
				return err
			}
		}
	}
}

func readNotice(d *xml.Decoder, start xml.StartElement, events chan<- struct{}) (closed bool, err error) {
	var m struct {
		message
		Status string `xml:"ConnectionStatus"`
		Of     []struct {
			Events []element `xml:",any"`
		} `xml:"Notifications>Notification"`
	}
	if err := d.DecodeElement(&m, &start); err != nil {
		return false, malformed(err)
	}
	if err := m.err(); err != nil {
		return false, err
	}
	for _, n := range m.Of {
		for _, e := range n.Events {
			if strings.HasSuffix(e.XMLName.Local, "Event") && e.XMLName.Local != "StatusEvent" {
				select {
				case events <- struct{}{}:
				default: // one is waiting already
				}
			}
		}
	}
	return m.Status == "Closed", nil
}
