package graph_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/graph"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/graphfake"
)

// ask sends a query with the cursor, for a caller who holds nothing.
func ask(t *testing.T, a *account, cursor providers.Cursor) (providers.Page, error) {
	t.Helper()
	return askIn(t, a, cursor, providertest.Window)
}

func askIn(t *testing.T, a *account, cursor providers.Cursor, window busy.Span) (providers.Page, error) {
	t.Helper()
	return a.Open(t).Changes(context.Background(), providers.Query{
		Remote: a.remote, Cursor: cursor, Window: window, Zone: providertest.Zone,
		Version: func(string) (string, bool) { return "", false },
	})
}

func must(t *testing.T, a *account, cursor providers.Cursor) providers.Page {
	t.Helper()
	page, err := ask(t, a, cursor)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func meeting(subject string, day int) providertest.Entry {
	at := func(hour int) busy.Moment {
		return busy.Moment{Wall: time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC), Zone: providertest.Zone}
	}
	return providertest.Entry{Subject: subject, Start: at(9), End: at(10)}
}

// TestNumbers: what the sign-in service says of a grant that it will not renew.
func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		word    string
		numbers []int
		want    providers.Fault
	}{
		{"invalid_grant", []int{50173}, providers.Revoked},
		{"invalid_grant", []int{70000}, providers.Revoked},
		{"invalid_grant", []int{70008}, providers.Revoked},
		{"invalid_grant", []int{700082}, providers.Revoked},
		{"invalid_grant", []int{700084}, providers.Revoked},
		{"invalid_grant", []int{70043}, providers.Revoked},
		{"invalid_grant", []int{65001}, providers.Revoked},
		{"invalid_grant", []int{65004}, providers.Revoked},
		{"interaction_required", []int{50076}, providers.Revoked},
		{"interaction_required", []int{50078}, providers.Revoked},
		{"interaction_required", []int{50079}, providers.Revoked},
		{"interaction_required", []int{53000}, providers.Revoked},
		{"interaction_required", []int{53001}, providers.Revoked},
		{"interaction_required", []int{53003}, providers.Revoked},
		{"invalid_grant", []int{50055}, providers.Revoked},
		{"invalid_grant", []int{50144}, providers.Revoked},
		{"invalid_grant", []int{50057}, providers.Revoked},
		{"invalid_grant", []int{50034}, providers.Revoked},
		{"invalid_grant", nil, providers.Revoked},
		{"invalid_grant", []int{123456}, providers.Revoked},
		{"interaction_required", nil, providers.Revoked},
		{"consent_required", nil, providers.Revoked},
		{"invalid_client", []int{7000215}, providers.Operator},
		{"invalid_client", []int{7000222}, providers.Operator},
		{"invalid_client", []int{700027}, providers.Operator},
		{"invalid_client", []int{70002}, providers.Operator},
		{"unauthorized_client", []int{700016}, providers.Operator},
		{"invalid_client", nil, providers.Operator},
		{"invalid_grant", []int{70002, 70008}, providers.Revoked}, // the second says more
		{"temporarily_unavailable", []int{50033}, providers.Transient},
		{"temporarily_unavailable", []int{50087}, providers.Transient},
		{"temporarily_unavailable", []int{90006}, providers.Transient},
		{"temporarily_unavailable", []int{90024}, providers.Transient},
		{"invalid_grant", []int{90033}, providers.Transient},
		{"temporarily_unavailable", []int{90055}, providers.Throttled},
		{"invalid_grant", []int{50196}, providers.Throttled},
		{"server_error", nil, providers.Transient},
		{"invalid_grant", []int{70008, 90033}, providers.Transient}, // what may pass counts first
	} {
		a := connect(t, graphfake.Options{}, graph.Config{}, false)
		a.clock.pass(time.Hour)
		a.server.FailNext(graphfake.Refuse(http.StatusBadRequest, graphfake.Refusal{Error: c.word, Numbers: c.numbers}).Times(-1))
		_, err := ask(t, a, nil)
		if got := providers.FaultOf(err); err == nil || got != c.want {
			t.Errorf("%s %v: %v (%v), want %v", c.word, c.numbers, got, err, c.want)
		}
		if strings.Contains(err.Error(), providertest.Mark) {
			t.Errorf("%s %v: the error repeats the answer", c.word, c.numbers)
		}
	}
}

// TestLoop: an account that the service says asks in a loop is left alone, and no
// other.
func TestLoop(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	a.clock.pass(time.Hour)
	a.server.FailNext(graphfake.Refuse(http.StatusBadRequest, graphfake.Refusal{Error: "invalid_grant", Numbers: []int{50196}}))
	if _, err := ask(t, a, nil); providers.AfterOf(err) != 15*time.Minute {
		t.Fatalf("the pause is %v: %v", providers.AfterOf(err), err)
	}
	before := a.Requests()
	a.clock.pass(5 * time.Minute)
	if _, err := ask(t, a, nil); providers.FaultOf(err) != providers.Throttled || providers.AfterOf(err) != 10*time.Minute {
		t.Errorf("meanwhile: %v", err)
	}
	if a.Requests() != before {
		t.Error("the loop goes on")
	}
	looping := *a.grant
	a.server.SetPerson("somebody-else")
	other, err := a.authorize(consent(false))
	if err != nil {
		t.Fatal(err)
	}
	*a.grant = other
	must(t, a, nil)
	*a.grant = looping
	a.clock.pass(10 * time.Minute)
	must(t, a, nil)
}

func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault graphfake.Fault
		want  providers.Fault
		after time.Duration
		code  string
	}{
		{"429", graphfake.Throttle(429, "7"), providers.Throttled, 7 * time.Second, "throttled"},
		{"429 until", graphfake.Throttle(429, start.Add(time.Minute).Format(http.TimeFormat)), providers.Throttled, time.Minute, "throttled"},
		{"429 without a pause", graphfake.Status(429, "TooManyRequests"), providers.Throttled, 0, "throttled"},
		{"503", graphfake.Throttle(503, "9"), providers.Throttled, 9 * time.Second, "throttled"},
		{"503 without a pause", graphfake.Status(503, "serviceNotAvailable"), providers.Transient, 0, "server_error"},
		{"504", graphfake.Throttle(504, "9"), providers.Throttled, 9 * time.Second, "throttled"},
		{"504 without a pause", graphfake.Status(504, "UnknownError"), providers.Transient, 0, "server_error"},
		{"400", graphfake.Status(400, "BadRequest"), providers.Rejected, 0, "request_refused"},
		{"423", graphfake.Status(423, "locked"), providers.Transient, 0, "refused_for_now"},
		{"302", graphfake.Status(302, ""), providers.Transient, 0, "not_graph"},
		{"the mailbox is on the premises", graphfake.Status(404, "MailboxNotEnabledForRESTAPI"), providers.Rejected, 0, "mailbox_elsewhere"},
		{"all is forbidden", graphfake.Status(403, "ErrorAccessDenied"), providers.Revoked, 0, "forbidden"},
		{"all is unauthorized", graphfake.Status(401, "InvalidAuthenticationToken"), providers.Revoked, 0, "unauthorized"},
		{"all is missing", graphfake.Status(404, "ErrorItemNotFound"), providers.Transient, 0, "not_found"},
		{"the view is forbidden", graphfake.Status(403, "ErrorAccessDenied").On("view"), providers.Transient, 0, "forbidden_here"},
		{"the view is missing", graphfake.Status(404, "ErrorItemNotFound").On("view"), providers.Transient, 0, "listed_but_missing"},
		{"the view is unauthorized", graphfake.Status(401, "InvalidAuthenticationToken").On("view"), providers.Transient, 0, "unauthorized_once"},
	} {
		a := connect(t, graphfake.Options{}, graph.Config{}, false)
		a.server.FailNext(c.fault.Times(-1))
		_, err := ask(t, a, nil)
		if err == nil || providers.FaultOf(err) != c.want || providers.AfterOf(err) != c.after || providers.CodeOf(err) != c.code {
			t.Errorf("%s: %v %v %q, want %v %v %q", c.name, providers.FaultOf(err), providers.AfterOf(err), providers.CodeOf(err),
				c.want, c.after, c.code)
		}
	}
}

// TestMailboxElsewhere: who connects learns what to do.
func TestMailboxElsewhere(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	a.server.FailNext(graphfake.Status(404, "MailboxNotEnabledForRESTAPI"))
	_, err := a.Open(t).Calendars(context.Background())
	violation(t, err, "account", "connect it as Exchange")
}

// TestDeltaExpires: however Graph says that a delta's token is no good, a complete
// listing follows.
func TestDeltaExpires(t *testing.T) {
	for name, fault := range map[string]graphfake.Fault{
		"410":                 graphfake.Status(410, "syncStateNotFound"),
		"410 without a word":  graphfake.Status(410, ""),
		"400 with the word":   graphfake.Status(400, "SyncStateNotFound"),
		"404 with the word":   graphfake.Status(404, "syncStateNotFound"),
		"400":                 graphfake.Status(400, "BadRequest"),
		"404, while it lists": graphfake.Status(404, "ErrorItemNotFound"),
		"403, while it lists": graphfake.Status(403, "ErrorAccessDenied"),
	} {
		a := connect(t, graphfake.Options{}, tracking, false)
		a.server.Put(work, "a", meeting("A", 2))
		page := must(t, a, nil)
		a.server.FailNext(fault.On("delta").Times(-1))
		before := a.Requests()
		_, err := ask(t, a, page.Cursor)
		if providers.FaultOf(err) != providers.CursorExpired {
			t.Errorf("%s: %v", name, err)
		}
		if sent := a.Requests() - before; sent > 1 && !strings.Contains(name, "lists") {
			t.Errorf("%s: to understand it took %d requests", name, sent)
		}
		if page := must(t, a, nil); !page.Full || page.More || len(page.Events) != 1 {
			t.Errorf("%s: the listing that follows is not complete", name)
		}
	}
}

// TestStopped: a caller who gives up is told so, and nobody is disconnected.
func TestStopped(t *testing.T) {
	a := connect(t, graphfake.Options{}, graph.Config{}, false)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := a.Open(t).Changes(ctx, providers.Query{Remote: a.remote, Window: providertest.Window, Zone: providertest.Zone})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	a.clock.pass(time.Hour)
	if _, err := a.Open(t).Calendars(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("within a renewal: %v", err)
	}
}
