package seal

import (
	"errors"
	"fmt"
	"io"

	"github.com/busyd/busyd/busy"
)

// Keyring holds the master keys. It is safe for concurrent use.
type Keyring struct {
	current KeyID
	keys    map[KeyID]MasterKey
}

// NewKeyring returns a ring that wraps under current and unwraps what any of its
// keys wrapped.
func NewKeyring(current MasterKey, older ...MasterKey) *Keyring {
	k := &Keyring{current: current.ID(), keys: map[KeyID]MasterKey{current.ID(): current}}
	for _, key := range older {
		k.keys[key.ID()] = key
	}
	return k
}

// Current is the id of the key that wraps.
func (k *Keyring) Current() KeyID { return k.current }

// Has reports whether the ring holds a key; see [Keyring.Missing].
func (k *Keyring) Has(id KeyID) bool {
	_, ok := k.keys[id]
	return ok
}

// Missing is the error for a master key that the ring lacks. It is an
// [ErrNoMasterKey] that names the key and the cure.
func (k *Keyring) Missing(id KeyID) error {
	return fmt.Errorf("%w: data is sealed under master key %s, and the configured ones have other ids: "+
		"add that key to the configuration (as an older key, after the current one)", ErrNoMasterKey, id)
}

// Wrapped is a tenant's data key as it is stored.
type Wrapped struct {
	DEK    KeyID  // names the data key
	KEK    KeyID  // names the master key that wraps it
	Sealed []byte // the data key in an envelope
}

const dataKeyField = "data key"

// NewDataKey draws a tenant's data key and wraps it under the current master key.
func (k *Keyring) NewDataKey(random io.Reader, tenant busy.TenantID) (Wrapped, error) {
	var drawn [8 + KeySize]byte
	if _, err := io.ReadFull(random, drawn[:]); err != nil {
		return Wrapped{}, fmt.Errorf("draw a data key: %w", err)
	}
	return k.wrap(random, tenant, KeyID(drawn[:8]), drawn[8:])
}

func (k *Keyring) wrap(random io.Reader, tenant busy.TenantID, dek KeyID, key []byte) (Wrapped, error) {
	master := k.keys[k.current]
	sealed, err := seal(random, master[:], k.current, dek, key, string(tenant[:]), dataKeyField)
	if err != nil {
		return Wrapped{}, fmt.Errorf("wrap a data key: %w", err)
	}
	return Wrapped{DEK: dek, KEK: k.current, Sealed: sealed}, nil
}

func (k *Keyring) unwrap(tenant busy.TenantID, w Wrapped) ([]byte, error) {
	master, ok := k.keys[w.KEK]
	if !ok {
		return nil, k.Missing(w.KEK)
	}
	key, err := open(master[:], w.Sealed, string(tenant[:]), dataKeyField)
	if err != nil {
		return nil, fmt.Errorf("unwrap the data key %s: %w", w.DEK, err)
	}
	if len(key) != KeySize || KeyID(w.Sealed[dekAt:saltAt]) != w.DEK {
		return nil, fmt.Errorf("unwrap the data key %s: %w", w.DEK, ErrCorrupt)
	}
	return key, nil
}

// Rewrap wraps the same data key under the current master key. What the data key
// sealed stays as it is.
func (k *Keyring) Rewrap(random io.Reader, tenant busy.TenantID, w Wrapped) (Wrapped, error) {
	key, err := k.unwrap(tenant, w)
	if err != nil {
		return Wrapped{}, err
	}
	return k.wrap(random, tenant, w.DEK, key)
}

// Box unwraps a tenant's data key and returns what seals and opens with it.
func (k *Keyring) Box(random io.Reader, tenant busy.TenantID, w Wrapped) (*Box, error) {
	if len(w.Sealed) == 0 {
		return nil, errors.New("the tenant's data key is destroyed: nothing that it sealed can be opened")
	}
	key, err := k.unwrap(tenant, w)
	if err != nil {
		return nil, err
	}
	return newBox(random, tenant, w, key)
}

// Format keeps the keys out of whatever prints the ring.
func (*Keyring) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }
