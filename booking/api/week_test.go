package api

import (
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

func TestPageErrorsArePages(t *testing.T) {
	h := newHouse(t)
	for target, want := range map[string]struct {
		status int
		says   string
	}{
		"/week?week=2026-W54":        {400, "must be an ISO week"},
		"/week?week=2025-W53":        {400, "must be an ISO week"},
		"/week?resource=x":           {400, "must be a UUID"},
		"/week?key=" + one:           {400, "is not a parameter"},
		"/week?resource=" + nowhere:  {404, "There is nothing of this id"},
		"/week?week=%3Cscript%3Ex":   {400, "must be an ISO week"},
		"/week?%3Cscript%3Ealert=()": {400, "&lt;script&gt;alert"},
	} {
		w := h.callPage(target, one)
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.says) || strings.Contains(w.Body.String(), "<script") ||
			!strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Errorf("%s = %d: %s", target, w.Code, w.Body)
		}
	}
	h.err = sqlState("42703")
	w := h.callPage("/week", one)
	if w.Code != 500 || strings.Contains(w.Body.String(), "42703") || !strings.Contains(w.Body.String(), w.Header().Get("X-Request-Id")) {
		t.Errorf("a fault of ours = %d: %s", w.Code, w.Body)
	}
}

func TestWeeks(t *testing.T) {
	h := newHouse(t)
	for target, wants := range map[string][]string{
		"/week":               {"2 – 8 March 2026", `href="/week?week=2026-W09"`, `href="/week?week=2026-W11"`, `aria-current="date"`},
		"/week?week=2026-W53": {"28 December 2026 – 3 January 2027", `href="/week?week=2027-W01"`, `href="/week"`, `name="week" value="2026-W53"`},
		"/week?week=2026-W14": {"30 March – 5 April 2026", "Free in working hours"},
		"/week?week=2026-W44": {"No time is offered in a week that has not been read.", "Kept from 24 February 2026 to 2 July 2026 only."},
		"/week?week=2026-W09": {"This week is over."},
		"/week?resource=" + h.resource(1): {
			"Bo one", `href="/week?resource=` + h.resource(1) + `&amp;week=2026-W09"`, `<option value="` + h.resource(1) + `" selected>Bo one</option>`,
		},
	} {
		w := h.callPage(target, one)
		for _, want := range wants {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s does not have %q", target, want)
			}
		}
	}
	if w := h.callPage("/week?resource="+h.resource(1), one); strings.Contains(w.Body.String(), "<h2 id=\"p-"+h.resource(0)) {
		t.Error("a resource that was not asked for is drawn")
	}
}

func TestPageOfNobodyAndOfMany(t *testing.T) {
	h := newHouse(t)
	h.tenants[0].resources = nil
	if w := h.callPage("/week", one); w.Code != 200 || !strings.Contains(w.Body.String(), "There is nobody yet") {
		t.Errorf("a tenant without resources: %d", w.Code)
	}
	for range listedPeople + 7 {
		h.tenants[0].resources = append(h.tenants[0].resources, busy.Resource{ID: newID[busy.Resource](h), Name: "Room", Zone: "UTC"})
	}
	body := h.callPage("/week", one).Body.String()
	if got := strings.Count(body, `class="card person"`); got != drawnPeople {
		t.Errorf("%d are drawn", got)
	}
	for _, want := range []string{"201 more: choose one above", "7 more are not in the list"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// TestEachInItsOwnWeek: on Sunday evening in New York it is Monday in Auckland.
func TestEachInItsOwnWeek(t *testing.T) {
	h := newHouse(t)
	h.now = time.Date(2026, 3, 8, 22, 0, 0, 0, time.UTC)
	h.tenants[0].resources[0].Zone = "Pacific/Auckland"
	body := h.callPage("/week", one).Body.String()
	auckland, newYork, _ := strings.Cut(body, `id="p-`+h.resource(1))
	if !strings.Contains(auckland, "Monday 9 March") || strings.Contains(auckland, "Sunday 8 March") || !strings.Contains(newYork, "Sunday 8 March") {
		t.Error("the two are not drawn each in the week of its zone")
	}
}

func TestHoursAcrossTheDayAndTheHourThatComesTwice(t *testing.T) {
	h := newHouse(t)
	ten := h.tenants[0]
	h.now = time.Date(2026, 10, 21, 9, 0, 0, 0, time.UTC)
	for i := range ten.calendars {
		ten.calendars[i].AsOf = h.now
		ten.calendars[i].Covered.End = h.now.AddDate(0, 1, 0)
	}
	ten.resources[0].Hours = busy.AlwaysOpen()
	// 02:30 of summer to 02:30 of winter: an hour, in which the clock does not move.
	ten.blocks[ten.resources[0].ID] = []busy.Block{{Start: time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC), End: time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC), State: busy.Busy}}
	body := h.callPage("/week?resource="+h.resource(0), one).Body.String()
	for _, want := range []string{"Sunday 25 October: Clocks go back 1 h.", "busy 02:30–02:30", "free 00:00–02:30", "free 02:30–24:00", ">24:00</text>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	// The block is drawn from 02:30 to 03:00 and again from 02:00 to 02:30.
	for _, want := range []string{`class="block busy" x="3%" width="94%" y="70" height="14"`, `class="block busy" x="3%" width="94%" y="56" height="14"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
}

func TestThePictureShowsWhatTakesTime(t *testing.T) {
	h := newWeekHouse(t)
	ada := h.resource(0)
	body := h.callPage("/week?resource="+ada, one).Body.String()
	// The axis begins with the first working hour: an all-day event does not stretch it.
	if !strings.Contains(body, ">01:00</text>") || strings.Contains(body, ">00:00</text>") {
		t.Error("the axis does not begin at 01:00")
	}
	if !strings.Contains(body, "Friday 27 March: all day, busy 09:30–10:00.") || !strings.Contains(body, `class="all-day out_of_office"`) {
		t.Error("the all-day event is not shown")
	}
	id := h.tenants[0].resources[0].ID
	h.tenants[0].blocks[id] = []busy.Block{{Start: h.now.Add(time.Hour), End: h.now.Add(2 * time.Hour), State: busy.Free}}
	whole := busy.Block{Start: h.now.Add(-10 * time.Hour), End: h.now.Add(14 * time.Hour), State: busy.Free, AllDay: true}
	h.tenants[0].blocks[id] = append(h.tenants[0].blocks[id], whole)
	if body = h.callPage("/week?resource="+ada, one).Body.String(); strings.Contains(body, `class="block free`) || !strings.Contains(body, "Wednesday 25 March: nothing busy, free 10:20–17:00.") {
		t.Error("a free event takes time")
	}
	bo := h.callPage("/week?resource="+h.resource(1), one).Body.String()
	if strings.Contains(bo, `class="free"`) && strings.Contains(bo, "<dd>") {
		t.Error("the time of a calendar that is not fresh is shown as free")
	}
}

func TestHeadersMakeABrowserCareful(t *testing.T) {
	h := newHouse(t)
	for _, target := range []string{"/week", "/v1/resources", "/nowhere", "/"} {
		headers := h.callPage(target, one).Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if got := headers.Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", target, name, got, want)
			}
		}
		if policy := headers.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: Content-Security-Policy = %q", target, policy)
		}
	}
}
