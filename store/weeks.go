package store

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// week is a row of weeks: the blocks of a calendar that start in it, by start and
// then by event.
type week struct {
	monday time.Time // in UTC
	blocks []block
}

const (
	microsOfDay  = int64(24 * time.Hour / time.Microsecond)
	microsOfWeek = 7 * microsOfDay
	// firstMonday is the last one before 1970, from which weeks are counted.
	firstMonday = -3 * microsOfDay
)

// mondayOf returns the start of the week that an instant lies in; both are in
// microseconds since 1970.
func mondayOf(micros int64) int64 {
	since := micros - firstMonday
	past := since % microsOfWeek
	if past < 0 {
		past += microsOfWeek
	}
	return micros - past
}

// weeksOf returns the Mondays of the first and the last week in which blocks can
// start that overlap the span.
func weeksOf(span busy.Span) (first, last time.Time) {
	monday := func(t time.Time) time.Time { return time.UnixMicro(mondayOf(t.UnixMicro())).UTC() }
	return monday(span.Start.Add(-busy.MaxBlock)), monday(span.End)
}

// blockWrites are the weeks that change, and by how many blocks, the first and the
// last of which are at from and to. A week that is left without any is removed.
type blockWrites struct {
	weeks    []week
	count    int
	from, to int64
}

func (w *blockWrites) changed() bool { return w.count > 0 }

// span is from the first change to the last.
func (w *blockWrites) span() busy.Span {
	return busy.Span{Start: time.UnixMicro(w.from).UTC(), End: time.UnixMicro(w.to).UTC()}
}

func (w *blockWrites) add(b block) {
	if w.count == 0 {
		w.from, w.to = b.start, b.end
	}
	w.count++
	w.from, w.to = min(w.from, b.start), max(w.to, b.end)
}

// compareWeeks returns the difference between what is stored of a calendar and
// what it must be. Both are by start and then by event.
func compareWeeks(old, fresh []block) blockWrites {
	var w blockWrites
	for len(old) > 0 || len(fresh) > 0 {
		var was, is []block
		monday := earlierWeek(old, fresh)
		was, old = cutWeek(old, monday)
		is, fresh = cutWeek(fresh, monday)
		before := w.count
		w.addDifferences(was, is)
		if w.count > before {
			w.weeks = append(w.weeks, week{monday: time.UnixMicro(monday).UTC(), blocks: is})
		}
	}
	return w
}

func earlierWeek(a, b []block) int64 {
	switch {
	case len(a) == 0:
		return mondayOf(b[0].start)
	case len(b) == 0:
		return mondayOf(a[0].start)
	default:
		return mondayOf(min(a[0].start, b[0].start))
	}
}

// cutWeek cuts off the blocks that start in the week; none starts before it.
func cutWeek(blocks []block, monday int64) (of, rest []block) {
	n := 0
	for n < len(blocks) && blocks[n].start < monday+microsOfWeek {
		n++
	}
	return blocks[:n], blocks[n:]
}

// addDifferences adds the blocks that are in one of the lists only.
func (w *blockWrites) addDifferences(a, b []block) {
	for len(a) > 0 && len(b) > 0 {
		switch c := byStart(a[0], b[0]); {
		case c < 0:
			w.add(a[0])
			a = a[1:]
		case c > 0:
			w.add(b[0])
			b = b[1:]
		default:
			if a[0] != b[0] {
				w.add(a[0])
				w.add(b[0])
			}
			a, b = a[1:], b[1:]
		}
	}
	for _, left := range a {
		w.add(left)
	}
	for _, left := range b {
		w.add(left)
	}
}

// queueOldBlocks reads all that is stored of the calendar, if any of it may
// change.
func (a *application) queueOldBlocks(batch *pgx.Batch) {
	if !slices.ContainsFunc(a.series, func(of *series) bool { return of.touched }) {
		return
	}
	batch.Queue(`
		select events, starts, ends, all_day, states from weeks
		where tenant_id = $1 and resource_id = $2 and calendar_id = $3
		order by week`, arg(a.lease.Tenant), arg(a.mirror.resource), arg(a.lease.Calendar)).
		Query(func(rows pgx.Rows) error {
			for rows.Next() {
				raw := rows.RawValues()
				events, err := readArray(raw[0], 8)
				if err != nil {
					return err
				}
				entries, err := readEntries(raw[1:])
				if err != nil || events.n != entries.n {
					return errForm
				}
				for i := range events.n {
					a.old = append(a.old, block{
						event: int64(binary.BigEndian.Uint64(events.at(i))),
						start: entries.start(i), end: entries.end(i), allDay: entries.allDay(i), state: entries.state(i),
					})
				}
			}
			return rows.Err()
		})
}

func (a *application) queueBlocks(batch *pgx.Batch, w blockWrites) {
	var empty []time.Time
	for _, week := range w.weeks {
		if len(week.blocks) == 0 {
			empty = append(empty, week.monday)
			continue
		}
		n := len(week.blocks)
		events, starts, ends := make([]int64, n), make([]time.Time, n), make([]time.Time, n)
		allDay, states := make([]bool, n), make([]int16, n)
		for i, b := range week.blocks {
			events[i], starts[i], ends[i] = b.event, time.UnixMicro(b.start), time.UnixMicro(b.end)
			allDay[i], states[i] = b.allDay, int16(b.state)
		}
		batch.Queue(`
			insert into weeks (tenant_id, resource_id, calendar_id, week, events, starts, ends, all_day, states)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			on conflict (tenant_id, resource_id, week, calendar_id) do update
			set events = excluded.events, starts = excluded.starts, ends = excluded.ends, all_day = excluded.all_day,
				states = excluded.states`,
			arg(a.lease.Tenant), arg(a.mirror.resource), arg(a.lease.Calendar), week.monday, events, starts, ends, allDay, states)
	}
	if len(empty) > 0 {
		batch.Queue(`
			delete from weeks where tenant_id = $1 and resource_id = $2 and calendar_id = $3 and week = any($4::date[])`,
			arg(a.lease.Tenant), arg(a.mirror.resource), arg(a.lease.Calendar), empty)
	}
}

// entries are the times and states of a week's blocks, as the database sends them.
type entries struct {
	n                             int
	starts, ends, allDays, states array
}

// readEntries reads the columns starts, ends, all_day and states.
func readEntries(raw [][]byte) (entries, error) {
	if len(raw) != 4 {
		return entries{}, errForm
	}
	var e entries
	for i, of := range []struct {
		into  *array
		width int
	}{{&e.starts, 8}, {&e.ends, 8}, {&e.allDays, 1}, {&e.states, 2}} {
		var err error
		if *of.into, err = readArray(raw[i], of.width); err != nil {
			return entries{}, err
		}
		if of.into.n != e.starts.n {
			return entries{}, errForm
		}
	}
	e.n = e.starts.n
	return e, nil
}

// start and end are in microseconds since 1970.
func (e entries) start(i int) int64 {
	return int64(binary.BigEndian.Uint64(e.starts.at(i))) + epoch2000
}

func (e entries) end(i int) int64 { return int64(binary.BigEndian.Uint64(e.ends.at(i))) + epoch2000 }

func (e entries) allDay(i int) bool      { return e.allDays.at(i)[0] != 0 }
func (e entries) state(i int) busy.State { return busy.State(e.states.at(i)[1]) }

// array is the binary form of an array of one dimension, whose elements all have
// the same width and none of which is null: 20 bytes ahead, and 4 before each.
type array struct {
	n, width int
	raw      []byte
}

func readArray(raw []byte, width int) (array, error) {
	const ahead, before = 20, 4
	if len(raw) < ahead || binary.BigEndian.Uint32(raw) != 1 || (len(raw)-ahead)%(before+width) != 0 {
		return array{}, errForm
	}
	n := (len(raw) - ahead) / (before + width)
	if int(binary.BigEndian.Uint32(raw[12:])) != n {
		return array{}, errForm
	}
	return array{n: n, width: width, raw: raw[ahead:]}, nil
}

func (a array) at(i int) []byte {
	from := i*(4+a.width) + 4
	return a.raw[from : from+a.width]
}
