package store

import (
	"cmp"
	"slices"
	"time"

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
	if o.State == busy.Free || o.State == busy.Tentative && a.mirror.ignoreTentative || o.AllDay && a.mirror.ignoreAllDay {
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

// byStart orders blocks as a week keeps them, by start and then by event, and
// blocks of one start and event by which one is to be kept: the longer one, then
// the one that blocks more surely.
func byStart(a, b block) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.event, b.event),
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

// compareBlocks returns what becomes of the calendar's blocks: of the touched
// series they are the fresh ones, of all others the stored ones.
func (a *application) compareBlocks() blockWrites {
	touched := a.touchedRows()
	blocks := a.fresh
	for _, b := range a.old {
		if _, is := touched[b.event]; !is {
			blocks = append(blocks, b)
		}
	}
	slices.SortFunc(blocks, byStart)
	return compareWeeks(a.old, slices.CompactFunc(blocks, sameKey))
}

// touchedRows are the ids of those whose blocks are computed anew.
func (a *application) touchedRows() map[int64]struct{} {
	ids := make(map[int64]struct{})
	for _, of := range a.series {
		if !of.touched {
			continue
		}
		for _, e := range of.rows {
			ids[e.id] = struct{}{}
		}
	}
	return ids
}

func (a *application) oldByEvent() map[int64][]block {
	stored := make(map[int64][]block)
	for _, b := range a.old {
		stored[b.event] = append(stored[b.event], b)
	}
	return stored
}
