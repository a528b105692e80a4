package graph

import (
	"context"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// maxRounds bounds how often a window is read again because it changed meanwhile.
const maxRounds = 3

// changes answers a query. A delta is only a signal here: what it shows of
// occurrences lacks their subject and state, and it has no word for one that left
// its series. The window is read anew, and compared.
func (s *session) changes(ctx context.Context, q providers.Query) (providers.Page, error) {
	if q.Cursor == nil {
		return s.read(ctx, q, covering(q.Window))
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
	case !since.covers(q.Window):
		return s.read(ctx, q, covering(q.Window))
	case since.Again:
		return s.read(ctx, q, cursor{From: since.From, To: since.To, Link: since.Link, Unserved: since.Unserved})
	case since.Link == "":
		return s.read(ctx, q, since)
	}
	link, changed, err := s.news(ctx, since.Link)
	if err != nil {
		return providers.Page{}, err
	}
	if !changed {
		// The old link goes on being good, and the cursor stays what it was.
		return providers.Page{Cursor: q.Cursor}, nil
	}
	since.Link = link
	return s.read(ctx, q, since)
}

// read reads the window. If it holds what it held at the mark, nothing changed.
func (s *session) read(ctx context.Context, q providers.Query, mark cursor) (providers.Page, error) {
	v := s.view(q, mark)
	if err := v.first(ctx); err != nil {
		return providers.Page{}, err
	}
	var named map[string]struct{}
	switch {
	case v.isWhole() && len(v.items) <= s.provider.Reread:
		mark.Link = ""
	case mark.Link == "" && s.deltas && !mark.Unserved:
		// The link is had before the window is read, so that no change is missed.
		var err error
		if named, err = s.track(ctx, q, &mark); err != nil {
			return providers.Page{}, err
		}
		v = s.view(q, mark)
	}
	if err := v.rest(ctx); err != nil {
		return providers.Page{}, err
	}
	switch {
	case named == nil:
	case len(v.items) == 0:
		mark.Link = "" // which calendar the delta is about, nothing tells
	case v.isStrangeTo(named):
		mark.Link, mark.Unserved = "", true
	}
	if v.digest() == mark.Digest {
		return providers.Page{Cursor: mark.encode()}, nil
	}
	v, still, err := s.steady(ctx, q, v, &mark)
	if err != nil {
		return providers.Page{}, err
	}
	return s.compare(q, v, mark, still), nil
}

// steady makes sure that a window of several pages was read as it was at one
// moment: an event that moved from one page to another meanwhile might be in
// neither. It reports whether it did.
func (s *session) steady(ctx context.Context, q providers.Query, v *view, mark *cursor) (*view, bool, error) {
	for round := 1; v.pages > 1; round++ {
		if mark.Link != "" {
			link, changed, err := s.news(ctx, mark.Link)
			if err != nil {
				return nil, false, err
			}
			if mark.Link = link; !changed {
				return v, true, nil
			}
		}
		if round == maxRounds {
			return v, false, nil
		}
		again := s.view(q, *mark)
		if err := again.rest(ctx); err != nil {
			return nil, false, err
		}
		if mark.Link == "" && again.digest() == v.digest() {
			return again, true, nil
		}
		v = again
	}
	return v, true, nil
}

// compare tells what of the view the caller holds, and delivers the rest. Of a
// window that would not stand still, nothing may be taken for removed, and the
// reading fails in the end.
func (s *session) compare(q providers.Query, v *view, mark cursor, still bool) providers.Page {
	next := &pending{remote: string(q.Remote), full: still, torn: !still, after: mark}
	next.after.Digest, next.after.Again = v.digest(), !still
	for _, i := range v.items {
		held, ok := q.Version(i.event.Key)
		switch {
		case i.problem == busy.ProblemMissing:
			next.after.Again = true
			next.unreadable = append(next.unreadable, i.unreadable())
		case ok && held == i.event.Version:
			next.same = append(next.same, i.event.Key)
		default:
			if i.problem != busy.ProblemNone {
				next.unreadable = append(next.unreadable, i.unreadable())
			}
			if !i.event.Start.IsZero() {
				next.events = append(next.events, i.event)
			}
		}
	}
	s.pending = next
	return s.deliver()
}
