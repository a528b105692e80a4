package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// ServiceStore is what the API reads and changes of services.
type ServiceStore interface {
	// CreateService draws the id.
	CreateService(ctx context.Context, tenant busy.TenantID, s busy.Service) (busy.Service, error)
	ReplaceService(ctx context.Context, tenant busy.TenantID, s busy.Service) error
	// Service finds no archived service; BookedService does.
	Service(ctx context.Context, tenant busy.TenantID, id busy.ServiceID) (busy.Service, error)
	BookedService(ctx context.Context, tenant busy.TenantID, id busy.ServiceID) (busy.Service, error)
	Services(ctx context.Context, tenant busy.TenantID) ([]busy.Service, error)
	// ArchiveService leaves the service's bookings.
	ArchiveService(ctx context.Context, tenant busy.TenantID, id busy.ServiceID) error
}

// Limits of a service.
const (
	maxNeeds    = 10
	maxSeats    = 1000
	maxBookings = 1000 // a day or a week
	maxName     = 200
)

// The durations of requests.
var (
	durationLength   = length{name: "duration", least: MinDuration, most: MaxDuration, unit: time.Minute}
	intervalLength   = length{name: "interval", fallback: defaultInterval, least: MinInterval, most: MaxInterval, unit: time.Minute}
	beforeLength     = length{name: "before", most: MaxDuration, unit: time.Minute}
	afterLength      = length{name: "after", most: MaxDuration, unit: time.Minute}
	noticeLength     = length{name: "notice", most: 366 * 24 * time.Hour, unit: time.Minute}
	horizonLength    = length{name: "horizon", most: 732 * 24 * time.Hour, unit: time.Minute}
	staleAfterLength = length{name: "stale_after", most: 30 * 24 * time.Hour, unit: time.Second}
)

// Rules are those of a service, with who serves it.
type Rules struct {
	Duration   string      `json:"duration" example:"30m" doc:"Of a meeting, in whole minutes from 1m to 24h, as 30m or PT30M."`
	Before     string      `json:"before,omitempty" example:"10m" doc:"Time before the meeting that is taken with it, up to 24h. It may lie outside of working hours."`
	After      string      `json:"after,omitempty" example:"10m" doc:"Time after the meeting that is taken with it, up to 24h."`
	Notice     string      `json:"notice,omitempty" example:"2h" doc:"The least time between booking and the meeting's start, up to 366d."`
	Horizon    string      `json:"horizon,omitempty" example:"60d" doc:"The greatest time between them, up to 732d; absent: no bound but what is mirrored."`
	Interval   string      `json:"interval,omitempty" example:"15m" doc:"Between the starts of meetings, from 5m to 24h; absent: 15m."`
	Align      busy.Align  `json:"align,omitempty" enum:"period,clock" doc:"From where the interval is measured: the start of each period of working hours (absent), or midnight on the resource's clock."`
	MaxPerDay  *int        `json:"max_per_day,omitempty" doc:"Meetings that start on one date on the resource's clock, up to 1,000; absent: no bound."`
	MaxPerWeek *int        `json:"max_per_week,omitempty" doc:"Meetings that start in one week, from Monday; absent: no bound."`
	Capacity   *int        `json:"capacity,omitempty" doc:"Seats of one meeting, up to 1,000; absent: 1. With more, bookings of the same start share the meeting."`
	Stale      busy.Policy `json:"stale,omitempty" enum:"treat_as_busy,reject,serve_stale" doc:"What becomes of a resource whose calendars are not all fresh, as the parameter stale of GET /v1/availability has it; absent: treat_as_busy."`
	StaleAfter string      `json:"stale_after,omitempty" example:"10m" doc:"The age at which a calendar is stale for this service, up to 30d; absent: the daemon's."`
	Public     bool        `json:"public,omitempty" doc:"Whether it has a page, /book/{tenant id}/{service id}, on which whoever has the link books it without a key."`
	Needs      []Need      `json:"needs" nullable:"false" doc:"Who serves a meeting: all of these groups together, 1 to 10. A resource serves one of them only."`
}

// Need is one of the groups that serve a meeting.
type Need struct {
	Count     *int     `json:"count,omitempty" doc:"How many of the resources it takes; absent: 1."`
	Resources []string `json:"resources" nullable:"false" doc:"Their ids, up to 50 over all groups. Where several are free, those with the fewest bookings serve."`
}

type serviceBody struct {
	Name string `json:"name" example:"First visit"`
	Rules
}

type serviceItem struct {
	ID   string `json:"id" format:"uuid"`
	Name string `json:"name"`
	Rules
}

type servicesAnswer struct {
	Services []serviceItem `json:"services" nullable:"false" doc:"By id."`
	Next     *string       `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

// Service is what the rules say; name and id are left to the caller. The error is
// a busy.ErrInvalid that names every field that is wrong.
func (r Rules) Service() (busy.Service, error) {
	var f fields
	s := r.service(&f)
	return s, f.err()
}

func (r Rules) service(f *fields) busy.Service {
	s := busy.Service{
		Duration: f.duration(durationLength, r.Duration), Before: f.duration(beforeLength, r.Before), After: f.duration(afterLength, r.After),
		Notice: f.duration(noticeLength, r.Notice), Horizon: f.duration(horizonLength, r.Horizon), Interval: f.duration(intervalLength, r.Interval),
		Align: busy.AlignPeriod, Policy: busy.TreatAsBusy, StaleAfter: f.duration(staleAfterLength, r.StaleAfter),
		MaxPerDay: f.count("max_per_day", r.MaxPerDay, 0, maxBookings), MaxPerWeek: f.count("max_per_week", r.MaxPerWeek, 0, maxBookings),
		Capacity: f.count("capacity", r.Capacity, 1, maxSeats),
		Public:   r.Public,
		Needs:    readNeeds(f, r.Needs),
	}
	if r.Duration == "" {
		f.reject("duration", "is required, such as 30m")
	}
	if s.Horizon > 0 && s.Horizon < s.Notice {
		f.reject("horizon", "must not be less than notice")
	}
	switch r.Align {
	case "":
	case busy.AlignPeriod, busy.AlignClock:
		s.Align = r.Align
	default:
		f.reject("align", "must be period or clock")
	}
	switch {
	case r.Stale == "":
	case slices.Contains(busy.Policies(), r.Stale):
		s.Policy = r.Stale
	default:
		f.reject("stale", policyForm)
	}
	return s
}

func readNeeds(f *fields, needs []Need) []busy.Need {
	if len(needs) < 1 || len(needs) > maxNeeds {
		f.reject("needs", "must be 1 to 10 groups")
		return nil
	}
	out := make([]busy.Need, len(needs))
	all := 0
	for i, n := range needs {
		field := fmt.Sprintf("needs[%d].", i)
		out[i].Count = f.count(field+"count", n.Count, 1, MaxResources)
		out[i].Resources = readIDs[busy.Resource](f, field+"resources", n.Resources, MaxResources)
		if n.Count == nil {
			out[i].Count = 1
		}
		if len(out[i].Resources) == len(n.Resources) && len(n.Resources) < out[i].Count {
			f.reject(field+"resources", "must be at least as many as count")
		}
		all += len(n.Resources)
	}
	if all > MaxResources {
		f.reject("needs", "must name at most 50 resources altogether")
	}
	return out
}

// RulesOf writes the rules of a service.
func RulesOf(s busy.Service) Rules {
	optional := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return format(d)
	}
	bound := func(n int) *int {
		if n == 0 {
			return nil
		}
		return &n
	}
	r := Rules{
		Duration: format(s.Duration), Before: optional(s.Before), After: optional(s.After), Notice: optional(s.Notice),
		Horizon: optional(s.Horizon), Interval: format(s.Interval), Align: s.Align, MaxPerDay: bound(s.MaxPerDay), MaxPerWeek: bound(s.MaxPerWeek),
		Capacity: &s.Capacity, Stale: s.Policy, StaleAfter: optional(s.StaleAfter), Public: s.Public, Needs: make([]Need, len(s.Needs)),
	}
	for i, n := range s.Needs {
		r.Needs[i] = Need{Count: &n.Count, Resources: texts(n.Resources)}
	}
	return r
}

func texts[Of any](ids []busy.ID[Of]) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.String()
	}
	return out
}

func serviceItemOf(s busy.Service) serviceItem {
	return serviceItem{ID: s.ID.String(), Name: s.Name, Rules: RulesOf(s)}
}

// readService reads a service out of the body.
func readService(r *request) (busy.Service, error) {
	if err := r.params.err(); err != nil {
		return busy.Service{}, err
	}
	var body serviceBody
	if err := decode(r.body, &body); err != nil {
		return busy.Service{}, err
	}
	var f fields
	s := body.service(&f)
	if s.Name = body.Name; s.Name == "" || len(s.Name) > maxName {
		f.reject("name", "must have 1 to 200 bytes")
	}
	return s, f.err()
}

func (a *api) createService(r *request) (any, error) {
	s, err := readService(r)
	if err != nil {
		return nil, err
	}
	if s, err = a.Store.CreateService(r.ctx, r.tenant, s); err != nil {
		return nil, err
	}
	return serviceItemOf(s), nil
}

func (a *api) replaceService(r *request) (any, error) {
	id := idOf[busy.Service](r.params)
	s, err := readService(r)
	if err != nil {
		return nil, err
	}
	s.ID = id
	if err := a.Store.ReplaceService(r.ctx, r.tenant, s); err != nil {
		return nil, err
	}
	return serviceItemOf(s), nil
}

func (a *api) getService(r *request) (any, error) {
	id := idOf[busy.Service](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	s, err := a.Store.Service(r.ctx, r.tenant, id)
	if err != nil {
		return nil, err
	}
	return serviceItemOf(s), nil
}

func (a *api) listServices(r *request) (any, error) {
	limit, after := r.params.limit(), r.params.after()
	if err := r.params.err(); err != nil {
		return nil, err
	}
	all, err := a.Store.Services(r.ctx, r.tenant)
	if err != nil {
		return nil, err
	}
	items := make([]serviceItem, len(all))
	for i, s := range all {
		items[i] = serviceItemOf(s)
	}
	var out servicesAnswer
	out.Services, out.Next = page(items, func(i serviceItem) string { return i.ID }, after, limit)
	return out, nil
}

func (a *api) archiveService(r *request) (any, error) {
	id := idOf[busy.Service](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	return nil, a.Store.ArchiveService(r.ctx, r.tenant, id)
}

// serviceRoutes are those of what can be booked.
func serviceRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: "/v1/services", id: "listServices", scope: busy.ScopeRead,
			summary: "What can be booked",
			params:  []param{limitParam, cursorParam},
			status:  http.StatusOK, answer: servicesAnswer{},
			serve: (*api).listServices,
		},
		{
			method: http.MethodPost, path: "/v1/services", id: "createService", scope: busy.ScopeAdmin,
			summary: "Make something that can be booked",
			body:    serviceBody{}, status: http.StatusCreated, answer: serviceItem{}, problems: []problem{notFound, nameTaken},
			serve: (*api).createService,
		},
		{
			method: http.MethodGet, path: "/v1/services/{id}", id: "getService", scope: busy.ScopeRead,
			summary: "One service with its rules",
			params:  []param{idParam},
			status:  http.StatusOK, answer: serviceItem{}, problems: []problem{notFound},
			serve: (*api).getService,
		},
		{
			method: http.MethodPut, path: "/v1/services/{id}", id: "replaceService", scope: busy.ScopeAdmin,
			summary: "Change a service",
			about:   "The body is the whole service: a rule that is absent is as if it never was. Bookings that were made stay as they are.",
			params:  []param{idParam}, body: serviceBody{},
			status: http.StatusOK, answer: serviceItem{}, problems: []problem{notFound, nameTaken},
			serve: (*api).replaceService,
		},
		{
			method: http.MethodDelete, path: "/v1/services/{id}", id: "archiveService", scope: busy.ScopeAdmin,
			summary: "Offer a service no longer",
			about:   "It is not listed any more and cannot be booked. Its bookings stay.",
			params:  []param{idParam},
			status:  http.StatusNoContent, problems: []problem{notFound},
			serve: (*api).archiveService,
		},
	}
}
