package ews

import (
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// pending is a reading of the window that is being delivered page by page.
type pending struct {
	remote string
	full   bool
	torn   bool   // the window would not stand still: this may not be all of it
	after  cursor // the mark that holds once all is delivered

	same       []string
	events     []busy.Event // not delivered yet
	unreadable []busy.Unreadable
	page       int // pages delivered
}

// add adds an item that is new or changed.
func (p *pending) add(i item, version, home string) {
	event, problem := i.event(version, home)
	if problem != busy.ProblemNone {
		p.unreadable = append(p.unreadable, busy.Unreadable{Key: i.Self.ID, Version: version, Problem: problem})
	}
	if !event.Start.IsZero() {
		p.events = append(p.events, event)
	}
}

// continues reports whether the cursor is the one that came with the last page
// delivered. Any other belongs to a caller who lost a page.
func (p *pending) continues(q providers.Query, since cursor) bool {
	return p != nil && since.Page > 0 && p.remote == string(q.Remote) && since == p.between()
}

// between is the mark of the last page delivered, while others are pending. Who
// goes on from it elsewhere reads everything anew.
func (p *pending) between() cursor {
	mark := p.after
	mark.Page, mark.Full, mark.Again = p.page, p.full, true
	return mark
}

// errTorn ends the reading of a window that would not stand still, after all that
// was seen of it: nobody may take it for what the calendar holds by now.
var errTorn = &providers.Error{Code: "window_unsteady"}

// isDelivered reports whether nothing is left to deliver.
func (p *pending) isDelivered() bool { return len(p.events) == 0 }

// deliver makes the next page of what is pending.
func (s *session) deliver() providers.Page {
	p := s.pending
	n := min(len(p.events), s.provider.PageEvents)
	page := providers.Page{Same: p.same, Full: p.full}
	page.Events, p.events = p.events[:n:n], p.events[n:]
	p.same = nil
	p.page++
	if p.isDelivered() {
		page.Unreadable, p.unreadable = p.unreadable, nil
	}
	if !p.isDelivered() || p.torn {
		page.Cursor, page.More = p.between().encode(), true
		return page
	}
	s.pending = nil
	page.Cursor = p.after.encode()
	return page
}
