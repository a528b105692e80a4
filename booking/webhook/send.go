package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// result is how one attempt went.
type result struct {
	code  string        // stable; empty: it arrived
	away  bool          // the endpoint's fault: the next message would fail too
	gone  bool          // the endpoint wants nothing more, ever
	after time.Duration // for how long it asks to be left alone
}

// mostRead is how much of an answer is read, so that its connection can be used
// again. Nothing of it is kept.
const mostRead = 16 << 10

// send makes one attempt.
func (c *Courier) send(ctx context.Context, to busy.Round, m busy.Message) result {
	ctx, cancel := context.WithTimeout(ctx, RequestFor)
	defer cancel()
	request, err := c.request(ctx, to, m)
	if err != nil {
		return result{code: "invalid", away: true}
	}
	answer, err := c.HTTP.Do(request)
	if err != nil {
		return result{code: c.CodeOf(err), away: true}
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.CopyN(io.Discard, answer.Body, mostRead)
	return judge(answer, c.Now())
}

// request is the message as Standard Webhooks has it. Its id is the same on each
// attempt.
func (c *Courier) request(ctx context.Context, to busy.Round, m busy.Message) (*http.Request, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode a message: %w", err)
	}
	id, at := m.ID.String(), c.Now()
	signature, err := sign(to.Secrets, id, at, body)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(string(to.URL), "https://") {
		return nil, errScheme
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, string(to.URL), bytes.NewReader(body))
	if err != nil {
		return nil, errScheme // the cause repeats the address
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("webhook-id", id)
	request.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	request.Header.Set("webhook-signature", signature)
	return request, nil
}

// judge reads an answer. A redirect is not followed, and so a failure.
func judge(answer *http.Response, now time.Time) result {
	status := answer.StatusCode
	if status/100 == 2 {
		return result{}
	}
	r := result{code: "status_" + strconv.Itoa(status), after: asked(answer.Header, now)}
	switch status {
	case http.StatusGone:
		r.gone = true
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		r.away = true
	default:
		r.away = r.after > 0
	}
	return r
}
