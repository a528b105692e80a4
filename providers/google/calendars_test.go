package google_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/google"
	"github.com/busyd/busyd/providers/providertest/googlefake"
)

// TestCalendars: all pages, hidden ones too; only the primary one blocks; and the
// account's address is nobody's name for a calendar.
func TestCalendars(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	a.server.AddCalendar("hidden", googlefake.Calendar{Title: "Hidden", Hidden: true, Zone: "America/New_York"})
	a.server.AddCalendar("shared", googlefake.Calendar{Title: "bob@example.com", Role: "freeBusyReader", Zone: "nowhere"})
	found, err := a.Open(t).Calendars(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	type shown struct {
		remote, name, zone string
		blocking           bool
	}
	var got []shown
	for _, c := range found {
		got = append(got, shown{string(c.Remote), c.Name, c.Zone, c.Blocking})
	}
	want := []shown{
		{a.server.Primary(), "Primary", "Europe/Berlin", true},
		{work, "Work", "Europe/Berlin", false},
		{"hidden", "Hidden", "America/New_York", false},
		{"shared", "…", "", false},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(shown{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCalendarsProof: a list without its token, or without the calendar that every
// account has, is not the list.
func TestCalendarsProof(t *testing.T) {
	for name, edit := range map[string][2]string{
		"no token":   {`"nextSyncToken"`, `"lost"`},
		"no primary": {`"primary":true`, `"primary":false`},
		"deleted":    {`"primary":true`, `"primary":true,"deleted":true`},
		"nameless":   {`"id":"` + work + `"`, `"id":""`},
		"not JSON":   {`{`, `<`},
	} {
		a := newAccount(t, googlefake.Options{})
		a.provider = google.New(google.Config{
			HTTP: edited(a.server.Transport(), edit[0], edit[1]), Endpoints: endpoints(), Now: func() time.Time { return now },
		})
		found, err := a.Open(t).Calendars(context.Background())
		if err == nil || providers.FaultOf(err) != providers.Transient || len(found) != 0 {
			t.Errorf("%s: %d calendars, %v", name, len(found), err)
		}
		clean(t, err)
	}
}

func TestSummaryOverride(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	a.provider = google.New(google.Config{
		HTTP: edited(a.server.Transport(), `"summary":"Work"`, `"summary":"Work","summaryOverride":"Day job"`), Endpoints: endpoints(),
		Now: func() time.Time { return now },
	})
	found, err := a.Open(t).Calendars(context.Background())
	if err != nil || len(found) != 2 || found[1].Name != "Day job" {
		t.Errorf("%v, %v", found, err)
	}
}

func TestGrantUnreadable(t *testing.T) {
	a := newAccount(t, googlefake.Options{})
	for _, grant := range []string{"", "x", "{}", `{"refresh":""}`} {
		_, err := a.provider.Open(context.Background(), providers.Account{Grant: busy.Secret(grant)})
		if providers.FaultOf(err) != providers.Revoked {
			t.Errorf("%q: %v", grant, err)
		}
	}
}
