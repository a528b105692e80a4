package api

import (
	"crypto/rand"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/storetest"
)

// shop is a service on the true store that strangers book, with a clock that the
// test sets.
type shop struct {
	t        *testing.T
	env      *storetest.Env
	handler  http.Handler
	now      atomic.Pointer[time.Time]
	tenant   busy.TenantID
	service  busy.Service
	resource busy.Resource
}

func newShop(t *testing.T, now time.Time, change ...func(*busy.Service)) *shop {
	t.Helper()
	s := &shop{t: t, env: storetest.New(t)}
	s.now.Store(&now)
	s.open()
	s.tenant = s.env.Tenant(t, "shop").ID
	var err error
	s.resource, err = s.env.Store.CreateResource(t.Context(), s.tenant, busy.Resource{Name: "Dr. Hidden", Zone: "Europe/Berlin", Hours: busy.AlwaysOpen()})
	if err != nil {
		t.Fatal(err)
	}
	service := busy.Service{
		Name: "First visit", Duration: 30 * time.Minute, Interval: 30 * time.Minute, Align: busy.AlignPeriod, Capacity: 1, Policy: busy.TreatAsBusy, Public: true,
		Needs: []busy.Need{{Count: 1, Resources: []busy.ResourceID{s.resource.ID}}},
	}
	for _, f := range change {
		f(&service)
	}
	if s.service, err = s.env.Store.CreateService(t.Context(), s.tenant, service); err != nil {
		t.Fatal(err)
	}
	return s
}

// open makes the API, that may be framed by the origins.
func (s *shop) open(origins ...string) {
	s.t.Helper()
	now := func() time.Time { return *s.now.Load() }
	var err error
	s.handler, err = New(Config{
		Store: s.env.Store, Syncer: syncs{s.env.Store}, Accounts: newAccounts(s.env.Store), StaleAfter: 30 * time.Minute, Version: "test",
		Desk: &booking.Desk{Store: s.env.Store, Now: now, Random: rand.Reader, StaleAfter: 30 * time.Minute},
		Log:  slog.New(slog.DiscardHandler), Now: now, Origins: origins,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) wait(d time.Duration) {
	later := s.now.Load().Add(d)
	s.now.Store(&later)
}

func (s *shop) link() string { return "/book/" + s.tenant.String() + "/" + s.service.ID.String() }

func (s *shop) get(target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

func (s *shop) post(target string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// says gets a page and expects it to be good and to have the texts.
func (s *shop) says(target string, texts ...string) string {
	s.t.Helper()
	w := s.get(target)
	body := html.UnescapeString(w.Body.String())
	if w.Code != http.StatusOK {
		s.t.Fatalf("%s = %d: %s", target, w.Code, body)
	}
	for _, text := range texts {
		if !strings.Contains(body, text) {
			s.t.Errorf("%s does not say %q: %s", target, text, body[strings.Index(body, "<body"):])
		}
	}
	return body
}

// sent posts a form and returns where it leads.
func (s *shop) sent(target string, form url.Values) string {
	s.t.Helper()
	w := s.post(target, form)
	if w.Code != http.StatusSeeOther {
		s.t.Fatalf("POST %s = %d: %s", target, w.Code, w.Body)
	}
	return w.Header().Get("Location")
}

func formKeyOf(t *testing.T, page string) string {
	t.Helper()
	m := regexp.MustCompile(`name="key" value="([0-9a-f]{32})"`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("the page has no form with a key: %s", page)
	}
	return m[1]
}

// choice is the form that chooses a time.
func (s *shop) choice(start string) url.Values {
	s.t.Helper()
	return url.Values{"key": {formKeyOf(s.t, s.says(s.link()))}, "start": {start}, "zone": {"Europe/Berlin"}}
}

func (s *shop) who(page string) url.Values {
	return url.Values{"key": {formKeyOf(s.t, page)}, "zone": {"Europe/Berlin"}, "name": {"Vi Sitor"}, "email": {"vi@example.com"}}
}

// bookings are all that there are, of any state.
func (s *shop) bookings(states ...busy.BookingState) []busy.Booking {
	s.t.Helper()
	all, err := s.env.Store.Bookings(s.t.Context(), s.tenant, busy.BookingFilter{States: states})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

const at10 = "2026-03-27T09:00:00Z" // 10:00 in Berlin

func before(link string) string { path, _, _ := strings.Cut(link, "?"); return path }

func TestAStrangerBooksAndCancels(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	page := s.says(s.link(), "First visit", "Europe/Berlin, UTC+1", "March 2026", "Thursday 26 March 2026", `aria-current="date"`, `<html lang="en">`)
	if strings.Contains(page, "Dr. Hidden") || strings.Contains(page, s.resource.ID.String()) || strings.Contains(page, "<script") {
		t.Error("the page shows who serves, or has a script")
	}
	own := s.sent(s.link(), s.choice(at10))
	form := s.says(own, "Friday 27 March 2026, 10:00–10:30, UTC+1", "kept for you until 09:10")
	if held := s.bookings(busy.BookingHeld); len(held) != 1 {
		t.Fatalf("%d holds", len(held))
	}
	if strings.Contains(s.says(s.link()+"?day=2026-03-27"), at10) {
		t.Error("what is held is offered")
	}
	if to := s.sent(before(own), s.who(form)); to != own {
		t.Errorf("booking leads to %q", to)
	}
	booked := s.bookings(busy.BookingConfirmed)
	if len(booked) != 1 || booked[0].Details.Fields["name"] != "Vi Sitor" || booked[0].Details.Fields["email"] != "vi@example.com" {
		t.Fatalf("booked %+v", booked)
	}
	done := s.says(own, "You are booked", "Friday 27 March 2026, 10:00–10:30, UTC+1", "Yes, cancel it")
	if strings.Contains(done, "vi@example.com") || strings.Contains(done, "Dr. Hidden") {
		t.Error("the booking's page shows who booked or who serves")
	}
	token := own[strings.LastIndex(before(own), "/")+1 : len(before(own))]
	if strings.Contains(fmt.Sprint(booked[0].Details.Fields), token) {
		t.Error("the booking keeps the token itself")
	}
	for _, foreign := range []string{
		s.link() + "/" + booked[0].ID.String() + "/page_wrong",
		s.link() + "/" + booked[0].ID.String() + "/" + fmt.Sprintf("%x", booked[0].Owner),
		"/book/" + s.tenant.String() + "/" + s.tenant.String() + "/" + booked[0].ID.String() + "/" + token,
	} {
		if w := s.get(foreign); w.Code != http.StatusNotFound {
			t.Errorf("%s = %d", foreign, w.Code)
		}
		if w := s.post(foreign+"/cancel", s.who(form)); w.Code != http.StatusNotFound {
			t.Errorf("cancel by %s = %d", foreign, w.Code)
		}
	}
	if to := s.sent(before(own)+"/cancel", s.who(done)); to != own {
		t.Errorf("cancelling leads to %q", to)
	}
	s.says(own, "Your booking is cancelled")
	if got := s.bookings(busy.BookingCancelled); len(got) != 1 {
		t.Errorf("%d are cancelled", len(got))
	}
	s.says(s.link()+"?day=2026-03-27", at10)
}

func TestAFormIsCarriedOutOnce(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	choice := s.choice(at10)
	led := make([]string, 6)
	var clicks sync.WaitGroup
	for i := range led {
		clicks.Go(func() { led[i] = s.post(s.link(), choice).Header().Get("Location") })
	}
	clicks.Wait()
	if slices.Sort(led); led[0] == "" || len(slices.Compact(slices.Clone(led))) != 1 || len(s.bookings()) != 1 {
		t.Fatalf("six clicks lead to %q and make %d holds", led, len(s.bookings()))
	}
	own := led[0]
	who := s.who(s.says(own))
	for i := range led {
		clicks.Go(func() { led[i] = s.post(before(own), who).Header().Get("Location") })
	}
	clicks.Wait()
	if slices.ContainsFunc(led, func(to string) bool { return to != own }) || len(s.bookings(busy.BookingConfirmed)) != 1 {
		t.Errorf("six clicks lead to %q", led)
	}
	// Going back and choosing another time with the same form is another request.
	choice.Set("start", "2026-03-27T11:00:00Z")
	if other := s.sent(s.link(), choice); other == own || len(s.bookings()) != 2 {
		t.Errorf("another time leads to %q", other)
	}
	// A second click on a form of a hold that is booked says that it is.
	if to := s.sent(before(own), s.who(s.says(own))); to != own {
		t.Errorf("booked again it leads to %q", to)
	}
}

func TestATakenTimeShowsTheNearest(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	first, second := s.choice(at10), s.choice(at10)
	s.sent(s.link(), first)
	to := s.sent(s.link(), second)
	page := s.says(to, "This time has just been taken.", "It was Friday 27 March 2026, 10:00–10:30, UTC+1.", "09:30–10:00", "10:30–11:00", "11:30–12:00", `id="times" tabindex="-1">Friday 27 March 2026`)
	if n := strings.Count(page[:strings.Index(page, `class="zone"`)], "<li>"); n != 6 {
		t.Errorf("%d are near", n)
	}
	if again := s.sent(s.link(), second); again != to {
		t.Errorf("the same form leads to %q", again)
	}
	for start, says := range map[string]string{
		"2026-03-26T07:00:00Z": "too near, or over", "2026-03-27T09:07:00Z": "not offered any more",
	} {
		s.says(s.sent(s.link(), s.choice(start)), says)
	}
}

func TestAHoldThatEndsIsSaidKindly(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	own := s.sent(s.link(), s.choice(at10))
	who := s.who(s.says(own))
	s.wait(bookHold)
	if _, err := s.env.Store.ExpireHolds(t.Context(), *s.now.Load(), 10); err != nil {
		t.Fatal(err)
	}
	to := s.sent(before(own), who)
	w := s.get(to)
	if w.Code != http.StatusSeeOther {
		t.Fatalf("%s = %d", to, w.Code)
	}
	s.says(w.Header().Get("Location"), "they are over. Nothing was booked.", "10:00–10:30", `value="`+at10+`"`)
	if len(s.bookings(busy.BookingConfirmed)) > 0 {
		t.Error("an expired hold was booked")
	}
	other := s.sent(s.link(), s.choice(at10))
	to = s.sent(before(other)+"/cancel", s.who(s.says(other)))
	s.says(to, "Your time was given back.")
	// The form of the page before, by the browser's way back, says so too.
	w = s.get(s.sent(before(other), who))
	s.says(w.Header().Get("Location"), "Your time was given back.")
	if held := slices.DeleteFunc(s.bookings(busy.BookingHeld), func(b busy.Booking) bool { return !b.Live(*s.now.Load()) }); len(held) > 0 {
		t.Errorf("%d are held still", len(held))
	}
}

func TestFormsOfThePageAreChecked(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	choice := s.choice(at10)
	if w := s.post(s.link(), choice, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden {
		t.Errorf("another site's form = %d", w.Code)
	}
	for name, value := range map[string]string{"start": "tomorrow", "zone": "Local", "key": "guess"} {
		bad := url.Values{}
		for k, v := range choice {
			bad[k] = v
		}
		bad.Set(name, value)
		if w := s.post(s.link(), bad); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "<code>"+name) {
			t.Errorf("%s=%s is %d: %s", name, value, w.Code, w.Body)
		}
	}
	if len(s.bookings()) > 0 {
		t.Fatal("a bad form holds a time")
	}
	own := s.sent(s.link(), choice)
	who := s.who(s.says(own))
	who.Set("email", "vi<script>")
	who.Set("name", " ")
	w := s.post(before(own), who)
	body := w.Body.String()
	for _, want := range []string{`href="#email"`, `aria-describedby="email-wrong"`, `aria-describedby="name-wrong"`, "vi&lt;script&gt;", "Nothing is booked yet"} {
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(body, want) {
			t.Errorf("%d, without %q: %s", w.Code, want, body)
		}
	}
	who.Set("email", "vi@example.com")
	who.Set("name", "Vi")
	s.says(s.sent(before(own), who), "You are booked")

	for target, status := range map[string]int{
		"/book/x/y": 404, "/book/" + nowhere + "/" + nowhere: 404, "/book/" + s.tenant.String() + "/" + nowhere: 404,
		s.link() + "?day=1": 400, s.link() + "?month=2027-05": 200, s.link() + "?month=2026-02": 200, s.link() + "?zone=Mars/Base": 400,
		s.link() + "?zone=posixrules": 400, s.link() + "?zone=localtime": 400,
		s.link() + "/" + nowhere + "/page_x": 404, s.link() + "?utm_source=x": 200,
	} {
		if w := s.get(target); w.Code != status || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Errorf("%s = %d %s", target, w.Code, w.Header().Get("Content-Type"))
		}
	}
}

func TestStrangersHoldSoManyTimesAndNoMore(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	page := s.says(s.link())
	for i := range mostHolds + 5 {
		start := time.Date(2026, 3, 27, 0, 30*i, 0, 0, time.UTC).Format(time.RFC3339)
		form := url.Values{"key": {formKeyOf(t, page)}, "start": {start}, "zone": {"UTC"}}
		s.post(s.link(), form)
	}
	if held := s.bookings(busy.BookingHeld); len(held) != mostHolds {
		t.Errorf("%d are held", len(held))
	}
	s.says(s.sent(s.link(), s.choice("2026-03-28T09:00:00Z")), "Many people are choosing")
	s.wait(bookHold)
	s.says(s.sent(s.link(), s.choice("2026-03-28T09:00:00Z")), "is kept for you")
}

func TestTheClocksAreSet(t *testing.T) {
	for day, want := range map[string]struct {
		now              time.Time
		times            []string
		offered          int
		meeting, instant string
	}{
		"2026-03-29": {time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC), []string{">01:30 UTC+1<", ">03:00 UTC+2<"}, 46, "01:30 UTC+1 – 03:00 UTC+2", "2026-03-29T00:30:00Z"},
		"2026-10-25": {time.Date(2026, 10, 23, 8, 0, 0, 0, time.UTC), []string{">02:00 UTC+2<", ">02:30 UTC+2<", ">02:00 UTC+1<", ">02:30 UTC+1<"}, 50, "02:30 UTC+2 – 02:00 UTC+1", "2026-10-25T00:30:00Z"},
	} {
		t.Run(day, func(t *testing.T) {
			s := newShop(t, want.now)
			page := s.says(s.link()+"?day="+day, append(want.times, "The clocks are set on this day", ", then UTC")...)
			at := -1
			for _, text := range want.times { // in the order of time
				next := strings.Index(page, text)
				if next < at {
					t.Errorf("%q is out of order", text)
				}
				at = next
			}
			if strings.Contains(page, ">02:30 UTC+2<") && day == "2026-03-29" {
				t.Error("a time is offered that no clock shows")
			}
			if n := strings.Count(page, `name="start"`); n != want.offered {
				t.Errorf("%d times are offered, want %d", n, want.offered)
			}
			s.says(s.sent(s.link(), s.choice(want.instant)), want.meeting)
			// Elsewhere the day is as any other.
			if other := s.says(s.link()+"?zone=Asia/Kathmandu&day="+day, "Asia/Kathmandu, UTC+5:45"); strings.Contains(other, "The clocks are set") {
				t.Error("the clocks of Kathmandu are set")
			}
		})
	}
}

func TestMonthsOfThePage(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 31, 21, 50, 0, 0, time.UTC), func(s *busy.Service) {
		s.Duration, s.Notice, s.Horizon = time.Hour, time.Hour, 40*24*time.Hour
	})
	// In Berlin March has no time left, in New York it has.
	s.says(s.link(), "April 2026", "Wednesday 1 April 2026", "Previous month", "Next month")
	s.says(s.link()+"?zone=America/New_York", "March 2026", "Tuesday 31 March 2026", "America/New_York, UTC−4")
	s.says(s.link()+"?month=2026-03", "Nothing is free in March 2026", "Next month")
	if page := s.says(s.link()+"?month=2026-05", "May 2026", "Previous month"); strings.Contains(page, "Next month") {
		t.Error("the page leads beyond the horizon")
	}
	// The last meeting of a month ends in the next.
	s.says(s.link()+"?day=2026-04-30", `value="2026-04-30T21:30:00Z"`, "23:30")
	// Another zone's month may be over, and links grow old: the present one is shown.
	s.wait(2 * time.Hour)
	s.says(s.link()+"?day=2026-03-31&zone=Asia/Tokyo", "April 2026")
	s.says(s.link()+"?month=2020-01", "April 2026")
	s.says(s.link()+"?notice=taken&start=2199-03-31T12:00:00Z", "April 2026", "just been taken")
}

func TestWhereThePageMayBeFramed(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	headers := s.get(s.link()).Header()
	if p := headers.Get("Content-Security-Policy"); !strings.Contains(p, "frame-ancestors 'none'") || strings.Contains(p, "unsafe") || headers.Get("X-Frame-Options") != "DENY" {
		t.Errorf("without origins: %q, %q", p, headers.Get("X-Frame-Options"))
	}
	s.open("*")
	if headers = s.get(s.link()).Header(); !strings.Contains(headers.Get("Content-Security-Policy"), "frame-ancestors 'none'") || headers.Get("X-Frame-Options") != "DENY" {
		t.Errorf("every site may frame it: %v", headers)
	}
	s.open("https://one.example", "*", "https://two.example")
	for target, frames := range map[string]string{s.link(): "https://one.example https://two.example", "/book/x/y": "https://one.example https://two.example", "/week": "'none'"} {
		headers = s.get(target).Header()
		p, options := headers.Get("Content-Security-Policy"), headers.Get("X-Frame-Options")
		if !strings.HasSuffix(p, "frame-ancestors "+frames) || (options == "DENY") != (frames == "'none'") {
			t.Errorf("%s: %q, %q", target, p, options)
		}
	}
}

func TestThePageShowsNoSubject(t *testing.T) {
	g := newGround(t)
	tenant, p := g.settle(t, "ada")
	target := "/book/" + tenant.String() + "/" + p.service
	for _, query := range []string{"", "?day=2026-03-06", "?day=2026-03-06&notice=taken&start=2026-03-06T09:00:00Z"} {
		w := serve(g.handler, "GET", target+query, "", "")
		if w.Code != http.StatusOK {
			t.Fatalf("%s = %d", query, w.Code)
		}
		for _, mark := range []string{"secret subject", p.resource, p.calendar, p.connection, p.booking, p.hold, p.token, "case of ada", "number of ada"} {
			if strings.Contains(w.Body.String(), mark) {
				t.Errorf("%s shows %q", query, mark)
			}
		}
	}
	// An event that lands on a hold keeps it from being booked.
	s := &shop{t: t, env: g.env, handler: g.handler, tenant: tenant}
	s.service.ID, _ = busy.ParseID[busy.Service](p.service)
	own := s.sent(s.link(), s.choice("2026-03-06T13:00:00Z"))
	who := s.who(s.says(own))
	calendar, err := busy.ParseID[busy.Calendar](p.calendar)
	if err != nil {
		t.Fatal(err)
	}
	g.mirror(t, tenant, calendar, busy.Span{Start: utc(6, 13, 0), End: utc(6, 14, 0)})
	s.says(s.sent(before(own), who), "This time has just been taken.", "The nearest free times are")
}

// A service has no page unless its tenant says so; who has booked on the page keeps
// the link when it goes.
func TestOnlyPublicServicesHaveAPage(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	choice := s.choice(at10)
	own := s.sent(s.link(), choice)
	hide := s.service
	hide.Public = false
	if err := s.env.Store.ReplaceService(t.Context(), s.tenant, hide); err != nil {
		t.Fatal(err)
	}
	choice.Set("start", "2026-03-27T11:00:00Z")
	if page, form := s.get(s.link()), s.post(s.link(), choice); page.Code != http.StatusNotFound || form.Code != http.StatusNotFound {
		t.Errorf("what has no page is shown with %d and held with %d", page.Code, form.Code)
	}
	if n := len(s.bookings()); n != 1 {
		t.Errorf("%d holds", n)
	}
	s.sent(before(own), s.who(s.says(own)))
	if err := s.env.Store.ArchiveService(t.Context(), s.tenant, s.service.ID); err != nil {
		t.Fatal(err)
	}
	done := s.says(own, "You are booked", "First visit")
	if strings.Contains(done, "Book another time") {
		t.Error("the page leads to one that is not there")
	}
	s.sent(before(own)+"/cancel", s.who(done))
	s.says(own, "Your booking is cancelled")
}

// What a frontend holds by the API has no link, though its owner has a token.
func TestHoldsOfOthersHaveNoPage(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	now := func() time.Time { return *s.now.Load() }
	desk := &booking.Desk{Store: s.env.Store, Now: now, Random: rand.Reader, StaleAfter: 30 * time.Minute}
	start, _ := time.Parse(time.RFC3339, at10)
	hold, token, err := desk.Hold(t.Context(), s.tenant, booking.HoldRequest{
		Service: s.service.ID, Start: start, TTL: bookHold, Details: &busy.Details{Reference: "order 1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	own := s.link() + "/" + hold.ID.String() + "/" + token
	for _, w := range []*httptest.ResponseRecorder{s.get(own), s.post(own, s.who(s.says(s.link()))), s.post(own+"/cancel", s.who(s.says(s.link())))} {
		if w.Code != http.StatusNotFound {
			t.Errorf("%d: %s", w.Code, w.Header())
		}
	}
	if b := s.bookings()[0]; b.State != busy.BookingHeld || b.Details.Reference != "order 1" {
		t.Errorf("%+v", b)
	}
}

func TestWhoNeedsLongerIsGivenIt(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	own := s.sent(s.link(), s.choice(at10))
	page := s.says(own, "kept for you until 09:10", "I need ten more minutes")
	for _, until := range []string{"09:19", "09:28", "09:37", "09:46"} {
		s.wait(9 * time.Minute)
		w := s.post(before(own)+"/keep", s.who(page))
		if until == "09:46" { // they end
			if w.Code != http.StatusSeeOther {
				t.Errorf("kept once more: %d", w.Code)
			}
			break
		}
		if page = html.UnescapeString(w.Body.String()); w.Code != http.StatusOK || !strings.Contains(page, "kept for you until "+until) || !strings.Contains(page, `value="Vi Sitor"`) {
			t.Errorf("until %s: %d: %s", until, w.Code, page)
		}
	}
	s.says(s.sent(before(own), s.who(page)), "You are booked")
}

// Where nobody's calendars tell what is free, the page does not say that nothing is.
func TestThePageDoesNotKnow(t *testing.T) {
	g := newGround(t)
	tenant, p := g.settle(t, "ada")
	connection, err := busy.ParseID[busy.Connection](p.connection)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.env.Store.Pause(t.Context(), tenant, connection, moment); err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, env: g.env, handler: g.handler, tenant: tenant}
	s.service.ID, _ = busy.ParseID[busy.Service](p.service)
	if page := s.says(s.link(), "Nothing can be booked just now"); strings.Contains(page, "Nothing is free") {
		t.Error("the page says that nothing is free")
	}
}
