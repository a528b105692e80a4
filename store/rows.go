package store

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

// row is an event's row without the event.
type row struct {
	id         int64
	key        seal.Hash
	part       int32
	series     seal.Hash
	content    seal.Hash // zero: only key, version and problem are known
	original   string
	until      time.Time // no occurrence ends later; zero: not known
	hasSubject bool
	marks
}

// marks are the columns that change without the event changing.
type marks struct {
	version   string
	problem   busy.Problem // of reading the object
	expansion busy.Problem // of computing its occurrences
}

func (m marks) problems() int {
	if m.problem != busy.ProblemNone || m.expansion != busy.ProblemNone {
		return 1
	}
	return 0
}

const rowColumns = `id, key, part, series, content, original, until, subject_sealed is not null, version, problem, expansion`

// readRows reads the rows of a calendar that have one of the keys or belong to one
// of the series; nil reads all.
func (tx *Tx) readRows(ctx context.Context, calendar busy.CalendarID, hashes [][]byte) ([]row, error) {
	query := `select ` + rowColumns + ` from events where tenant_id = $1 and calendar_id = $2`
	args := []any{arg(tx.Tenant), arg(calendar)}
	if hashes != nil {
		query += ` and key = any($3)
			union all
			select ` + rowColumns + ` from events
			where tenant_id = $1 and calendar_id = $2 and series = any($3) and series <> key and key <> all($3)`
		args = append(args, hashes)
	}
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, failed("read events", err)
	}
	defer rows.Close()
	var found []row
	for rows.Next() {
		r, err := decodeRow(rows.RawValues())
		if err != nil {
			return nil, failed("read events", err)
		}
		found = append(found, r)
	}
	return found, failed("read events", rows.Err())
}

// decodeRow reads the binary form of rowColumns. There are up to tens of thousands
// at once, for which going through the driver's types takes several times longer.
func decodeRow(raw [][]byte) (row, error) {
	if len(raw) != 11 || len(raw[0]) != 8 || len(raw[1]) != 16 || len(raw[2]) != 4 || len(raw[3]) != 16 ||
		len(raw[4]) != 16 || len(raw[7]) != 1 {
		return row{}, errForm
	}
	r := row{
		id:         int64(binary.BigEndian.Uint64(raw[0])),
		key:        seal.Hash(raw[1]),
		part:       int32(binary.BigEndian.Uint32(raw[2])),
		series:     seal.Hash(raw[3]),
		content:    seal.Hash(raw[4]),
		original:   string(raw[5]),
		hasSubject: raw[7][0] != 0,
		marks:      marks{version: string(raw[8]), problem: busy.Problem(raw[9]), expansion: busy.Problem(raw[10])},
	}
	if raw[6] != nil {
		until, err := decodeTime(raw[6])
		if err != nil {
			return row{}, err
		}
		r.until = until
	}
	return r, nil
}

// epoch2000 is where PostgreSQL counts microseconds from.
const epoch2000 = 946684800_000000

// decodeTime reads the binary form of a timestamptz.
func decodeTime(raw []byte) (time.Time, error) {
	if len(raw) != 8 {
		return time.Time{}, errForm
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64(raw)) + epoch2000).UTC(), nil
}

// readEvents reads the events of rows that have one of the keys, by id; nil reads
// those of all. A subject is not needed to compute occurrences and stays sealed;
// key and series are their hashes.
func (tx *Tx) readEvents(batch *pgx.Batch, calendar busy.CalendarID, keys [][]byte, into map[int64]*busy.Event) {
	query := `
		select id, key, series, state, starts, ends, length_days, length_seconds, recurrence, original, and_future, cancelled,
			sequence, stamp
		from events where tenant_id = $1 and calendar_id = $2`
	args := []any{arg(tx.Tenant), arg(calendar)}
	if keys != nil {
		query += ` and key = any($3)`
		args = append(args, keys)
	}
	batch.Queue(query, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			id, event, err := scanEvent(rows)
			if err != nil {
				return err
			}
			into[id] = event
		}
		return rows.Err()
	})
}

func scanEvent(rows pgx.Rows) (int64, *busy.Event, error) {
	var id, seconds int64
	var key, series []byte
	var starts, ends, recurrence, original string
	e := &busy.Event{}
	err := rows.Scan(&id, &key, &series, &e.State, &starts, &ends, &e.Length.Days, &seconds, &recurrence, &original,
		&e.AndFuture, &e.Cancelled, &e.Sequence, intoTime(&e.Stamp))
	if err != nil {
		return 0, nil, err
	}
	e.Key, e.Series = string(key), string(series)
	e.Length.Exact = time.Duration(seconds) * time.Second
	e.Recurrence = splitLines(recurrence)
	for _, m := range []struct {
		into *busy.Moment
		text string
	}{{&e.Start, starts}, {&e.End, ends}, {&e.Original, original}} {
		if *m.into, err = busy.ParseMoment(m.text); err != nil {
			return 0, nil, errForm
		}
	}
	return id, e, nil
}
