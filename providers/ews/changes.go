package ews

import (
	"context"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// maxRounds bounds how often a window is read again because it changed meanwhile.
const maxRounds = 3

// changes answers a query. What changed in a folder is only a signal here: it
// knows nothing of recurrence. The window is read anew, and compared.
func (s *session) changes(ctx context.Context, q providers.Query) (providers.Page, error) {
	if q.Cursor == nil {
		return s.begin(ctx, q, "")
	}
	since, err := readCursor(q.Cursor)
	if err != nil {
		return providers.Page{}, err
	}
	switch {
	case s.pending.continues(q, since) && s.pending.isDelivered():
		return providers.Page{}, errTorn
	case s.pending.continues(q, since):
		return s.deliver(), nil
	case since.Full:
		return providers.Page{}, &providers.Error{Fault: providers.CursorExpired, Code: "listing_lost"}
	case since.Again, !since.covers(q.Window):
		return s.begin(ctx, q, since.State)
	}
	state, found, err := s.news(ctx, string(q.Remote), since.State)
	switch {
	case err != nil:
		return providers.Page{}, err
	case found == changed:
		return s.read(ctx, q, state)
	case found == irrelevant:
		since.State = state
		return providers.Page{Cursor: since.encode()}, nil
	default:
		return providers.Page{Cursor: q.Cursor}, nil
	}
}

// begin reads the window without asking whether anything changed. The state is
// taken before, so that no change is missed.
func (s *session) begin(ctx context.Context, q providers.Query, state string) (providers.Page, error) {
	state, _, err := s.news(ctx, string(q.Remote), state)
	if err != nil {
		return providers.Page{}, err
	}
	return s.read(ctx, q, state)
}

// read reads the window as it was at one moment: if the folder changes while its
// slices are read, an event that moves from one to another might be in neither.
func (s *session) read(ctx context.Context, q providers.Query, state string) (providers.Page, error) {
	span := covering(q.Window)
	for round := 1; ; round++ {
		v := view{client: s.client, folder: string(q.Remote), most: s.provider.ViewItems}
		if err := v.read(ctx, span); err != nil {
			return providers.Page{}, err
		}
		after, found, err := s.news(ctx, string(q.Remote), state)
		if err != nil {
			return providers.Page{}, err
		}
		still := found != changed
		if still || round == maxRounds {
			mark := cursor{State: state, From: span.Start.Unix(), To: span.End.Unix()}
			if still {
				mark.State = after
			}
			return s.compare(ctx, q, &v, mark, still)
		}
		state = after
	}
}

// compare tells what of the view the caller holds, and delivers the rest. It is
// a complete listing only if the folder stood still and every slice could be
// read; else nothing may be taken for removed. Of a folder that would not stand
// still, the reading fails in the end.
func (s *session) compare(ctx context.Context, q providers.Query, v *view, mark cursor, still bool) (providers.Page, error) {
	next := &pending{remote: string(q.Remote), full: still && len(v.skipped) == 0, torn: !still, after: mark}
	var partial []int
	for i, item := range v.items {
		version := item.version(q.Zone)
		switch held, ok := q.Version(item.Self.ID); {
		case ok && held == version:
			next.same = append(next.same, item.Self.ID)
		case item.lacks():
			partial = append(partial, i)
		default:
			next.add(item, version, q.Zone)
		}
	}
	if err := s.complete(ctx, q, v, partial, next); err != nil {
		return providers.Page{}, err
	}
	for _, slice := range v.skipped {
		key := "slice:" + slice.Start.Format(time.RFC3339)
		next.unreadable = append(next.unreadable, busy.Unreadable{Key: key, Problem: busy.ProblemBadRule})
	}
	s.pending = next
	return s.deliver(), nil
}

// batch is how many items are fetched at once.
const batch = 10

type itemsMessage struct {
	message
	Items struct {
		List []item `xml:",any"`
	} `xml:"Items"`
}

// item is the one that was asked for.
func (m itemsMessage) item(shown item) (item, error) {
	if err := m.err(); err != nil {
		return item{}, err
	}
	if len(m.Items.List) != 1 || m.Items.List[0].Self.ID != shown.Self.ID {
		return item{}, errIncomplete
	}
	return m.Items.List[0], nil
}

// complete fetches the items of which the view does not show all. One that
// cannot be had keeps its place, and is asked for again by the next poll.
func (s *session) complete(ctx context.Context, q providers.Query, v *view, partial []int, next *pending) error {
	for len(partial) > 0 {
		n := min(batch, len(partial))
		ids := make([]string, n)
		for i, at := range partial[:n] {
			ids[i] = v.items[at].Self.ID
		}
		var got answers[itemsMessage]
		if err := s.client.call(ctx, getItems(ids), &got); err != nil {
			return err
		}
		if len(got.List) != n {
			return errIncomplete
		}
		for i, m := range got.List {
			shown := v.items[partial[i]]
			version := shown.version(q.Zone)
			item, err := m.item(shown)
			switch code := providers.CodeOf(err); {
			case err == nil:
				next.add(item, version, q.Zone)
			case code == codeMissing:
				next.after.Again = true
				next.unreadable = append(next.unreadable, busy.Unreadable{Key: shown.Self.ID, Problem: busy.ProblemMissing})
			case code == codeDenied, code == codeNoOccurrence, code == codeUnknown:
				next.add(shown, version, q.Zone) // what the view shows is all that there is
			default:
				return err
			}
		}
		partial = partial[n:]
	}
	return nil
}

// news is what the folder says of itself.
type news uint8

const (
	nothing    news = iota
	irrelevant      // something was marked as read
	changed
)

type syncMessage struct {
	message
	State   string `xml:"SyncState"`
	Last    string `xml:"IncludesLastItemInRange"`
	Changes struct {
		List []element `xml:",any"`
	} `xml:"Changes"`
}

// maxBatches bounds the answers to one question after changes.
const maxBatches = 2000

// news asks what changed since the state, and returns the state to go on from.
// Without a state it goes through all items of the folder.
func (s *session) news(ctx context.Context, folder, state string) (string, news, error) {
	found := nothing
	for range maxBatches {
		var got answers[syncMessage]
		if err := s.client.call(ctx, syncItems(folder, state), &got); err != nil {
			return "", nothing, err
		}
		m, err := got.only()
		if err != nil {
			return "", nothing, err
		}
		if m.State == "" || m.Last == "" {
			return "", nothing, errIncomplete
		}
		for _, c := range m.Changes.List {
			if c.XMLName.Local == "ReadFlagChange" {
				found = max(found, irrelevant)
			} else {
				found = changed
			}
		}
		if isTrue(m.Last) {
			return m.State, found, nil
		}
		if m.State == state {
			return "", nothing, errIncomplete
		}
		state = m.State
	}
	return "", nothing, errExcessive
}
