package api

import (
	"context"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// addEndpoint gives the tenant an endpoint, and something that happened.
func (ten *tenant) addEndpoint(h *house, name string) {
	ten.endpoints = append(ten.endpoints, busy.Endpoint{
		ID: newID[busy.Endpoint](h), URL: "https://" + name + ".example.com/busyd", CreatedAt: h.now, FailingSince: h.now, Code: "status_503",
	})
	ten.heard = append(ten.heard, busy.Heard{
		Mark:    busy.Mark{Transaction: 7, Seq: 1},
		Message: busy.Message{ID: newID[busy.Message](h), Type: busy.AvailabilityChanged, At: h.now, Resource: ten.resources[0].ID, Span: busy.Span{Start: h.now, End: h.now.Add(time.Hour)}},
	})
}

func (h *house) endpoint(tenant busy.TenantID, id busy.EndpointID) error {
	if !slices.ContainsFunc(h.tenant(tenant).endpoints, func(e busy.Endpoint) bool { return e.ID == id }) {
		return busy.ErrNotFound
	}
	return h.err
}

func (h *house) Endpoints(_ context.Context, tenant busy.TenantID) ([]busy.Endpoint, error) {
	return h.tenant(tenant).endpoints, h.err
}

func (h *house) CreateEndpoint(_ context.Context, tenant busy.TenantID, e busy.Endpoint, now time.Time) (busy.Endpoint, string, error) {
	if e.URL == "" {
		return e, "", busy.Invalid("url", "must be an https address such as https://example.com/busyd")
	}
	e.ID, e.CreatedAt = newID[busy.Endpoint](h), now
	h.tenant(tenant).endpoints = append(h.tenant(tenant).endpoints, e)
	return e, "whsec_secret", h.err
}

func (h *house) DeleteEndpoint(_ context.Context, tenant busy.TenantID, id busy.EndpointID) error {
	if err := h.endpoint(tenant, id); err != nil {
		return err
	}
	ten := h.tenant(tenant)
	ten.endpoints = slices.DeleteFunc(ten.endpoints, func(e busy.Endpoint) bool { return e.ID == id })
	return nil
}

func (h *house) RotateSecret(_ context.Context, tenant busy.TenantID, id busy.EndpointID, _ time.Time) (string, error) {
	return "whsec_another", h.endpoint(tenant, id)
}

func (h *house) Replay(_ context.Context, tenant busy.TenantID, id busy.EndpointID, _, _ time.Time) (int, error) {
	return 1, h.endpoint(tenant, id)
}

func (h *house) Present(context.Context, busy.TenantID) (busy.Mark, error) {
	return busy.Mark{Transaction: 7}, h.err
}

func (h *house) Kept(context.Context, busy.TenantID, busy.Mark) (bool, error) { return true, h.err }

func (h *house) Listen(_ context.Context, tenant busy.TenantID, after busy.Mark, _ int) ([]busy.Heard, error) {
	var heard []busy.Heard
	for _, m := range h.tenant(tenant).heard {
		if m.Seq > after.Seq {
			heard = append(heard, m)
		}
	}
	return heard, h.err
}
