package feed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/ical"
	"github.com/busyd/busyd/providers/transport"
)

// The ways in which an answer is no calendar file. None of them empties a
// calendar: a file without events still begins and ends as a calendar.
var (
	errEmpty     = &providers.Error{Code: "empty_answer", Err: errors.New("the answer is empty")}
	errPage      = &providers.Error{Code: "web_page", Err: errors.New("the answer is a web page, not a calendar")}
	errNoFile    = &providers.Error{Code: "not_a_calendar", Err: errors.New("the answer is not an iCalendar file")}
	errTruncated = &providers.Error{Code: transport.CodeTruncated, Err: errors.New("the calendar file breaks off before its end")}
	errTooLarge  = &providers.Error{Code: transport.CodeTooLarge, Err: errors.New("the calendar file is larger than allowed")}
)

// read reads the file as it arrives. Its end must be a calendar's; that the answer
// is as long as it says is the transport's to check.
func read(ctx context.Context, resp *http.Response, zone string, self []string) (ical.Calendar, error) {
	if resp.ContentLength > MaxFile {
		return ical.Calendar{}, errTooLarge
	}
	in := bufio.NewReaderSize(&capped{from: resp.Body}, 4<<10)
	head, err := in.Peek(512)
	head = bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")))
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return ical.Calendar{}, bodyError(ctx, err)
	case len(head) == 0 && err != nil:
		return ical.Calendar{}, errEmpty
	case bytes.HasPrefix(head, []byte("<")):
		return ical.Calendar{}, errPage
	}
	file, err := ical.ParseFeed(in, ical.Options{Zone: zone, Self: self})
	switch {
	case err != nil:
		return ical.Calendar{}, bodyError(ctx, err)
	case file.Truncated:
		return ical.Calendar{}, errTruncated
	default:
		return file, nil
	}
}

func bodyError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ical.ErrUnreadable):
		return errNoFile
	case errors.Is(err, ical.ErrTooLarge):
		return errTooLarge
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errTruncated
	default:
		return networkError(ctx, err)
	}
}

// capped fails when more than MaxFile is read of a body.
type capped struct {
	from io.Reader
	n    int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if c.n += int64(n); c.n > MaxFile {
		return 0, errTooLarge
	}
	return n, err
}
