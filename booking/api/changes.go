package api

import (
	"github.com/busyd/busyd/busy"
)

type resyncBody struct {
	Connection *string `json:"connection,omitempty" format:"uuid" doc:"Only this connection's calendars."`
	Calendar   *string `json:"calendar,omitempty" format:"uuid" doc:"Only this calendar. Not together with connection."`
	Full       bool    `json:"full,omitempty" doc:"Read everything anew, not only what changed."`
}

type resyncAnswer struct {
	Calendars []string `json:"calendars" nullable:"false" doc:"The ids of the calendars that are read now."`
}

func (a *api) resync(r *request) (any, error) {
	var body resyncBody
	if err := r.params.err(); err != nil {
		return nil, err
	}
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	scope, err := body.scope()
	if err != nil {
		return nil, err
	}
	calendars, err := a.Syncer.Resync(r.ctx, r.tenant, scope, r.now)
	if err != nil {
		return nil, err
	}
	out := resyncAnswer{Calendars: make([]string, len(calendars))}
	for i, id := range calendars {
		out.Calendars[i] = id.String()
	}
	return out, nil
}

func (b resyncBody) scope() (Scope, error) {
	scope := Scope{Full: b.Full}
	var wrong violations
	var err error
	if b.Connection != nil {
		if scope.Connection, err = busy.ParseID[busy.Connection](*b.Connection); err != nil {
			wrong = append(wrong, violation{"connection", uuidForm})
		}
	}
	if b.Calendar != nil {
		if scope.Calendar, err = busy.ParseID[busy.Calendar](*b.Calendar); err != nil {
			wrong = append(wrong, violation{"calendar", uuidForm})
		}
	}
	if b.Connection != nil && b.Calendar != nil {
		wrong = append(wrong, violation{"calendar", "must not be given together with connection"})
	}
	if len(wrong) > 0 {
		return Scope{}, wrong
	}
	return scope, nil
}

type selectBody struct {
	Selected *bool `json:"selected" nullable:"false" doc:"Whether the calendar blocks its resource's time."`
}

func (a *api) selectCalendar(r *request) (any, error) {
	id := idOf[busy.Calendar](r.params)
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body selectBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	if body.Selected == nil {
		return nil, violations{{"selected", "is required: true or false"}}
	}
	if err := a.Store.Select(r.ctx, r.tenant, id, *body.Selected, r.now); err != nil {
		return nil, err
	}
	calendar, err := a.Store.Calendar(r.ctx, r.tenant, id)
	if err != nil {
		return nil, err
	}
	return a.calendarItem(calendar, r.now), nil
}
