package api

import (
	"time"

	"github.com/busyd/busyd/busy"
)

type tenantAnswer struct {
	ID           string     `json:"id" format:"uuid"`
	Name         string     `json:"name"`
	DowngradedAt *time.Time `json:"downgraded_at" doc:"When calendars were taken out of the plan; null: they are in it."`
}

func (a *api) getTenant(r *request) (any, error) {
	if err := r.params.err(); err != nil {
		return nil, err
	}
	t, err := a.Store.FindTenant(r.ctx, r.tenant.String())
	if err != nil {
		return nil, err
	}
	return tenantAnswerOf(t), nil
}

func tenantAnswerOf(t busy.Tenant) tenantAnswer {
	return tenantAnswer{ID: t.ID.String(), Name: t.Name, DowngradedAt: instant(t.DowngradedAt)}
}

type tenantBody struct {
	Downgraded *bool `json:"downgraded" nullable:"false" doc:"true disconnects every account; none can be connected until it is false again."`
}

func (a *api) changeTenant(r *request) (any, error) {
	if err := r.params.err(); err != nil {
		return nil, err
	}
	var body tenantBody
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	if body.Downgraded == nil {
		return nil, violations{{"downgraded", "is required: true or false"}}
	}
	if err := a.Accounts.Downgrade(r.ctx, r.tenant, *body.Downgraded); err != nil {
		return nil, err
	}
	return a.getTenant(r)
}
