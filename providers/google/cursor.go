package google

import (
	"encoding/json"

	"github.com/busyd/busyd/providers"
)

// cursor is where a reading goes on.
type cursor struct {
	Form int `json:"form"`
	// Since is the sync token; empty within a complete listing.
	Since string `json:"since,omitempty"`
	// Pages of the round that were read; 0 between rounds.
	Pages int `json:"pages,omitempty"`
}

// form changes with the parameters of the requests, which a sync token is bound to.
const form = 1

var errCursor = &providers.Error{Fault: providers.CursorExpired, Code: "cursor_unreadable"}

func (r *round) cursor() cursor { return cursor{Form: form, Since: r.since, Pages: r.pages} }

func (c cursor) write() providers.Cursor {
	c.Form = form
	raw, err := json.Marshal(c)
	if err != nil { // strings and numbers always encode
		panic(err)
	}
	return raw
}

func readCursor(raw providers.Cursor) (cursor, error) {
	var c cursor
	if err := json.Unmarshal(raw, &c); err != nil || c.Form != form {
		return cursor{}, errCursor
	}
	return c, nil
}
