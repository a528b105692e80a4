package api

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

func TestARevokedKeyIsRefusedWithinASecond(t *testing.T) {
	h := newHouse(t)
	token := readToken + "_one"
	status := func() int { return h.call(http.MethodGet, "/v1/resources", token, "").Code }
	if got := status(); got != http.StatusOK {
		t.Fatalf("status %d before it is revoked", got)
	}
	delete(h.tenants[0].keys, token)
	h.now = h.now.Add(time.Second)
	if got := status(); got != http.StatusUnauthorized {
		t.Fatalf("status %d a second after it was revoked", got)
	}
}

func TestAKeyIsNotRememberedForLongerThanItLasts(t *testing.T) {
	var known admissions
	known.remember("token", busy.TenantID{1}, busy.APIKey{ExpiresAt: moment.Add(remembered / 2)}, moment)
	for elapsed, want := range map[time.Duration]bool{0: true, remembered / 4: true, remembered / 2: false, remembered: false} {
		if _, is := known.find("token", moment.Add(elapsed)); is != want {
			t.Errorf("after %v: %v, want %v", elapsed, is, want)
		}
	}
	if _, is := known.find("tokens", moment); is {
		t.Error("another token is known")
	}
}

func TestTheMemoryForKeysIsBounded(t *testing.T) {
	var known admissions
	for i := range 3 * mostAdmissions {
		known.remember(fmt.Sprint(i), busy.TenantID{}, busy.APIKey{}, moment)
	}
	if len(known.of) > mostAdmissions {
		t.Fatalf("%d keys are remembered", len(known.of))
	}
}
