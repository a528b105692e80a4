package store

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/busyd/busyd/busy"
)

// eventWrites is the difference between the stored events and the page's.
type eventWrites struct {
	insert, rewrite, remove []*entry
	mark                    []*entry // only version or problems changed
	forget                  []*entry // the subject lies in the past
}

func (w eventWrites) changed() bool {
	return len(w.insert)+len(w.rewrite)+len(w.remove)+len(w.mark)+len(w.forget) > 0
}

func (a *application) eventWrites() eventWrites {
	var w eventWrites
	for _, e := range a.rows {
		switch e.fate {
		case inserted:
			w.insert = append(w.insert, e)
		case rewritten:
			w.rewrite = append(w.rewrite, e)
		case removed:
			w.remove = append(w.remove, e)
		case kept:
			if e.marks != e.was {
				w.mark = append(w.mark, e)
			}
			if a.page.Reexpand && e.hasSubject && a.past(e) {
				w.forget = append(w.forget, e)
			}
		}
	}
	return w
}

// past reports whether an event surely ended before the window: it is kept, to
// know that the provider has it, and its subject is not.
func (a *application) past(e *entry) bool {
	return !e.until.IsZero() && !e.until.After(a.page.Window.Start)
}

func (a *application) queueEvents(batch *pgx.Batch, w eventWrites) error {
	if len(w.remove) > 0 {
		keys, parts := identities(w.remove)
		batch.Queue(`
			delete from events e using unnest($3::bytea[], $4::integer[]) as d (key, part)
			where e.tenant_id = $1 and e.calendar_id = $2 and e.key = d.key and e.part = d.part`,
			arg(a.lease.Tenant), arg(a.lease.Calendar), keys, parts)
	}
	if len(w.forget) > 0 {
		keys, parts := identities(w.forget)
		batch.Queue(`
			update events e set subject_sealed = null from unnest($3::bytea[], $4::integer[]) as d (key, part)
			where e.tenant_id = $1 and e.calendar_id = $2 and e.key = d.key and e.part = d.part`,
			arg(a.lease.Tenant), arg(a.lease.Calendar), keys, parts)
	}
	if len(w.mark) > 0 {
		a.queueMarks(batch, w.mark)
	}
	if len(w.rewrite) > 0 {
		rows, err := a.eventRows(w.rewrite)
		if err != nil {
			return err
		}
		batch.Queue(rewriteEvents, arg(a.lease.Tenant), arg(a.lease.Calendar), rows)
	}
	return nil
}

func identities(entries []*entry) (keys [][]byte, parts []int32) {
	keys, parts = make([][]byte, len(entries)), make([]int32, len(entries))
	for i, e := range entries {
		keys[i], parts[i] = e.key[:], e.part
	}
	return keys, parts
}

func (a *application) queueMarks(batch *pgx.Batch, marked []*entry) {
	keys, parts := identities(marked)
	versions, problems, expansions := make([]string, len(marked)), make([]string, len(marked)), make([]string, len(marked))
	for i, e := range marked {
		versions[i], problems[i], expansions[i] = e.version, string(e.problem), string(e.expansion)
	}
	batch.Queue(`
		update events e set version = d.version, problem = d.problem, expansion = d.expansion
		from unnest($3::bytea[], $4::integer[], $5::text[], $6::text[], $7::text[]) as d (key, part, version, problem, expansion)
		where e.tenant_id = $1 and e.calendar_id = $2 and e.key = d.key and e.part = d.part`,
		arg(a.lease.Tenant), arg(a.lease.Calendar), keys, parts, versions, problems, expansions)
}

const (
	insertEvents = `
		insert into events (tenant_id, calendar_id, key, part, id, series, version, content, subject_sealed, state, starts, ends,
			length_days, length_seconds, recurrence, original, and_future, cancelled, sequence, stamp, until, problem, expansion)
		select $1, $2, * from unnest($3::event_row[])`

	rewriteEvents = `
		update events e
		set series = d.series, version = d.version, content = d.content, subject_sealed = d.subject_sealed, state = d.state,
			starts = d.starts, ends = d.ends, length_days = d.length_days, length_seconds = d.length_seconds,
			recurrence = d.recurrence, original = d.original, and_future = d.and_future, cancelled = d.cancelled,
			sequence = d.sequence, stamp = d.stamp, until = d.until, problem = d.problem, expansion = d.expansion
		from unnest($3::event_row[]) d
		where e.tenant_id = $1 and e.calendar_id = $2 and e.key = d.key and e.part = d.part`
)

// eventRows are values of the type event_row.
func (a *application) eventRows(entries []*entry) ([]pgtype.CompositeFields, error) {
	rows := make([]pgtype.CompositeFields, len(entries))
	for i, e := range entries {
		subject, err := a.sealSubject(e)
		if err != nil {
			return nil, err
		}
		event := e.event
		if event == nil {
			event = &busy.Event{} // nothing is known but the key
		}
		rows[i] = pgtype.CompositeFields{
			e.key[:], e.part, e.id, e.series[:], e.version, e.content[:], subject, int16(event.State),
			text(event.Start.String()), text(event.End.String()), int64(event.Length.Days), int64(event.Length.Exact / time.Second),
			text(joinLines(event.Recurrence)), e.original, event.AndFuture,
			event.Cancelled, int64(event.Sequence), argTime(event.Stamp), argTime(e.until), string(e.problem), string(e.expansion),
		}
	}
	return rows, nil
}

func (a *application) sealSubject(e *entry) ([]byte, error) {
	if e.event == nil || e.event.Subject == "" || a.past(e) {
		return nil, nil
	}
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(e.id))
	return a.mirror.box.Seal(subjectField, string(id[:]), []byte(e.event.Subject))
}

// chunk is how many events are sent at once.
const chunk = 2000

// insertEvents sends the new events. While the database takes one chunk in, the
// next one is sealed.
func (a *application) insertEvents(ctx context.Context, entries []*entry) error {
	slices.SortFunc(entries, func(a, b *entry) int { return compareHashes(a.key, b.key) }) // kind to the index
	sent := make(chan error, 1)
	sent <- nil
	for some := range slices.Chunk(entries, chunk) {
		rows, err := a.eventRows(some)
		if err := errors.Join(<-sent, err); err != nil {
			return failed("insert events", err)
		}
		go func() {
			_, err := a.tx.Exec(ctx, insertEvents, arg(a.lease.Tenant), arg(a.lease.Calendar), rows)
			sent <- err
		}()
	}
	return failed("insert events", <-sent)
}
