package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
)

// Hashes are hashes of a value that are keyed with a master key, and so the same
// for all tenants: one for each key of the ring, the current one's first, so that
// a value that was hashed under an older one is still found.
func (k *Keyring) Hashes(field, value string) ([]Hash, error) {
	hashes := make([]Hash, 0, len(k.keys))
	for id, master := range k.keys {
		key, err := hkdf.Key(sha256.New, master[:], nil, "busyd hash across tenants 1", KeySize)
		if err != nil {
			return nil, fmt.Errorf("derive a key: %w", err)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(appendParts(nil, []string{field, value}))
		hash := Hash(mac.Sum(nil)[:len(Hash{})])
		if id == k.current {
			hashes = slices.Insert(hashes, 0, hash)
		} else {
			hashes = append(hashes, hash)
		}
	}
	return hashes, nil
}
