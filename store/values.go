package store

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/busyd/busyd/busy"
)

// arg is an id as an argument in binary form.
func arg[Of any](id busy.ID[Of]) [16]byte { return id }

// argIDs are ids as an argument.
func argIDs[Of any](ids []busy.ID[Of]) [][16]byte {
	all := make([][16]byte, len(ids))
	for i, id := range ids {
		all[i] = id
	}
	return all
}

// argID is an id as an argument; the zero id is NULL.
func argID[Of any](id busy.ID[Of]) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: !id.IsZero()} }

// into scans a uuid into an id.
func into[Of any](id *busy.ID[Of]) *[16]byte { return (*[16]byte)(id) }

// argTime is a time as an argument; the zero time is NULL.
func argTime(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()}
}

// intoTime scans a timestamp into a time in UTC; NULL is the zero time.
func intoTime(t *time.Time) instant { return instant{t} }

type instant struct{ t *time.Time }

// ScanTimestamptz implements [pgtype.TimestamptzScanner].
func (i instant) ScanTimestamptz(v pgtype.Timestamptz) error {
	*i.t = time.Time{}
	if v.Valid {
		*i.t = v.Time.UTC()
	}
	return nil
}
