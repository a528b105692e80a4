package ews

import (
	"context"
	"encoding/xml"

	"github.com/busyd/busyd/providers"
)

// session reads one mailbox.
type session struct {
	provider *Provider
	client   *client
	grant    grant
	account  providers.Account
	pending  *pending
}

// element is one whose content does not matter.
type element struct{ XMLName xml.Name }

// Calendars implements [providers.Session].
func (s *session) Calendars(ctx context.Context) ([]providers.Calendar, error) {
	found, err := s.client.calendars(ctx)
	if err != nil {
		return nil, s.settled(ctx, nil, err)
	}
	return found, nil
}

// Changes implements [providers.Session].
func (s *session) Changes(ctx context.Context, q providers.Query) (providers.Page, error) {
	if q.Window.Empty() || len(q.Remote) == 0 {
		return providers.Page{}, &providers.Error{Fault: providers.Rejected, Code: "bad_query"}
	}
	page, err := s.changes(ctx, q)
	if err != nil {
		return providers.Page{}, s.settled(ctx, q.Remote, err)
	}
	return page, nil
}

// settled decides what a failure means that the answer alone does not tell, by a
// look at the mailbox itself: a calendar is gone only if the mailbox lists its
// others, and an account is refused only if that is refused, too.
func (s *session) settled(ctx context.Context, remote []byte, err error) error {
	code := providers.CodeOf(err)
	if code != codeUnauthorized && code != codeMissing && code != codeDenied {
		return err
	}
	found, again := s.client.calendars(ctx)
	switch now := providers.CodeOf(again); {
	case again != nil && now == codeUnauthorized:
		return &providers.Error{Fault: providers.Revoked, Code: codeUnauthorized, Err: again}
	case again != nil && now == codeDenied:
		return &providers.Error{Fault: providers.Revoked, Code: codeDenied, Err: again}
	case again != nil:
		return again
	case code == codeUnauthorized || remote == nil:
		return &providers.Error{Code: code + "_once", Err: err}
	}
	for _, c := range found {
		if code == codeMissing && string(c.Remote) == string(remote) {
			return &providers.Error{Code: "listed_but_missing", Err: err}
		}
	}
	return &providers.Error{Fault: providers.CalendarGone, Code: "calendar_gone", Err: err}
}
