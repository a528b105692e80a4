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
	Selected        *bool `json:"selected,omitempty" nullable:"false" doc:"Whether the calendar blocks its resource's time."`
	IgnoreTentative *bool `json:"ignore_tentative,omitempty" nullable:"false" doc:"Whether its tentative events do not."`
	IgnoreAllDay    *bool `json:"ignore_all_day,omitempty" nullable:"false" doc:"Whether its all-day events do not."`
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
	if body == (selectBody{}) {
		return nil, violations{{"selected", "is required: true or false"}}
	}
	calendar, err := a.Store.Calendar(r.ctx, r.tenant, id)
	if err != nil {
		return nil, err
	}
	if err := a.reselect(r, calendar, body); err != nil {
		return nil, err
	}
	if calendar, err = a.Store.Calendar(r.ctx, r.tenant, id); err != nil {
		return nil, err
	}
	return a.calendarItem(calendar, r.now), nil
}

// reselect carries out what the body says of the calendar.
func (a *api) reselect(r *request, c busy.Calendar, b selectBody) error {
	if b.IgnoreTentative != nil || b.IgnoreAllDay != nil {
		tentative, allDay := c.IgnoreTentative, c.IgnoreAllDay
		if b.IgnoreTentative != nil {
			tentative = *b.IgnoreTentative
		}
		if b.IgnoreAllDay != nil {
			allDay = *b.IgnoreAllDay
		}
		if err := a.Store.SetIgnore(r.ctx, r.tenant, c.ID, tentative, allDay, r.now); err != nil {
			return err
		}
	}
	if b.Selected == nil {
		return nil
	}
	return a.Store.Select(r.ctx, r.tenant, c.ID, *b.Selected, r.now)
}
