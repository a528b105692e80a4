package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"time"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

var ttlLength = length{name: "ttl", fallback: 5 * time.Minute, least: 10 * time.Second, most: time.Hour, unit: time.Second}

type holdBody struct {
	Service      string        `json:"service" format:"uuid"`
	Start        time.Time     `json:"start" doc:"Of the meeting: a start that is offered."`
	Resources    []string      `json:"resources,omitempty" nullable:"false" doc:"Who must serve it; absent: whoever is free."`
	Seats        *int          `json:"seats,omitempty" doc:"Of the service's capacity; absent: 1."`
	TTL          string        `json:"ttl,omitempty" example:"5m" doc:"How long it is kept, from 10s to 1h; absent: 5m."`
	PersonalData *personalData `json:"personal_data,omitempty" doc:"What the booking is to know of the booker. It is stored sealed and answered by its own route only."`
}

type renewBody struct {
	TTL string `json:"ttl,omitempty" example:"5m" doc:"From now on, from 10s to 1h; absent: 5m."`
}

type bookBody struct {
	Service      string            `json:"service,omitempty" format:"uuid" doc:"Required without hold."`
	Start        *time.Time        `json:"start,omitempty" doc:"Of the meeting: a start that is offered. Required without hold."`
	Resources    []string          `json:"resources,omitempty" nullable:"false" doc:"Who must serve it; absent: whoever is free."`
	Seats        *int              `json:"seats,omitempty" doc:"Of the service's capacity; absent: 1."`
	Hold         string            `json:"hold,omitempty" format:"uuid" doc:"The id of a hold, which becomes the booking; the header Hold-Token shows that it is yours. Not together with service, start, resources or seats."`
	State        busy.BookingState `json:"state,omitempty" enum:"confirmed,pending" doc:"pending: it takes its time and waits to be confirmed; absent: confirmed."`
	PersonalData *personalData     `json:"personal_data,omitempty" doc:"What the booking is to know of the booker; absent: what the hold knows. It is stored sealed and answered by its own route only."`
}

type rescheduleBody struct {
	Start     time.Time `json:"start" doc:"The new start: one that is offered."`
	Resources []string  `json:"resources,omitempty" nullable:"false" doc:"Who must serve it; absent: whoever is free, those of before first."`
}

// change carries a request out by the desk, once. What the desk stores with the
// booking is what the caller is answered.
func (a *api) change(r *request, render func(b busy.Booking, token string) (busy.Answer, error), do func(once *booking.Once) error) (any, error) {
	return a.once(r, func(once busy.Once) (answer busy.Answer, err error) {
		var broken error
		err = do(&booking.Once{Once: once, Render: func(b busy.Booking, token string) busy.Answer {
			answer, broken = render(b, token)
			return answer
		}})
		if err == nil {
			err = broken
		}
		return answer, err
	})
}

func (a *api) bookingAnswer(status int) func(busy.Booking, string) (busy.Answer, error) {
	return func(b busy.Booking, _ string) (busy.Answer, error) {
		return success(status, bookingItemOf(b, a.Now()), bookingHeader(b))
	}
}

// party reads who and how many a meeting is asked of.
func readParty(f *fields, resources []string, seats *int) ([]busy.ResourceID, int) {
	return readIDs[busy.Resource](f, "resources", resources, MaxResources), f.count("seats", seats, 1, maxSeats)
}

func (f *fields) start(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 2000 || t.Year() > 2199 {
		f.reject("start", "is required, in the years 2000 to 2199")
	}
	return t
}

func (a *api) hold(r *request) (any, error) {
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body holdBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	var f fields
	ask := booking.HoldRequest{
		Service: readID[busy.Service](&f, "service", body.Service), Start: f.start(body.Start), TTL: f.duration(ttlLength, body.TTL),
		Details: body.PersonalData.details(&f),
	}
	ask.Resources, ask.Seats = readParty(&f, body.Resources, body.Seats)
	if err := f.err(); err != nil {
		return nil, err
	}
	render := func(b busy.Booking, token string) (busy.Answer, error) {
		return success(http.StatusCreated, holdItem{bookingItemOf(b, a.Now()), token}, bookingHeader(b))
	}
	return a.change(r, render, func(once *booking.Once) error {
		ask.Once = once
		_, _, err := a.Desk.Hold(r.ctx, r.tenant, ask)
		return err
	})
}

func (a *api) renewHold(r *request) (any, error) {
	id, token := idOf[busy.Booking](r.params), r.params.values.Get(tokenParam.name)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body renewBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	var f fields
	ttl := f.duration(ttlLength, body.TTL)
	if err := f.err(); err != nil {
		return nil, err
	}
	return a.change(r, a.bookingAnswer(http.StatusOK), func(once *booking.Once) error {
		_, err := a.Desk.Renew(r.ctx, r.tenant, id, token, ttl, once)
		return err
	})
}

func (a *api) releaseHold(r *request) (any, error) {
	id, token := idOf[busy.Booking](r.params), r.params.values.Get(tokenParam.name)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	return a.change(r, a.bookingAnswer(http.StatusOK), func(once *booking.Once) error {
		held, err := a.ownHold(r, id, token)
		if err != nil {
			return err
		}
		_, err = a.Desk.Cancel(r.ctx, r.tenant, id, held.Version, once)
		return err
	})
}

// ownHold is the hold, if it is one still and the token is its.
func (a *api) ownHold(r *request, id busy.BookingID, token string) (busy.Booking, error) {
	b, err := a.Store.Booking(r.ctx, r.tenant, id)
	if err != nil {
		return b, err
	}
	digest := sha256.Sum256([]byte(token))
	switch {
	case !b.Live(r.now):
		return b, booking.ErrOver
	case b.State != busy.BookingHeld:
		return b, &booking.Refusal{Cause: booking.CauseState}
	case subtle.ConstantTimeCompare(digest[:], b.Owner) != 1:
		return b, booking.ErrToken
	}
	return b, nil
}

func (a *api) book(r *request) (any, error) {
	token := r.params.values.Get(tokenParam.name)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body bookBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	ask, err := body.request(token)
	if err != nil {
		return nil, err
	}
	return a.change(r, a.bookingAnswer(http.StatusCreated), func(once *booking.Once) error {
		ask.Once = once
		_, err := a.Desk.Book(r.ctx, r.tenant, ask)
		return err
	})
}

func (b bookBody) request(token string) (booking.BookRequest, error) {
	var f fields
	ask := booking.BookRequest{Pending: b.State == busy.BookingPending, Details: b.PersonalData.details(&f), Token: token}
	if b.State != "" && b.State != busy.BookingPending && b.State != busy.BookingConfirmed {
		f.reject("state", "must be confirmed or pending")
	}
	if b.Hold == "" {
		if b.Start == nil {
			b.Start = &time.Time{}
		}
		ask.Service, ask.Start = readID[busy.Service](&f, "service", b.Service), f.start(*b.Start)
		ask.Resources, ask.Seats = readParty(&f, b.Resources, b.Seats)
		return ask, f.err()
	}
	ask.Hold = readID[busy.Booking](&f, "hold", b.Hold)
	if b.Service != "" || b.Start != nil || b.Resources != nil || b.Seats != nil {
		f.reject("hold", "must not be given together with service, start, resources or seats")
	}
	if token == "" {
		f.reject(tokenParam.name, "is required with hold")
	}
	return ask, f.err()
}

func (a *api) confirm(r *request) (any, error) {
	id, version := idOf[busy.Booking](r.params), r.params.version()
	if err := r.params.err(); err != nil {
		return nil, err
	}
	return a.change(r, a.bookingAnswer(http.StatusOK), func(once *booking.Once) error {
		_, err := a.Desk.Confirm(r.ctx, r.tenant, id, version, once)
		return err
	})
}

func (a *api) cancel(r *request) (any, error) {
	id, version := idOf[busy.Booking](r.params), r.params.version()
	if err := r.params.err(); err != nil {
		return nil, err
	}
	return a.change(r, a.bookingAnswer(http.StatusOK), func(once *booking.Once) error {
		_, err := a.Desk.Cancel(r.ctx, r.tenant, id, version, once)
		return err
	})
}

func (a *api) reschedule(r *request) (any, error) {
	id, version := idOf[busy.Booking](r.params), r.params.version()
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body rescheduleBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	var f fields
	start := f.start(body.Start)
	resources := readIDs[busy.Resource](&f, "resources", body.Resources, MaxResources)
	if err := f.err(); err != nil {
		return nil, err
	}
	return a.change(r, a.bookingAnswer(http.StatusOK), func(once *booking.Once) error {
		_, err := a.Desk.Reschedule(r.ctx, r.tenant, id, version, start, resources, once)
		return err
	})
}

// bookingRoutes are those of holds and bookings.
func bookingRoutes() []route {
	mine := tokenParam
	mine.required = false
	mine.about = "With hold: the token that it was answered with."
	refused := []problem{notFound, notOffered, notFresh}
	return []route{
		{
			method: http.MethodPost, path: "/v1/holds", id: "hold", scope: busy.ScopeBook,
			summary: "Keep a meeting's time for a while",
			about: "The hold is nobody else's time until it expires. Its token shows who owns it: it renews, books and releases " +
				"the hold, and lets availability see its time as free.",
			body: holdBody{}, once: true, etag: true, status: http.StatusCreated, answer: holdItem{}, problems: refused,
			serve: (*api).hold,
		},
		{
			method: http.MethodPost, path: "/v1/holds/{id}/renew", id: "renewHold", scope: busy.ScopeBook,
			summary: "Keep a hold for longer",
			params:  []param{idParam, tokenParam},
			body:    renewBody{}, once: true, etag: true, status: http.StatusOK, answer: bookingItem{}, problems: append(refused, wrongToken, bookingOver),
			serve: (*api).renewHold,
		},
		{
			method: http.MethodDelete, path: "/v1/holds/{id}", id: "releaseHold", scope: busy.ScopeBook,
			summary: "Give a hold's time back",
			params:  []param{idParam, tokenParam},
			once:    true, etag: true, status: http.StatusOK, answer: bookingItem{}, problems: []problem{notFound, notOffered, wrongToken, bookingOver, wrongVersion},
			serve: (*api).releaseHold,
		},
		{
			method: http.MethodPost, path: "/v1/bookings", id: "book", scope: busy.ScopeBook,
			summary: "Book a meeting",
			about: "Of a hold, or straight away. What was taken meanwhile, or is against a rule, is refused with `not_offered`, the " +
				"reason, and the nearest free slots. A booking that is accepted overlaps no other, and no event that was read before.",
			params: []param{mine},
			body:   bookBody{}, once: true, etag: true, status: http.StatusCreated, answer: bookingItem{}, problems: append(refused, wrongToken, bookingOver),
			serve: (*api).book,
		},
		{
			method: http.MethodGet, path: "/v1/bookings", id: "listBookings", scope: busy.ScopeRead,
			summary: "Bookings and holds",
			about:   "Without the bookers' data.",
			params:  []param{oneResourceParam, serviceParam, stateParam, sinceParam, untilParam, limitParam, cursorParam},
			status:  http.StatusOK, answer: bookingsAnswer{},
			serve: (*api).listBookings,
		},
		{
			method: http.MethodGet, path: "/v1/bookings/{id}", id: "getBooking", scope: busy.ScopeRead,
			summary: "One booking",
			params:  []param{idParam},
			etag:    true, status: http.StatusOK, answer: bookingItem{}, problems: []problem{notFound},
			serve: (*api).getBooking,
		},
		{
			method: http.MethodPost, path: "/v1/bookings/{id}/confirm", id: "confirmBooking", scope: busy.ScopeBook,
			summary: "Confirm a pending booking",
			about:   "It is decided anew: a booking that an event has landed on cannot be confirmed.",
			params:  []param{idParam, matchParam},
			once:    true, etag: true, status: http.StatusOK, answer: bookingItem{}, problems: append(refused, wrongVersion, bookingOver),
			serve: (*api).confirm,
		},
		{
			method: http.MethodPost, path: "/v1/bookings/{id}/reschedule", id: "rescheduleBooking", scope: busy.ScopeBook,
			summary: "Move a booking to another start",
			about:   "In one step: it has the old time or the new one, never both and never neither.",
			params:  []param{idParam, matchParam}, body: rescheduleBody{},
			once: true, etag: true, status: http.StatusOK, answer: bookingItem{}, problems: append(refused, wrongVersion, bookingOver),
			serve: (*api).reschedule,
		},
		{
			method: http.MethodPost, path: "/v1/bookings/{id}/cancel", id: "cancelBooking", scope: busy.ScopeBook,
			summary: "Cancel a booking or a hold",
			about:   "Its time is free at once.",
			params:  []param{idParam, matchParam},
			once:    true, etag: true, status: http.StatusOK, answer: bookingItem{}, problems: []problem{notFound, wrongVersion, bookingOver},
			serve: (*api).cancel,
		},
		{
			method: http.MethodGet, path: "/v1/bookings/{id}/personal-data", id: "getPersonalData", scope: busy.ScopeBook,
			summary: "What is kept of a booker",
			params:  []param{idParam},
			status:  http.StatusOK, answer: personalDataAnswer{}, problems: []problem{notFound},
			serve: (*api).getPersonalData,
		},
		{
			method: http.MethodDelete, path: "/v1/bookings/{id}/personal-data", id: "erasePersonalData", scope: busy.ScopeBook,
			summary: "Erase what is kept of a booker",
			about:   "The booking stays, with its times.",
			params:  []param{idParam},
			once:    true, status: http.StatusNoContent, problems: []problem{notFound},
			serve: (*api).erasePersonalData,
		},
	}
}
