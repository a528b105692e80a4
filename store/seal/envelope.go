package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// An envelope is
//
//	version 1 | kek id 8 | dek id 8 | salt 32 | nonce 12 | ciphertext | tag 16
//
// The key of AES-256-GCM is HKDF-SHA-256 of the sealing key with the salt. The
// additional data is the header up to the nonce and the context, each part with
// its length before it, so that no two contexts read the same.
const (
	version   = 1
	saltSize  = 32
	nonceSize = 12
	tagSize   = 16

	kekAt    = 1
	dekAt    = kekAt + 8
	saltAt   = dekAt + 8
	nonceAt  = saltAt + saltSize
	headSize = nonceAt + nonceSize

	// Overhead is what sealing adds to the length of a plaintext.
	Overhead = headSize + tagSize
)

var (
	// ErrCorrupt: the envelope is damaged, was moved from another row or field,
	// or was sealed under another key.
	ErrCorrupt = errors.New("sealed data cannot be opened: it is damaged or was moved from where it was sealed")
	// ErrNoMasterKey: the master key that wraps the data key is not configured.
	ErrNoMasterKey = errors.New("the master key is not configured")
)

func seal(random io.Reader, key []byte, kek, dek KeyID, plaintext []byte, context ...string) ([]byte, error) {
	out := make([]byte, headSize, headSize+len(plaintext)+tagSize)
	out[0] = version
	copy(out[kekAt:], kek[:])
	copy(out[dekAt:], dek[:])
	if _, err := io.ReadFull(random, out[saltAt:headSize]); err != nil {
		return nil, fmt.Errorf("draw a salt: %w", err)
	}
	aead, err := derive(key, out[saltAt:nonceAt])
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, out[nonceAt:headSize], plaintext, additional(out[:nonceAt], context)), nil
}

func open(key, sealed []byte, context ...string) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != version {
		return nil, ErrCorrupt
	}
	aead, err := derive(key, sealed[saltAt:nonceAt])
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, sealed[nonceAt:headSize], sealed[headSize:], additional(sealed[:nonceAt], context))
	if err != nil {
		return nil, ErrCorrupt
	}
	return plaintext, nil
}

func derive(key, salt []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, salt, "busyd seal 1", KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return cipher.NewGCM(block)
}

func additional(head []byte, context []string) []byte {
	out := make([]byte, 0, len(head)+96)
	out = append(out, head...)
	return appendParts(out, context)
}

func appendParts(out []byte, parts []string) []byte {
	for _, part := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}
