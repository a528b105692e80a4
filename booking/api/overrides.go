package api

import (
	"context"
	"net/http"
	"time"

	"github.com/busyd/busyd/busy"
)

// ResourceStore is what the API changes of resources.
type ResourceStore interface {
	// FindResource takes an id; the answer has the overrides.
	FindResource(ctx context.Context, tenant busy.TenantID, id string) (busy.Resource, error)
	// ChangeResource changes name, zone and hours.
	ChangeResource(ctx context.Context, tenant busy.TenantID, r busy.Resource) error
	// CreateOverride draws the id.
	CreateOverride(ctx context.Context, tenant busy.TenantID, o busy.Override) (busy.Override, error)
	DeleteOverride(ctx context.Context, tenant busy.TenantID, id busy.OverrideID) error
}

type resourceBody struct {
	Name  *string `json:"name,omitempty" nullable:"false"`
	Zone  *string `json:"zone,omitempty" nullable:"false" doc:"An IANA name." example:"Europe/Berlin"`
	Hours *string `json:"hours,omitempty" nullable:"false" doc:"Weekly working hours on the clock of the zone; empty: never open." example:"mon 09:00-12:00 13:00-17:00; sat 22:00-02:00"`
}

func (a *api) changeResource(r *request) (any, error) {
	id := idOf[busy.Resource](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body resourceBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	if body == (resourceBody{}) {
		return nil, violations{{"body", "must have a name, a zone or hours"}}
	}
	resource, err := a.Store.FindResource(r.ctx, r.tenant, id.String())
	if err != nil {
		return nil, err
	}
	if body.Name != nil {
		resource.Name = *body.Name
	}
	if body.Zone != nil {
		resource.Zone = *body.Zone
	}
	if body.Hours != nil {
		if resource.Hours, err = busy.ParseHours(*body.Hours); err != nil {
			return nil, err
		}
	}
	if err := a.Store.ChangeResource(r.ctx, r.tenant, resource); err != nil {
		return nil, err
	}
	return resourceItemOf(resource), nil
}

// OverrideBody are dates on which a resource's hours are others.
type OverrideBody struct {
	First  string `json:"first" format:"date" example:"2026-12-24"`
	Last   string `json:"last,omitempty" format:"date" doc:"Included; absent: the first date alone. At most 366 days after it."`
	Closed bool   `json:"closed,omitempty" doc:"The resource does not work on these dates."`
	Hours  string `json:"hours,omitempty" example:"09:00-12:00 13:00-15:00" doc:"The hours of each of these dates; absent: the weekly ones."`
	Zone   string `json:"zone,omitempty" example:"America/New_York" doc:"Where the resource is on these dates: its hours are read on that clock; absent: its own."`
}

type overrideItem struct {
	ID       string `json:"id" format:"uuid"`
	Resource string `json:"resource" format:"uuid"`
	First    string `json:"first" format:"date"`
	Last     string `json:"last" format:"date" doc:"Included."`
	Closed   bool   `json:"closed"`
	Hours    string `json:"hours,omitempty" example:"09:00-12:00 13:00-15:00" doc:"Absent: the weekly ones."`
	Zone     string `json:"zone,omitempty" doc:"An IANA name; absent: the resource's own."`
}

type overridesAnswer struct {
	Overrides []overrideItem `json:"overrides" nullable:"false" doc:"By id."`
	Next      *string        `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

func overrideItemOf(o busy.Override) overrideItem {
	return overrideItem{
		ID: o.ID.String(), Resource: o.Resource.String(), First: o.First.Format(time.DateOnly), Last: o.Last.Format(time.DateOnly),
		Closed: o.Closed, Hours: busy.FormatRanges(o.Hours), Zone: o.Zone,
	}
}

// Override is what the body says of the resource. The error is a busy.ErrInvalid
// that names every field that is wrong.
func (b OverrideBody) Override(resource busy.ResourceID) (busy.Override, error) {
	var f fields
	o := busy.Override{Resource: resource, First: f.date("first", b.First), Closed: b.Closed, Zone: b.Zone}
	if o.Last = o.First; b.Last != "" {
		o.Last = f.date("last", b.Last)
	}
	if o.Last.Before(o.First) || o.Last.Sub(o.First) > 366*24*time.Hour {
		f.reject("last", "must be first or a date at most 366 days after it")
	}
	if b.Hours != "" {
		var err error
		if o.Hours, err = busy.ParseRanges(b.Hours); err != nil {
			f.reject("hours", `must be ranges such as "09:00-12:00 13:00-15:00" that do not overlap`)
		}
	}
	if _, err := time.LoadLocation(b.Zone); err != nil || b.Zone == "Local" {
		f.reject("zone", "must be an IANA time zone such as Europe/Berlin")
	}
	switch {
	case b.Closed && (b.Hours != "" || b.Zone != ""):
		f.reject("closed", "must not be given together with hours or a zone")
	case !b.Closed && b.Hours == "" && b.Zone == "":
		f.reject("closed", "must be true, unless hours or a zone are given")
	}
	return o, f.err()
}

func (a *api) createOverride(r *request) (any, error) {
	id := idOf[busy.Resource](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body OverrideBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	o, err := body.Override(id)
	if err != nil {
		return nil, err
	}
	if o, err = a.Store.CreateOverride(r.ctx, r.tenant, o); err != nil {
		return nil, err
	}
	return overrideItemOf(o), nil
}

func (a *api) listOverrides(r *request) (any, error) {
	id, limit, after := idOf[busy.Resource](r.params), r.params.limit(), r.params.after()
	if err := r.params.err(); err != nil {
		return nil, err
	}
	resource, err := a.Store.FindResource(r.ctx, r.tenant, id.String())
	if err != nil {
		return nil, err
	}
	items := make([]overrideItem, len(resource.Overrides))
	for i, o := range resource.Overrides {
		items[i] = overrideItemOf(o)
	}
	var out overridesAnswer
	out.Overrides, out.Next = page(items, func(i overrideItem) string { return i.ID }, after, limit)
	return out, nil
}

func (a *api) deleteOverride(r *request) (any, error) {
	id := idOf[busy.Override](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	return nil, a.Store.DeleteOverride(r.ctx, r.tenant, id)
}

// resourceRoutes change when resources work.
func resourceRoutes() []route {
	return []route{
		{
			method: http.MethodPatch, path: "/v1/resources/{id}", id: "changeResource", scope: busy.ScopeAdmin,
			summary: "Change a resource's name, zone or weekly hours",
			about:   "What is absent stays as it is. Bookings that were made stay.",
			params:  []param{idParam}, body: resourceBody{},
			status: http.StatusOK, answer: resourceItem{}, problems: []problem{notFound, nameTaken},
			serve: (*api).changeResource,
		},
		{
			method: http.MethodGet, path: "/v1/resources/{id}/overrides", id: "listOverrides", scope: busy.ScopeRead,
			summary: "The dates on which a resource's hours are others",
			params:  []param{idParam, limitParam, cursorParam},
			status:  http.StatusOK, answer: overridesAnswer{}, problems: []problem{notFound},
			serve: (*api).listOverrides,
		},
		{
			method: http.MethodPost, path: "/v1/resources/{id}/overrides", id: "createOverride", scope: busy.ScopeAdmin,
			summary: "Other hours, a day off, or another zone for some dates",
			about: "Where several overrides name one date, a closed one wins, and else the zone and the hours are each those of " +
				"the last of them, by first date, that has any.",
			params: []param{idParam}, body: OverrideBody{},
			status: http.StatusCreated, answer: overrideItem{}, problems: []problem{notFound},
			serve: (*api).createOverride,
		},
		{
			method: http.MethodDelete, path: "/v1/overrides/{id}", id: "deleteOverride", scope: busy.ScopeAdmin,
			summary: "Back to the weekly hours",
			params:  []param{idParam},
			status:  http.StatusNoContent, problems: []problem{notFound},
			serve: (*api).deleteOverride,
		},
	}
}
