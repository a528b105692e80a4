package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// Limits of the API. Each is stated in the OpenAPI document.
const (
	MaxRange     = 92 * 24 * time.Hour // from from to to
	MaxResources = 50                  // named in one request
	MaxOffers    = 100_000             // the resources of all slots of an answer, together
	MaxBody      = 64 << 10            // of a request, in bytes
	MinDuration  = time.Minute
	MaxDuration  = 24 * time.Hour
	MinInterval  = 5 * time.Minute
	MaxInterval  = 24 * time.Hour

	defaultInterval = 15 * time.Minute
	maxPage         = 200
	defaultPage     = 100
)

// route is one operation of the API.
type route struct {
	method, path string
	id           string     // the operation's in the document
	scope        busy.Scope // what the key must allow
	summary      string
	about        string
	params       []param
	body         any // a zero value of the body's type; nil: the route takes none
	status       int // of success
	answer       any // a zero value of the answer's type; nil: no content
	problems     []problem
	once         bool   // takes an Idempotency-Key
	etag         bool   // the answer has an ETag
	media        string // of the answer; empty: JSON
	serve        func(*api, *request) (any, error)
}

// routes lists the API. Each has the problems of anyRoute besides its own.
func routes() []route {
	return slices.Concat(calendarRoutes(), resourceRoutes(), serviceRoutes(), availabilityRoutes(), bookingRoutes(), conflictRoutes(),
		endpointRoutes(), streamRoutes())
}

// calendarRoutes are those of busy time and where it comes from.
func calendarRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: "/v1/busy", id: "getBusy", scope: busy.ScopeRead,
			summary: "When resources are busy",
			about: "Busy time per resource, merged and clipped to [from, to), in the order asked. An answer " +
				"is as good as its state: time that was not read (`uncovered`, `pending`, `disconnected`) has no intervals.",
			params: []param{resourceParam, fromParam, toParam},
			status: http.StatusOK, answer: busyAnswer{}, problems: []problem{notFound},
			serve: (*api).getBusy,
		},
		{
			method: http.MethodGet, path: "/v1/availability", id: "getAvailability", scope: busy.ScopeRead,
			summary: "When resources are free",
			about: "Slots [start, end) of the given duration inside working hours, each with the resources that are " +
				"free in it. Slots begin at multiples of the interval from the start of each period of working " +
				"hours, and not in the past. What is not known is never free: see `stale`. An answer that would " +
				"name more than 100,000 resources over all its slots is refused with `too_many_slots`.",
			params: []param{resourceParam, fromParam, toParam, durationParam, intervalParam, staleParam, maxAgeParam, deadlineParam},
			status: http.StatusOK, answer: availabilityAnswer{}, problems: []problem{notFound, notFresh, tooManySlots},
			serve: (*api).getAvailability,
		},
		{
			method: http.MethodPost, path: "/v1/resync", id: "resync", scope: busy.ScopeSync,
			summary: "Read calendars now",
			about: "Makes the selected calendars of a connection, one calendar, or all of them due at once, and " +
				"names them. The answer does not wait for them to be read: compare `as_of`.",
			body: resyncBody{}, status: http.StatusAccepted, answer: resyncAnswer{}, problems: []problem{notFound},
			serve: (*api).resync,
		},
		{
			method: http.MethodGet, path: "/v1/resources", id: "listResources", scope: busy.ScopeRead,
			summary: "The people and rooms that can be booked",
			params:  []param{limitParam, cursorParam},
			status:  http.StatusOK, answer: resourcesAnswer{},
			serve: (*api).listResources,
		},
		{
			method: http.MethodGet, path: "/v1/connections", id: "listConnections", scope: busy.ScopeRead,
			summary: "The connected accounts",
			params:  []param{limitParam, cursorParam},
			status:  http.StatusOK, answer: connectionsAnswer{},
			serve: (*api).listConnections,
		},
		{
			method: http.MethodPost, path: "/v1/connections", id: "connect", scope: busy.ScopeAdmin,
			summary: "Connect an account",
			about: "With a provider that has OAuth, the answer is where to send the owner's browser; what follows happens " +
				"there. With a login, the account is tried, its calendars are listed, and the first reading begins.",
			body: connectBody{}, status: http.StatusCreated, answer: connectAnswer{},
			problems: []problem{notFound, awaitingAdmin, providerAway},
			serve:    (*api).connect,
		},
		{
			method: http.MethodPatch, path: "/v1/connections/{id}", id: "pauseConnection", scope: busy.ScopeAdmin,
			summary: "Pause an account, or resume it",
			about: "Nothing of a paused account is read; what is known of it stays, and grows stale. One that is resumed is " +
				"read at once. Pausing takes one that is read, resuming one that is paused.",
			params: []param{idParam}, body: pauseBody{},
			status: http.StatusOK, answer: connectionItem{}, problems: []problem{notFound},
			serve: (*api).pause,
		},
		{
			method: http.MethodDelete, path: "/v1/connections/{id}", id: "disconnect", scope: busy.ScopeAdmin,
			summary: "Disconnect an account",
			about: "Final: the credential is destroyed, what was read of the account's calendars is removed, and the grant " +
				"is withdrawn at the provider where that is possible.",
			params: []param{idParam},
			status: http.StatusNoContent, problems: []problem{notFound},
			serve: (*api).disconnect,
		},
		{
			method: http.MethodGet, path: "/v1/calendars", id: "listCalendars", scope: busy.ScopeRead,
			summary: "The calendars of the connected accounts, and how fresh each is",
			params:  []param{limitParam, cursorParam},
			status:  http.StatusOK, answer: calendarsAnswer{},
			serve: (*api).listCalendars,
		},
		{
			method: http.MethodPatch, path: "/v1/calendars/{id}", id: "selectCalendar", scope: busy.ScopeAdmin,
			summary: "Let a calendar block its resource's time, or not, and which of its events do",
			about:   "A calendar that is no longer selected is forgotten; one that is again, or of which other events are ignored, is read anew at once.",
			params:  []param{idParam}, body: selectBody{},
			status: http.StatusOK, answer: calendarItem{}, problems: []problem{notFound},
			serve: (*api).selectCalendar,
		},
		{
			method: http.MethodGet, path: "/v1/tenant", id: "getTenant", scope: busy.ScopeRead,
			summary: "The tenant that the key is of",
			status:  http.StatusOK, answer: tenantAnswer{},
			serve: (*api).getTenant,
		},
		{
			method: http.MethodPatch, path: "/v1/tenant", id: "changeTenant", scope: busy.ScopeAdmin,
			summary: "Take calendars out of the tenant's plan, or put them back",
			about:   "Taking them out disconnects every account, as deleting each connection does.",
			body:    tenantBody{}, status: http.StatusOK, answer: tenantAnswer{},
			serve: (*api).changeTenant,
		},
	}
}
