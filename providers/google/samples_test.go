package google_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/google"
	"github.com/busyd/busyd/providers/oauth"
	"github.com/busyd/busyd/providers/providertest"
)

// canned answers everything the same.
type canned struct {
	status int
	body   []byte
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/token") {
		token := `{"access_token":"new","expires_in":3599,"token_type":"Bearer"}`
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
			Body: io.NopCloser(strings.NewReader(token)),
		}, nil
	}
	return &http.Response{
		StatusCode: c.status, Header: http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(string(c.body))),
	}, nil
}

func sample(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func answered(t testing.TB, status int, body []byte) providers.Session {
	t.Helper()
	p := google.New(google.Config{HTTP: canned{status, body}, Now: func() time.Time { return now }})
	grant := oauth.Grant{Refresh: "r", Access: "a", Expires: now.Add(time.Hour)}
	s, err := p.Open(context.Background(), providers.Account{Grant: grant.Secret()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSamples(t *testing.T) {
	page := changes(t, answered(t, http.StatusOK, sample(t, "events.json")), query("primary", nil))
	const master = "7a1o5kbj3ekk5e2p4oe8m3qg4s"
	pacific := func(hour, minute int) busy.Moment {
		return busy.Moment{Wall: time.Date(2026, 3, 6, hour, minute, 0, 0, time.UTC), Zone: "America/Los_Angeles"}
	}
	at := func(day, hour, minute int) busy.Moment {
		return busy.InstantOf(time.Date(2026, 3, day, hour, minute, 0, 0, time.UTC))
	}
	want := busy.Change{
		Events: []busy.Event{
			{
				Key: master, Version: `"3043134401232000" owner`, Series: master, Subject: "Appointment",
				State: busy.Busy, Why: busy.WhyOpaque, Start: pacific(1, 0), End: pacific(1, 25),
				Recurrence: []string{
					"EXDATE;VALUE=DATE:20260327", "RRULE:FREQ=WEEKLY;UNTIL=20260701T170000Z;BYDAY=FR",
					"RDATE;VALUE=DATE:20260609,20260611",
				},
			},
			{
				Key: master + "_20260313T090000Z", Version: `"3043134401232002" owner`, Series: master, Subject: "Appointment moved",
				State: busy.Busy, Why: busy.WhyOpaque, Original: at(13, 9, 0), Start: at(14, 11, 0), End: at(14, 11, 25),
			},
			{
				Key: master + "_20260320T090000Z", Version: `"3043134401232004" owner`, Series: master,
				Original: at(20, 9, 0), Cancelled: true,
			},
			{
				Key: "2qjkbuj5pmp6gr66bo2d1tk9vc", Version: `"3043134401232006" owner`, Series: "2qjkbuj5pmp6gr66bo2d1tk9vc",
				Subject: "CANARY-free place", State: busy.Free, Why: google.WhyPlace, Start: busy.DateOf(2026, 3, 9), End: busy.DateOf(2026, 3, 10),
			},
			{
				Key: "5u2v1obqk1l7b3ctn0p9sm4hos", Version: `"3043134401232008" owner`, Series: "5u2v1obqk1l7b3ctn0p9sm4hos",
				Subject: "Holiday", State: busy.OutOfOffice, Why: busy.WhyOutOfOffice, Start: at(22, 23, 0), End: at(27, 23, 0),
			},
			{
				Key: "0p8ih2rf4k6j1b9n3s7m5t2q6c", Version: `"3043134401232010" owner`, Series: "0p8ih2rf4k6j1b9n3s7m5t2q6c",
				Subject: "Busy", State: busy.Busy, Why: busy.WhyOpaque, Start: at(24, 15, 0), End: at(24, 16, 0),
			},
		},
		Gone: []string{"4squv03q7khtdpd1vtnes9s9hg"},
	}
	if diff := cmp.Diff(want, page.Change); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text := strings.ReplaceAll(fmt.Sprintf("%+v", page), "CANARY-free place", "")
	if strings.Contains(text, providertest.Mark) {
		t.Errorf("a mark got through: %s", text)
	}
}

func TestCalendarSamples(t *testing.T) {
	found, err := answered(t, http.StatusOK, sample(t, "calendars.json")).Calendars(context.Background())
	if err != nil || len(found) != 2 {
		t.Fatalf("%d calendars, %v", len(found), err)
	}
	if c := found[1]; c.Name != "Holidays in Germany" || c.Zone != "Europe/Berlin" || c.Blocking || !found[0].Blocking {
		t.Errorf("read as %+v", found)
	}
}

func TestErrorSamples(t *testing.T) {
	var samples []struct {
		Code, Fault string
		Body        json.RawMessage
	}
	if err := json.Unmarshal(sample(t, "errors.json"), &samples); err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		var body struct{ Error struct{ Code int } }
		if err := json.Unmarshal(s.Body, &body); err != nil {
			t.Fatal(err)
		}
		_, err := answered(t, body.Error.Code, s.Body).Changes(context.Background(), query("primary", nil))
		if providers.CodeOf(err) != s.Code || providers.FaultOf(err).String() != s.Fault {
			t.Errorf("%v, want %s (%s)", err, s.Code, s.Fault)
		}
		clean(t, err)
	}
}
