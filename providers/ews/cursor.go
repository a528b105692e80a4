package ews

import (
	"encoding/json"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// cursor is a mark in a calendar's history.
type cursor struct {
	// State is the folder's SyncState.
	State string `json:"s"`
	// From and To bound the span that was read, in Unix seconds.
	From int64 `json:"f"`
	To   int64 `json:"t"`
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
	if err := json.Unmarshal(c, &read); err != nil || read.State == "" {
		return cursor{}, errCursor
	}
	return read, nil
}

func (c cursor) encode() providers.Cursor {
	raw, err := json.Marshal(c)
	if err != nil { // strings, numbers and bools always encode
		panic(err)
	}
	return raw
}

// A window is read a day wider on either side, since all-day items lie in zones
// of their own, and some days ahead, so that one that moves on every day is not
// read anew each time.
const (
	beside = 24 * time.Hour
	ahead  = 3 * 24 * time.Hour
)

// covering is the span to read for a window.
func covering(w busy.Span) busy.Span {
	return busy.Span{Start: w.Start.Add(-beside).UTC().Truncate(time.Hour), End: w.End.Add(beside + ahead).UTC().Truncate(time.Hour)}
}

// covers reports whether what was read is enough for the window.
func (c cursor) covers(w busy.Span) bool {
	read := busy.Span{Start: time.Unix(c.From, 0), End: time.Unix(c.To, 0)}
	return read.Contains(busy.Span{Start: w.Start.Add(-beside).Truncate(time.Hour), End: w.End.Add(beside).Truncate(time.Hour)})
}
