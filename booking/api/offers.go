package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

const maxServices = 10 // of one question

type availabilityBody struct {
	From      string       `json:"from" format:"date-time" doc:"The start of the range, RFC 3339 with any offset."`
	To        string       `json:"to" format:"date-time" doc:"The end of the range, exclusive: at most 92 days after from."`
	Services  []string     `json:"services,omitempty" nullable:"false" doc:"The ids of services, up to 10. Either these or rule."`
	Rule      *Rules       `json:"rule,omitempty" doc:"A service of this question only."`
	Resources []string     `json:"resources,omitempty" nullable:"false" doc:"Who must serve the meeting; absent: whoever is free."`
	Seats     *int         `json:"seats,omitempty" doc:"Wanted of the capacity; absent: 1."`
	Form      booking.Form `json:"form,omitempty" enum:"overlapping_slots,slots,periods" doc:"overlapping_slots: every start of the interval (absent). slots: meetings that follow each other. periods: the longest spans in which a meeting can begin and end."`
	MaxAge    string       `json:"max_age,omitempty" example:"60s" doc:"Have calendars that were read longer ago read now, and wait for them. Without it no provider is asked."`
	Deadline  string       `json:"deadline,omitempty" example:"2s" doc:"How long to wait for that at most, up to 5s; absent: 2s."`
	Hold      string       `json:"hold,omitempty" format:"uuid" doc:"A hold whose time is free in the answer; the header Hold-Token shows that it is yours."`
	Explain   bool         `json:"explain,omitempty" doc:"Say why the rest of the range is not offered."`
}

type offersAnswer struct {
	Services  []offering `json:"services" nullable:"false" doc:"In the order asked; of a rule, one."`
	Freshness *freshness `json:"freshness,omitempty" doc:"With max_age: what was achieved."`
}

type offering struct {
	Service     *string           `json:"service,omitempty" format:"uuid" doc:"Absent for a rule."`
	Slots       []slot            `json:"slots" nullable:"false" doc:"By start. With periods: the spans."`
	Resources   []resourceSummary `json:"resources" nullable:"false" doc:"Of the service, in the order of its needs, as to the part of the range that is not over."`
	Unavailable []unoffered       `json:"unavailable,omitempty" nullable:"false" doc:"With explain: by resource and start."`
}

type unoffered struct {
	Resource string    `json:"resource" format:"uuid"`
	Start    time.Time `json:"start" doc:"The first start of a meeting that this is why of. Starts are looked at every five minutes."`
	End      time.Time `json:"end" doc:"After the last such start."`
	Reasons  []reason  `json:"reasons" nullable:"false" doc:"All of them."`
}

type reason struct {
	Cause    cause               `json:"cause"`
	Start    *time.Time          `json:"start,omitempty" doc:"Of the event, the booking with its buffers, the date or week, or what is known."`
	End      *time.Time          `json:"end,omitempty"`
	Booking  string              `json:"booking,omitempty" format:"uuid"`
	Override string              `json:"override,omitempty" format:"uuid"`
	Calendar string              `json:"calendar,omitempty" format:"uuid" doc:"That the policy minds; absent where all are disconnected."`
	State    *busy.CalendarState `json:"state,omitempty" enum:"fresh,stale,degraded,uncovered,needs_reconnect,paused,pending,disconnected" doc:"Of that calendar, or disconnected."`
}

// cause is one of [booking.Causes].
type cause booking.Cause

// Schema implements [huma.SchemaProvider].
func (cause) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: "string", Description: "A stable code."}
	for _, c := range booking.Causes() {
		s.Enum = append(s.Enum, string(c))
	}
	return s
}

// question is what the body asks, of each of its services.
type question struct {
	span      busy.Span
	services  []busy.ServiceID
	rule      *busy.Service // in place of services
	resources []busy.ResourceID
	seats     int
	form      booking.Form
	wish      wish
	hold      busy.BookingID
	explain   bool
}

func (b availabilityBody) question() (question, error) {
	var f fields
	q := question{
		span: f.span(b.From, b.To), form: booking.OverlappingSlots, explain: b.Explain,
		services: readIDs[busy.Service](&f, "services", b.Services, maxServices),
		wish:     wish{f.duration(maxAgeLength, b.MaxAge), f.duration(deadlineLength, b.Deadline), b.MaxAge != ""},
	}
	q.resources, q.seats = readParty(&f, b.Resources, b.Seats)
	if b.Rule != nil {
		rule := b.Rule.service(&f)
		q.rule = &rule
	}
	if (b.Rule != nil) == (len(b.Services) > 0) {
		f.reject("services", "must name one or more, unless there is a rule in place of them")
	}
	if b.Form != "" {
		q.form = b.Form
	}
	if !slices.Contains(booking.Forms(), q.form) {
		f.reject("form", "must be overlapping_slots, slots or periods")
	}
	if b.Hold != "" {
		q.hold = readID[busy.Booking](&f, "hold", b.Hold)
	}
	if b.Explain && q.span.End.Sub(q.span.Start) > maxExplained {
		f.reject("to", "must be at most 7 days after from, with explain")
	}
	return q, f.err()
}

func (a *api) askAvailability(r *request) (any, error) {
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body availabilityBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	q, err := body.question()
	if err != nil {
		return nil, err
	}
	services, err := a.services(r, q)
	if err != nil {
		return nil, err
	}
	var ignore []busy.BookingID
	if !q.hold.IsZero() {
		if _, err := a.ownHold(r, q.hold, r.params.values.Get(tokenParam.name)); err != nil {
			return nil, err
		}
		ignore = append(ignore, q.hold)
	}
	out := offersAnswer{Services: make([]offering, len(services))}
	if out.Freshness, err = a.refresh(r, resourcesOf(services), q.wish); err != nil {
		return nil, err
	}
	left := MaxOffers
	for i, s := range services {
		ask := booking.Question{
			Service: s, Span: q.span, Now: a.Now(), StaleAfter: a.StaleAfter, Form: q.form, Resources: q.resources, Seats: q.seats,
			Ignore: ignore, MaxOffers: left,
		}
		if out.Services[i], err = a.offer(r, ask, q.explain, &left); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// services are those that the question is about.
func (a *api) services(r *request, q question) ([]busy.Service, error) {
	if q.rule != nil {
		return []busy.Service{*q.rule}, nil
	}
	services := make([]busy.Service, len(q.services))
	for i, id := range q.services {
		s, err := a.Store.Service(r.ctx, r.tenant, id)
		if err != nil {
			return nil, err
		}
		services[i] = s
	}
	return services, nil
}

func resourcesOf(services []busy.Service) []busy.ResourceID {
	var all busy.Service
	for _, s := range services {
		all.Needs = append(all.Needs, s.Needs...)
	}
	return all.Resources()
}

// offer answers for one service, and takes what it offers from what is left.
func (a *api) offer(r *request, q booking.Question, explain bool, left *int) (offering, error) {
	agendas, err := a.agendas(r.ctx, r.tenant, q.Service.Resources(), q.Reads())
	if err != nil {
		return offering{}, err
	}
	found, err := booking.Offers(agendas, q)
	if err != nil {
		return offering{}, err
	}
	out := offering{Resources: summaries(found.Standings)}
	out.Slots = slotsOf(found.Slots, out.Resources, q.Service.Capacity > 1)
	for _, s := range found.Slots {
		*left -= len(s.Resources)
	}
	if *left = max(*left, 1); !q.Service.ID.IsZero() { // 0 would be no bound
		id := q.Service.ID.String()
		out.Service = &id
	}
	if explain {
		out.Unavailable, err = why(agendas, q)
	}
	return out, err
}

// slotsOf tells the slots, whose resources are indexes into those, and their seats
// where meetings are shared.
func slotsOf(slots []booking.Slot, resources []resourceSummary, shared bool) []slot {
	out := make([]slot, len(slots))
	for i, s := range slots {
		ids := make([]string, len(s.Resources))
		for j, resource := range s.Resources {
			ids[j] = resources[resource].ID
		}
		out[i] = slot{Start: s.Start.UTC(), End: s.End.UTC(), Resources: ids}
		if shared {
			out[i].Seats = &s.Seats
		}
	}
	return out
}

// Bounds of an explanation.
const (
	maxExplained = 7 * 24 * time.Hour
	explainEvery = 5 * time.Minute
	maxWhys      = 20_000 // starts of all resources together
)

// why tells for each resource at which starts it cannot serve, and for what
// reasons: starts that follow each other and have the same are one.
func why(agendas []busy.Agenda, q booking.Question) ([]unoffered, error) {
	first := q.Span.Start.Truncate(explainEvery)
	if len(agendas)*int(q.Span.End.Sub(first)/explainEvery) > maxWhys {
		return nil, booking.ErrTooMany
	}
	var out []unoffered
	for _, agenda := range agendas {
		begun := len(out)
		for at := first; at.Before(q.Span.End); at = at.Add(explainEvery) {
			reasons, err := booking.Explain(agenda, q, at)
			if err != nil {
				return nil, err
			}
			told := reasonsOf(reasons)
			if len(told) == 0 {
				continue
			}
			last := len(out) - 1
			if last >= begun && out[last].End.Equal(at) && slices.EqualFunc(out[last].Reasons, told, reason.equal) {
				out[last].End = at.Add(explainEvery).UTC()
				continue
			}
			out = append(out, unoffered{agenda.Resource.ID.String(), at.UTC(), at.Add(explainEvery).UTC(), told})
		}
	}
	return out, nil
}

// reasonsOf leaves out that a start is between two of the interval: it says
// nothing of the range.
func reasonsOf(reasons []booking.Reason) []reason {
	var out []reason
	text := func(zero bool, s string) string {
		if zero {
			return ""
		}
		return s
	}
	for _, w := range reasons {
		if w.Cause == booking.CauseInterval {
			continue
		}
		told := reason{
			Cause: cause(w.Cause), Start: instant(w.Span.Start), End: instant(w.Span.End),
			Booking: text(w.Booking.IsZero(), w.Booking.String()), Override: text(w.Override.IsZero(), w.Override.String()),
			Calendar: text(w.Calendar.IsZero(), w.Calendar.String()),
		}
		if w.Standing != "" {
			told.State = &w.Standing
		}
		out = append(out, told)
	}
	return out
}

func (r reason) equal(o reason) bool {
	same := func(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }
	return r.Cause == o.Cause && same(r.Start, o.Start) && same(r.End, o.End) && r.Booking == o.Booking && r.Override == o.Override && r.Calendar == o.Calendar
}

func availabilityRoutes() []route {
	mine := tokenParam
	mine.required = false
	mine.about = "With hold: the token that it was answered with."
	return []route{{
		method: http.MethodPost, path: "/v1/availability", id: "askAvailability", scope: busy.ScopeRead,
		summary: "When services can be had",
		about: "The whole question: services, or a rule of this question only, with groups of resources, buffers, notice, horizon " +
			"and limits. What is offered is what a booking is accepted for, until something changes. Reasons (`explain`) have " +
			"no subjects.",
		params: []param{mine}, body: availabilityBody{},
		status: http.StatusOK, answer: offersAnswer{}, problems: []problem{notFound, notFresh, notOffered, tooManySlots, wrongToken, bookingOver},
		serve: (*api).askAvailability,
	}}
}
