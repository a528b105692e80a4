package graph

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/busyd/busyd/providers"
)

// maxDeltaPages bounds the pages of one round.
const maxDeltaPages = 1000

// named is an entry of a delta. What else there is of it is not looked at.
type named struct {
	ID string `json:"id"`
}

// track begins a delta of the mark's span, and gives the mark its link. It
// returns what the first round names, which is all that there is. Where Graph
// does not serve it, the mark says so.
//
// What is documented is the delta of the primary calendar; that of the others is
// served as well, but nothing is built on it: see isStrangeTo.
func (s *session) track(ctx context.Context, q providers.Query, mark *cursor) (map[string]struct{}, error) {
	span := mark.span()
	path := fmt.Sprintf("/me/calendars/%s/calendarView/delta?startDateTime=%s&endDateTime=%s",
		url.PathEscape(string(q.Remote)), span.Start.Format(time.RFC3339), span.End.Format(time.RFC3339))
	all := map[string]struct{}{}
	link, err := s.round(ctx, s.client.to(path), func(n named) { all[n.ID] = struct{}{} })
	switch {
	case err == nil:
		mark.Link = link
		return all, nil
	case isUnserved(err):
		mark.Unserved = true
		return nil, nil
	default:
		return nil, err
	}
}

// isUnserved reports whether an error is one of the delta itself: the window was
// just read with the same token.
func isUnserved(err error) bool {
	switch statusIn(err) {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusGone, http.StatusNotImplemented:
		return true
	default:
		return false
	}
}

// news follows a link that a round ended with. Whatever comes counts as a change:
// entries of events that left the window look like those of removed ones.
func (s *session) news(ctx context.Context, link string) (next string, changed bool, err error) {
	next, err = s.round(ctx, link, func(named) { changed = true })
	if statusIn(err) == http.StatusBadRequest {
		err = &providers.Error{Fault: providers.CursorExpired, Code: "delta_refused", Err: err}
	}
	return next, changed, err
}

// round goes through the pages of a delta to the link that the next one begins at.
// A page may be empty and not be the last.
func (s *session) round(ctx context.Context, at string, each func(named)) (string, error) {
	for range maxDeltaPages {
		link, err := s.client.pinned(at)
		if err != nil {
			return "", err
		}
		page, err := list[named](ctx, s.client, link, s.provider.ViewEvents)
		if err != nil {
			return "", err
		}
		for _, n := range page.Value {
			each(n)
		}
		switch {
		case page.Next != "":
			at = page.Next
		case page.Delta != "":
			return s.client.pinned(page.Delta)
		default:
			return "", errIncomplete
		}
	}
	return "", errEndless
}
