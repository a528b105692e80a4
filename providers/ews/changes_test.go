package ews_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/ews"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/ewsfake"
)

// sent counts the requests of an operation.
func sent(a *account, operation string) int {
	n := 0
	for _, r := range a.server.Requests() {
		if r.Operation == operation {
			n++
		}
	}
	return n
}

// days puts n entries, one a day from March 2 on, and returns them as held.
func days(a *account, n int) []string {
	var want []string
	for i := range n {
		start := day(time.March, 2+i)
		a.server.Put(work, fmt.Sprintf("d%d", i), entry("Daily", start, time.Hour))
		want = append(want, fmt.Sprintf("%s %s busy Daily", busy.InstantOf(start), busy.InstantOf(start.Add(time.Hour))))
	}
	return want
}

func TestViewsAreHalvedUntilTheyAreWhole(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]ewsfake.Options{
		"cut":     {MaxItems: 4},
		"refused": {MaxItems: 4, Refuse: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, o, ews.Config{ViewItems: 10}, login())
			want := days(a, 40)
			r := newReader(a)
			r.read(t)
			r.expect(t, want...)
			if !r.full {
				t.Error("the reading is not a complete listing")
			}
		})
	}
}

func TestAFullViewIsNotBelieved(t *testing.T) {
	t.Parallel()
	// The server cuts at ten, too, and says that these were all.
	a := newAccount(t, ewsfake.Options{MaxItems: 10}, ews.Config{ViewItems: 10}, login())
	want := days(a, 40)
	a.server.FailNext(ewsfake.Edit(func(body string) string {
		return strings.ReplaceAll(body, `IncludesLastItemInRange="false"`, `IncludesLastItemInRange="true"`)
	}).On("FindItem").Times(-1))
	r := newReader(a)
	r.read(t)
	r.expect(t, want...)
}

func TestMoreEventsAtOnceThanAViewShows(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ewsfake.Options{MaxItems: 4}, ews.Config{}, login())
	for i := range 6 {
		a.server.Put(work, fmt.Sprintf("n%d", i), standup())
	}
	if err := newReader(a).try(t); providers.CodeOf(err) != "too_many_events" {
		t.Fatalf("six events at once, of which four can be seen: %v", err)
	}
}

// A series without an occurrence fails the view of its time. The rest is read,
// and nothing that was known is taken for removed.
func TestSeriesWithoutAnOccurrence(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ewsfake.Options{}, ews.Config{}, login())
	want := days(a, 10)
	r := newReader(a)
	r.read(t)
	a.server.PutBroken(work, "broken", entry("Broken", day(time.March, 4).Add(10*time.Minute), time.Minute))
	later := day(time.May, 20)
	a.server.Put(work, "new", entry("New", later, time.Hour))
	r.read(t)
	want = append(want, fmt.Sprintf("%s %s busy New", busy.InstantOf(later), busy.InstantOf(later.Add(time.Hour))))
	r.expect(t, want...)
	if r.full || len(r.unreadable) != 1 {
		t.Fatalf("full %v, %d unreadable", r.full, len(r.unreadable))
	}
	before := a.Requests()
	r.read(t)
	if n := a.Requests() - before; n != 1 {
		t.Errorf("a quiet poll sent %d requests", n)
	}
	a.server.Remove(work, "broken")
	r.read(t)
	r.expect(t, want...)
	if !r.full || len(r.unreadable) != 0 {
		t.Fatalf("after it was mended: full %v, %d unreadable", r.full, len(r.unreadable))
	}
}

func TestWindowMovesOn(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ewsfake.Options{}, ews.Config{}, login())
	r := newReader(a)
	a.server.Put(work, "far", entry("Far", day(time.June, 20), time.Hour))
	r.read(t)
	r.expect(t)
	polls := func(want int) {
		t.Helper()
		before := sent(a, "FindItem")
		r.read(t)
		if got := sent(a, "FindItem") - before; got != want {
			t.Errorf("%d views were asked for, want %d", got, want)
		}
	}
	polls(0)
	r.window.Start, r.window.End = r.window.Start.AddDate(0, 0, 2), r.window.End.AddDate(0, 0, 2)
	polls(0) // it was read some days ahead
	r.window.End = r.window.End.AddDate(0, 0, 20)
	polls(4)
	r.expect(t, "2026-06-20T09:00:00Z 2026-06-20T10:00:00Z busy Far")
	r.window.Start = r.window.Start.AddDate(0, 0, -3)
	polls(4)
	polls(0)
}

func TestMarkedAsRead(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ewsfake.Options{}, ews.Config{}, login())
	a.server.Put(work, "a", standup())
	r := newReader(a)
	r.read(t)
	a.server.MarkRead(work, "a")
	before := a.Requests()
	r.read(t)
	r.read(t)
	if n := a.Requests() - before; n != 2 {
		t.Errorf("two polls sent %d requests", n)
	}
}

// An event that moves, while the window is read, from a slice that is still to
// come to one that has been, is in neither.
func TestCalendarChangesWhileItIsRead(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ewsfake.Options{}, ews.Config{}, login())
	a.server.Put(work, "a", entry("Moves", day(time.May, 20), time.Hour))
	r := newReader(a)
	r.read(t)
	a.server.Put(work, "b", standup())
	moves := 0
	a.server.FailNext(ewsfake.Edit(func(body string) string {
		if moves++; moves == 1 { // the first slice was answered
			a.server.Put(work, "a", entry("Moves", day(time.March, 2), time.Hour))
		}
		return body
	}).On("FindItem").Times(-1))
	r.read(t)
	if len(r.events) != 2 || !r.full {
		t.Fatalf("%d events are held, full %v", len(r.events), r.full)
	}

	// Of one that never stands still, what was seen is delivered and nothing is
	// removed; the reading fails, for there may be more.
	restless := 0
	a.server.Heal()
	a.server.Remove(work, "b")
	a.server.FailNext(ewsfake.Edit(func(body string) string {
		restless++
		a.server.Put(work, "c", entry(fmt.Sprint("Restless ", restless), day(time.March, 9), time.Hour))
		return body
	}).On("FindItem").Times(-1))
	if err := r.try(t); providers.CodeOf(err) != "window_unsteady" {
		t.Fatalf("the reading ends with %v", err)
	}
	if r.full || len(r.events) != 3 {
		t.Fatalf("%d events are held, full %v", len(r.events), r.full)
	}
	a.server.Heal()
	r.read(t)
	if !r.full || len(r.events) != 2 {
		t.Fatalf("%d events are held, full %v", len(r.events), r.full)
	}
}

func TestItemsTooPoorAreFetchedOnce(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ewsfake.Options{Hidden: []string{"calendar:LegacyFreeBusyStatus"}}, ews.Config{}, login())
	for i := range 25 {
		e := entry("Free", day(time.March, 2+i), time.Hour)
		e.Free = true
		a.server.Put(work, fmt.Sprintf("n%d", i), e)
	}
	r := newReader(a)
	r.read(t)
	if n := sent(a, "GetItem"); n != 3 {
		t.Errorf("25 items took %d requests, want 3", n)
	}
	for _, e := range r.events {
		if e.State != busy.Free || e.Why != busy.WhyShownFree {
			t.Fatalf("state %v", e.State)
		}
	}
	a.server.Put(work, "n3", entry("Busy", day(time.March, 5), time.Hour))
	r.read(t)
	if n := sent(a, "GetItem"); n != 4 {
		t.Errorf("one changed item took %d requests more, want 1", n-3)
	}
	r.cursor = nil
	r.read(t)
	if n := sent(a, "GetItem"); n != 4 {
		t.Error("items that are held were fetched again")
	}
}

func TestASecondPollIsOneRequest(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"NTLM", "Negotiate", "Basic"} {
		a := newAccount(t, ewsfake.Options{Schemes: []string{scheme}}, ews.Config{}, login())
		r := newReader(a)
		r.read(t)
		before := a.Requests()
		r.read(t)
		if n := a.Requests() - before; n != 1 {
			t.Errorf("%s: %d requests", scheme, n)
		}
	}
}

func TestFaultsOfChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail ewsfake.Fault
		want providers.Fault
		code string
	}{
		"busy inside 200":      {ewsfake.Failing("ErrorServerBusy", 90_000), providers.Throttled, "server_busy"},
		"busy fault in 200":    {ewsfake.SOAPFault(200, "ErrorServerBusy", 90_000), providers.Throttled, "server_busy"},
		"busy fault in 500":    {ewsfake.SOAPFault(500, "ErrorServerBusy", 90_000), providers.Throttled, "server_busy"},
		"busy by HTTP":         {ewsfake.Throttle("90"), providers.Throttled, "throttled"},
		"sync state":           {ewsfake.Failing("ErrorInvalidSyncStateData", 0).On("SyncFolderItems"), providers.CursorExpired, "sync_state_refused"},
		"password expired":     {ewsfake.SOAPFault(500, "ErrorPasswordExpired", 0), providers.Revoked, "password_expired"},
		"password to change":   {ewsfake.Failing("ErrorPasswordChangeRequired", 0), providers.Revoked, "password_change_required"},
		"account disabled":     {ewsfake.SOAPFault(500, "ErrorAccountDisabled", 0), providers.Revoked, "account_disabled"},
		"no mailbox":           {ewsfake.SOAPFault(500, "ErrorNonExistentMailbox", 0), providers.Revoked, "no_mailbox"},
		"not impersonated":     {ewsfake.SOAPFault(500, "ErrorImpersonateUserDenied", 0), providers.Revoked, "impersonation_denied"},
		"denied everywhere":    {ewsfake.Failing("ErrorAccessDenied", 0), providers.Revoked, "access_denied"},
		"denied here":          {ewsfake.Failing("ErrorAccessDenied", 0).On("SyncFolderItems"), providers.CalendarGone, "calendar_gone"},
		"missing, yet listed":  {ewsfake.Failing("ErrorSyncFolderNotFound", 0).On("SyncFolderItems"), providers.Transient, "listed_but_missing"},
		"unauthorized":         {ewsfake.Status(401), providers.Revoked, "unauthorized"},
		"forbidden":            {ewsfake.Status(403), providers.Transient, "forbidden"},
		"not there":            {ewsfake.Status(404), providers.Transient, "no_such_page"},
		"redirected":           {ewsfake.Redirect("https://login.corp.test/"), providers.Transient, "redirected"},
		"schema":               {ewsfake.SOAPFault(500, "ErrorSchemaValidation", 0), providers.Rejected, "schema"},
		"store unavailable":    {ewsfake.Failing("ErrorMailboxStoreUnavailable", 0), providers.Transient, "store_unavailable"},
		"unheard of":           {ewsfake.Failing("ErrorCANARY", 0), providers.Transient, "ews_error"},
		"plain fault":          {ewsfake.SOAPFault(500, "Server", 0), providers.Transient, "soap_fault"},
		"warning":              {ewsfake.Edit(func(b string) string { return strings.ReplaceAll(b, `"Success"`, `"Warning"`) }), providers.Transient, "incomplete_answer"},
		"no sync state":        {ewsfake.Edit(func(b string) string { return strings.ReplaceAll(b, "m:SyncState>", "m:Other>") }), providers.Transient, "incomplete_answer"},
		"no items":             {viewWithout("<t:Items>", "</t:Items>"), providers.Transient, "incomplete_answer"},
		"no proof of the end":  {ewsfake.Edit(func(b string) string { return strings.ReplaceAll(b, "IncludesLastItemInRange=", "x=") }).On("FindItem"), providers.Transient, "incomplete_answer"},
		"an item without id":   {ewsfake.Edit(func(b string) string { return strings.ReplaceAll(b, "t:ItemId", "t:x") }).On("FindItem"), providers.Transient, "incomplete_answer"},
		"fewer than counted":   {ewsfake.Edit(func(b string) string { return strings.ReplaceAll(b, `TotalItemsInView="`, `TotalItemsInView="9`) }).On("FindItem"), providers.Transient, "too_many_events"},
		"other answer":         {ewsfake.Edit(func(b string) string { return strings.ReplaceAll(b, "Response ", "Other ") }), providers.Transient, "malformed_xml"},
		"document type":        {ewsfake.Edit(func(b string) string { return `<!DOCTYPE x [<!ENTITY a "b">]>` + b[strings.Index(b, "?>")+2:] }), providers.Transient, "excessive_xml"},
		"nested without bound": {ewsfake.Edit(func(b string) string { return strings.ReplaceAll(b, "<s:Body>", "<s:Body>"+strings.Repeat("<a>", 100)) }), providers.Transient, "excessive_xml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, ewsfake.Options{}, ews.Config{}, login())
			a.server.Put(work, "a", standup())
			r := newReader(a)
			r.read(t)
			a.server.Put(work, "b", entry("Other", day(time.April, 2), time.Hour)) // so that the window is read
			a.server.FailNext(c.fail.Times(-1))
			err := r.try(t)
			if providers.FaultOf(err) != c.want || providers.CodeOf(err) != c.code {
				t.Fatalf("%v, want %s (%v)", err, c.code, c.want)
			}
			if c.want == providers.Throttled && providers.AfterOf(err) != 90*time.Second {
				t.Errorf("the pause is %v", providers.AfterOf(err))
			}
			if strings.Contains(err.Error(), providertest.Mark) || strings.Contains(err.Error(), "corp.test") {
				t.Errorf("the error tells too much: %v", err)
			}
			if len(r.events) != 1 {
				t.Error("something was removed")
			}
		})
	}
}

// Exchange passes on control characters that XML does not allow.
func TestControlCharacters(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ewsfake.Options{}, ews.Config{}, login())
	a.server.Put(work, "a", standup())
	a.server.FailNext(ewsfake.Edit(func(b string) string {
		return strings.ReplaceAll(b, ">Standup<", ">St&#x1f;a&#xB;n\x0bd\xffu&#65535;p &amp; more<")
	}).On("FindItem").Times(-1))
	r := newReader(a)
	r.read(t)
	r.expect(t, "2026-03-02T09:00:00Z 2026-03-02T09:30:00Z busy Standup & more")
}

func TestSubjectsAreRedacted(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ewsfake.Options{}, ews.Config{}, login())
	a.server.Put(work, "a", entry("Call bob@example.com on https://meet.example.com/x", day(time.March, 2), time.Hour))
	r := newReader(a)
	r.read(t)
	r.expect(t, "2026-03-02T09:00:00Z 2026-03-02T10:00:00Z busy Call … on …")
}

func TestBadQuery(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ewsfake.Options{}, ews.Config{}, login())
	_, err := a.Open(t).Changes(context.Background(), providers.Query{Remote: a.remote})
	if providers.FaultOf(err) != providers.Rejected {
		t.Errorf("a query without a window: %v", err)
	}
	if a.server.Requests()[len(a.server.Requests())-1].Operation == "SyncFolderItems" {
		t.Error("it was sent")
	}
	if _, err := a.provider.Open(context.Background(), providers.Account{Grant: busy.Secret(`{}`)}); providers.FaultOf(err) != providers.Revoked {
		t.Errorf("a grant that cannot be read: %v", err)
	}
}

// viewWithout cuts a part out of what FindItem answers.
func viewWithout(from, to string) ewsfake.Fault {
	return ewsfake.Edit(func(body string) string {
		start, end := strings.Index(body, from), strings.Index(body, to)
		if start < 0 {
			return body
		}
		return body[:start] + body[end+len(to):]
	}).On("FindItem")
}

// A date is read in the calendar's zone, which may be a day away from the item's.
func TestAllDayItemsBesideTheWindow(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ewsfake.Options{}, ews.Config{}, login())
	a.server.PutIn(work, "a", providertest.Entry{
		Subject: "Trip", Start: busy.DateOf(2026, time.February, 28), End: busy.DateOf(2026, time.March, 1),
	}, ewsfake.Zone{IANA: "Asia/Tokyo", ID: "Tokyo Standard Time"})
	r := newReader(a)
	r.zone = "Pacific/Honolulu" // where it lasts until 10:00 UTC of the window's first day
	r.read(t)
	r.expect(t, "2026-02-28 2026-03-01 busy Trip")
}

// A listing goes on where its last page ended, in its session, and nowhere else.
func TestListingIsLost(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ewsfake.Options{}, ews.Config{PageEvents: 2}, login())
	days(a, 7)
	query := func(cursor providers.Cursor) providers.Query {
		return providers.Query{
			Remote: a.remote, Cursor: cursor, Window: providertest.Window, Zone: providertest.Zone,
			Version: func(string) (string, bool) { return "", false },
		}
	}
	session := a.Open(t)
	first, err := session.Changes(context.Background(), query(nil))
	if err != nil || !first.Full || !first.More {
		t.Fatalf("full %v, more %v, %v", first.Full, first.More, err)
	}
	second, err := session.Changes(context.Background(), query(first.Cursor))
	if err != nil || !second.More {
		t.Fatal(err)
	}
	if _, err := session.Changes(context.Background(), query(first.Cursor)); providers.FaultOf(err) != providers.CursorExpired {
		t.Errorf("a page twice: %v", err)
	}
	if _, err := a.Open(t).Changes(context.Background(), query(second.Cursor)); providers.FaultOf(err) != providers.CursorExpired {
		t.Errorf("another session: %v", err)
	}
}
