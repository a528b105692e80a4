package graph_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/graph"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/graphfake"
)

// BenchmarkView is what a poll costs that reads 500 events, all of them held.
func BenchmarkView(b *testing.B) {
	server := graphfake.New(graphfake.Options{Expand: expander(), Now: newClock().Now})
	remote := busy.Secret(server.AddCalendar(work))
	for i := range 500 {
		server.Put(work, fmt.Sprintf("n%d", i), meeting(fmt.Sprintf("Number %d", i), 2+i%60))
	}
	replay := &record{next: server.Transport()}
	p := graph.New(graph.Config{
		ClientID: graphfake.ClientID, ClientSecret: busy.Secret(graphfake.ClientSecret),
		Endpoints: endpoints(), HTTP: replay, Now: func() time.Time { return start }, Reread: 1000,
	})
	to, err := server.Approve(p.AuthorizationURL(consent(false)))
	if err != nil {
		b.Fatal(err)
	}
	grant, err := p.Authorize(context.Background(), consent(false), mustQuery(b, to))
	if err != nil {
		b.Fatal(err)
	}
	session, err := p.Open(context.Background(), providers.Account{Grant: grant})
	if err != nil {
		b.Fatal(err)
	}
	q := providers.Query{
		Remote: remote, Window: providertest.Window, Zone: providertest.Zone,
		Version: func(string) (string, bool) { return "", false },
	}
	page, err := session.Changes(context.Background(), q)
	if err != nil || len(page.Events) != 500 {
		b.Fatalf("%d events, %v", len(page.Events), err)
	}
	q.Cursor = page.Cursor
	replay.frozen = true
	b.ReportAllocs()
	b.SetBytes(int64(len(replay.last)))
	for b.Loop() {
		if page, err := session.Changes(context.Background(), q); err != nil || page.Full {
			b.Fatal(err)
		}
	}
}

// record answers every request as the last before it was frozen.
type record struct {
	next   http.RoundTripper
	last   []byte
	frozen bool
}

func (r *record) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.frozen {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(r.last)), Request: req}, nil
	}
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if r.last, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(r.last))
	return resp, nil
}

func mustQuery(b *testing.B, to string) url.Values {
	b.Helper()
	u, err := url.Parse(to)
	if err != nil {
		b.Fatal(err)
	}
	return u.Query()
}
