package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

// application is a page on its way into the database.
type application struct {
	tx     *Tx
	lease  busy.Lease
	page   busy.Page
	mirror *mirror

	hashes   map[string]seal.Hash
	rows     []*entry
	byKey    map[seal.Hash][]*entry
	series   []*series // in the order in which they are met
	find     map[seal.Hash]*series
	old      []block // stored blocks of the rows that were there
	fresh    []block // what the blocks of the series must be
	keys     *seal.Hasher
	contents contentHasher
}

// entry is an event's row, before and after the page.
type entry struct {
	row
	was   marks
	event *busy.Event // nil: not needed so far
	fate  fate
}

type fate uint8

const (
	kept      fate = iota
	inserted       // was not there
	rewritten      // the event changed
	removed        // is there no longer
)

// series are the rows that are expanded together.
type series struct {
	rows    []*entry
	touched bool
}

func newApplication(tx *Tx, l busy.Lease, p busy.Page, m *mirror) *application {
	return &application{
		tx: tx, lease: l, page: p, mirror: m,
		hashes:   make(map[string]seal.Hash),
		byKey:    make(map[seal.Hash][]*entry),
		find:     make(map[seal.Hash]*series),
		keys:     m.box.Hasher(keyField, string(l.Calendar[:])),
		contents: contentHasher{hasher: m.box.Hasher(contentField, string(l.Calendar[:]))},
	}
}

// hash is the keyed hash of a key or a series.
func (a *application) hash(key string) seal.Hash {
	h, known := a.hashes[key]
	if !known {
		h = a.keys.Hash([]byte(key))
		a.hashes[key] = h
	}
	return h
}

// readRows reads the rows that the page can touch: all for the end of a listing
// or a new expansion, else those of its keys and, until there are no more, of the
// series that these belong to.
func (a *application) readRows(ctx context.Context) error {
	if a.page.Seen != nil || a.page.Reexpand {
		rows, err := a.tx.readRows(ctx, a.lease.Calendar, nil)
		a.addRows(rows)
		return err
	}
	asked := make(map[seal.Hash]bool)
	wanted := a.pageHashes()
	for len(wanted) > 0 {
		for _, h := range wanted {
			asked[h] = true
		}
		rows, err := a.tx.readRows(ctx, a.lease.Calendar, bytesOf(wanted))
		if err != nil {
			return err
		}
		wanted = nil
		for _, r := range a.addRows(rows) {
			if !asked[r.series] && !slices.Contains(wanted, r.series) {
				wanted = append(wanted, r.series)
			}
		}
	}
	return nil
}

func (a *application) pageHashes() []seal.Hash {
	var hashes []seal.Hash
	for i := range a.page.Events {
		hashes = append(hashes, a.hash(a.page.Events[i].Key), a.hash(a.page.Events[i].Series))
	}
	for _, key := range a.page.Gone {
		hashes = append(hashes, a.hash(key))
	}
	for i := range a.page.Unreadable {
		hashes = append(hashes, a.hash(a.page.Unreadable[i].Key))
	}
	slices.SortFunc(hashes, compareHashes)
	return slices.Compact(hashes)
}

func compareHashes(a, b seal.Hash) int { return slices.Compare(a[:], b[:]) }

func bytesOf(hashes []seal.Hash) [][]byte {
	all := make([][]byte, len(hashes))
	for i := range hashes {
		all[i] = hashes[i][:]
	}
	return all
}

// addRows takes over stored rows that are not known yet, and returns those.
func (a *application) addRows(rows []row) []*entry {
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.id, b.id) })
	first := len(a.rows)
	entries := make([]entry, len(rows))
	for i, r := range rows {
		if slices.ContainsFunc(a.byKey[r.key], func(e *entry) bool { return e.id == r.id }) {
			continue
		}
		entries[i] = entry{row: r, was: r.marks}
		a.add(&entries[i])
	}
	return a.rows[first:]
}

func (a *application) add(e *entry) {
	a.rows = append(a.rows, e)
	a.byKey[e.key] = append(a.byKey[e.key], e)
	of := a.seriesOf(e.series)
	of.rows = append(of.rows, e)
}

func (a *application) seriesOf(h seal.Hash) *series {
	of := a.find[h]
	if of == nil {
		of = &series{}
		a.find[h] = of
		a.series = append(a.series, of)
	}
	return of
}

// compareEvents decides each row's fate. Where the page contradicts itself, an
// event that it lists exists.
func (a *application) compareEvents() {
	inPage := make(map[seal.Hash]bool, len(a.page.Events))
	for _, group := range groupByKey(a.page.Events) {
		key := a.hash(group[0].Key)
		inPage[key] = true
		a.compareKey(key, group)
	}
	for i := range a.page.Unreadable {
		inPage[a.hash(a.page.Unreadable[i].Key)] = true
		a.markUnreadable(&a.page.Unreadable[i])
	}
	a.removeGone(inPage)
	if a.page.Seen != nil {
		a.removeUnseen(inPage)
	}
	if a.page.Reexpand {
		for _, of := range a.series {
			of.touched = true
		}
	}
}

// groupByKey keeps the order in which keys are first met.
func groupByKey(events []busy.Event) [][]*busy.Event {
	groups := make([][]*busy.Event, 0, len(events))
	at := make(map[string]int, len(events))
	for i := range events {
		e := &events[i]
		n, met := at[e.Key]
		if !met {
			n = len(groups)
			at[e.Key] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], e)
	}
	return groups
}

// compareKey matches a key's rows with its events: an event takes over the row of
// the same original start, preferably one that says the same.
func (a *application) compareKey(key seal.Hash, events []*busy.Event) {
	stored := make(map[string][]*entry)
	next := int32(0)
	for _, e := range a.byKey[key] {
		stored[e.original] = append(stored[e.original], e)
		next = max(next, e.part+1)
	}
	for _, event := range events {
		original, content := text(event.Original.String()), a.contents.hash(event)
		candidates := stored[original]
		if len(candidates) == 0 {
			a.insert(key, next, original, content, event)
			next++
			continue
		}
		n := max(0, slices.IndexFunc(candidates, func(e *entry) bool { return e.content == content }))
		e := candidates[n]
		stored[original] = slices.Delete(candidates, n, n+1)
		a.replace(e, content, event)
	}
	for _, left := range stored {
		for _, e := range left {
			a.remove(e)
		}
	}
}

func (a *application) insert(key seal.Hash, part int32, original string, content seal.Hash, event *busy.Event) {
	e := &entry{fate: inserted, event: event, row: row{
		key: key, part: part, series: a.hash(event.Series), content: content, original: original,
		until: untilOf(event), marks: marks{version: text(event.Version)},
	}}
	a.add(e)
	a.seriesOf(e.series).touched = true
}

func (a *application) replace(e *entry, content seal.Hash, event *busy.Event) {
	e.event, e.version, e.problem = event, text(event.Version), busy.ProblemNone
	if e.content == content {
		return
	}
	e.fate, e.content, e.until = rewritten, content, untilOf(event)
	a.seriesOf(e.series).touched = true
	if to := a.hash(event.Series); to != e.series {
		from := a.seriesOf(e.series)
		from.rows = slices.DeleteFunc(from.rows, func(other *entry) bool { return other == e })
		e.series = to
		a.seriesOf(to).rows = append(a.seriesOf(to).rows, e)
	}
	a.seriesOf(e.series).touched = true
}

func (a *application) remove(e *entry) {
	if e.fate == removed {
		return
	}
	e.fate = removed
	a.seriesOf(e.series).touched = true
}

// markUnreadable notes the problem on what is known of the object, or that there
// is an object of which nothing is known.
func (a *application) markUnreadable(u *busy.Unreadable) {
	key, known := a.hash(u.Key), false
	for _, e := range a.byKey[key] {
		if e.fate == removed {
			continue
		}
		known = true
		e.problem = u.Problem
		if u.Version != "" {
			e.version = text(u.Version)
		}
	}
	if known {
		return
	}
	next := int32(0)
	for _, e := range a.byKey[key] {
		next = max(next, e.part+1)
	}
	a.add(&entry{fate: inserted, row: row{
		key: key, part: next, series: key, marks: marks{version: text(u.Version), problem: u.Problem},
	}})
}

// removeGone removes the objects that are gone, and the exceptions of a series
// that is.
func (a *application) removeGone(inPage map[seal.Hash]bool) {
	for _, key := range a.page.Gone {
		gone := a.hash(key)
		if inPage[gone] {
			continue
		}
		for _, e := range a.byKey[gone] {
			a.remove(e)
		}
		if of := a.find[gone]; of != nil {
			for _, e := range of.rows {
				if !inPage[e.key] {
					a.remove(e)
				}
			}
		}
	}
}

func (a *application) removeUnseen(inPage map[seal.Hash]bool) {
	seen := make(map[seal.Hash]bool, len(a.page.Seen))
	for key := range a.page.Seen {
		seen[a.hash(key)] = true
	}
	for _, e := range a.rows {
		if !seen[e.key] && !inPage[e.key] {
			a.remove(e)
		}
	}
}

func (a *application) changedEvents() int {
	n := 0
	for _, e := range a.rows {
		if e.fate != kept {
			n++
		}
	}
	return n
}

// newProblems is by how many the calendar's events with a problem grow.
func (a *application) newProblems() int {
	n := 0
	for _, e := range a.rows {
		if e.fate != inserted {
			n -= e.was.problems()
		}
		if e.fate != removed {
			n += e.problems()
		}
	}
	return n
}
