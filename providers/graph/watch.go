package graph

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// watching is the session of an account that consented to what being told of
// changes takes, which is more than reading does.
type watching struct{ *session }

// WatchesAccount implements [providers.Watcher].
func (watching) WatchesAccount() bool { return true }

// longest is how long a subscription is asked for: Graph allows seven days, as
// its newer pages say, or this, as the older ones do.
const longest = 4230 * time.Minute

// subscription is Graph's word for a watch.
type subscription struct {
	ID        string    `json:"id,omitempty"`
	Change    string    `json:"changeType"`
	Resource  string    `json:"resource"`
	Callback  string    `json:"notificationUrl"`
	Lifecycle string    `json:"lifecycleNotificationUrl"`
	Token     string    `json:"clientState"`
	Expires   time.Time `json:"expirationDateTime"`
	TLS       string    `json:"latestSupportedTlsVersion"`
}

// watchParameter carries the watch's ID in the callback's address: Graph sends
// nothing back that we have chosen but this and the token.
const watchParameter = "watch"

// Watch implements [providers.Watcher]. Graph calls back, with a question that
// Receive answers, before it answers itself.
func (s watching) Watch(ctx context.Context, w providers.WatchRequest) (providers.Watch, error) {
	callback, err := callbackOf(w)
	if err != nil {
		return providers.Watch{}, err
	}
	until := s.provider.Now().Add(longest)
	if w.Until.Before(until) {
		until = w.Until
	}
	body, err := json.Marshal(subscription{
		Change: "created,updated,deleted", Resource: "me/events",
		Callback: callback, Lifecycle: callback, Token: string(w.Token),
		Expires: until.UTC().Truncate(time.Second), TLS: "v1_2",
	})
	if err != nil {
		return providers.Watch{}, &providers.Error{Fault: providers.Rejected, Code: "bad_watch"}
	}
	var made subscription
	if err := s.client.send(ctx, http.MethodPost, s.client.to("/subscriptions"), prefer, body, &made); err != nil {
		return providers.Watch{}, err
	}
	if made.ID == "" || made.Expires.IsZero() {
		return providers.Watch{}, errIncomplete
	}
	return providers.Watch{ID: w.ID, Handle: busy.Secret(made.ID), Expires: made.Expires}, nil
}

func callbackOf(w providers.WatchRequest) (string, error) {
	u, err := url.Parse(w.Callback)
	if err != nil || u.Scheme != "https" || u.Host == "" || len(w.Token) > 128 {
		return "", &providers.Error{Fault: providers.Operator, Code: "bad_callback"}
	}
	q := u.Query()
	q.Set(watchParameter, w.ID)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Rewatch implements [providers.Watcher]. It makes another subscription, since
// one cannot be given a new token, and leaves the old one for the caller to end,
// so that there is no gap. Where Graph takes the second for a duplicate, the old
// one goes first.
func (s watching) Rewatch(ctx context.Context, old providers.Watch, w providers.WatchRequest) (providers.Watch, error) {
	made, err := s.Watch(ctx, w)
	if statusIn(err) != http.StatusConflict {
		return made, err
	}
	if err := s.Unwatch(ctx, old); err != nil {
		return providers.Watch{}, err
	}
	return s.Watch(ctx, w)
}

// Unwatch implements [providers.Watcher].
func (s watching) Unwatch(ctx context.Context, w providers.Watch) error {
	at := s.client.to("/subscriptions/" + url.PathEscape(string(w.Handle)))
	err := s.client.send(ctx, http.MethodDelete, at, prefer, nil, nil)
	if statusIn(err) == http.StatusNotFound {
		return nil
	}
	return err
}
