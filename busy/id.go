package busy

import (
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"io"
)

// ID is a random UUID (RFC 9562, version 4). The type parameter names what it
// identifies, so that a resource's id cannot be passed where a tenant's is due.
type ID[Of any] [16]byte

// The ids of busyd's records.
type (
	TenantID     = ID[Tenant]
	ResourceID   = ID[Resource]
	ConnectionID = ID[Connection]
	CalendarID   = ID[Calendar]
	KeyID        = ID[APIKey]
	ServiceID    = ID[Service]
	OverrideID   = ID[Override]
	BookingID    = ID[Booking]
	SessionID    = ID[Claim]
	ConflictID   = ID[Conflict]
	MessageID    = ID[Message]
	EndpointID   = ID[Endpoint]
)

// NewID draws an id from random, which is crypto/rand.Reader outside of tests.
func NewID[Of any](random io.Reader) (ID[Of], error) {
	var id ID[Of]
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return id, fmt.Errorf("draw an id: %w", err)
	}
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id, nil
}

// ParseID reads the form that String writes. The error is an [ErrInvalid] that
// names the expected form and does not repeat the input.
func ParseID[Of any](s string) (ID[Of], error) {
	var id ID[Of]
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, Invalid("id", "must be a UUID such as 3f2b8c1e-5a44-4c9e-9d3e-0d6c1f0a7b21")
	}
	digits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return ID[Of]{}, Invalid("id", "must be a UUID such as 3f2b8c1e-5a44-4c9e-9d3e-0d6c1f0a7b21")
	}
	return id, nil
}

// String returns the 36 characters of the canonical form, in lower case.
func (id ID[Of]) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:], id[10:])
	return string(b[:])
}

// IsZero reports whether the id was never set.
func (id ID[Of]) IsZero() bool { return id == ID[Of]{} }

// MarshalText implements [encoding.TextMarshaler].
func (id ID[Of]) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *ID[Of]) UnmarshalText(text []byte) error {
	parsed, err := ParseID[Of](string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// Value implements [driver.Valuer], so that an id is a SQL argument.
func (id ID[Of]) Value() (driver.Value, error) { return id.String(), nil }

// Scan implements [database/sql.Scanner]; NULL is the zero id.
func (id *ID[Of]) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*id = ID[Of]{}
		return nil
	case string:
		return id.UnmarshalText([]byte(v))
	case []byte:
		return id.UnmarshalText(v)
	case [16]byte:
		*id = v
		return nil
	default:
		return fmt.Errorf("scan an id from %T", src)
	}
}
