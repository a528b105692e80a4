package api

import (
	"time"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

type interval struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end" doc:"Exclusive."`
}

type resourceSummary struct {
	ID    string             `json:"id" format:"uuid"`
	AsOf  *time.Time         `json:"as_of" doc:"When the resource's calendars were last read completely, the oldest of them; null: one never was, or all are disconnected."`
	State busy.CalendarState `json:"state" enum:"fresh,stale,degraded,uncovered,needs_reconnect,paused,pending,disconnected" doc:"The worst state of the resource's selected calendars. If it has none: disconnected where all its accounts are, fresh else."`
}

type calendarSummary struct {
	ID    string             `json:"id" format:"uuid"`
	State busy.CalendarState `json:"state" enum:"fresh,stale,degraded,uncovered,needs_reconnect,paused,pending"`
	AsOf  *time.Time         `json:"as_of" doc:"When it was last read completely; null: never."`
}

func summaries(standings []booking.Standing) []resourceSummary {
	out := make([]resourceSummary, len(standings))
	for i, s := range standings {
		out[i] = resourceSummary{ID: s.Resource.String(), AsOf: instant(s.AsOf), State: s.State}
	}
	return out
}

// instant is a time in an answer: in UTC, or null if it never was.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func intervals(spans []busy.Span) []interval {
	out := make([]interval, len(spans))
	for i, s := range spans {
		out[i] = interval{Start: s.Start.UTC(), End: s.End.UTC()}
	}
	return out
}

type busyAnswer struct {
	From      time.Time      `json:"from"`
	To        time.Time      `json:"to"`
	Resources []busyResource `json:"resources" nullable:"false"`
}

type busyResource struct {
	ID        string             `json:"id" format:"uuid"`
	AsOf      *time.Time         `json:"as_of" doc:"When the resource's calendars were last read completely, the oldest of them; null: one never was, or all are disconnected."`
	State     busy.CalendarState `json:"state" enum:"fresh,stale,degraded,uncovered,needs_reconnect,paused,pending,disconnected" doc:"The worst state of the resource's selected calendars. If it has none: disconnected where all its accounts are, fresh else."`
	Calendars []calendarSummary  `json:"calendars" nullable:"false" doc:"The selected calendars."`
	Busy      []interval         `json:"busy" nullable:"false" doc:"Sorted, disjoint and apart from each other."`
}

func (a *api) getBusy(r *request) (any, error) {
	resources, span := r.params.resources(), r.params.span()
	if err := r.params.err(); err != nil {
		return nil, err
	}
	agendas, err := a.agendas(r.ctx, r.tenant, resources, span)
	if err != nil {
		return nil, err
	}
	out := busyAnswer{From: span.Start, To: span.End, Resources: make([]busyResource, len(agendas))}
	for i, agenda := range agendas {
		standing := booking.Judge(agenda, span, r.now, a.StaleAfter)
		calendars := make([]calendarSummary, len(standing.Calendars))
		for j, c := range standing.Calendars {
			calendars[j] = calendarSummary{ID: c.Calendar.String(), State: c.State, AsOf: instant(c.AsOf)}
		}
		out.Resources[i] = busyResource{
			ID: standing.Resource.String(), AsOf: instant(standing.AsOf), State: standing.State,
			Calendars: calendars,
			Busy:      intervals(booking.Taken(agenda, span, r.now)),
		}
	}
	return out, nil
}

type availabilityAnswer struct {
	Slots     []slot            `json:"slots" nullable:"false" doc:"By start."`
	Resources []resourceSummary `json:"resources" nullable:"false" doc:"In the order asked, as to the part of the range that is not over."`
	Freshness *freshness        `json:"freshness,omitempty" doc:"With max_age: what was achieved."`
}

type slot struct {
	Start     time.Time `json:"start"`
	End       time.Time `json:"end" doc:"Exclusive."`
	Resources []string  `json:"resources" nullable:"false" doc:"The ids of those who are free, in the order asked."`
	Seats     *int      `json:"seats,omitempty" doc:"The most that one meeting then still has; absent in a list of meetings with one seat."`
}

func (a *api) getAvailability(r *request) (any, error) {
	resources, wanted := r.params.resources(), r.params.wish()
	duration, interval := r.params.length(durationLength), r.params.length(intervalLength)
	q := booking.Question{
		Service: booking.AnyOf(resources, duration, interval, r.params.policy()), Span: r.params.span(),
		StaleAfter: a.StaleAfter, Form: booking.OverlappingSlots, MaxOffers: MaxOffers,
	}
	if err := r.params.err(); err != nil {
		return nil, err
	}
	fresh, err := a.refresh(r, resources, wanted)
	if err != nil {
		return nil, err
	}
	q.Now = a.Now() // some time may have passed
	return a.simply(r, q, fresh)
}
