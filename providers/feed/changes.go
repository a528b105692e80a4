package feed

import (
	"context"
	"net/http"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// Changes implements [providers.Session]. A file that has changed in any way that
// matters is delivered as a complete listing.
func (s *session) Changes(ctx context.Context, q providers.Query) (providers.Page, error) {
	if string(q.Remote) != remote {
		return providers.Page{}, &providers.Error{Fault: providers.Rejected, Code: "bad_address"}
	}
	if q.Cursor == nil {
		return s.poll(ctx, q, cursor{})
	}
	since, err := readCursor(q.Cursor)
	switch {
	case err != nil:
		return providers.Page{}, err
	case s.pending.continues(since):
		return s.deliver(), nil
	case since.Page > 0:
		return providers.Page{}, &providers.Error{Fault: providers.CursorExpired, Code: "listing_lost"}
	default:
		return s.poll(ctx, q, since)
	}
}

// poll fetches the file, if it has changed.
func (s *session) poll(ctx context.Context, q providers.Query, since cursor) (providers.Page, error) {
	s.pending = nil
	have := since.condition(q.Zone)
	resp, err := s.client.get(ctx, have)
	if err != nil {
		return providers.Page{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusNotModified {
		return providers.Page{Cursor: q.Cursor}, nil
	}
	file, err := read(ctx, resp, q.Zone, s.grant.self())
	if err != nil {
		return providers.Page{}, err
	}
	objects := objectsOf(file)
	mark := cursor{Digest: digestOf(objects), Zone: q.Zone, validators: validatorsOf(resp.Header, s.client.now())}
	if mark.Digest == since.Digest {
		return providers.Page{Cursor: since.unchanged(mark, have != validators{}).encode()}, nil
	}
	s.pending = newPending(objects, mark, q)
	return s.deliver(), nil
}

// pending is a listing that is being delivered page by page.
type pending struct {
	mark  cursor // holds once all is delivered
	same  []string
	fresh []object
	page  int // pages delivered
}

func newPending(objects []object, mark cursor, q providers.Query) *pending {
	p := &pending{mark: mark}
	for _, o := range objects {
		if version, held := q.Version(o.key); held && version == o.version {
			p.same = append(p.same, o.key)
		} else {
			p.fresh = append(p.fresh, o)
		}
	}
	return p
}

// continues reports whether the cursor is the one that came with the last page
// delivered. Any other belongs to a caller who lost a page.
func (p *pending) continues(since cursor) bool {
	return p != nil && since.Page > 0 && since == p.between()
}

func (p *pending) between() cursor {
	mark := p.mark
	mark.Page = p.page
	return mark
}

// deliver makes the next page of what is pending.
func (s *session) deliver() providers.Page {
	p := s.pending
	n := min(len(p.fresh), s.provider.PageObjects)
	page := providers.Page{Full: true, Same: p.same}
	for _, o := range p.fresh[:n] {
		page.Events = append(page.Events, o.events...)
		if o.problem != busy.ProblemNone {
			page.Unreadable = append(page.Unreadable, busy.Unreadable{Key: o.key, Version: o.version, Problem: o.problem})
		}
	}
	p.same, p.fresh = nil, p.fresh[n:]
	p.page++
	if page.More = len(p.fresh) > 0; page.More {
		page.Cursor = p.between().encode()
		return page
	}
	s.pending = nil
	page.Cursor = p.mark.encode()
	return page
}
