package api

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// agendas reads the resources' agendas and puts them into the order asked.
func (a *api) agendas(ctx context.Context, tenant busy.TenantID, ids []busy.ResourceID, span busy.Span) ([]busy.Agenda, error) {
	found, err := a.Store.Agendas(ctx, tenant, ids, span)
	if err != nil {
		return nil, err
	}
	return inOrder(found, ids)
}

// standings reads the same without what takes the resources' time.
func (a *api) standings(ctx context.Context, tenant busy.TenantID, ids []busy.ResourceID) ([]busy.Agenda, error) {
	found, err := a.Store.Standings(ctx, tenant, ids)
	if err != nil {
		return nil, err
	}
	return inOrder(found, ids)
}

// inOrder puts agendas into the order of the ids. It trusts nobody that none is
// missing: that would look free.
func inOrder(found []busy.Agenda, ids []busy.ResourceID) ([]busy.Agenda, error) {
	ordered := make([]busy.Agenda, 0, len(ids))
	for _, id := range ids {
		i := slices.IndexFunc(found, func(g busy.Agenda) bool { return g.Resource.ID == id })
		if i < 0 {
			return nil, busy.ErrNotFound
		}
		ordered = append(ordered, found[i])
	}
	return ordered, nil
}

// page cuts the part of a list that follows the cursor. Lists are by id, which
// changes under nobody's feet.
func page[T any](all []T, id func(T) string, after string, limit int) (items []T, next *string) {
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(id(a), id(b)) })
	from, found := slices.BinarySearchFunc(all, after, func(item T, after string) int { return strings.Compare(id(item), after) })
	if found {
		from++
	}
	if items = all[from:]; len(items) <= limit {
		return items, nil
	}
	items = items[:limit]
	cursor := base64.RawURLEncoding.EncodeToString([]byte(id(items[limit-1])))
	return items, &cursor
}

type resourcesAnswer struct {
	Resources []resourceItem `json:"resources" nullable:"false" doc:"By id."`
	Next      *string        `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

type resourceItem struct {
	ID    string `json:"id" format:"uuid"`
	Name  string `json:"name"`
	Zone  string `json:"zone" doc:"An IANA name." example:"Europe/Berlin"`
	Hours string `json:"hours" doc:"Weekly working hours on the clock of the zone; empty: never open." example:"mon 09:00-12:00 13:00-17:00; sat 22:00-02:00"`
}

func resourceItemOf(r busy.Resource) resourceItem {
	return resourceItem{ID: r.ID.String(), Name: r.Name, Zone: r.Zone, Hours: r.Hours.String()}
}

func (a *api) listResources(r *request) (any, error) {
	limit, after := r.params.limit(), r.params.after()
	if err := r.params.err(); err != nil {
		return nil, err
	}
	all, err := a.Store.Resources(r.ctx, r.tenant)
	if err != nil {
		return nil, err
	}
	items := make([]resourceItem, len(all))
	for i, res := range all {
		items[i] = resourceItemOf(res)
	}
	var out resourcesAnswer
	out.Resources, out.Next = page(items, func(i resourceItem) string { return i.ID }, after, limit)
	return out, nil
}

type connectionsAnswer struct {
	Connections []connectionItem `json:"connections" nullable:"false" doc:"By id."`
	Next        *string          `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

type connectionItem struct {
	ID        string               `json:"id" format:"uuid"`
	Resource  string               `json:"resource" format:"uuid"`
	Provider  busy.Kind            `json:"provider" enum:"google,graph,ews,caldav,feed" doc:"graph: Outlook and Microsoft 365. ews: an Exchange Server. feed: a published .ics file." example:"caldav"`
	State     busy.ConnectionState `json:"state" enum:"active,degraded,needs_reconnect,awaiting_admin,paused,disconnected" doc:"Calendars are read while it is active or degraded."`
	Reason    string               `json:"reason,omitempty" doc:"A code for why it is not active."`
	Detail    string               `json:"detail,omitempty" doc:"Why it is not active and who can mend it, for a person."`
	AdminURL  string               `json:"admin_consent_url,omitempty" format:"uri" doc:"With awaiting_admin: where an administrator consents for the organisation."`
	CreatedAt time.Time            `json:"created_at"`
	ChangedAt time.Time            `json:"changed_at" doc:"When its state last changed."`
}

func (a *api) connectionItem(c busy.Connection) connectionItem {
	item := connectionItem{
		ID: c.ID.String(), Resource: c.Resource.String(), Provider: c.Kind, State: c.State, Reason: c.Reason, Detail: c.Explain(),
		CreatedAt: c.CreatedAt.UTC(), ChangedAt: c.ChangedAt.UTC(),
	}
	if c.State == busy.ConnectionAwaitingAdmin {
		item.AdminURL = a.Accounts.AdminConsentURL(c.Kind)
	}
	return item
}

func (a *api) listConnections(r *request) (any, error) {
	limit, after := r.params.limit(), r.params.after()
	if err := r.params.err(); err != nil {
		return nil, err
	}
	all, err := a.Store.Connections(r.ctx, r.tenant)
	if err != nil {
		return nil, err
	}
	items := make([]connectionItem, len(all))
	for i, c := range all {
		items[i] = a.connectionItem(c)
	}
	var out connectionsAnswer
	out.Connections, out.Next = page(items, func(i connectionItem) string { return i.ID }, after, limit)
	return out, nil
}

type calendarsAnswer struct {
	Calendars []calendarItem `json:"calendars" nullable:"false" doc:"By id."`
	Next      *string        `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

type calendarItem struct {
	ID              string              `json:"id" format:"uuid"`
	Connection      string              `json:"connection" format:"uuid"`
	Resource        string              `json:"resource" format:"uuid"`
	Provider        busy.Kind           `json:"provider" enum:"google,graph,ews,caldav,feed" doc:"graph: Outlook and Microsoft 365. ews: an Exchange Server. feed: a published .ics file." example:"caldav"`
	Name            string              `json:"name"`
	Zone            string              `json:"zone" doc:"An IANA name; empty: the resource's applies."`
	Selected        bool                `json:"selected" doc:"Whether it blocks its resource's time."`
	IgnoreTentative bool                `json:"ignore_tentative" doc:"Whether its tentative events do not block."`
	IgnoreAllDay    bool                `json:"ignore_all_day" doc:"Whether its all-day events do not block."`
	State           *busy.CalendarState `json:"state" enum:"fresh,stale,degraded,uncovered,needs_reconnect,paused,pending" nullable:"true" doc:"As to now; null unless selected."`
	AsOf            *time.Time          `json:"as_of" doc:"When it was last read completely; null: never."`
	Covered         *interval           `json:"covered,omitempty" doc:"The span that is mirrored; absent until it was read."`
	Problems        int                 `json:"problems" doc:"Events whose time is not fully known."`
	Outcome         busy.Outcome        `json:"outcome,omitempty" doc:"How the last attempt to read it ended; absent before the first."`
	Failures        int                 `json:"failures" doc:"Attempts that failed since the last that did not."`
	NextAt          *time.Time          `json:"next_at" doc:"When it is read next; null: not at all."`
}

func (a *api) calendarItem(c busy.Calendar, now time.Time) calendarItem {
	item := calendarItem{
		ID: c.ID.String(), Connection: c.Connection.String(), Resource: c.Resource.String(), Provider: c.Kind,
		Name: c.Name, Zone: c.Zone, Selected: c.Selected,
		IgnoreTentative: c.IgnoreTentative, IgnoreAllDay: c.IgnoreAllDay,
		AsOf: instant(c.AsOf), Problems: c.Problems, Outcome: c.Outcome, Failures: c.Failures, NextAt: instant(c.DueAt),
	}
	if c.Selected {
		state := c.StateFor(busy.Span{Start: now, End: now}, now, a.StaleAfter)
		item.State = &state
	}
	if !c.Covered.Empty() {
		item.Covered = &intervals([]busy.Span{c.Covered})[0]
	}
	return item
}

func (a *api) listCalendars(r *request) (any, error) {
	limit, after := r.params.limit(), r.params.after()
	if err := r.params.err(); err != nil {
		return nil, err
	}
	all, err := a.Store.Calendars(r.ctx, r.tenant)
	if err != nil {
		return nil, err
	}
	items := make([]calendarItem, len(all))
	for i, c := range all {
		items[i] = a.calendarItem(c, r.now)
	}
	var out calendarsAnswer
	out.Calendars, out.Next = page(items, func(i calendarItem) string { return i.ID }, after, limit)
	return out, nil
}
