package api

import (
	"context"
	"net/http"
	"time"

	"github.com/busyd/busyd/busy"
)

// EndpointStore keeps where a tenant wants its messages.
type EndpointStore interface {
	Endpoints(ctx context.Context, tenant busy.TenantID) ([]busy.Endpoint, error)
	CreateEndpoint(ctx context.Context, tenant busy.TenantID, e busy.Endpoint, now time.Time) (busy.Endpoint, string, error)
	DeleteEndpoint(ctx context.Context, tenant busy.TenantID, id busy.EndpointID) error
	RotateSecret(ctx context.Context, tenant busy.TenantID, id busy.EndpointID, now time.Time) (string, error)
	// Replay sends again what was given up, or, with since, all that was written from
	// then on, and returns how many messages that are.
	Replay(ctx context.Context, tenant busy.TenantID, id busy.EndpointID, since, now time.Time) (int, error)
}

// endpointRoutes are those of the webhooks.
func endpointRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: "/v1/webhooks", id: "listWebhooks", scope: busy.ScopeAdmin,
			summary: "The endpoints that messages are sent to",
			status:  http.StatusOK, answer: endpointsAnswer{},
			serve: (*api).listEndpoints,
		},
		{
			method: http.MethodPost, path: "/v1/webhooks", id: "createWebhook", scope: busy.ScopeAdmin,
			summary: "Have messages sent to an endpoint",
			about: "Messages are sent as Standard Webhooks (standardwebhooks.com): signed, at least once, each attempt with " +
				"the same `webhook-id`, and with `webhook-timestamp` and `webhook-signature`. The body, as the data of an event of " +
				"`/v1/events`, is {\"type\", \"timestamp\", \"data\"}, and `data` has of `booking`, `resource`, `connection`, `start` and " +
				"`end` what the message is about: ids and times only. Any 2xx within 15 seconds is " +
				"success; redirects are not followed. What fails is tried again for three days; `Retry-After` is obeyed. 410 " +
				"disables the endpoint, and so do five days in which nothing arrived. A tenant may have ten endpoints.",
			body: endpointBody{}, status: http.StatusCreated, answer: newEndpointAnswer{},
			serve: (*api).createEndpoint,
		},
		{
			method: http.MethodDelete, path: "/v1/webhooks/{id}", id: "deleteWebhook", scope: busy.ScopeAdmin,
			summary: "Send no more messages to an endpoint",
			params:  []param{idParam},
			status:  http.StatusNoContent, problems: []problem{notFound},
			serve: (*api).deleteEndpoint,
		},
		{
			method: http.MethodPost, path: "/v1/webhooks/{id}/rotate", id: "rotateWebhookSecret", scope: busy.ScopeAdmin,
			summary: "Give an endpoint a new secret",
			about:   "For 24 hours the secret before it signs along: until then verify with either.",
			params:  []param{idParam},
			status:  http.StatusOK, answer: secretAnswer{}, problems: []problem{notFound},
			serve: (*api).rotateSecret,
		},
		{
			method: http.MethodPost, path: "/v1/webhooks/{id}/replay", id: "replayWebhook", scope: busy.ScopeAdmin,
			summary: "Send messages to an endpoint again",
			about: "Those that were given up, or, with `since`, all from then on, as far as they are kept: seven days. They have " +
				"the `webhook-id` that they had. An endpoint that was disabled is not any more.",
			params: []param{idParam}, body: replayBody{},
			status: http.StatusAccepted, answer: replayAnswer{}, problems: []problem{notFound},
			serve: (*api).replay,
		},
	}
}

type endpointsAnswer struct {
	Webhooks []endpointItem `json:"webhooks" nullable:"false" doc:"The oldest first."`
}

type endpointItem struct {
	ID           string             `json:"id" format:"uuid"`
	URL          string             `json:"url" format:"uri"`
	Types        []busy.MessageType `json:"types" nullable:"false" doc:"Of the messages that are sent; none: all."`
	CreatedAt    time.Time          `json:"created_at"`
	FailingSince *time.Time         `json:"failing_since" doc:"When messages ceased to arrive; null: the last one did."`
	Code         string             `json:"code,omitempty" doc:"How the last attempt failed: status_503, timeout, refused, tls, blocked_address (it is not public), ..."`
	DisabledAt   *time.Time         `json:"disabled_at" doc:"When messages ceased to be sent; null: they are sent."`
	Reason       string             `json:"reason,omitempty" enum:"gone,failing" doc:"Why they are not sent: it answered 410, or nothing arrived for five days."`
}

func endpointItemOf(e busy.Endpoint) endpointItem {
	item := endpointItem{
		ID: e.ID.String(), URL: e.URL, Types: e.Types, CreatedAt: e.CreatedAt.UTC(),
		FailingSince: instant(e.FailingSince), Code: e.Code, DisabledAt: instant(e.DisabledAt), Reason: e.Reason,
	}
	if item.Types == nil {
		item.Types = []busy.MessageType{}
	}
	return item
}

func (a *api) listEndpoints(r *request) (any, error) {
	if err := r.params.err(); err != nil {
		return nil, err
	}
	all, err := a.Store.Endpoints(r.ctx, r.tenant)
	if err != nil {
		return nil, err
	}
	out := endpointsAnswer{Webhooks: make([]endpointItem, len(all))}
	for i, e := range all {
		out.Webhooks[i] = endpointItemOf(e)
	}
	return out, nil
}

type endpointBody struct {
	URL   string             `json:"url" format:"uri" example:"https://example.com/busyd" doc:"An https address that is public, or that the operator allows."`
	Types []busy.MessageType `json:"types,omitempty" nullable:"false" doc:"The types of messages to send; none: all. booking.created, booking.rescheduled, booking.cancelled, hold.expired, booking.conflict_detected, availability.changed, connection.needs_reconnect, connection.recovered."`
}

type newEndpointAnswer struct {
	Webhook endpointItem `json:"webhook"`
	Secret  string       `json:"secret" doc:"Verifies the messages. It is not shown again."`
}

func (a *api) createEndpoint(r *request) (any, error) {
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body endpointBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	e, secret, err := a.Store.CreateEndpoint(r.ctx, r.tenant, busy.Endpoint{URL: body.URL, Types: body.Types}, r.now)
	if err != nil {
		return nil, err
	}
	return newEndpointAnswer{endpointItemOf(e), secret}, nil
}

func (a *api) deleteEndpoint(r *request) (any, error) {
	id := idOf[busy.Endpoint](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	return nil, a.Store.DeleteEndpoint(r.ctx, r.tenant, id)
}

type secretAnswer struct {
	Secret string `json:"secret" doc:"It is not shown again."`
}

func (a *api) rotateSecret(r *request) (any, error) {
	id := idOf[busy.Endpoint](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	secret, err := a.Store.RotateSecret(r.ctx, r.tenant, id, r.now)
	if err != nil {
		return nil, err
	}
	return secretAnswer{secret}, nil
}

type replayBody struct {
	Since *time.Time `json:"since,omitempty" doc:"From when on to send all messages again. Without it: those that were given up."`
}

type replayAnswer struct {
	Messages int `json:"messages" doc:"How many are sent again."`
}

func (a *api) replay(r *request) (any, error) {
	id := idOf[busy.Endpoint](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body replayBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	var since time.Time
	if body.Since != nil {
		since = *body.Since
	}
	n, err := a.Store.Replay(r.ctx, r.tenant, id, since, r.now)
	if err != nil {
		return nil, err
	}
	return replayAnswer{n}, nil
}
