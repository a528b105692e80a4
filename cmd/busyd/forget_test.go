package main

import (
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
)

// Whose only account is disconnected is named by status, and by why, until it is
// forgotten.
func TestADisconnectedResourceIsNamed(t *testing.T) {
	m := newMachine(t)
	m.settled()
	id := object[[]connectionView](m, "connection", "list", "--tenant", "acme")[0].ID.String()
	expect := func(code int, want string, args ...string) {
		t.Helper()
		got, out, errs := m.busyd(append(args, "--tenant", "acme")...)
		if got != code || !strings.Contains(out+errs, want) {
			t.Errorf("%v: exit code %d, want %d and %q\n%s%s", args, got, code, want, out, errs)
		}
	}
	why := []string{"why", "--resource", "Ada", "--at", "2099-03-02T10:00"}
	expect(exitUsage, "must be disconnected", "connection", "forget", id)
	m.must("connection", "disconnect", id, "--tenant", "acme", "--yes")
	expect(exitAttention, "busyd connection forget "+id, "status")
	expect(exitAttention, string(busy.StateDisconnected), "status", "--json")
	expect(exitAttention, "accounts are disconnected", why...)
	expect(exitOK, "Forgot "+id, "connection", "forget", id)
	expect(exitOK, "No calendars are connected", "status")
	expect(exitOK, "can be booked", why...)
}
