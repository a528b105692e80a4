package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// client asks Graph as one account.
type client struct {
	rt   http.RoundTripper // adds the token
	base *url.URL
	now  func() time.Time
}

const (
	maxAnswer    = 32 << 20
	maxErrorBody = 64 << 10
)

// prefer goes with every request: without it, ids change when an event is moved,
// and times come in whatever zone.
const prefer = `IdType="ImmutableId", outlook.timezone="UTC"`

var (
	errForeign    = &providers.Error{Code: "not_graph", Err: errors.New("the answer is not one of Microsoft Graph")}
	errIncomplete = &providers.Error{Code: "incomplete_answer", Err: errors.New("the answer lacks what every complete one holds")}
	errExcessive  = &providers.Error{Code: transport.CodeTooLarge, Err: errors.New("the answer is larger than allowed")}
	errElsewhere  = &providers.Error{Code: "link_refused", Err: errors.New("the answer's link leads to another place")}
	errEndless    = &providers.Error{Code: "endless_pages", Err: errors.New("the answer's pages do not end")}
)

// collection is a page of anything. A page that lacks its value is no answer.
type collection[T any] struct {
	Value []T    `json:"value"`
	Next  string `json:"@odata.nextLink"`
	Delta string `json:"@odata.deltaLink"`
}

// list gets one page. pageSize, if not zero, is asked for by a preference.
func list[T any](ctx context.Context, c *client, at string, pageSize int) (collection[T], error) {
	var page collection[T]
	wanted := prefer
	if pageSize > 0 {
		wanted += fmt.Sprintf(", odata.maxpagesize=%d", pageSize)
	}
	if err := c.send(ctx, http.MethodGet, at, wanted, nil, &page); err != nil {
		return collection[T]{}, err
	}
	if page.Value == nil {
		return collection[T]{}, errIncomplete
	}
	return page, nil
}

// to is the address of a path below the API's.
func (c *client) to(path string) string { return c.base.String() + path }

// pinned returns a link of an answer as it is, if the token may be sent there.
func (c *client) pinned(link string) (string, error) {
	u, err := url.Parse(link)
	if err != nil || u.User != nil || u.Scheme != c.base.Scheme || u.Host != c.base.Host ||
		!strings.HasPrefix(u.Path, c.base.Path+"/") {
		return "", errElsewhere
	}
	return link, nil
}

// send sends a request, with a body if there is one, and reads the answer into v
// if that is not nil.
func (c *client) send(ctx context.Context, method, at, wanted string, body []byte, v any) error {
	var from io.Reader
	if body != nil {
		from = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, at, from)
	if err != nil {
		return &providers.Error{Fault: providers.Rejected, Code: "bad_address"}
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Prefer", wanted)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.rt.RoundTrip(r)
	if err != nil {
		return networkError(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		return c.refusal(resp)
	}
	if v == nil {
		_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return networkError(ctx, err)
	}
	if len(data) > maxAnswer {
		return errExcessive
	}
	if err := json.Unmarshal(data, v); err != nil {
		return errForeign
	}
	return nil
}

func networkError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e := (*providers.Error)(nil); errors.As(err, &e) {
		return e
	}
	return &providers.Error{Code: transport.CodeNetwork}
}

// httpError is the cause of an error that the answer's status stands for.
type httpError struct{ status int }

func (e *httpError) Error() string { return fmt.Sprintf("the server answered %d", e.status) }

func statusIn(err error) int {
	var cause *httpError
	if errors.As(err, &cause) {
		return cause.status
	}
	return 0
}

// Codes of errors that the session looks into.
const (
	codeUnauthorized = "unauthorized"
	codeForbidden    = "forbidden"
	codeMissing      = "not_found"
	codeListed       = "listed_but_missing"
	codeDenied       = "forbidden_here"
	codeElsewhere    = "mailbox_elsewhere"
)

// Words by which Graph says what a status does not, in lower case.
var (
	expired = map[string]bool{
		"syncstatenotfound": true, "syncstateinvalid": true, "errorinvalidsyncstatedata": true, "resyncrequired": true,
	}
	elsewhere = map[string]bool{"mailboxnotenabledforrestapi": true, "mailboxnotsupportedforrestapi": true}
)

// refusal turns an answer without success into an error. What 401, 403 and 404
// mean is for the session to find out.
func (c *client) refusal(resp *http.Response) error {
	word := wordIn(resp.Body)
	e := &providers.Error{Err: &httpError{resp.StatusCode}, After: transport.RetryAfter(resp.Header, c.now())}
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests,
		e.After > 0 && (status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout):
		e.Fault, e.Code = providers.Throttled, "throttled"
	case status/100 == 5:
		e.Code = "server_error"
	case elsewhere[word]:
		// It may pass: a mailbox can be on the move. A long pause it is.
		e.Fault, e.Code = providers.Rejected, codeElsewhere
	case status == http.StatusGone, status/100 == 4 && expired[word]:
		e.Fault, e.Code = providers.CursorExpired, "delta_expired"
	case status == http.StatusUnauthorized:
		e.Code = codeUnauthorized
	case status == http.StatusForbidden:
		e.Code = codeForbidden
	case status == http.StatusNotFound:
		e.Code = codeMissing
	case status == http.StatusRequestTimeout, status == http.StatusConflict,
		status == http.StatusLocked, status == http.StatusTooEarly:
		e.Code = "refused_for_now"
	case status/100 == 4:
		e.Fault, e.Code = providers.Rejected, "request_refused"
	default:
		e.Code = errForeign.Code
	}
	return e
}

// wordIn reads the code of an error's body, in lower case.
func wordIn(body io.Reader) string {
	var answer struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	raw, _ := io.ReadAll(io.LimitReader(body, maxErrorBody))
	_ = json.Unmarshal(raw, &answer) // a body that says nothing has no word
	return strings.ToLower(answer.Error.Code)
}
