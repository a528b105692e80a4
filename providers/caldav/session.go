package caldav

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/busyd/busyd/providers"
)

// session reads one account.
type session struct {
	provider *Provider
	client   *client
	grant    grant
	inFlight int
	// whole: the server cannot send parts of objects.
	whole atomic.Bool
	// pending are objects that a listing or a delta named and that no page has
	// delivered yet.
	pending *pending
}

// Calendars implements [providers.Session].
func (s *session) Calendars(ctx context.Context) ([]providers.Calendar, error) {
	found, err := s.listed(ctx)
	if isMisplaced(err) {
		found, err = s.searched(ctx)
	}
	if err != nil {
		return nil, s.settled(ctx, err)
	}
	calendars := make([]providers.Calendar, len(found))
	for i, c := range found {
		calendars[i] = c.Calendar
	}
	return calendars, nil
}

// Changes implements [providers.Session].
func (s *session) Changes(ctx context.Context, q providers.Query) (providers.Page, error) {
	at, err := s.address(q)
	if err != nil {
		return providers.Page{}, err
	}
	page, err := s.changes(ctx, at, q)
	if isMisplaced(err) {
		if at, err = s.relocate(ctx, q, at); err == nil {
			page, err = s.changes(ctx, at, q)
		}
	}
	if err != nil {
		return providers.Page{}, s.settled(ctx, err)
	}
	return page, nil
}

// address is where the calendar was last found.
func (s *session) address(q providers.Query) (*url.URL, error) {
	if moved := s.provider.moves.find(string(q.Remote)); moved != nil {
		return moved, nil
	}
	at, err := url.Parse(string(q.Remote))
	if err != nil || at.Host == "" {
		return nil, &providers.Error{Fault: providers.Rejected, Code: "bad_address"}
	}
	return at, nil
}

// isMisplaced: the server does not have the resource. It may have moved.
func isMisplaced(err error) bool {
	switch statusIn(err) {
	case http.StatusNotFound, http.StatusGone, http.StatusMisdirectedRequest:
		return true
	default:
		return false
	}
}

// relocate looks for a calendar that is not where it was. Only an account that
// answers, and lists its calendars without this one, proves that it is gone.
func (s *session) relocate(ctx context.Context, q providers.Query, was *url.URL) (*url.URL, error) {
	found, err := s.searched(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range found {
		if keyOf(c.at) != keyOf(was) {
			continue
		}
		if c.at.String() == was.String() {
			return nil, &providers.Error{Code: "listed_but_missing"}
		}
		s.provider.moves.record(string(q.Remote), c.at)
		return c.at, nil
	}
	return nil, &providers.Error{Fault: providers.CalendarGone, Code: "calendar_gone"}
}

// listed lists the home-sets that the grant names.
func (s *session) listed(ctx context.Context) ([]calendar, error) {
	homes := make([]*url.URL, 0, len(s.grant.Homes))
	for _, home := range s.grant.Homes {
		u, err := url.Parse(home)
		if err != nil {
			return nil, &providers.Error{Fault: providers.Rejected, Code: "bad_address"}
		}
		homes = append(homes, u)
	}
	return s.client.list(ctx, homes)
}

// searched discovers the home-sets anew and lists them. An account without any
// is not believed: it had some when it was connected.
func (s *session) searched(ctx context.Context) ([]calendar, error) {
	at, err := url.Parse(s.grant.URL)
	if err != nil {
		return nil, &providers.Error{Fault: providers.Rejected, Code: "bad_address"}
	}
	found, err := s.client.identify(ctx, at)
	if err != nil {
		return nil, err
	}
	if len(found.homes) == 0 {
		return nil, errNoProof
	}
	return s.client.list(ctx, found.homes)
}

// settled decides what a failure means that the answer alone does not tell. A
// 401 is confirmed by a second one, where the user's principal is; a 404 that is
// left after a search is no proof of anything.
func (s *session) settled(ctx context.Context, err error) error {
	if statusIn(err) != http.StatusUnauthorized {
		return err
	}
	principal := s.grant.Principal
	if principal == "" {
		principal = s.grant.URL
	}
	at, parseErr := url.Parse(principal)
	if parseErr != nil {
		return err
	}
	_, again := s.client.ask(ctx, at, askHomes, func(*url.URL, *answer) error { return nil })
	switch {
	case again == nil:
		return &providers.Error{Code: "unauthorized_once", Err: err}
	case statusIn(again) == http.StatusUnauthorized:
		return &providers.Error{Fault: providers.Revoked, Code: "unauthorized", Err: again}
	default:
		return again
	}
}
