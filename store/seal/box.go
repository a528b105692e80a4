package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"github.com/busyd/busyd/busy"
)

// Box seals and opens a tenant's data. It is safe for concurrent use if its
// source of randomness is.
type Box struct {
	random io.Reader
	tenant string
	kek    KeyID
	dek    KeyID
	key    []byte
	hash   []byte
}

// Hash is a keyed hash; see [Box.Hash].
type Hash [16]byte

func newBox(random io.Reader, tenant busy.TenantID, w Wrapped, key []byte) (*Box, error) {
	hash, err := hkdf.Key(sha256.New, key, nil, "busyd hash 1", KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return &Box{random: random, tenant: string(tenant[:]), kek: w.KEK, dek: w.DEK, key: key, hash: hash}, nil
}

// Seal encrypts a field of a row. Only Open with the same row and field, of the
// same tenant, reads it.
func (b *Box) Seal(field, row string, plaintext []byte) ([]byte, error) {
	sealed, err := seal(b.random, b.key, b.kek, b.dek, plaintext, b.tenant, field, row)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", field, err)
	}
	return sealed, nil
}

// Open decrypts what Seal made. Any failure but a bug or a lost key is an
// [ErrCorrupt].
func (b *Box) Open(field, row string, sealed []byte) ([]byte, error) {
	plaintext, err := open(b.key, sealed, b.tenant, field, row)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", field, err)
	}
	return plaintext, nil
}

// Hash is a keyed hash of a value: equal values of one field and row have equal
// hashes, and nobody without the tenant's data key can tell a hash's value, or
// whether two tenants or two rows hold the same.
func (b *Box) Hash(field, row, value string) Hash { return b.Hasher(field, row).Hash([]byte(value)) }

// Hasher hashes many values of one field and row, as [Box.Hash] does. It is for
// one goroutine.
type Hasher struct {
	mac    hash.Hash
	prefix []byte
	size   [4]byte
	sum    [sha256.Size]byte
}

// Hasher returns a hasher for a field of a row.
func (b *Box) Hasher(field, row string) *Hasher {
	return &Hasher{mac: hmac.New(sha256.New, b.hash), prefix: appendParts(nil, []string{field, row})}
}

// Hash returns the keyed hash of a value.
func (h *Hasher) Hash(value []byte) Hash {
	h.mac.Reset()
	h.mac.Write(h.prefix)
	binary.BigEndian.PutUint32(h.size[:], uint32(len(value)))
	h.mac.Write(h.size[:])
	h.mac.Write(value)
	return Hash(h.mac.Sum(h.sum[:0])[:16])
}

// Format keeps the keys out of whatever prints the box.
func (*Box) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }
