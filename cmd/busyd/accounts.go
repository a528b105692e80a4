package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/busyd/busyd/booking/api"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/sync/connect"
)

// newConnect returns the service that connects and disconnects accounts.
func newConnect(c configs.Config, st *store.Store, known []providers.Provider, log *slog.Logger) *connect.Service {
	return connect.New(connect.Config{
		Store: st, Providers: known, Callback: c.PublicURL + "/oauth/callback",
		Now: time.Now, Random: rand.Float64, Log: log,
	})
}

// accounts is the API's way to the service.
type accounts struct {
	service *connect.Service
	hint    func(context.Context, []busy.Task)
}

var _ api.Accounts = (*accounts)(nil)

// Begin implements [api.Accounts].
func (a *accounts) Begin(ctx context.Context, c busy.Consent) (string, error) {
	return a.service.Begin(ctx, c)
}

// Finish implements [api.Accounts].
func (a *accounts) Finish(ctx context.Context, callback url.Values) (api.Connected, error) {
	return a.connected(ctx)(a.service.Finish(ctx, callback))
}

// Connect implements [api.Accounts].
func (a *accounts) Connect(ctx context.Context, tenant busy.TenantID, resource busy.ResourceID, kind busy.Kind, login api.Login,
) (api.Connected, error) {
	return a.connected(ctx)(a.service.Password(ctx, tenant, resource, kind, providers.Login(login)))
}

// AdminConsentURL implements [api.Accounts].
func (a *accounts) AdminConsentURL(kind busy.Kind) string {
	return a.service.AdminConsentURL(kind, false)
}

// Pause implements [api.Accounts].
func (a *accounts) Pause(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, paused bool) (busy.Connection, error) {
	return a.service.Pause(ctx, tenant, id, paused)
}

// Disconnect implements [api.Accounts].
func (a *accounts) Disconnect(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID) error {
	return a.service.Disconnect(ctx, tenant, id)
}

// Downgrade implements [api.Accounts].
func (a *accounts) Downgrade(ctx context.Context, tenant busy.TenantID, downgraded bool) error {
	return a.service.Downgrade(ctx, tenant, downgraded)
}

// connected words what the service answers as the API has it. The first runs are
// due already; the hints only spare them the wait for the sweep.
func (a *accounts) connected(ctx context.Context) func(connect.Connected, error) (api.Connected, error) {
	return func(done connect.Connected, err error) (api.Connected, error) {
		if err != nil {
			return api.Connected{}, fromProvider(err)
		}
		a.hint(ctx, firstTasks(done.Tenant, done.Calendars))
		return api.Connected{Connection: done.Connection, Calendars: done.Calendars, Consented: done.Consented}, nil
	}
}

// firstTasks ask for the first runs of calendars that were just connected.
func firstTasks(tenant busy.TenantID, calendars []busy.Calendar) []busy.Task {
	var tasks []busy.Task
	for _, c := range calendars {
		if c.Selected {
			tasks = append(tasks, busy.Task{Tenant: tenant, Calendar: c.ID, Urgency: busy.UrgencyWaiting})
		}
	}
	return tasks
}

// fromProvider tells failures at a provider from those of our own.
func fromProvider(err error) error {
	var failure *providers.Error
	if !errors.As(err, &failure) || errors.Is(err, busy.ErrInvalid) {
		return err
	}
	told := &api.ProviderError{AwaitingAdmin: failure.Fault == providers.AwaitingAdmin, Err: err}
	var waiting *connect.AwaitingAdmin
	if errors.As(err, &waiting) {
		told.AdminURL = waiting.URL
	}
	return told
}
