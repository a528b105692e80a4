package api

import (
	"net/http"
	"time"

	"github.com/busyd/busyd/busy"
)

type conflictsAnswer struct {
	Conflicts []conflictItem `json:"conflicts" nullable:"false" doc:"By id."`
	Next      *string        `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

type conflictItem struct {
	ID         string     `json:"id" format:"uuid"`
	Booking    string     `json:"booking" format:"uuid"`
	Resource   string     `json:"resource" format:"uuid"`
	Start      time.Time  `json:"start" doc:"Of the first part of the booking's time that is blocked."`
	End        time.Time  `json:"end" doc:"Exclusive."`
	DetectedAt time.Time  `json:"detected_at"`
	ResolvedAt *time.Time `json:"resolved_at" doc:"When the block or the booking was gone from there; null: it is open."`
}

func (a *api) listConflicts(r *request) (any, error) {
	limit := r.params.limit()
	after := afterID[busy.Conflict](r.params)
	open := !r.params.flag(allParam.name)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	all, err := a.Store.Conflicts(r.ctx, r.tenant, open, after, limit+1)
	if err != nil {
		return nil, err
	}
	items := make([]conflictItem, len(all))
	for i, c := range all {
		items[i] = conflictItem{
			ID: c.ID.String(), Booking: c.Booking.String(), Resource: c.Resource.String(),
			Start: c.Span.Start.UTC(), End: c.Span.End.UTC(), DetectedAt: c.DetectedAt.UTC(), ResolvedAt: instant(c.ResolvedAt),
		}
	}
	var out conflictsAnswer
	out.Conflicts, out.Next = page(items, func(i conflictItem) string { return i.ID }, after.String(), limit)
	return out, nil
}

func conflictRoutes() []route {
	return []route{{
		method: http.MethodGet, path: "/v1/conflicts", id: "listConflicts", scope: busy.ScopeRead,
		summary: "Bookings that a calendar's event landed on",
		about: "A conflict is open until the event or the booking is gone from there. It is found in the transaction that " +
			"writes the event's time.",
		params: []param{allParam, limitParam, cursorParam},
		status: http.StatusOK, answer: conflictsAnswer{},
		serve: (*api).listConflicts,
	}}
}
