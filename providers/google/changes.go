package google

import (
	"context"
	"slices"
	"time"

	calendar "google.golang.org/api/calendar/v3"
	"google.golang.org/api/googleapi"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// eventFields is all that is asked for of events. Without nextSyncToken in it,
// Google sends none. With maxAttendees=1 the only attendee is the owner.
const eventFields googleapi.Field = "nextPageToken,nextSyncToken,timeZone,accessRole," +
	"items(id,etag,status,summary,start,end,transparency,visibility,eventType,recurrence,recurringEventId,originalStartTime," +
	"attendees(self,responseStatus))"

// before is how much earlier than the window a listing begins. An occurrence that
// was moved out of the window by more than this, to the past, is listed no more,
// and shows as busy where it was.
const before = 31 * 24 * time.Hour

// round is one reading of a calendar under way: a complete listing, or what
// changed since a sync token. Its page tokens are good for this session only, so
// that no stored cursor depends on one.
type round struct {
	remote string
	since  string // the sync token it goes on from; empty: a complete listing
	from   string // timeMin of a complete listing; empty: none
	pages  int    // read so far
	next   string // the page token
	news   bool   // something was listed
}

// Changes implements [providers.Session].
func (s *session) Changes(ctx context.Context, q providers.Query) (providers.Page, error) {
	r, err := s.resume(q)
	if err != nil {
		return providers.Page{}, err
	}
	answer, err := s.fetch(ctx, r)
	if isAbsent(err) {
		return providers.Page{}, s.missing(ctx, r.remote)
	}
	if err != nil {
		return providers.Page{}, s.explain(ctx, err)
	}
	if (answer.NextPageToken == "") == (answer.NextSyncToken == "") {
		return providers.Page{}, &providers.Error{Code: codeIncomplete}
	}
	change, err := newReader(q, answer).change(answer.Items)
	if err != nil {
		return providers.Page{}, err
	}
	page := providers.Page{Change: change, Full: r.since == ""}
	if page.Full {
		page.Same = same(&page.Change, q.Version)
	}
	r.pages, r.next, r.news = r.pages+1, answer.NextPageToken, r.news || len(answer.Items) > 0
	s.round = r
	switch {
	case r.next != "":
		page.More, page.Cursor = true, r.cursor().write()
	case r.news || page.Full:
		page.Cursor = cursor{Since: answer.NextSyncToken}.write()
	default:
		// Google gives out another token for every poll; the old one is as good.
		page.Cursor = q.Cursor
	}
	return page, nil
}

// resume returns the round that a query goes on with, or begins one. A complete
// listing cannot be gone on with by another session; what changed since a token
// can be read again.
func (s *session) resume(q providers.Query) (*round, error) {
	begin := &round{remote: string(q.Remote)}
	if q.Cursor == nil {
		if !q.Window.Start.IsZero() {
			begin.from = q.Window.Start.Add(-before).UTC().Format(time.RFC3339)
		}
		return begin, nil
	}
	c, err := readCursor(q.Cursor)
	if err != nil {
		return nil, err
	}
	if s.round != nil && c.Pages > 0 && s.round.remote == begin.remote && s.round.cursor() == c {
		return s.round, nil
	}
	if begin.since = c.Since; begin.since == "" {
		return nil, errCursor
	}
	return begin, nil
}

// fetch asks for the next page. Google wants the same parameters with a sync token
// as were sent in the listing that it comes from, and timeMin not at all.
func (s *session) fetch(ctx context.Context, r *round) (*calendar.Events, error) {
	call := s.service.Events.List(r.remote).SingleEvents(false).MaxAttendees(1).MaxResults(s.PageEvents).
		Fields(eventFields).Context(ctx)
	if r.since != "" {
		call.SyncToken(r.since)
	} else if r.from != "" {
		call.TimeMin(r.from)
	}
	if r.next != "" {
		call.PageToken(r.next)
	}
	return call.Do()
}

// same takes the events out that the caller holds as they are, and returns their
// keys.
func same(c *busy.Change, version func(string) (string, bool)) []string {
	var keys []string
	c.Events = slices.DeleteFunc(c.Events, func(e busy.Event) bool {
		held, ok := version(e.Key)
		if !ok || e.Version == "" || held != e.Version {
			return false
		}
		keys = append(keys, e.Key)
		return true
	})
	return keys
}
