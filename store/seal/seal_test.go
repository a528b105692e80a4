package seal_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

func newKey(t testing.TB) seal.MasterKey {
	t.Helper()
	key, err := seal.NewKey(rand.Reader)
	must(t, err)
	return key
}

func newBox(t testing.TB, ring *seal.Keyring, tenant busy.TenantID) *seal.Box {
	t.Helper()
	wrapped, err := ring.NewDataKey(rand.Reader, tenant)
	must(t, err)
	box, err := ring.Box(rand.Reader, tenant, wrapped)
	must(t, err)
	return box
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenReadsWhatSealWrote(t *testing.T) {
	box := newBox(t, seal.NewKeyring(newKey(t)), busy.TenantID{1})
	for _, plaintext := range []string{"", "x", strings.Repeat("long ", 10_000)} {
		sealed, err := box.Seal("field", "row", []byte(plaintext))
		must(t, err)
		if len(sealed) != len(plaintext)+seal.Overhead {
			t.Fatalf("%d bytes for %d", len(sealed), len(plaintext))
		}
		got, err := box.Open("field", "row", sealed)
		must(t, err)
		if string(got) != plaintext {
			t.Fatalf("%q, want %q", got, plaintext)
		}
	}
}

func TestOpenRefusesWhatWasMoved(t *testing.T) {
	ring := seal.NewKeyring(newKey(t))
	tenant := busy.TenantID{1}
	wrapped, err := ring.NewDataKey(rand.Reader, tenant)
	must(t, err)
	box, err := ring.Box(rand.Reader, tenant, wrapped)
	must(t, err)
	sealed, err := box.Seal("ab", "c", []byte("secret"))
	must(t, err)
	for name, open := range map[string]func() ([]byte, error){
		"another field":              func() ([]byte, error) { return box.Open("xb", "c", sealed) },
		"another row":                func() ([]byte, error) { return box.Open("ab", "d", sealed) },
		"parts with other limits":    func() ([]byte, error) { return box.Open("a", "bc", sealed) },
		"another tenant's box":       func() ([]byte, error) { return newBox(t, ring, busy.TenantID{2}).Open("ab", "c", sealed) },
		"the tenant's next data key": func() ([]byte, error) { return newBox(t, ring, tenant).Open("ab", "c", sealed) },
	} {
		if _, err := open(); !errors.Is(err, seal.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ring.Box(rand.Reader, busy.TenantID{2}, wrapped); !errors.Is(err, seal.ErrCorrupt) {
		t.Errorf("another tenant's data key: %v", err)
	}
	wrapped.DEK[0] ^= 1
	if _, err := ring.Box(rand.Reader, tenant, wrapped); !errors.Is(err, seal.ErrCorrupt) {
		t.Errorf("a data key under another name: %v", err)
	}
}

func TestOpenRefusesAFlippedBit(t *testing.T) {
	box := newBox(t, seal.NewKeyring(newKey(t)), busy.TenantID{1})
	sealed, err := box.Seal("field", "row", []byte("secret"))
	must(t, err)
	for i := range sealed {
		for bit := range 8 {
			damaged := bytes.Clone(sealed)
			damaged[i] ^= 1 << bit
			if _, err := box.Open("field", "row", damaged); !errors.Is(err, seal.ErrCorrupt) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
		}
		if _, err := box.Open("field", "row", sealed[:i]); !errors.Is(err, seal.ErrCorrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func TestSaltsAreUnique(t *testing.T) {
	box := newBox(t, seal.NewKeyring(newKey(t)), busy.TenantID{1})
	met := make(map[string]bool)
	for range 1000 {
		sealed, err := box.Seal("field", "row", []byte("the same"))
		must(t, err)
		salt := string(sealed[17:49])
		if met[salt] {
			t.Fatal("a salt was used twice")
		}
		met[salt] = true
	}
}

func TestHash(t *testing.T) {
	ring := seal.NewKeyring(newKey(t))
	box, other := newBox(t, ring, busy.TenantID{1}), newBox(t, ring, busy.TenantID{2})
	want := box.Hash("field", "row", "value")
	hasher := box.Hasher("field", "row")
	for range 3 {
		if hasher.Hash([]byte("value")) != want || box.Hash("field", "row", "value") != want {
			t.Fatal("equal values have different hashes")
		}
		hasher.Hash([]byte("between"))
	}
	for name, got := range map[string]seal.Hash{
		"another value":  box.Hash("field", "row", "valuE"),
		"another row":    box.Hash("field", "raw", "value"),
		"another field":  box.Hash("fjeld", "row", "value"),
		"other limits":   box.Hash("field", "rowv", "alue"),
		"another tenant": other.Hash("field", "row", "value"),
	} {
		if got == want {
			t.Errorf("%s has the same hash", name)
		}
	}
}

func TestRewrapChangesTheMasterKeyOnly(t *testing.T) {
	old, fresh := newKey(t), newKey(t)
	tenant := busy.TenantID{1}
	before := seal.NewKeyring(old)
	wrapped, err := before.NewDataKey(rand.Reader, tenant)
	must(t, err)
	box, err := before.Box(rand.Reader, tenant, wrapped)
	must(t, err)
	sealed, err := box.Seal("field", "row", []byte("secret"))
	must(t, err)

	rewrapped, err := seal.NewKeyring(fresh, old).Rewrap(rand.Reader, tenant, wrapped)
	must(t, err)
	after := seal.NewKeyring(fresh)
	box, err = after.Box(rand.Reader, tenant, rewrapped)
	must(t, err)
	got, err := box.Open("field", "row", sealed)
	must(t, err)
	if string(got) != "secret" || rewrapped.KEK != fresh.ID() || rewrapped.DEK != wrapped.DEK {
		t.Fatalf("%q under %s", got, rewrapped.KEK)
	}
	_, err = after.Box(rand.Reader, tenant, wrapped)
	if !errors.Is(err, seal.ErrNoMasterKey) || !strings.Contains(err.Error(), old.ID().String()) {
		t.Fatalf("%v does not name the missing key", err)
	}
	if _, err := after.Box(rand.Reader, tenant, seal.Wrapped{}); err == nil {
		t.Fatal("a destroyed data key was unwrapped")
	}
}

func TestParseKey(t *testing.T) {
	key := newKey(t)
	got, err := seal.ParseKey(" " + key.Encode() + "\n")
	if err != nil || got != key {
		t.Fatalf("%v", err)
	}
	for _, wrong := range []string{
		"", "secret", base64.StdEncoding.EncodeToString(make([]byte, 31)), base64.StdEncoding.EncodeToString(make([]byte, 33)),
		base64.StdEncoding.EncodeToString(make([]byte, 32)), key.Encode()[1:],
	} {
		_, err := seal.ParseKey(wrong)
		if !errors.Is(err, busy.ErrInvalid) || !strings.Contains(err.Error(), "openssl rand -base64 32") ||
			len(wrong) > 10 && strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	id := key.ID()
	if again, err := seal.ParseKeyID(id.String()); err != nil || again != id {
		t.Fatalf("%v, %v", again, err)
	}
}

func TestNothingPrintsAKey(t *testing.T) {
	key := newKey(t)
	ring := seal.NewKeyring(key)
	box := newBox(t, ring, busy.TenantID{1})
	hexKey := fmt.Sprintf("%x", key[:])
	for _, value := range []any{key, &key, ring, box, struct {
		Key  seal.MasterKey
		Ring *seal.Keyring
	}{key, ring}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			text := fmt.Sprintf(verb, value)
			if strings.Contains(text, hexKey) || strings.Contains(text, key.Encode()) ||
				strings.Contains(text, strings.Trim(fmt.Sprint(key[:4]), "[]")) {
				t.Errorf("%T with %s: %s", value, verb, text)
			}
		}
	}
}

// A source of randomness that fails must not yield a predictable key.
func TestRandomnessThatFails(t *testing.T) {
	empty := strings.NewReader("")
	if _, err := seal.NewKey(empty); err == nil {
		t.Error("a master key")
	}
	ring := seal.NewKeyring(newKey(t))
	if _, err := ring.NewDataKey(empty, busy.TenantID{1}); err == nil {
		t.Error("a data key")
	}
	wrapped, err := ring.NewDataKey(rand.Reader, busy.TenantID{1})
	must(t, err)
	box, err := ring.Box(empty, busy.TenantID{1}, wrapped)
	must(t, err)
	if _, err := box.Seal("field", "row", nil); err == nil {
		t.Error("an envelope")
	}
}

func BenchmarkSeal(b *testing.B) {
	box := newBox(b, seal.NewKeyring(newKey(b)), busy.TenantID{1})
	for b.Loop() {
		if _, err := box.Seal("events.subject", "12345678", []byte("a subject of usual length")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	hasher := newBox(b, seal.NewKeyring(newKey(b)), busy.TenantID{1}).Hasher("events.key", "1234567812345678")
	value := []byte("/calendars/somebody@example.org/00000001.ics")
	for b.Loop() {
		hasher.Hash(value)
	}
}
