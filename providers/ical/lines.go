package ical

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// lines reads unfolded content lines (RFC 5545 §3.1) in bounded memory. It takes
// CRLF, LF and what mail gateways make of them, a byte order mark, and text that
// is not UTF-8.
type lines struct {
	r      *bufio.Reader
	number int // of physical lines read
	buf    []byte
}

// line is one content line. Its text is valid until the next one is read.
type line struct {
	number int // of its first physical line
	text   []byte
	cut    bool // it was longer than maxLine
}

func newLines(r io.Reader, limit int64) *lines {
	l := &lines{r: bufio.NewReaderSize(&capped{r: r, left: limit}, 8<<10)}
	if mark, _ := l.r.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = l.r.Discard(3)
	}
	return l
}

// next returns the next content line that is not blank; io.EOF after the last,
// ErrTooLarge if the input exceeds its limit.
func (l *lines) next() (line, error) {
	for {
		got, err := l.unfold()
		if err != nil {
			return line{}, err
		}
		if len(bytes.TrimSpace(got.text)) > 0 {
			return got, nil
		}
	}
}

// unfold reads a physical line and those that continue it.
func (l *lines) unfold() (line, error) {
	l.buf = l.buf[:0]
	got := line{number: l.number + 1}
	cut, err := l.physical()
	if err != nil {
		return line{}, err
	}
	got.cut = cut
	for len(l.buf) > 0 {
		head, _ := l.r.Peek(1)
		if len(head) == 0 || head[0] != ' ' && head[0] != '\t' {
			break
		}
		_, _ = l.r.Discard(1)
		cut, err := l.physical()
		if err != nil && !errors.Is(err, io.EOF) {
			return line{}, err
		}
		got.cut = got.cut || cut
	}
	got.text = l.buf
	return got, nil
}

// physical appends the rest of a physical line to the buffer, without its line
// break. It drops, and reports, what does not fit.
func (l *lines) physical() (cut bool, err error) {
	read := false
	for {
		part, err := l.r.ReadSlice('\n')
		read = read || len(part) > 0
		if room := maxLine - len(l.buf); len(part) > room {
			part, cut = part[:room], true
		}
		l.buf = append(l.buf, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && read:
			err = nil
		}
		if err == nil {
			l.number++
		}
		l.buf = bytes.TrimRight(l.buf, "\r\n")
		return cut, err
	}
}

// capped fails with ErrTooLarge when more than left bytes are read. Every error
// is final, so that one which a look ahead met is met again.
type capped struct {
	r    io.Reader
	left int64
	err  error
}

func (c *capped) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.r.Read(p)
	if int64(n) > c.left {
		n, err = 0, ErrTooLarge
	}
	c.left -= int64(n)
	c.err = err
	return n, err
}

// text returns the bytes as a string. Bytes that are not UTF-8 are taken for
// Latin-1, which is what such files mostly are.
func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size <= 1 {
			r = rune(b[0])
		}
		s.WriteRune(r)
		b = b[size:]
	}
	return s.String()
}
