package graph

import (
	"context"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// session reads one mailbox.
type session struct {
	provider *Provider
	client   *client
	deltas   bool // what changed may be asked for
	pending  *pending
}

// Calendars implements [providers.Session].
func (s *session) Calendars(ctx context.Context) ([]providers.Calendar, error) {
	found, err := s.client.calendars(ctx)
	switch {
	case err == nil:
		return found, nil
	case providers.CodeOf(err) == codeElsewhere:
		return nil, busy.Invalid("account", "has its mailbox on a server of its organisation, not at Microsoft: connect it as Exchange")
	default:
		return nil, s.settled(ctx, nil, err)
	}
}

// Changes implements [providers.Session].
func (s *session) Changes(ctx context.Context, q providers.Query) (providers.Page, error) {
	if q.Window.Empty() || len(q.Remote) == 0 {
		return providers.Page{}, &providers.Error{Fault: providers.Rejected, Code: "bad_query"}
	}
	page, err := s.changes(ctx, q)
	if err == nil {
		return page, nil
	}
	err = s.settled(ctx, q.Remote, err)
	if code := providers.CodeOf(err); (code == codeListed || code == codeDenied) && tracks(q.Cursor) {
		// The calendar is there; what is not any more is the delta's link.
		err = &providers.Error{Fault: providers.CursorExpired, Code: "delta_gone", Err: err}
	}
	return providers.Page{}, err
}

// settled decides what a failure means that the answer alone does not tell, by a
// look at the account itself: a calendar is gone only if the account lists its
// others, and an account is refused only if that is refused, too.
func (s *session) settled(ctx context.Context, remote busy.Secret, err error) error {
	code := providers.CodeOf(err)
	if code != codeUnauthorized && code != codeMissing && code != codeForbidden {
		return err
	}
	found, again := s.client.calendars(ctx)
	switch now := providers.CodeOf(again); {
	case again != nil && (now == codeUnauthorized || now == codeForbidden):
		return &providers.Error{Fault: providers.Revoked, Code: now, Err: again}
	case again != nil:
		return again
	case code == codeUnauthorized || remote == nil:
		return &providers.Error{Code: code + "_once", Err: err}
	}
	for _, c := range found {
		if string(c.Remote) != string(remote) {
			continue
		}
		if code == codeMissing {
			return &providers.Error{Code: codeListed, Err: err}
		}
		return &providers.Error{Code: codeDenied, Err: err}
	}
	return &providers.Error{Fault: providers.CalendarGone, Code: "calendar_gone", Err: err}
}
