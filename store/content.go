package store

import (
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

// appendContent writes all that an event says, each part so that no two events
// that differ read the same. Key and Version are not part of it: a new version
// need not be a new event.
func appendContent(b []byte, e *busy.Event) []byte {
	b = appendText(b, e.Series)
	b = appendText(b, e.Subject)
	b = append(b, byte(e.State), flag(e.AndFuture), flag(e.Cancelled))
	b = appendText(b, e.Start.String())
	b = appendText(b, e.End.String())
	b = appendText(b, e.Original.String())
	b = binary.BigEndian.AppendUint64(b, uint64(e.Length.Days))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Length.Exact/time.Second))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Sequence))
	b = binary.BigEndian.AppendUint64(b, uint64(stampMicros(e.Stamp)))
	for _, line := range e.Recurrence {
		b = appendText(b, line)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func stampMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// untilOf returns an instant after which the event surely takes no time; zero if
// it belongs to a series, whose end only the expansion knows. A clock reading
// lies within a day of the same reading in UTC, whatever its zone.
func untilOf(e *busy.Event) time.Time {
	if len(e.Recurrence) > 0 || !e.Original.IsZero() || e.Series != e.Key || e.Start.IsZero() {
		return time.Time{}
	}
	end := e.End.Wall
	if e.End.IsZero() {
		end = e.Start.Wall.AddDate(0, 0, e.Length.Days).Add(e.Length.Exact)
	}
	if end.Before(e.Start.Wall) {
		end = e.Start.Wall
	}
	return end.Add(48 * time.Hour) // a date without an end lasts a day
}

// text is s as the database can hold it: one odd byte must not keep a whole
// calendar from being written.
func text(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// Content lines hold no line break, so one keeps them apart.
func joinLines(lines []string) string { return strings.Join(lines, "\n") }

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// contentField is where what an event says is hashed.
const contentField = "events.content"

// contentHasher hashes what events say, in a buffer that it reuses.
type contentHasher struct {
	hasher *seal.Hasher
	buffer []byte
}

func (c *contentHasher) hash(e *busy.Event) seal.Hash {
	c.buffer = appendContent(c.buffer[:0], e)
	return c.hasher.Hash(c.buffer)
}
