package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/busyd/busyd/busy"
)

// SQLSTATEs that mean something to a caller.
const (
	foreignKeyViolation  = "23503"
	uniqueViolation      = "23505"
	exclusionViolation   = "23P01"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	badEncoding          = "22021"
)

// failed says what was being done when err happened, and turns what a caller can
// do something about into an error of package busy.
func failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%s: %w", doing, busy.ErrNotFound)
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	switch pg.Code {
	case uniqueViolation:
		return fmt.Errorf("%s: %w", doing, busy.ErrExists)
	case foreignKeyViolation:
		return fmt.Errorf("%s: %w", doing, busy.ErrNotFound)
	case badEncoding:
		return fmt.Errorf("%s: %w", doing, busy.Invalid("text", "must be valid UTF-8 without NUL bytes"))
	}
	return fmt.Errorf("%s: %w", doing, &databaseError{pg})
}

// databaseError shows what is safe to show of a server's error: its message and
// detail can repeat values.
type databaseError struct{ pg *pgconn.PgError }

func (e *databaseError) Error() string {
	text := "database error " + e.pg.Code
	for _, of := range []string{e.pg.TableName, e.pg.ConstraintName} {
		if of != "" {
			text += " (" + of + ")"
		}
	}
	return text
}

func (e *databaseError) Unwrap() error { return e.pg }
