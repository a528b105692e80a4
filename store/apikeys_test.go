package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/storetest"
)

func TestAuthenticate(t *testing.T) {
	env := storetest.New(t)
	tenant := env.Tenant(t, "tenant")
	expires := now.Add(time.Hour)
	key, token, err := env.Store.CreateKey(ctx, tenant.ID, "key", []busy.Scope{busy.ScopeRead, busy.ScopeSync}, expires, now)
	must(t, err)
	gotTenant, gotKey, err := env.Store.Authenticate(ctx, token, now)
	must(t, err)
	if diff := cmp.Diff(key, gotKey); diff != "" || gotTenant != tenant.ID {
		t.Fatalf("tenant %s, key (-made +found):\n%s", gotTenant, diff)
	}
	listed, err := env.Store.Keys(ctx, tenant.ID)
	must(t, err)
	if diff := cmp.Diff([]busy.APIKey{key}, listed); diff != "" {
		t.Fatal(diff)
	}

	_, other, err := env.Store.CreateKey(ctx, tenant.ID, "other", busy.Scopes(), time.Time{}, now)
	must(t, err)
	parts, others := strings.Split(token, "_"), strings.Split(other, "_")
	for name, wrong := range map[string]string{
		"nothing":             "",
		"no token":            "hello",
		"too few parts":       "bzd_a_b",
		"a wrong check":       token[:len(token)-1] + "?",
		"upper case":          strings.ToUpper(token),
		"another's secret":    store.SignToken("bzd_" + parts[1] + "_" + others[2]),
		"another prefix":      store.SignToken("abc_" + parts[1] + "_" + parts[2]),
		"a short secret":      store.SignToken("bzd_" + parts[1] + "_" + parts[2][:51]),
		"an unknown key":      store.SignToken("bzd_" + strings.Repeat("a", 26) + "_" + parts[2]),
		"a secret that is no": store.SignToken("bzd_" + parts[1] + "_" + strings.Repeat("a", 52)),
	} {
		if _, _, err := env.Store.Authenticate(ctx, wrong, now); err == nil {
			t.Errorf("%s is let in", name)
		} else {
			expect(t, err, busy.ErrNotFound)
		}
	}
	if store.SignToken(token[:strings.LastIndex(token, "_")]) != token {
		t.Fatal("the test makes tokens another way")
	}

	_, _, err = env.Store.Authenticate(ctx, token, expires.Add(-time.Microsecond))
	must(t, err)
	_, _, err = env.Store.Authenticate(ctx, token, expires)
	expect(t, err, busy.ErrNotFound)
	for range 2 {
		must(t, env.Store.RevokeKey(ctx, tenant.ID, key.ID, now))
	}
	_, _, err = env.Store.Authenticate(ctx, token, now)
	expect(t, err, busy.ErrNotFound)
	_, _, err = env.Store.Authenticate(ctx, other, now.AddDate(100, 0, 0))
	must(t, err)
}

// A token that is not one costs no query: here there is no database to ask.
func TestAMalformedTokenDoesNotReachTheDatabase(t *testing.T) {
	env := storetest.New(t)
	s := env.Open(t, env.Keys)
	s.Close()
	_, _, err := s.Authenticate(ctx, "bzd_aaaaaaaaaaaaaaaaaaaaaaaaaa_"+strings.Repeat("a", 52)+"_aaaaaaa", now)
	expect(t, err, busy.ErrNotFound)
}

func TestCreateKeyExplains(t *testing.T) {
	env := storetest.New(t)
	tenant := env.Tenant(t, "tenant")
	for name, attempt := range map[string]struct {
		key     string
		scopes  []busy.Scope
		expires time.Time
	}{
		"no name":       {"", busy.Scopes(), time.Time{}},
		"no scope":      {"key", nil, time.Time{}},
		"another scope": {"key", []busy.Scope{"all"}, time.Time{}},
		"expired":       {"key", busy.Scopes(), now},
	} {
		_, _, err := env.Store.CreateKey(ctx, tenant.ID, attempt.key, attempt.scopes, attempt.expires, now)
		if err == nil {
			t.Errorf("%s is accepted", name)
		} else {
			expect(t, err, busy.ErrInvalid)
		}
	}
	_, _, err := env.Store.CreateKey(ctx, newID[busy.Tenant](t), "key", busy.Scopes(), time.Time{}, now)
	expect(t, err, busy.ErrNotFound)
}
