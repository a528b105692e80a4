package store

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/busyd/busyd/busy"
)

// A token is bzd_<id>_<secret>_<check>: the key's id, 256 random bits and a
// CRC-32 of what is before it, each in lower-case base32. The check tells a
// mistyped token, or a scanner's false alarm, without asking the database.
const tokenPrefix = "bzd"

type secret [32]byte

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newSecret(random io.Reader) (secret, error) {
	var s secret
	if _, err := io.ReadFull(random, s[:]); err != nil {
		return s, fmt.Errorf("draw a secret: %w", err)
	}
	return s, nil
}

// hash is what the database keeps. A secret of 256 random bits needs no salt and
// no slow hash.
func (s secret) hash() [sha256.Size]byte { return sha256.Sum256(s[:]) }

func writeToken(id busy.KeyID, s secret) string {
	body := tokenPrefix + "_" + base32Lower.EncodeToString(id[:]) + "_" + base32Lower.EncodeToString(s[:])
	return body + "_" + checkDigits(body)
}

func checkDigits(body string) string {
	return base32Lower.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(body))))
}

// readToken reports whether the token has its form and its check is right.
func readToken(token string) (id busy.KeyID, s secret, ok bool) {
	end := strings.LastIndexByte(token, '_')
	if end < 0 || checkDigits(token[:end]) != token[end+1:] {
		return id, s, false
	}
	parts := strings.Split(token[:end], "_")
	if len(parts) != 3 || parts[0] != tokenPrefix {
		return id, s, false
	}
	rawID, errID := base32Lower.DecodeString(parts[1])
	rawSecret, errSecret := base32Lower.DecodeString(parts[2])
	if errID != nil || errSecret != nil || len(rawID) != len(id) || len(rawSecret) != len(s) {
		return id, s, false
	}
	return busy.KeyID(rawID), secret(rawSecret), true
}
