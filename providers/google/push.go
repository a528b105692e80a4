package google

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	calendar "google.golang.org/api/calendar/v3"
	"google.golang.org/api/googleapi"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// WatchesAccount implements [providers.Watcher]: a channel is one calendar's.
func (s *session) WatchesAccount() bool { return false }

// Watch implements [providers.Watcher]. Some calendars, such as those of holidays,
// cannot be watched: the error's code is pushNotSupportedForRequestedResource.
func (s *session) Watch(ctx context.Context, w providers.WatchRequest) (providers.Watch, error) {
	channel := &calendar.Channel{Id: w.ID, Type: "web_hook", Address: w.Callback, Token: string(w.Token)}
	if !w.Until.IsZero() {
		channel.Expiration = w.Until.UnixMilli()
	}
	made, err := s.service.Events.Watch(string(w.Remote), channel).Fields("resourceId,expiration").Context(ctx).Do()
	if isAbsent(err) {
		return providers.Watch{}, s.missing(ctx, string(w.Remote))
	}
	if err != nil {
		return providers.Watch{}, s.explain(ctx, err)
	}
	if made.ResourceId == "" {
		return providers.Watch{}, &providers.Error{Code: codeUnreadable}
	}
	watch := providers.Watch{ID: w.ID, Handle: busy.Secret(made.ResourceId), Expires: w.Until}
	if made.Expiration > 0 {
		watch.Expires = time.UnixMilli(made.Expiration).UTC()
	}
	return watch, nil
}

// Rewatch implements [providers.Watcher]. A channel cannot be prolonged, so this
// makes another; both are there until the old one is ended.
func (s *session) Rewatch(ctx context.Context, _ providers.Watch, w providers.WatchRequest) (providers.Watch, error) {
	return s.Watch(ctx, w)
}

// Unwatch implements [providers.Watcher].
func (s *session) Unwatch(ctx context.Context, w providers.Watch) error {
	channel := &calendar.Channel{Id: w.ID, ResourceId: string(w.Handle)}
	err := s.service.Channels.Stop(channel).Context(ctx).Do()
	refused := (*googleapi.Error)(nil)
	if err == nil || errors.As(err, &refused) && refused.Code == http.StatusNotFound {
		return nil
	}
	return s.explain(ctx, err)
}

const maxChannel = 64 // characters of a channel's id

var errCallback = &providers.Error{Fault: providers.Rejected, Code: "not_a_callback"}

// Receive implements [providers.Receiver]. All is in the header; the body is not
// read.
func (p *Provider) Receive(r *http.Request) (providers.Notice, error) {
	id, state := r.Header.Get("X-Goog-Channel-Id"), r.Header.Get("X-Goog-Resource-State")
	if r.Method != http.MethodPost || id == "" || len(id) > maxChannel || !isChannel(id) || state == "" {
		return providers.Notice{}, errCallback
	}
	hint := providers.Hint{Watch: id, Token: busy.Secret(r.Header.Get("X-Goog-Channel-Token")), News: providers.Changed}
	if state == "sync" {
		hint.News = providers.Nothing
	}
	return providers.Notice{Hints: []providers.Hint{hint}}, nil
}

func isChannel(id string) bool {
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
}
