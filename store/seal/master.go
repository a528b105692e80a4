package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/busyd/busyd/busy"
)

// KeySize is the length of a master key, in bytes.
const KeySize = 32

// MasterKey wraps the tenants' data keys. Nothing prints it but Encode.
type MasterKey [KeySize]byte

// ParseKey reads a master key from the form that Encode writes: 32 bytes in
// base64. White space around it is ignored.
func ParseKey(s string) (MasterKey, error) {
	var key MasterKey
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	if err != nil || len(raw) != KeySize {
		return key, busy.Invalid("master key", "must be 32 random bytes in base64: make one with `openssl rand -base64 32`")
	}
	copy(key[:], raw)
	if key == (MasterKey{}) {
		return key, busy.Invalid("master key", "must not be all zeros: make one with `openssl rand -base64 32`")
	}
	return key, nil
}

// NewKey draws a master key from random, which is crypto/rand.Reader outside of
// tests.
func NewKey(random io.Reader) (MasterKey, error) {
	var key MasterKey
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return key, fmt.Errorf("draw a master key: %w", err)
	}
	return key, nil
}

// Encode returns the key in base64. It is a secret.
func (k MasterKey) Encode() string { return base64.StdEncoding.EncodeToString(k[:]) }

// ID names the key without telling anything of it: it is stored beside all that
// the key wraps.
func (k MasterKey) ID() KeyID {
	sum := sha256.Sum256(append([]byte("busyd master key id\x00"), k[:]...))
	return KeyID(sum[:8])
}

const redacted = "[redacted]"

func (MasterKey) String() string               { return redacted }
func (MasterKey) GoString() string             { return redacted }
func (MasterKey) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (MasterKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (MasterKey) LogValue() slog.Value         { return slog.StringValue(redacted) }

// KeyID names a master key or a data key.
type KeyID [8]byte

// String returns 16 hexadecimal digits.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// ParseKeyID reads what String writes.
func ParseKeyID(s string) (KeyID, error) {
	var id KeyID
	if len(s) != 2*len(id) {
		return id, busy.Invalid("key id", "must be 16 hexadecimal digits")
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return id, busy.Invalid("key id", "must be 16 hexadecimal digits")
	}
	return id, nil
}
