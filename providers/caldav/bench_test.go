package caldav_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/caldav"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/caldavfake"
	"github.com/busyd/busyd/providers/providertest/caldavreal"
	"github.com/busyd/busyd/providers/transport"
)

const (
	benchInFlight = 4
	benchBatch    = 50
)

// BenchmarkFirstSync compares a first sync of 5,000 objects (of 500 at Xandikos,
// which takes minutes for more) with a bare client
// that lists and downloads the same objects from the same server, as many at a
// time, and throws them away. "ratio" is the median of the ratios of runs that
// alternate.
func BenchmarkFirstSync(b *testing.B) {
	b.Run("fake", func(b *testing.B) {
		server := caldavfake.New(caldavfake.Options{})
		server.AddCalendar("bench", caldavfake.Properties{Title: "Bench"})
		for i := range 5000 {
			server.Put("bench", fmt.Sprintf("n%d.ics", i), benchObject(i))
		}
		listener := httptest.NewServer(server)
		defer listener.Close()
		username, password := server.Login()
		firstSync(b, listener.URL, username, password, 5000)
	})
	for _, real := range []struct {
		name    string
		start   func(testing.TB) *caldavreal.Server
		objects int
	}{{"radicale", caldavreal.Radicale, 5000}, {"xandikos", caldavreal.Xandikos, 500}} {
		b.Run(real.name, func(b *testing.B) {
			server := real.start(b)
			server.MakeCalendar(b, "bench")
			objects := make(map[string]string)
			for i := range real.objects {
				objects[fmt.Sprintf("n%d.ics", i)] = benchObject(i)
			}
			server.Fill(b, "bench", objects)
			firstSync(b, server.URL, server.Username, server.Password, real.objects)
		})
	}
}

func benchObject(i int) string {
	start := time.Date(2026, 1, 1+i%300, 8+i%9, 0, 0, 0, time.UTC)
	return providertest.Entry{
		Subject: fmt.Sprintf("Meeting %d", i), Start: busy.InstantOf(start), End: busy.InstantOf(start.Add(time.Hour)),
	}.ICS(fmt.Sprintf("n%d", i), "alice@example.com")
}

func firstSync(b *testing.B, url, username, password string, objects int) {
	rt := transport.New(transport.Config{Allow: loopback})
	provider := caldav.New(caldav.Config{HTTP: rt, Resolver: noDNS{}, InFlight: benchInFlight, BatchObjects: benchBatch})
	grant, err := provider.Connect(context.Background(), providers.Login{URL: url, Username: username, Password: busy.Secret(password)})
	if err != nil {
		b.Fatal(err)
	}
	session, err := provider.Open(context.Background(), providers.Account{Grant: grant})
	if err != nil {
		b.Fatal(err)
	}
	calendars, err := session.Calendars(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	at := slices.IndexFunc(calendars, func(c providers.Calendar) bool { return strings.Contains(string(c.Remote), "/bench/") })
	remote := calendars[at].Remote
	bare := &bareClient{rt: rt, username: username, password: password}

	var ratios []float64
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		if n := bare.download(b, string(remote)); n != objects {
			b.Fatalf("the bare client found %d objects", n)
		}
		middle := time.Now()
		if n := syncAll(b, session, remote); n != objects {
			b.Fatalf("the sync read %d events", n)
		}
		end := time.Now()
		ratios = append(ratios, float64(end.Sub(middle))/float64(middle.Sub(start)))
		ours, theirs = ours+end.Sub(middle), theirs+middle.Sub(start)
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(ours.Seconds()/float64(len(ratios)), "sync-s")
	b.ReportMetric(theirs.Seconds()/float64(len(ratios)), "bare-s")
	b.ReportMetric(0, "ns/op")
}

func syncAll(b *testing.B, session providers.Session, remote busy.Secret) (events int) {
	var cursor providers.Cursor
	for {
		page, err := session.Changes(context.Background(), providers.Query{
			Remote: remote, Cursor: cursor, Zone: "Europe/Berlin",
			Version: func(string) (string, bool) { return "", false },
		})
		if err != nil {
			b.Fatal(err)
		}
		events += len(page.Events)
		if cursor = page.Cursor; !page.More {
			return events
		}
	}
}

// bareClient does what a download needs and nothing more.
type bareClient struct {
	rt                 http.RoundTripper
	username, password string
}

func (c *bareClient) send(b *testing.B, method, url, body string) io.ReadCloser {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.SetBasicAuth(c.username, c.password)
	r.Header.Set("Content-Type", "application/xml")
	r.Header.Set("Depth", "1")
	resp, err := c.rt.RoundTrip(r)
	if err != nil {
		b.Fatal(err)
	}
	if resp.StatusCode != http.StatusMultiStatus {
		b.Fatalf("%s: %s", method, resp.Status)
	}
	return resp.Body
}

func (c *bareClient) download(b *testing.B, url string) (objects int) {
	list := c.send(b, "PROPFIND", url, `<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>`)
	var answer struct {
		Hrefs []string `xml:"DAV: response>href"`
	}
	if err := xml.NewDecoder(list).Decode(&answer); err != nil {
		b.Fatal(err)
	}
	_ = list.Close()
	hrefs := slices.DeleteFunc(answer.Hrefs, func(h string) bool { return !strings.HasSuffix(h, ".ics") })
	var group errgroup.Group
	group.SetLimit(benchInFlight)
	for batch := range slices.Chunk(hrefs, benchBatch) {
		group.Go(func() error {
			var body bytes.Buffer
			body.WriteString(`<c:calendar-multiget xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:prop><d:getetag/><c:calendar-data/></d:prop>`)
			for _, href := range batch {
				body.WriteString("<d:href>" + href + "</d:href>")
			}
			body.WriteString(`</c:calendar-multiget>`)
			got := c.send(b, "REPORT", url, body.String())
			defer func() { _ = got.Close() }()
			_, err := io.Copy(io.Discard, got)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return len(hrefs)
}
