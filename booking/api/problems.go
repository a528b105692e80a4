package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

// problem is a kind of failure as a client sees it. It is an error, so that a
// handler can return one.
type problem struct {
	code   string // stable
	status int
	title  string
	detail string
}

func (p problem) Error() string { return p.code }

// retry reports whether the answer says when to send the request again.
func (p problem) retry() bool {
	return p.status == http.StatusServiceUnavailable || p.code == keyInFlight.code
}

// The problems.
var (
	invalidRequest = problem{"invalid_request", 400, "The request is invalid", "See violations: each names a field and the form it must have."}
	unauthorized   = problem{"unauthorized", 401, "A valid API key is required", "Send the header Authorization: Bearer KEY with a key that is neither expired nor revoked."}
	missingScope   = problem{"missing_scope", 403, "The API key lacks a scope", "Use a key that has the scope."}
	crossOrigin    = problem{"cross_origin", 403, "The form came from another site", "Open the page itself and send its own form."}
	notFound       = problem{"not_found", 404, "Not found", "There is nothing of this id."}
	noRoute        = problem{"no_such_route", 404, "There is no such route", "See /v1/openapi.json for the routes."}
	wrongMethod    = problem{"method_not_allowed", 405, "The route has no such method", "The Allow header names the methods it has."}
	keyMissing     = problem{"idempotency_key_required", 400, "The header Idempotency-Key is required", "Send a key of your own with each request that changes a booking, such as a UUID, and the same one when you send the request again."}
	nameTaken      = problem{"name_taken", 409, "There is one of this name already", "Choose another name."}
	keyInFlight    = problem{"idempotency_key_in_flight", 409, "A request with this key is under way", "Wait a moment and send it again: the answer will be the first one's."}
	keyReused      = problem{"idempotency_key_reused", 422, "The key was used for another request", "Send a new key with a new request."}
	wrongToken     = problem{"wrong_hold_token", 403, "The hold belongs to somebody else", "Send the token that the hold was answered with."}
	wrongVersion   = problem{"version_mismatch", 412, "The booking has changed meanwhile", "Read it again, and send its ETag as If-Match."}
	bookingOver    = problem{"booking_over", 409, "The booking is over", "It was cancelled, or the hold has expired: make a new one."}
	slowRequest    = problem{"request_timeout", 408, "The request took too long to arrive", "Send the body at once."}
	notFresh       = problem{"not_fresh", 409, "Calendars are not fresh", "See resources for those that are not fresh, and why. Without stale=reject they would be treated as busy."}
	notOffered     = problem{"not_offered", 409, "The meeting cannot be had", "See reason for why, and alternatives, if there are any, for the nearest starts that can be had."}
	awaitingAdmin  = problem{"awaiting_admin", 409, "The owner's organisation must consent first", "Ask its administrator to allow busyd to read calendars, and connect again."}
	tooLarge       = problem{"body_too_large", 413, "The body is too large", "A body may have 65,536 bytes."}
	wrongMedia     = problem{"unsupported_media_type", 415, "The body must be JSON", "Send Content-Type: application/json."}
	tooManySlots   = problem{"too_many_slots", 422, "There are too many slots", "Ask for a shorter range, fewer resources or a longer interval: the slots of an answer may name 100,000 resources altogether."}
	internal       = problem{"internal", 500, "Something went wrong here", "The cause is in busyd's log under the request id in instance."}
	providerAway   = problem{"provider_unavailable", 502, "The calendar's provider cannot be asked", "Try again in a moment; nothing was stored."}
	unavailable    = problem{"unavailable", 503, "Something that busyd needs is away", "Try again in a moment."}
	timedOut       = problem{"timeout", 503, "The answer took too long", "Try again, or ask for less."}
)

// anyRoute are the problems that every route can have, and bodyRoute those of
// every route that takes a body.
func anyRoute() []problem {
	return []problem{invalidRequest, unauthorized, missingScope, internal, unavailable, timedOut}
}

func bodyRoute() []problem { return []problem{slowRequest, tooLarge, wrongMedia} }

// problemOf is the one table from errors to problems. What is not in it is
// internal.
func problemOf(err error) problem {
	var p problem
	var large *http.MaxBytesError
	var stale *booking.NotFresh
	var refused *booking.Refusal
	awaiting, provider := isProviderError(err)
	switch {
	case errors.As(err, &p):
		return p
	case awaiting:
		return awaitingAdmin
	case provider:
		return providerAway
	case errors.As(err, &large):
		return tooLarge
	case errors.As(err, &stale):
		return notFresh
	case errors.As(err, &refused):
		return notOffered
	case errors.Is(err, booking.ErrVersion):
		return wrongVersion
	case errors.Is(err, booking.ErrToken):
		return wrongToken
	case errors.Is(err, booking.ErrOver):
		return bookingOver
	case errors.Is(err, busy.ErrInvalid):
		return invalidRequest
	case errors.Is(err, busy.ErrNotFound):
		return notFound
	case errors.Is(err, busy.ErrExists):
		return nameTaken
	case errors.Is(err, busy.ErrInFlight):
		return keyInFlight
	case errors.Is(err, busy.ErrOtherRequest):
		return keyReused
	case errors.Is(err, booking.ErrTooMany):
		return tooManySlots
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return timedOut
	case errors.Is(err, busy.ErrChanged), away(err):
		return unavailable
	default:
		return internal
	}
}

// away reports whether the database cannot be reached, or is starting, stopping
// or out of connections (PostgreSQL's error classes 08, 53 and 57).
func away(err error) bool {
	var network *net.OpError
	if errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	var database interface{ SQLState() string }
	if !errors.As(err, &database) || len(database.SQLState()) < 2 {
		return false
	}
	return slices.Contains([]string{"08", "53", "57"}, database.SQLState()[:2])
}

// Problem is the body of every error (RFC 9457).
type Problem struct {
	Type         string            `json:"type" format:"uri" doc:"Names the kind of problem: urn:busyd:problem: and the code."`
	Title        string            `json:"title" doc:"The kind of problem, for a person."`
	Status       int               `json:"status" doc:"The HTTP status."`
	Detail       string            `json:"detail" doc:"What to do about it."`
	Code         string            `json:"code" doc:"The kind of problem, for a program. Codes do not change."`
	Instance     string            `json:"instance" format:"uri" doc:"The id of the request, also in busyd's log."`
	Violations   []violation       `json:"violations,omitempty" nullable:"false" doc:"What is wrong with each field."`
	Resources    []resourceSummary `json:"resources,omitempty" nullable:"false" doc:"With not_fresh: the resources that are not. With not_offered: those of the service."`
	Reason       cause             `json:"reason,omitempty" doc:"With not_offered: why."`
	Alternatives []slot            `json:"alternatives,omitempty" nullable:"false" doc:"With not_offered: the nearest that can be had, before and after."`
}

type violation struct {
	Field  string `json:"field" doc:"The name of the parameter or of the body's field."`
	Detail string `json:"detail" doc:"The form it must have."`
}

// violations are all that is wrong with a request.
type violations []violation

func (v violations) Error() string {
	texts := make([]string, len(v))
	for i, one := range v {
		texts[i] = one.Field + " " + one.Detail
	}
	return strings.Join(texts, "; ")
}

func (v violations) Is(target error) bool { return target == busy.ErrInvalid }

// violationsOf returns what of an invalid request may be shown.
func violationsOf(err error) violations {
	var many violations
	if errors.As(err, &many) {
		return many
	}
	var one *busy.Violation
	if errors.As(err, &one) {
		return violations{{one.Field, one.Detail}}
	}
	return nil
}

// fail writes the problem that an error is. Its own words go to the log only.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := a.logged(r, err)
	if p.retry() {
		w.Header().Set("Retry-After", "1")
	}
	send(w, problemAnswer(p, err, requestID(r)))
}

// problemBody is what of an error may be shown.
func problemBody(p problem, err error, request string) Problem {
	body := Problem{
		Type: "urn:busyd:problem:" + p.code, Title: p.title, Status: p.status, Detail: p.detail, Code: p.code,
		Instance: "urn:uuid:" + request, Violations: violationsOf(err),
	}
	var stale *booking.NotFresh
	if errors.As(err, &stale) {
		body.Resources = summaries(stale.Standings)
	}
	var refused *booking.Refusal
	if errors.As(err, &refused) {
		body.Reason, body.Resources = cause(refused.Cause), summaries(refused.Standings)
		body.Alternatives = slotsOf(refused.Alternatives, body.Resources, true)
	}
	return body
}

// logged returns the problem that an error is, after it told the log of one that
// is ours.
func (a *api) logged(r *http.Request, err error) problem {
	p := problemOf(err)
	if p.status >= http.StatusInternalServerError {
		a.Log.ErrorContext(r.Context(), "request failed",
			"request", requestID(r), "route", routeOf(r), "code", p.code, "error", err.Error())
	}
	return p
}
