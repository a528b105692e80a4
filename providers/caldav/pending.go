package caldav

import (
	"context"
	"net/url"

	"github.com/busyd/busyd/providers"
)

// pending is an answer that is being delivered page by page: a complete listing
// or a delta.
type pending struct {
	remote string
	full   bool
	before cursor // of a delta: the mark that it starts from
	after  cursor // the mark that holds once all is delivered
	more   bool   // the server truncated the delta: another follows

	same       []string
	gone       []string
	fetch      []member // not delivered yet
	page       int      // pages delivered
	incomplete bool     // an object could not be fetched
}

// continues reports whether the cursor is the one that came with the last page
// delivered. Any other belongs to a caller who lost a page.
func (p *pending) continues(q providers.Query, since cursor) bool {
	return p != nil && since.Page > 0 && p.remote == string(q.Remote) && since == p.between()
}

// between is the mark of the last page delivered, while others are pending.
func (p *pending) between() cursor {
	mark := p.before
	if p.full {
		mark = p.after
	}
	mark.Page, mark.Full = p.page, p.full
	return mark
}

// deliver fetches the next objects of what is pending. If that fails, nothing of
// it counts as delivered.
func (s *session) deliver(ctx context.Context, at *url.URL, q providers.Query) (providers.Page, error) {
	p := s.pending
	n := min(len(p.fetch), s.provider.PageObjects)
	got, err := s.fetch(ctx, at, q, p.fetch[:n])
	if err != nil {
		return providers.Page{}, err
	}
	page := providers.Page{Change: got.Change, Same: p.same, Full: p.full}
	page.Gone = append(page.Gone, p.gone...)
	p.fetch, p.same, p.gone = p.fetch[n:], nil, nil
	p.incomplete = p.incomplete || got.incomplete
	p.page++
	if len(p.fetch) > 0 {
		page.Cursor, page.More = p.between().encode(), true
		return page, nil
	}
	s.pending = nil
	p.after.Incomplete, p.after.Whole = p.incomplete, s.whole.Load()
	page.Cursor, page.More = p.after.encode(), p.more
	return page, nil
}
