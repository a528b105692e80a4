package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// What a tenant's end deletes is told in full, what disconnecting deleted as well;
// before that, the list tells of a downgrade.
func TestTheEndOfATenant(t *testing.T) {
	m := newMachine(t)
	m.settled()
	m.serve()
	m.must("resync", "--tenant", "acme", "--wait")
	m.must("tenant", "create", "spare")
	m.must("tenant", "downgrade", "spare", "--yes")
	list := m.must("tenant", "list")
	if !strings.Contains(list, "downgraded "+time.Now().UTC().Format("2006-")) || strings.Count(list, "downgraded") != 1 {
		t.Errorf("listed:\n%s", list)
	}
	erased := object[erasureView](m, "tenant", "delete", "acme", "--yes")
	for _, table := range []string{"calendars", "connections", "events", "weeks", "resources", "tenant_keys", "tenants"} {
		if erased.Deleted[table] == 0 {
			t.Errorf("nothing was deleted of %s", table)
		}
	}
}

func TestOneLine(t *testing.T) {
	got := oneLine(errors.New("cannot connect:\n\tone: refused\n\ttwo: refused\n\tone: refused"))
	if want := "cannot connect: one: refused; two: refused"; got != want {
		t.Errorf("%q", got)
	}
}
