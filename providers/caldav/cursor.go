package caldav

import (
	"encoding/json"

	"github.com/busyd/busyd/providers"
)

// cursor is a mark in a collection's history.
type cursor struct {
	// Token is the collection's sync-token (RFC 6578); empty if it has none, or
	// has not been asked for it yet.
	Token string `json:"t,omitempty"`
	// CTag changes with the collection; it serves where there is no token.
	CTag string `json:"c,omitempty"`
	// NoToken: the collection's tokens are of no use.
	NoToken bool `json:"n,omitempty"`
	// Page counts the pages delivered of what is pending after this mark. A
	// session that does not have it pending asks again from the mark.
	Page int `json:"p,omitempty"`
	// Incomplete: an object could not be fetched. The next poll lists everything
	// anew, so that it is not forgotten.
	Incomplete bool `json:"i,omitempty"`
	// Whole: the server cannot send parts of objects.
	Whole bool `json:"w,omitempty"`
	// Full: the page is of a complete listing, which no other session can go on with.
	Full bool `json:"f,omitempty"`
}

var errCursor = &providers.Error{Fault: providers.CursorExpired, Code: "cursor_unreadable"}

func readCursor(c providers.Cursor) (cursor, error) {
	var read cursor
	if err := json.Unmarshal(c, &read); err != nil {
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
