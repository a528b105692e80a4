package google

import (
	"context"

	calendar "google.golang.org/api/calendar/v3"
	"google.golang.org/api/googleapi"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/subject"
	"github.com/busyd/busyd/providers/zones"
)

// calendarFields is all that is asked for of the calendar list.
const calendarFields googleapi.Field = "nextPageToken,nextSyncToken,items(id,summary,summaryOverride,primary,deleted,timeZone)"

// maxListPages bounds the pages of a calendar list.
const maxListPages = 1000

// Calendars implements [providers.Session]. It lists those too that the owner has
// hidden from view, for they can be selected. Only the primary one blocks unless
// somebody says otherwise.
func (s *session) Calendars(ctx context.Context) ([]providers.Calendar, error) {
	list, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]providers.Calendar, 0, len(list))
	for _, c := range list {
		zone, _ := zones.Resolve(c.TimeZone)
		found = append(found, providers.Calendar{
			Remote: busy.Secret(c.Id), Name: nameOf(c), Zone: zone, Blocking: c.Primary,
		})
	}
	return found, nil
}

// nameOf is what the owner calls a calendar. Google calls a primary calendar by
// the account's address, which is not kept.
func nameOf(c *calendar.CalendarListEntry) string {
	name := c.SummaryOverride
	if name == "" {
		name = c.Summary
	}
	if subject.Of(name) == name && name != "" {
		return name
	}
	if c.Primary {
		return "Primary"
	}
	return subject.Of(name)
}

// list reads the whole calendar list. Its proof of completeness is the sync token
// at its end; and there is no account without a primary calendar.
func (s *session) list(ctx context.Context) ([]*calendar.CalendarListEntry, error) {
	var list []*calendar.CalendarListEntry
	page, primary := "", false
	for range maxListPages {
		call := s.service.CalendarList.List().ShowHidden(true).MaxResults(s.PageCalendars).
			Fields(calendarFields).Context(ctx)
		if page != "" {
			call.PageToken(page)
		}
		answer, err := call.Do()
		if err != nil {
			return nil, s.explain(ctx, err)
		}
		for _, c := range answer.Items {
			if c.Id == "" {
				return nil, &providers.Error{Code: codeUnreadable}
			}
			if !c.Deleted {
				list, primary = append(list, c), primary || c.Primary
			}
		}
		if page = answer.NextPageToken; page != "" {
			continue
		}
		if answer.NextSyncToken == "" || !primary {
			return nil, &providers.Error{Code: codeIncomplete}
		}
		return list, nil
	}
	return nil, &providers.Error{Code: "endless_pages"}
}

// missing says of a calendar that was not found whether it is gone: only the list
// of the account's calendars, read to its end, can tell.
func (s *session) missing(ctx context.Context, remote string) error {
	list, err := s.list(ctx)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.Id == remote {
			return &providers.Error{Code: codeNotFound}
		}
	}
	return &providers.Error{Fault: providers.CalendarGone, Code: codeNotFound}
}
