package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/storetest"
)

// office is a tenant with some resources and a service that all of them serve.
type office struct {
	*storetest.Env
	t         testing.TB
	tenant    busy.TenantID
	resources []busy.ResourceID
	service   busy.Service
}

func openOffice(t testing.TB, resources int) office {
	t.Helper()
	return openOfficeIn(t, storetest.New(t), "tenant", resources)
}

func openOfficeIn(t testing.TB, env *storetest.Env, name string, resources int) office {
	t.Helper()
	o := office{Env: env, t: t, tenant: env.Tenant(t, name).ID}
	o.resources = seedResources(t, env, o.tenant, resources)
	o.serve()
	return o
}

func (o *office) serve() {
	o.t.Helper()
	service, err := o.Store.CreateService(ctx, o.tenant, busy.Service{
		Name: "meeting", Duration: time.Hour, Before: 10 * time.Minute, After: 5 * time.Minute, Interval: 30 * time.Minute,
		Notice: time.Hour, Horizon: 90 * 24 * time.Hour, Align: busy.AlignClock, MaxPerDay: 8, MaxPerWeek: 30, Capacity: 1, Public: true,
		Policy: busy.TreatAsBusy, StaleAfter: time.Hour, Needs: []busy.Need{{Count: 1, Resources: o.resources}},
	})
	must(o.t, err)
	o.service = service
}

// at is an hour of the day after now.
func at(hour int) busy.Span {
	start := time.Date(2026, 3, 3, hour, 0, 0, 0, time.UTC)
	return busy.Span{Start: start, End: start.Add(time.Hour)}
}

// booking is a new one, which takes the time of the resources and no buffers.
func (o office) booking(span busy.Span, resources ...busy.ResourceID) busy.Booking {
	return busy.Booking{
		ID: newID[busy.Booking](o.t), Service: o.service.ID, Resources: resources, Span: span, Blocked: span, Seats: 1,
		Session: newID[busy.Claim](o.t), State: busy.BookingConfirmed, CreatedAt: now, ChangedAt: now,
		Details: &busy.Details{Reference: "canary", Fields: map[string]string{"phone": "canary"}},
	}
}

// agendas are those of the day of [at].
func (o office) agendas(resources ...busy.ResourceID) []busy.Agenda {
	o.t.Helper()
	agendas, err := o.Store.Agendas(ctx, o.tenant, resources, window)
	must(o.t, err)
	return agendas
}

func (o office) versions(resources ...busy.ResourceID) []busy.AgendaVersion {
	o.t.Helper()
	return versionsOf(o.agendas(resources...))
}

func versionsOf(agendas []busy.Agenda) []busy.AgendaVersion {
	var seen []busy.AgendaVersion
	for _, a := range agendas {
		seen = append(seen, busy.AgendaVersion{Resource: a.Resource.ID, Version: a.Version})
	}
	return seen
}

// proposal is to write the booking on what its resources' agendas are now.
func (o office) proposal(b busy.Booking) busy.Proposal {
	o.t.Helper()
	return busy.Proposal{Booking: b, Was: b.Version, Seen: o.versions(b.Resources...), Expired: true, Messages: []busy.Message{{
		ID: newID[busy.Message](o.t), Type: busy.BookingCreated, At: now, Booking: b.ID,
	}}}
}

// book writes the booking, and returns it as it is stored.
func (o office) book(b busy.Booking) busy.Booking {
	o.t.Helper()
	must(o.t, o.Store.Propose(ctx, o.tenant, o.proposal(b)))
	return o.stored(b.ID)
}

func (o office) hold(span busy.Span, until time.Time, resources ...busy.ResourceID) busy.Booking {
	o.t.Helper()
	b := o.booking(span, resources...)
	b.State, b.ExpiresAt, b.Owner = busy.BookingHeld, until, make([]byte, 32)
	return o.book(b)
}

func (o office) stored(id busy.BookingID) busy.Booking {
	o.t.Helper()
	b, err := o.Store.Booking(ctx, o.tenant, id)
	must(o.t, err)
	return b
}

// claims are the starts of the live ones of a resource.
func (o office) claims(resource busy.ResourceID) []string {
	o.t.Helper()
	var all []string
	for _, c := range o.agendas(resource)[0].Claims {
		all = append(all, c.Span.Start.Format("01-02 15:04"))
	}
	return all
}

// told are the types of the tenant's messages, in order.
func (o office) told() []string {
	o.t.Helper()
	return query(o.t, o.Owner(o.t), `select type from messages where tenant_id = $1 order by seq`, o.tenant.String())
}

// block has a calendar of the resource block a time; it returns the run.
func (o office) calendarOf(resource busy.ResourceID) *run {
	o.t.Helper()
	_, calendars := o.Connection(o.t, o.tenant, resource, "calendar of "+resource.String())
	r := &run{Env: o.Env, t: o.t, failure: make(map[string]error), calendar: calendars[0]}
	r.tenant.ID, r.resource.ID = o.tenant, resource
	r.take()
	return r
}

func TestABookingIsStoredAsItIsProposed(t *testing.T) {
	o := openOffice(t, 3)
	b := o.booking(at(10), o.resources[2], o.resources[0])
	b.Blocked = busy.Span{Start: b.Span.Start.Add(-10 * time.Minute), End: b.Span.End.Add(5 * time.Minute)}
	b.Seats, b.State, b.ExpiresAt, b.Owner = 2, busy.BookingHeld, now.Add(time.Hour), slices.Repeat([]byte{7}, 32)
	got := o.book(b)
	b.Version = 1
	if diff := cmp.Diff(b, got); diff != "" {
		t.Fatalf("booking (-want +got):\n%s", diff)
	}
	claim := busy.Claim{
		Booking: b.ID, Service: b.Service, Session: b.Session, Span: b.Span, Blocked: b.Blocked, Seats: 2,
		ExpiresAt: b.ExpiresAt, CreatedAt: now,
	}
	for i, want := range [][]busy.Claim{{claim}, nil, {claim}} {
		if diff := cmp.Diff(want, o.agendas(o.resources[i])[0].Claims); diff != "" {
			t.Fatalf("claims of resource %d (-want +got):\n%s", i, diff)
		}
	}
	_, err := o.Store.Booking(ctx, o.tenant, newID[busy.Booking](t))
	expect(t, err, busy.ErrNotFound)
}

// Claims are read for a span and eight days around it.
func TestAgendasHoldTheClaimsAroundTheSpan(t *testing.T) {
	o := openOffice(t, 1)
	long := o.booking(busy.Span{Start: now, End: now.Add(busy.MaxBooking)}, o.resources[0])
	o.book(long)
	const around = 8 * 24 * time.Hour
	for _, test := range []struct {
		name string
		span busy.Span
		want int
	}{
		{"within it", busy.Span{Start: now.Add(time.Hour), End: now.Add(2 * time.Hour)}, 1},
		{"eight days after", busy.Span{Start: long.Span.End.Add(around - time.Second), End: long.Span.End.Add(around + time.Hour)}, 1},
		{"later", busy.Span{Start: long.Span.End.Add(around), End: long.Span.End.Add(around + time.Hour)}, 0},
		{"eight days before", busy.Span{Start: now.Add(-around - time.Hour), End: now.Add(-around + time.Second)}, 1},
		{"earlier", busy.Span{Start: now.Add(-around - time.Hour), End: now.Add(-around)}, 0},
	} {
		agendas, err := o.Store.Agendas(ctx, o.tenant, o.resources, test.span)
		must(t, err)
		if got := len(agendas[0].Claims); got != test.want {
			t.Errorf("%s: %d claims, want %d", test.name, got, test.want)
		}
	}
}

// What has changed since a proposal was decided on ends it, whatever it is.
func TestAProposalIsWrittenOnlyOnWhatItWasDecidedOn(t *testing.T) {
	o := openOffice(t, 2)
	first := o.book(o.booking(at(8), o.resources[0]))
	another := o.book(o.booking(at(9), o.resources[1]))
	for name, test := range map[string]struct {
		propose func() busy.Proposal
		change  func()
	}{
		"a booking on one of two": {
			func() busy.Proposal { return o.proposal(o.booking(at(10), o.resources...)) },
			func() { o.book(o.booking(at(12), o.resources[1])) },
		},
		"a block": {
			func() busy.Proposal { return o.proposal(o.booking(at(10), o.resources[0])) },
			func() { o.calendarOf(o.resources[0]).events(meeting("a", 20)) },
		},
		"the booking itself": {
			func() busy.Proposal {
				cancelled := first
				cancelled.State = busy.BookingCancelled
				return busy.Proposal{Booking: cancelled, Was: first.Version}
			},
			func() { must(t, o.Store.EraseDetails(ctx, o.tenant, first.ID, now)) },
		},
		"the booking, rescheduled": {
			func() busy.Proposal {
				moved := another
				moved.Span, moved.Blocked = at(15), at(15)
				return o.proposal(moved)
			},
			func() {
				another.State = busy.BookingCancelled
				must(t, o.Store.Propose(ctx, o.tenant, busy.Proposal{Booking: another, Was: another.Version}))
			},
		},
		"no version of that kind": {
			func() busy.Proposal {
				p := o.proposal(o.booking(at(10), o.resources[0]))
				p.Seen[0].Version++
				return p
			},
			func() {},
		},
		"no service": {
			func() busy.Proposal {
				b := o.booking(at(10), o.resources[0])
				b.Service = newID[busy.Service](t)
				return o.proposal(b)
			},
			func() {},
		},
		"no resource": {
			func() busy.Proposal {
				p := o.proposal(o.booking(at(10), o.resources[0]))
				p.Seen[0].Resource = newID[busy.Resource](t)
				p.Booking.Resources = []busy.ResourceID{p.Seen[0].Resource}
				return p
			},
			func() {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := test.propose()
			p.Once = o.reserve(name)
			test.change()
			before := dump(t, o.Owner(t))
			expect(t, o.Store.Propose(ctx, o.tenant, p), busy.ErrChanged)
			if diff := cmp.Diff(before, dump(t, o.Owner(t))); diff != "" {
				t.Fatalf("something was written:\n%s", diff)
			}
		})
	}
}

// A cancellation takes no time, and frees it for all that: whoever decided before
// decides again.
func TestACancellationChangesTheAgenda(t *testing.T) {
	o := openOffice(t, 2)
	b := o.book(o.booking(at(10), o.resources...))
	before := o.versions(o.resources...)
	b.State, b.ChangedAt = busy.BookingCancelled, now.Add(time.Minute)
	must(t, o.Store.Propose(ctx, o.tenant, busy.Proposal{Booking: b, Was: b.Version}))
	for i, after := range o.versions(o.resources...) {
		if after.Version != before[i].Version+1 {
			t.Errorf("resource %d: version %d after %d", i, after.Version, before[i].Version)
		}
		if got := o.claims(o.resources[i]); got != nil {
			t.Errorf("resource %d: claims %v", i, got)
		}
	}
	got := o.stored(b.ID)
	b.Version++
	if diff := cmp.Diff(b, got); diff != "" {
		t.Fatalf("booking (-want +got):\n%s", diff)
	}
	o.book(o.booking(at(10), o.resources...)) // the constraint does not mind
}

// Never both, never neither: the old time and the new one change hands together,
// also between resources.
func TestReschedulingMovesTheClaimsTogether(t *testing.T) {
	o := openOffice(t, 2)
	b := o.book(o.booking(at(10), o.resources[0]))
	moved := b
	moved.Resources, moved.Span, moved.Blocked = o.resources[1:], at(11), at(11)

	o.book(o.booking(at(11), o.resources[1])) // somebody was faster, and the decision wrong
	expect(t, o.Store.Propose(ctx, o.tenant, o.proposal(moved)), busy.ErrTaken)
	if diff := cmp.Diff([]string{"03-03 10:00"}, o.claims(o.resources[0])); diff != "" {
		t.Fatalf("a refused move:\n%s", diff)
	}
	moved.Span, moved.Blocked = at(12), at(12)
	before := o.versions(o.resources...)
	o.book(moved)
	after := o.versions(o.resources...)
	if after[0].Version != before[0].Version+1 || after[1].Version != before[1].Version+1 {
		t.Errorf("versions %v after %v", after, before)
	}
	if got := o.claims(o.resources[0]); got != nil {
		t.Fatalf("the old time is taken: %v", got)
	}
	if diff := cmp.Diff([]string{"03-03 11:00", "03-03 12:00"}, o.claims(o.resources[1])); diff != "" {
		t.Fatal(diff)
	}
	// Into a time that overlaps its own.
	moved = o.stored(b.ID)
	moved.Span = busy.Span{Start: at(12).Start.Add(30 * time.Minute), End: at(13).Start.Add(30 * time.Minute)}
	moved.Blocked, moved.Session = moved.Span, newID[busy.Claim](t)
	o.book(moved)
}

// The constraint is there for the day on which the code is wrong.
func TestTheDatabaseRefusesWhatOverlaps(t *testing.T) {
	o := openOffice(t, 2)
	taken := o.book(o.booking(at(10), o.resources[0]))
	over := o.booking(busy.Span{Start: at(10).Start.Add(59 * time.Minute), End: at(11).End}, o.resources...)
	before := dump(t, o.Owner(t))
	expect(t, o.Store.Propose(ctx, o.tenant, o.proposal(over)), busy.ErrTaken)
	if diff := cmp.Diff(before, dump(t, o.Owner(t))); diff != "" {
		t.Fatalf("something was written:\n%s", diff)
	}
	o.book(o.booking(at(11), o.resources[0])) // touches
	o.book(o.booking(at(10), o.resources[1])) // somebody else
	shared := o.booking(at(10), o.resources[0])
	shared.Session = taken.Session
	o.book(shared)
}

// A claim on an agenda that nobody has compared or locked is a mistake of ours.
func TestAProposalHasSeenWhatItTakes(t *testing.T) {
	o := openOffice(t, 2)
	p := o.proposal(o.booking(at(10), o.resources...))
	p.Seen = p.Seen[1:]
	if err := o.Store.Propose(ctx, o.tenant, p); err == nil || len(o.claims(o.resources[1])) > 0 {
		t.Fatalf("error %v", err)
	}
}

func TestDecideWritesWhatIsDecidedOnLockedAgendas(t *testing.T) {
	o := openOffice(t, 2)
	o.book(o.booking(at(9), o.resources[1]))
	b := o.booking(at(10), o.resources...)
	err := o.Store.Decide(ctx, o.tenant, o.resources, window, func(agendas []busy.Agenda) (busy.Proposal, error) {
		if len(agendas) != 2 || len(agendas[1].Claims) != 1 {
			t.Errorf("agendas %v", agendas)
		}
		return busy.Proposal{Booking: b, Seen: versionsOf(agendas)}, nil
	})
	must(t, err)
	o.stored(b.ID)
	broken := busy.Invalid("x", "y")
	err = o.Store.Decide(ctx, o.tenant, o.resources, window, func([]busy.Agenda) (busy.Proposal, error) {
		return busy.Proposal{}, broken
	})
	if err != broken {
		t.Fatalf("error %v", err)
	}
	err = o.Store.Decide(ctx, o.tenant, []busy.ResourceID{newID[busy.Resource](t)}, window, func([]busy.Agenda) (busy.Proposal, error) {
		t.Error("somebody else's agenda is decided on")
		return busy.Proposal{}, nil
	})
	expect(t, err, busy.ErrNotFound)
}

func TestListsOfBookings(t *testing.T) {
	o := openOffice(t, 2)
	early, late := o.book(o.booking(at(9), o.resources[0])), o.hold(at(15), now.Add(time.Hour), o.resources...)
	other := o.service
	other.Name = "another"
	other, err := o.Store.CreateService(ctx, o.tenant, other)
	must(t, err)
	elsewhere := o.booking(at(9), o.resources[1])
	elsewhere.Service = other.ID
	elsewhere = o.book(elsewhere)
	for name, test := range map[string]struct {
		filter busy.BookingFilter
		want   []busy.Booking
	}{
		"all":      {busy.BookingFilter{}, []busy.Booking{early, late, elsewhere}},
		"resource": {busy.BookingFilter{Resource: o.resources[0]}, []busy.Booking{early, late}},
		"service":  {busy.BookingFilter{Service: other.ID}, []busy.Booking{elsewhere}},
		"span":     {busy.BookingFilter{Span: busy.Span{Start: at(9).End, End: at(15).End}}, []busy.Booking{late}},
		"open end": {busy.BookingFilter{Span: busy.Span{End: at(15).Start}}, []busy.Booking{early, elsewhere}},
		"states":   {busy.BookingFilter{States: []busy.BookingState{busy.BookingHeld, busy.BookingPending}}, []busy.Booking{late}},
	} {
		byID := func(a, b busy.Booking) int { return slices.Compare(a.ID[:], b.ID[:]) }
		slices.SortFunc(test.want, byID)
		var got []busy.Booking
		test.filter.Limit = 1
		for { // a page holds one
			some, err := o.Store.Bookings(ctx, o.tenant, test.filter)
			must(t, err)
			if len(some) == 0 {
				break
			}
			got = append(got, some...)
			test.filter.After = some[0].ID
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDetailsAreErasedWithTheAnswersThatTellThem(t *testing.T) {
	o := openOffice(t, 1)
	p := o.proposal(o.booking(at(10), o.resources[0]))
	p.Once = o.reserve("key")
	p.Once.Answer = &busy.Answer{Status: 201, Body: []byte("canary")}
	must(t, o.Store.Propose(ctx, o.tenant, p))
	for range 2 {
		must(t, o.Store.EraseDetails(ctx, o.tenant, p.Booking.ID, now.Add(time.Minute)))
	}
	got := o.stored(p.Booking.ID)
	if got.Details != nil || got.Version != 2 || !got.ChangedAt.Equal(now.Add(time.Minute)) {
		t.Fatalf("booking %+v", got)
	}
	if n := query(t, o.Owner(t), `select count(*)::text from requests`)[0]; n != "0" {
		t.Fatalf("%s answers are left", n)
	}
	expect(t, o.Store.EraseDetails(ctx, o.tenant, newID[busy.Booking](t), now), busy.ErrNotFound)
}

func TestServices(t *testing.T) {
	o := openOffice(t, 3)
	s := o.service
	s.Name = "a panel"
	s.Needs = []busy.Need{{Count: 2, Resources: []busy.ResourceID{o.resources[2], o.resources[0]}}, {Count: 1, Resources: o.resources}}
	s, err := o.Store.CreateService(ctx, o.tenant, s)
	must(t, err)
	check := func(want ...busy.Service) {
		t.Helper()
		all, err := o.Store.Services(ctx, o.tenant)
		must(t, err)
		if diff := cmp.Diff(want, all); diff != "" {
			t.Fatalf("services (-want +got):\n%s", diff)
		}
		for _, w := range want {
			one, err := o.Store.Service(ctx, o.tenant, w.ID)
			must(t, err)
			if diff := cmp.Diff(w, one); diff != "" {
				t.Fatalf("service (-want +got):\n%s", diff)
			}
		}
	}
	check(s, o.service)
	s.Name, s.Duration, s.Needs = "panel", 2*time.Hour, []busy.Need{{Count: 1, Resources: o.resources[1:2]}}
	must(t, o.Store.ReplaceService(ctx, o.tenant, s))
	check(o.service, s)
	must(t, o.Store.ArchiveService(ctx, o.tenant, o.service.ID))
	check(s)
	_, err = o.Store.Service(ctx, o.tenant, o.service.ID)
	expect(t, err, busy.ErrNotFound)
	archived, err := o.Store.BookedService(ctx, o.tenant, o.service.ID)
	must(t, err)
	if diff := cmp.Diff(o.service.Needs, archived.Needs); diff != "" || archived.ID != o.service.ID {
		t.Errorf("what is archived (-want +got):\n%s", diff)
	}
	expect(t, o.Store.ArchiveService(ctx, o.tenant, o.service.ID), busy.ErrNotFound)
	expect(t, o.Store.ReplaceService(ctx, o.tenant, o.service), busy.ErrNotFound)
	_, err = o.Store.CreateService(ctx, o.tenant, s)
	expect(t, err, busy.ErrExists)
	o.serve() // the name of what is archived is free

	for name, change := range map[string]func(*busy.Service){
		"no duration":   func(s *busy.Service) { s.Duration = 0 },
		"a fraction":    func(s *busy.Service) { s.Duration += time.Millisecond },
		"negative":      func(s *busy.Service) { s.After = -time.Minute },
		"too long":      func(s *busy.Service) { s.Duration = busy.MaxBooking },
		"no interval":   func(s *busy.Service) { s.Interval = 0 },
		"no align":      func(s *busy.Service) { s.Align = "" },
		"no policy":     func(s *busy.Service) { s.Policy = "hope" },
		"no seat":       func(s *busy.Service) { s.Capacity = 0 },
		"a debt":        func(s *busy.Service) { s.MaxPerDay = -1 },
		"no need":       func(s *busy.Service) { s.Needs = nil },
		"nobody":        func(s *busy.Service) { s.Needs = []busy.Need{{Count: 1}} },
		"more than all": func(s *busy.Service) { s.Needs = []busy.Need{{Count: 2, Resources: o.resources[:1]}} },
		"one twice": func(s *busy.Service) {
			s.Needs = []busy.Need{{Count: 2, Resources: []busy.ResourceID{o.resources[0], o.resources[0]}}}
		},
	} {
		bad := s
		bad.Name = name
		change(&bad)
		if _, err := o.Store.CreateService(ctx, o.tenant, bad); err == nil {
			t.Errorf("%s is accepted", name)
		} else {
			expect(t, err, busy.ErrInvalid)
		}
		expect(t, o.Store.ReplaceService(ctx, o.tenant, bad), busy.ErrInvalid)
	}
	s.Name, s.Needs = "of others", []busy.Need{{Count: 1, Resources: []busy.ResourceID{newID[busy.Resource](t)}}}
	_, err = o.Store.CreateService(ctx, o.tenant, s)
	expect(t, err, busy.ErrNotFound)
}

func TestOverrides(t *testing.T) {
	o := openOffice(t, 2)
	date := func(month time.Month, day int) time.Time { return time.Date(2026, month, day, 0, 0, 0, 0, time.UTC) }
	create := func(v busy.Override) busy.Override {
		v.Resource = o.resources[0]
		v, err := o.Store.CreateOverride(ctx, o.tenant, v)
		must(t, err)
		return v
	}
	away := create(busy.Override{First: date(5, 1), Last: date(5, 9), Zone: "Asia/Tokyo", Hours: []busy.Range{{From: 540, To: 720}, {From: 1320, To: 1560}}})
	closed := create(busy.Override{First: date(3, 3), Last: date(3, 3), Closed: true})
	got, err := o.Store.FindResource(ctx, o.tenant, o.resources[0].String())
	must(t, err)
	if diff := cmp.Diff([]busy.Override{closed, away}, got.Overrides); diff != "" {
		t.Fatalf("overrides (-want +got):\n%s", diff)
	}
	all, err := o.Store.Resources(ctx, o.tenant)
	must(t, err)
	if len(all[0].Overrides) != 2 || len(all[1].Overrides) != 0 {
		t.Fatalf("resources %v", all)
	}
	agendas, err := o.Store.Agendas(ctx, o.tenant, o.resources, busy.Span{Start: date(3, 4), End: date(3, 20)})
	must(t, err)
	if diff := cmp.Diff([]busy.Override{closed}, agendas[0].Resource.Overrides); diff != "" || agendas[1].Resource.Overrides != nil {
		t.Fatalf("overrides of an agenda (-want +got):\n%s", diff)
	}
	must(t, o.Store.DeleteOverride(ctx, o.tenant, closed.ID))
	expect(t, o.Store.DeleteOverride(ctx, o.tenant, closed.ID), busy.ErrNotFound)

	for name, bad := range map[string]busy.Override{
		"nothing":     {First: date(3, 3), Last: date(3, 3)},
		"no dates":    {Closed: true},
		"backwards":   {First: date(3, 4), Last: date(3, 3), Closed: true},
		"no zone":     {First: date(3, 3), Last: date(3, 3), Zone: "Mars/Olympus"},
		"overlapping": {First: date(3, 3), Last: date(3, 3), Hours: []busy.Range{{From: 60, To: 180}, {From: 120, To: 240}}},
		"endless":     {First: date(3, 3), Last: date(3, 3), Hours: []busy.Range{{From: 60, To: 60}}},
	} {
		bad.Resource = o.resources[0]
		if _, err := o.Store.CreateOverride(ctx, o.tenant, bad); err == nil {
			t.Errorf("%s is accepted", name)
		} else {
			expect(t, err, busy.ErrInvalid)
		}
	}
	_, err = o.Store.CreateOverride(ctx, o.tenant, busy.Override{Resource: newID[busy.Resource](t), First: date(3, 3), Last: date(3, 3), Closed: true})
	expect(t, err, busy.ErrNotFound)
}

func TestChangeResource(t *testing.T) {
	o := openOffice(t, 2)
	r := busy.Resource{ID: o.resources[0], Name: "renamed", Zone: "Asia/Tokyo"}
	r.Hours[1] = []busy.Range{{From: 60, To: 120}}
	must(t, o.Store.ChangeResource(ctx, o.tenant, r))
	got, err := o.Store.FindResource(ctx, o.tenant, "renamed")
	must(t, err)
	if diff := cmp.Diff(r, got); diff != "" {
		t.Fatalf("resource (-want +got):\n%s", diff)
	}
	for want, bad := range map[error]busy.Resource{
		busy.ErrInvalid:  {ID: r.ID, Name: "x", Zone: "nowhere"},
		busy.ErrExists:   {ID: r.ID, Name: "1", Zone: "UTC"},
		busy.ErrNotFound: {ID: newID[busy.Resource](t), Name: "x", Zone: "UTC"},
	} {
		expect(t, o.Store.ChangeResource(ctx, o.tenant, bad), want)
	}
}

// A cut of what one version means: each way in which an agenda changes raises it.
func TestNothingChangesAnAgendaWithoutItsVersion(t *testing.T) {
	o := openOffice(t, 1)
	resource := o.resources[0]
	r := o.calendarOf(resource)
	state := func() busy.Agenda {
		a := o.agendas(resource)[0]
		for i := range a.Calendars { // how fresh they are is not the agenda's
			a.Calendars[i].Freshness = busy.Freshness{Covered: a.Calendars[i].Covered, Problems: a.Calendars[i].Problems}
		}
		return a
	}
	var b, held busy.Booking
	var override busy.Override
	var err error
	day := time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)
	steps := []struct {
		name string
		do   func()
	}{
		{"the first page", func() { r.events(meeting("a", 10), tentative(meeting("t", 12))) }},
		{"another", func() { r.events(meeting("a", 11), meeting("b", 14)) }},
		{"a page that removes", func() { r.apply(busy.Page{Change: busy.Change{Gone: []string{"b"}}}) }},
		{"an object that cannot be read", func() {
			r.apply(busy.Page{Change: busy.Change{Unreadable: []busy.Unreadable{{Key: "u", Problem: busy.ProblemUnreadable}}}})
		}},
		{"another window", func() {
			r.apply(busy.Page{Reexpand: true, Window: busy.Span{Start: window.Start, End: window.End.AddDate(0, 0, 1)}})
		}},
		{"a booking", func() { b = o.book(o.booking(at(20), resource)) }},
		{"its reschedule", func() {
			b.Span, b.Blocked = at(21), at(21)
			b = o.book(b)
		}},
		{"its cancellation", func() {
			b.State = busy.BookingCancelled
			must(t, o.Store.Propose(ctx, o.tenant, busy.Proposal{Booking: b, Was: b.Version}))
		}},
		{"a hold", func() { held = o.hold(at(8), now.Add(time.Minute), resource) }},
		{"its renewal", func() {
			held.ExpiresAt = now.Add(2 * time.Minute)
			held = o.book(held)
		}},
		{"its end, noticed by the next", func() {
			b := o.booking(at(8), resource)
			b.ChangedAt = now.Add(time.Hour)
			o.book(b)
		}},
		{"another hold", func() { held = o.hold(at(9), now.Add(time.Minute), resource) }},
		{"its end, noticed by the sweep", func() {
			n, err := o.Store.ExpireHolds(ctx, now.Add(time.Hour), 10)
			must(t, err)
			if n != 1 {
				t.Fatalf("%d holds expired", n)
			}
		}},
		{"a decision", func() {
			b := o.booking(at(16), resource)
			must(t, o.Store.Decide(ctx, o.tenant, o.resources, window, func(a []busy.Agenda) (busy.Proposal, error) {
				return busy.Proposal{Booking: b, Seen: versionsOf(a)}, nil
			}))
		}},
		{"an override", func() {
			override, err = o.Store.CreateOverride(ctx, o.tenant, busy.Override{Resource: resource, First: day, Last: day, Closed: true})
			must(t, err)
		}},
		{"its end", func() { must(t, o.Store.DeleteOverride(ctx, o.tenant, override.ID)) }},
		{"other hours", func() {
			must(t, o.Store.ChangeResource(ctx, o.tenant, busy.Resource{ID: resource, Name: "r", Zone: "Europe/Berlin"}))
		}},
		{"another policy", func() { must(t, o.Store.SetIgnore(ctx, o.tenant, r.calendar.ID, true, false, now)) }},
		{"reading anew", func() {
			r.take()
			r.events(meeting("a", 10), tentative(meeting("t", 12)))
		}},
		{"another calendar", func() { o.Connection(t, o.tenant, resource, "another") }},
		{"deselecting", func() { must(t, o.Store.Select(ctx, o.tenant, r.calendar.ID, false, now)) }},
		{"selecting", func() { must(t, o.Store.Select(ctx, o.tenant, r.calendar.ID, true, now)) }},
		{"reading again", func() {
			r.take()
			r.events(meeting("a", 10))
		}},
		{"disconnecting", func() {
			must(t, o.Store.Disconnect(ctx, o.tenant, r.calendar.Connection, false, now))
		}},
	}
	before := state()
	for _, step := range steps {
		step.do()
		after := state()
		version := after.Version
		after.Version = before.Version
		if cmp.Equal(before, after) {
			t.Errorf("%s changes nothing: the test proves nothing", step.name)
		}
		if version <= before.Version {
			t.Errorf("%s: version %d after %d", step.name, version, before.Version)
		}
		after.Version = version
		before = after
	}
}

func tentative(e busy.Event) busy.Event {
	e.State = busy.Tentative
	return e
}

// A calendar whose policy changes is not free until it was read again.
func TestIgnoredEventsDoNotBlock(t *testing.T) {
	r := begin(t)
	whole := meeting("whole", 0)
	whole.Start, whole.End = busy.DateOf(2026, 3, 5), busy.DateOf(2026, 3, 6)
	events := []busy.Event{meeting("a", 10), tentative(meeting("t", 12)), whole}
	for _, test := range []struct {
		tentative, allDay bool
		want              []string
	}{
		{true, false, []string{"03-03 10:00-11:00 busy", "03-05 00:00-00:00 busy all day"}},
		{false, true, []string{"03-03 10:00-11:00 busy", "03-03 12:00-13:00 tentative"}},
		{true, true, []string{"03-03 10:00-11:00 busy"}},
		{false, false, []string{"03-03 10:00-11:00 busy", "03-03 12:00-13:00 tentative", "03-05 00:00-00:00 busy all day"}},
	} {
		r.events(events...)
		stale := r.work.Lease
		must(t, r.Store.SetIgnore(ctx, r.tenant.ID, r.calendar.ID, test.tentative, test.allDay, now))
		r.expectBlocks()
		c := r.state()
		if !c.AsOf.IsZero() || !c.Selected || c.DueAt.After(now) || c.IgnoreTentative != test.tentative || c.IgnoreAllDay != test.allDay {
			t.Fatalf("calendar %+v", c)
		}
		_, err := r.Store.Apply(ctx, stale, busy.Page{Window: window, Cursor: []byte("x")}, r.expand)
		expect(t, err, busy.ErrFenced)
		r.take()
		r.events(events...)
		r.expectBlocks(test.want...)
	}
	epoch := r.epoch()
	must(t, r.Store.SetIgnore(ctx, r.tenant.ID, r.calendar.ID, false, false, now))
	if r.epoch() != epoch {
		t.Error("the policy that a calendar has is given to it again")
	}
	must(t, r.Store.Select(ctx, r.tenant.ID, r.calendar.ID, false, now))
	must(t, r.Store.SetIgnore(ctx, r.tenant.ID, r.calendar.ID, true, true, now))
	if c := r.state(); c.Selected || !c.DueAt.IsZero() || !c.IgnoreTentative {
		t.Errorf("deselected calendar %+v", c)
	}
	expect(t, r.Store.SetIgnore(ctx, r.tenant.ID, newID[busy.Calendar](t), true, true, now), busy.ErrNotFound)
}

// booked is what somebody has who has used all of booking once.
type booked struct {
	service  busy.Service
	override busy.Override
	booking  busy.Booking // with an open conflict
}

// office is the run's tenant with its resource.
func (r *run) office() office {
	return office{Env: r.Env, t: r.t, tenant: r.tenant.ID, resources: []busy.ResourceID{r.resource.ID}}
}

func (r *run) booked() booked {
	r.t.Helper()
	o := r.office()
	o.serve()
	b := booked{service: o.service}
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var err error
	b.override, err = r.Store.CreateOverride(ctx, o.tenant, busy.Override{Resource: r.resource.ID, First: day, Last: day, Closed: true})
	must(r.t, err)
	p := o.proposal(o.booking(at(18), r.resource.ID))
	p.Once = o.reserve("key")
	p.Once.Answer = &busy.Answer{Status: 201, Body: []byte("answer")}
	must(r.t, r.Store.Propose(ctx, o.tenant, p))
	r.page(now, meeting("on the booking", 18))
	b.booking = o.stored(p.Booking.ID)
	return b
}
