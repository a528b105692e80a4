package main

import (
	"context"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
)

// apiStore is the store as the API knows it.
type apiStore struct{ *store.Store }

// Disconnect disconnects an account whose provider has nothing to be told.
func (s apiStore) Disconnect(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID, now time.Time) error {
	return s.Store.Disconnect(ctx, tenant, id, false, now)
}
