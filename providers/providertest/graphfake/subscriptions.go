package graphfake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

type subscription struct {
	ID        string    `json:"id"`
	Change    string    `json:"changeType"`
	Resource  string    `json:"resource"`
	Callback  string    `json:"notificationUrl"`
	Lifecycle string    `json:"lifecycleNotificationUrl"`
	Token     string    `json:"clientState"`
	Expires   time.Time `json:"expirationDateTime"`
	TLS       string    `json:"latestSupportedTlsVersion"`
}

type notification struct {
	to   string
	body []byte
}

const (
	shortest = 45 * time.Minute
	longest  = 10080 * time.Minute
)

func (c *call) subscriptions(granted access) {
	if !granted.has("Calendars.Read") {
		c.fail(http.StatusForbidden, "ExtensionError")
		return
	}
	id, one := strings.CutPrefix(c.r.URL.Path, "/v1.0/subscriptions/")
	switch {
	case c.r.Method == http.MethodPost && !one:
		c.subscribe()
	case c.r.Method == http.MethodDelete && one:
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := c.find(id); i < 0 {
			c.fail(http.StatusNotFound, "ResourceNotFound")
		} else {
			c.subs = slices.Delete(c.subs, i, i+1)
			c.w.WriteHeader(http.StatusNoContent)
		}
	default:
		c.refuse(http.StatusMethodNotAllowed, "BadRequest", "subscriptions are made and ended")
	}
}

func (c *call) subscribe() {
	var asked subscription
	err := json.Unmarshal(c.body, &asked)
	now := c.Now()
	callback, err2 := url.Parse(asked.Callback)
	switch {
	case err != nil, asked.Change != "created,updated,deleted", asked.Resource != "me/events", asked.TLS != "v1_2":
		c.refuse(http.StatusBadRequest, "InvalidRequest", "the subscription is not to the person's events")
		return
	case err2 != nil, callback.Scheme != "https", asked.Lifecycle == "", len(asked.Token) == 0, len(asked.Token) > 128:
		c.refuse(http.StatusBadRequest, "InvalidRequest", "the callback or the token is not good")
		return
	case !asked.Expires.After(now), asked.Expires.Sub(now) > longest:
		c.refuse(http.StatusBadRequest, "InvalidRequest", "the subscription expires too late, or has expired")
		return
	}
	for _, at := range []string{asked.Callback, asked.Lifecycle} {
		if err := c.validate(c.r.Context(), at); err != nil {
			c.fail(http.StatusBadRequest, "ValidationError")
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.OneSubscription && len(c.subs) > 0 {
		c.fail(http.StatusConflict, "Conflict")
		return
	}
	if asked.Expires.Sub(now) < shortest {
		asked.Expires = now.Add(shortest)
	}
	c.serial++
	asked.ID = fmt.Sprintf("7f105c7d-2dc5-4530-97cd-%012d", c.serial)
	c.subs = append(c.subs, &asked)
	c.json(http.StatusCreated, map[string]any{
		"@odata.context": c.base() + "/$metadata#subscriptions/$entity",
		"id":             asked.ID, "resource": asked.Resource, "changeType": asked.Change, "clientState": nil,
		"notificationUrl": asked.Callback, "lifecycleNotificationUrl": asked.Lifecycle,
		"expirationDateTime": timestamp(asked.Expires), "latestSupportedTlsVersion": "v1_2",
		"applicationId": ClientID, "creatorId": mark,
	})
}

// validate has a callback prove that it wants to be called.
func (s *Server) validate(ctx context.Context, at string) error {
	if s.Outbound == nil {
		return errors.New("there is no way out")
	}
	proof := "Validation: Testing client application reachability for subscription Request-Id: 461d3f39 + ä"
	u, err := url.Parse(at)
	if err != nil {
		return err
	}
	q := u.Query()
	q.Set("validationToken", proof)
	u.RawQuery = q.Encode()
	resp, err := s.post(ctx, u.String(), "text/plain; charset=utf-8", nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || string(reply) != proof || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		return errors.New("the callback did not prove itself")
	}
	return nil
}

func (s *Server) post(ctx context.Context, at, media string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", media)
	return s.Outbound.RoundTrip(r)
}

func (s *Server) find(id string) int {
	return slices.IndexFunc(s.subs, func(sub *subscription) bool { return sub.ID == id })
}

// Subscriptions is the number of those that there are.
func (s *Server) Subscriptions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.subs)
}

// notify queues a notification of a change for every subscription.
func (s *Server) notify(what, id string) {
	now := s.Now()
	for _, sub := range s.subs {
		if !now.Before(sub.Expires) {
			continue
		}
		resource := "Users/" + mark + "/Events/" + id
		s.queue(sub.Callback, map[string]any{
			"subscriptionId": sub.ID, "clientState": sub.Token, "changeType": what, "tenantId": directory,
			"subscriptionExpirationDateTime": timestamp(sub.Expires), "resource": resource,
			"resourceData": map[string]any{
				"@odata.type": "#Microsoft.Graph.Event", "@odata.id": resource, "@odata.etag": `W/"1"`, "id": id,
			},
		})
	}
}

// Lifecycle queues a notification about every subscription: that it must be
// reauthorized, was removed (and it is), or missed something.
func (s *Server) Lifecycle(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		s.queue(sub.Lifecycle, map[string]any{
			"subscriptionId": sub.ID, "clientState": sub.Token, "lifecycleEvent": event, "tenantId": directory,
			"subscriptionExpirationDateTime": timestamp(sub.Expires), "resource": "Users/" + mark + "/Events",
		})
	}
	if event == "subscriptionRemoved" {
		s.subs = nil
	}
}

func (s *Server) queue(to string, value map[string]any) {
	body, err := json.Marshal(map[string]any{"value": []any{value}})
	if err != nil {
		panic(err)
	}
	s.outbox = append(s.outbox, notification{to: to, body: body})
}

// Delivery is how notifications are delivered.
type Delivery int

// The ways in which notifications arrive.
const (
	InOrder Delivery = iota
	Reversed
	Twice
	Never
)

// Deliver delivers what is queued, and returns the statuses of the answers. Until
// it is called, notifications are late.
func (s *Server) Deliver(ctx context.Context, how Delivery) ([]int, error) {
	s.mu.Lock()
	sending := s.outbox
	s.outbox = nil
	s.mu.Unlock()
	switch how {
	case Reversed:
		slices.Reverse(sending)
	case Twice:
		sending = append(sending, sending...)
	case Never:
		return nil, nil
	}
	var statuses []int
	for _, n := range sending {
		resp, err := s.post(ctx, n.to, "application/json", n.body)
		if err != nil {
			return statuses, err
		}
		_ = resp.Body.Close()
		statuses = append(statuses, resp.StatusCode)
	}
	return statuses, nil
}
