package graph

import (
	"encoding/json"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// cursor is a mark in a calendar's history.
type cursor struct {
	// From and To bound the span that was read, in Unix seconds. A delta is about
	// the span that it began with, and no other.
	From int64 `json:"f"`
	To   int64 `json:"t"`
	// Digest of what the span held.
	Digest string `json:"d,omitempty"`
	// Link asks what changed since; empty: the span is read to find out.
	Link string `json:"l,omitempty"`
	// Unserved: Graph would not say what changes in this calendar.
	Unserved bool `json:"u,omitempty"`
	// Again: something could not be read. The next poll reads everything anew.
	Again bool `json:"a,omitempty"`
	// Page counts the pages delivered of what is pending. Only the session that
	// has it can go on.
	Page int `json:"p,omitempty"`
	// Full: the page is of a complete listing.
	Full bool `json:"c,omitempty"`
}

var errCursor = &providers.Error{Fault: providers.CursorExpired, Code: "cursor_unreadable"}

func readCursor(c providers.Cursor) (cursor, error) {
	var read cursor
	if err := json.Unmarshal(c, &read); err != nil || read.From >= read.To {
		return cursor{}, errCursor
	}
	return read, nil
}

// tracks reports whether a cursor holds a delta's link.
func tracks(c providers.Cursor) bool {
	read, err := readCursor(c)
	return err == nil && read.Link != ""
}

func (c cursor) encode() providers.Cursor {
	raw, err := json.Marshal(c)
	if err != nil { // strings, numbers and bools always encode
		panic(err)
	}
	return raw
}

// A window is read a day wider on either side, for all-day events lie in the
// zones of their owners, and some days ahead, so that one that moves on every day
// does not begin a delta each time. Who expands the events trims them.
const (
	beside = 24 * time.Hour
	ahead  = 3 * 24 * time.Hour
)

// covering is a cursor that nothing is known at, of the span to read for a window.
func covering(w busy.Span) cursor {
	return cursor{
		From: w.Start.Add(-beside).UTC().Truncate(time.Hour).Unix(),
		To:   w.End.Add(beside + ahead).UTC().Truncate(time.Hour).Unix(),
	}
}

// covers reports whether what was read is enough for the window.
func (c cursor) covers(w busy.Span) bool {
	return c.span().Contains(busy.Span{Start: w.Start.Add(-beside).Truncate(time.Hour), End: w.End.Add(beside).Truncate(time.Hour)})
}

func (c cursor) span() busy.Span {
	return busy.Span{Start: time.Unix(c.From, 0).UTC(), End: time.Unix(c.To, 0).UTC()}
}
