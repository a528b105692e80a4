package feed

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/busyd/busyd/providers"
)

// cursor marks a state of the file.
type cursor struct {
	// Digest is that of all that matters in the file.
	Digest string `json:"d"`
	// Zone read the times in zones that nothing defines. In another one, the same
	// file is another calendar.
	Zone string `json:"z"`
	validators
	// Deaf: the server sent the file although nothing in it had changed, so that
	// its validators are of no use.
	Deaf bool `json:"n,omitempty"`
	// Page counts the pages delivered of a listing, which no other session can go
	// on with.
	Page int `json:"p,omitempty"`
}

func readCursor(c providers.Cursor) (cursor, error) {
	var read cursor
	if err := json.Unmarshal(c, &read); err != nil || read.Digest == "" {
		return cursor{}, &providers.Error{Fault: providers.CursorExpired, Code: "cursor_unreadable"}
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

// condition returns what a request can be made conditional on.
func (c cursor) condition(zone string) validators {
	if c.Zone != zone {
		return validators{}
	}
	return c.validators
}

// unchanged is the mark after a reading, fresh, that found what c marks. A server
// that was asked for news only, and sent all, is not asked so again.
func (c cursor) unchanged(fresh cursor, asked bool) cursor {
	if asked || c.Deaf {
		fresh.validators, fresh.Deaf = validators{}, true
	}
	return fresh
}

// validators are the marks of a file that a server hands out for conditional
// requests (RFC 9110 §8.8), as it wrote them.
type validators struct {
	ETag     string `json:"e,omitempty"`
	Modified string `json:"m,omitempty"`
}

func (v validators) set(h http.Header) {
	if v.ETag != "" {
		h.Set("If-None-Match", v.ETag)
	}
	if v.Modified != "" {
		h.Set("If-Modified-Since", v.Modified)
	}
}

const (
	maxValidator = 1 << 10 // bytes
	// settled is how old a Last-Modified must be to tell two states apart: it
	// counts whole seconds, and clocks differ (RFC 9110 §8.8.2.2).
	settled = time.Minute
)

// validatorsOf reads the validators of an answer. A file that was modified just
// now may be so again within the second, which only an entity tag would tell.
func validatorsOf(h http.Header, now time.Time) validators {
	v := validators{ETag: sendable(h.Get("ETag")), Modified: sendable(h.Get("Last-Modified"))}
	if v.ETag == "" {
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date
		}
		modified, err := http.ParseTime(v.Modified)
		if err != nil || now.Sub(modified) < settled {
			v.Modified = ""
		}
	}
	return v
}

// sendable returns a header's value if it can be sent back.
func sendable(value string) string {
	if len(value) > maxValidator || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ""
	}
	return value
}
