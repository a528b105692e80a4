package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// A master key can be replaced, and the one before it taken away.
func TestAMasterKeyIsRetired(t *testing.T) {
	m := newMachine(t)
	older, newer := masterKey(), masterKey()
	m.set("BUSYD_MASTER_KEY", older)
	m.settled()

	m.set("BUSYD_MASTER_KEY", newer)
	if code, _, errs := m.busyd("status"); code == exitOK || !strings.Contains(errs, "add that key") {
		t.Fatalf("without the old key: exit code %d\n%s", code, errs)
	}
	m.set("BUSYD_MASTER_KEY", newer+","+older)
	if cure := m.cureOf("master keys"); !strings.Contains(cure, "busyd rekey") {
		t.Errorf("the cure for an older key is %q", cure)
	}
	for _, want := range []int{1, 0} {
		if got := object[map[string]int](m, "rekey")["rewrapped"]; got != want {
			t.Errorf("%d keys wrapped anew, not %d", got, want)
		}
	}
	m.set("BUSYD_MASTER_KEY", newer)
	if cure := m.cureOf("master keys"); cure != "" {
		t.Errorf("afterwards there is a cure: %q", cure)
	}
	if out := m.must("calendar", "list", "--tenant", "acme"); !strings.Contains(out, "Work") {
		t.Errorf("what was sealed is not read:\n%s", out)
	}
}

func masterKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

// cureOf is what doctor says to do about one thing.
func (m *machine) cureOf(name string) string {
	m.t.Helper()
	_, out, errs := m.busyd("doctor", "--json")
	var found []finding
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		m.t.Fatalf("%v in\n%s%s", err, out, errs)
	}
	for _, f := range found {
		if f.Name == name {
			return f.Cure
		}
	}
	m.t.Fatalf("doctor says nothing of the %s:\n%s", name, out)
	return ""
}
