package busy

import (
	"fmt"
	"log/slog"
)

// Secret is a value that no formatter, encoder or logger prints. Read it with
// an explicit conversion to []byte. Keep it in an exported field: package fmt
// calls no methods of unexported ones, and would print the bytes.
type Secret []byte

const redacted = "[redacted]"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
