package store

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

// block is a row of blocks, in microseconds since 1970.
type block struct {
	event      int64
	start, end int64
	allDay     bool
	state      busy.State
}

// addBlocks adds the pieces of an occurrence that lie in the window.
func (a *application) addBlocks(event int64, o busy.Occurrence) {
	if o.State == busy.Free {
		return
	}
	b := block{event: event, start: o.Start.UnixMicro(), end: o.End.UnixMicro(), allDay: o.AllDay, state: o.State}
	a.fresh = appendClipped(a.fresh, b, a.page.Window)
}

// appendClipped appends the part of b that lies in the window, in pieces no longer
// than busy.MaxBlock.
func appendClipped(to []block, b block, window busy.Span) []block {
	const longest = int64(busy.MaxBlock / time.Microsecond)
	b.start, b.end = max(b.start, window.Start.UnixMicro()), min(b.end, window.End.UnixMicro())
	for ; b.start < b.end; b.start += longest {
		piece := b
		piece.end = min(b.end, b.start+longest)
		to = append(to, piece)
	}
	return to
}

// byKey orders blocks by what identifies a row, and rows of one identity by which
// one is to be kept: the longer one, then the one that blocks more surely.
func byKey(a, b block) int {
	return cmp.Or(cmp.Compare(a.event, b.event), cmp.Compare(a.start, b.start),
		cmp.Compare(b.end, a.end), cmp.Compare(sureness(b.state), sureness(a.state)))
}

func sureness(s busy.State) int {
	switch s {
	case busy.Free:
		return 0
	case busy.Tentative:
		return 1
	default:
		return 2
	}
}

func sameKey(a, b block) bool { return a.event == b.event && a.start == b.start }

// blockWrites is the difference between the stored blocks and the new ones. A
// block that changed is removed and added.
type blockWrites struct{ remove, add []block }

func (w blockWrites) changed() bool { return w.count() > 0 }

func (w blockWrites) count() int { return len(w.remove) + len(w.add) }

func (a *application) compareBlocks() blockWrites {
	slices.SortFunc(a.old, byKey)
	slices.SortFunc(a.fresh, byKey)
	fresh := slices.CompactFunc(a.fresh, sameKey)
	var w blockWrites
	old := a.old
	for len(old) > 0 || len(fresh) > 0 {
		switch {
		case len(old) == 0 || len(fresh) > 0 && !sameKey(old[0], fresh[0]) && byKey(fresh[0], old[0]) < 0:
			w.add = append(w.add, fresh[0])
			fresh = fresh[1:]
		case len(fresh) == 0 || !sameKey(old[0], fresh[0]):
			w.remove = append(w.remove, old[0])
			old = old[1:]
		default:
			if old[0] != fresh[0] {
				w.remove, w.add = append(w.remove, old[0]), append(w.add, fresh[0])
			}
			old, fresh = old[1:], fresh[1:]
		}
	}
	return w
}

func (a *application) queueOldBlocks(batch *pgx.Batch) {
	var ids []int64
	for _, of := range a.series {
		if !of.touched {
			continue
		}
		for _, e := range of.rows {
			if e.fate != inserted {
				ids = append(ids, e.id)
			}
		}
	}
	if len(ids) == 0 {
		return
	}
	batch.Queue(`
		select event_id, starts_at, ends_at, all_day, state from blocks
		where tenant_id = $1 and resource_id = $2 and event_id = any($3)`,
		arg(a.lease.Tenant), arg(a.mirror.resource), ids).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			b, err := decodeBlock(rows.RawValues())
			if err != nil {
				return err
			}
			a.old = append(a.old, b)
		}
		return rows.Err()
	})
}

func decodeBlock(raw [][]byte) (block, error) {
	if len(raw) != 5 || len(raw[0]) != 8 || len(raw[1]) != 8 || len(raw[2]) != 8 || len(raw[3]) != 1 || len(raw[4]) != 2 {
		return block{}, errForm
	}
	return block{
		event:  int64(binary.BigEndian.Uint64(raw[0])),
		start:  int64(binary.BigEndian.Uint64(raw[1])) + epoch2000,
		end:    int64(binary.BigEndian.Uint64(raw[2])) + epoch2000,
		allDay: raw[3][0] != 0,
		state:  busy.State(raw[4][1]),
	}, nil
}

func (a *application) oldByEvent() map[int64][]block {
	stored := make(map[int64][]block)
	for _, b := range a.old {
		stored[b.event] = append(stored[b.event], b)
	}
	return stored
}

func (a *application) queueBlocks(batch *pgx.Batch, w blockWrites) {
	if len(w.remove) > 0 {
		events, starts := make([]int64, len(w.remove)), make([]time.Time, len(w.remove))
		for i, b := range w.remove {
			events[i], starts[i] = b.event, time.UnixMicro(b.start)
		}
		batch.Queue(`
			delete from blocks b using unnest($3::bigint[], $4::timestamptz[]) as d (event_id, starts_at)
			where b.tenant_id = $1 and b.resource_id = $2 and b.starts_at = d.starts_at and b.event_id = d.event_id`,
			arg(a.lease.Tenant), arg(a.mirror.resource), events, starts)
	}
	if len(w.add) == 0 {
		return
	}
	// In the order of time, as they will be read.
	slices.SortFunc(w.add, func(a, b block) int { return cmp.Compare(a.start, b.start) })
	n := len(w.add)
	events, starts, ends := make([]int64, n), make([]time.Time, n), make([]time.Time, n)
	allDay, states := make([]bool, n), make([]int16, n)
	for i, b := range w.add {
		events[i], starts[i], ends[i] = b.event, time.UnixMicro(b.start), time.UnixMicro(b.end)
		allDay[i], states[i] = b.allDay, int16(b.state)
	}
	batch.Queue(`
		insert into blocks (tenant_id, resource_id, calendar_id, event_id, starts_at, ends_at, all_day, state)
		select $1, $2, $3, * from unnest($4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::boolean[], $8::smallint[])`,
		arg(a.lease.Tenant), arg(a.mirror.resource), arg(a.lease.Calendar), events, starts, ends, allDay, states)
}
