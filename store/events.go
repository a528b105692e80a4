package store

import (
	"encoding/binary"
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
		columns, err := a.columns(w.rewrite)
		if err != nil {
			return err
		}
		batch.Queue(rewriteEvents, columns.args(a.lease)...)
	}
	if len(w.insert) > 0 {
		columns, err := a.columns(w.insert)
		if err != nil {
			return err
		}
		batch.Queue(insertEvents, columns.args(a.lease)...)
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

// COPY does not work on tables with row-level security; arrays do, at nearly its
// speed.
const (
	eventArrays = `unnest($3::bytea[], $4::integer[], $5::bigint[], $6::bytea[], $7::text[], $8::bytea[], $9::bytea[],
		$10::smallint[], $11::text[], $12::text[], $13::bigint[], $14::bigint[], $15::text[], $16::text[], $17::boolean[],
		$18::boolean[], $19::bigint[], $20::timestamptz[], $21::timestamptz[], $22::text[], $23::text[])`
	eventColumns = `key, part, id, series, version, content, subject_sealed, state, starts, ends, length_days, length_seconds,
		recurrence, original, and_future, cancelled, sequence, stamp, until, problem, expansion`

	insertEvents = `insert into events (tenant_id, calendar_id, ` + eventColumns + `) select $1, $2, * from ` + eventArrays

	rewriteEvents = `
		update events e
		set series = d.series, version = d.version, content = d.content, subject_sealed = d.subject_sealed, state = d.state,
			starts = d.starts, ends = d.ends, length_days = d.length_days, length_seconds = d.length_seconds,
			recurrence = d.recurrence, original = d.original, and_future = d.and_future, cancelled = d.cancelled,
			sequence = d.sequence, stamp = d.stamp, until = d.until, problem = d.problem, expansion = d.expansion
		from ` + eventArrays + ` as d (` + eventColumns + `)
		where e.tenant_id = $1 and e.calendar_id = $2 and e.key = d.key and e.part = d.part`
)

// eventArgs are rows of events as a slice for each of eventColumns.
type eventArgs struct {
	key                  [][]byte
	part                 []int32
	id                   []int64
	series               [][]byte
	version              []string
	content, subject     [][]byte
	state                []int16
	starts, ends         []string
	days                 []int64
	seconds              []int64
	recurrence, original []string
	andFuture, cancelled []bool
	sequence             []int64
	stamp, until         []pgtype.Timestamptz
	problem, expansion   []string
}

func (c *eventArgs) args(l busy.Lease) []any {
	return []any{
		arg(l.Tenant), arg(l.Calendar), c.key, c.part, c.id, c.series, c.version, c.content, c.subject, c.state, c.starts,
		c.ends, c.days, c.seconds, c.recurrence, c.original, c.andFuture, c.cancelled, c.sequence, c.stamp, c.until,
		c.problem, c.expansion,
	}
}

func (a *application) columns(entries []*entry) (*eventArgs, error) {
	c := &eventArgs{}
	for _, e := range entries {
		subject, err := a.sealSubject(e)
		if err != nil {
			return nil, err
		}
		event := e.event
		if event == nil {
			event = &busy.Event{} // nothing is known but the key
		}
		c.key, c.part, c.id = append(c.key, e.key[:]), append(c.part, e.part), append(c.id, e.id)
		c.series, c.version = append(c.series, e.series[:]), append(c.version, e.version)
		c.content, c.subject = append(c.content, e.content[:]), append(c.subject, subject)
		c.state = append(c.state, int16(event.State))
		c.starts, c.ends = append(c.starts, text(event.Start.String())), append(c.ends, text(event.End.String()))
		c.days = append(c.days, int64(event.Length.Days))
		c.seconds = append(c.seconds, int64(event.Length.Exact/time.Second))
		c.recurrence, c.original = append(c.recurrence, text(joinLines(event.Recurrence))), append(c.original, e.original)
		c.andFuture, c.cancelled = append(c.andFuture, event.AndFuture), append(c.cancelled, event.Cancelled)
		c.sequence = append(c.sequence, int64(event.Sequence))
		c.stamp, c.until = append(c.stamp, argTime(event.Stamp)), append(c.until, argTime(e.until))
		c.problem, c.expansion = append(c.problem, string(e.problem)), append(c.expansion, string(e.expansion))
	}
	return c, nil
}

func (a *application) sealSubject(e *entry) ([]byte, error) {
	if e.event == nil || e.event.Subject == "" || a.past(e) {
		return nil, nil
	}
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(e.id))
	return a.mirror.box.Seal(subjectField, string(id[:]), []byte(e.event.Subject))
}
