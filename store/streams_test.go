package store_test

import (
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/storetest"
)

// Whoever names another tenant's connection learns no grant and makes nothing due.
func TestStreamsOfAnotherTenant(t *testing.T) {
	env := storetest.New(t)
	mine := env.Tenant(t, "mine")
	theirs, _, calendar := env.Calendar(t, "theirs")
	stolen := busy.Stream{Tenant: mine.ID, Connection: calendar.Connection}
	_, err := env.Store.StreamGrant(ctx, stolen)
	expect(t, err, busy.ErrFenced)
	tasks, err := env.Store.Streamed(ctx, stolen, now)
	must(t, err)
	if len(tasks) != 0 {
		t.Errorf("due: %v", tasks)
	}
	grant, err := env.Store.StreamGrant(ctx, busy.Stream{Tenant: theirs.ID, Connection: calendar.Connection})
	must(t, err)
	if len(grant) == 0 {
		t.Error("its own tenant gets no grant")
	}
}
