package storetest_test

import (
	"context"
	"testing"

	"github.com/busyd/busyd/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	for _, run := range []string{"first", "second"} {
		t.Run(run, func(t *testing.T) {
			env := storetest.New(t)
			tenant, _, calendar := env.Calendar(t, "same name")
			tenants, err := env.Store.Tenants(context.Background())
			if err != nil || len(tenants) != 1 || tenants[0] != tenant {
				t.Fatalf("tenants %v, %v", tenants, err)
			}
			found, err := env.Store.Calendar(context.Background(), tenant.ID, calendar.ID)
			if err != nil || found != calendar {
				t.Fatalf("calendar %+v, %v, want %+v", found, err, calendar)
			}
		})
	}
}
