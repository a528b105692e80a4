package ews

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// client sends operations to one server as one user.
type client struct {
	rt          http.RoundTripper
	at          *url.URL
	now         func() time.Time
	version     string
	mailbox     string
	impersonate bool
}

const maxErrorBody = 64 << 10

var errNotAllowed = &providers.Error{Fault: providers.Rejected, Code: "operation_refused", Err: errors.New("busyd does not send this operation")}

// call sends an operation and reads its answer into v.
func (c *client) call(ctx context.Context, o operation, v any) error {
	if !reads(o.name) {
		return errNotAllowed
	}
	got, err := post(ctx, c.rt, c.at, c.envelope(o), c.mailbox)
	if err != nil {
		return err
	}
	return got.read(o.name+"Response", v, c.now())
}

// reply is an answer that was read to its end, so that its connection lives on.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// post sends a request. The anchor, if any, is the mailbox by which a farm of
// servers routes it.
func post(ctx context.Context, rt http.RoundTripper, at *url.URL, body, anchor string) (*reply, error) {
	r, err := request(ctx, at, body, anchor)
	if err != nil {
		return nil, err
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return nil, networkError(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	got := &reply{status: resp.StatusCode, header: resp.Header}
	if got.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1)); err != nil {
		return nil, networkError(ctx, err)
	}
	if len(got.body) > maxAnswer {
		return nil, errExcessive
	}
	return got, nil
}

func request(ctx context.Context, at *url.URL, body, anchor string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), strings.NewReader(body))
	if err != nil {
		return nil, &providers.Error{Fault: providers.Rejected, Code: "bad_address"}
	}
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("Accept", "text/xml")
	if anchor != "" {
		r.Header.Set("X-AnchorMailbox", anchor)
	}
	return r, nil
}

// read reads an envelope into v. Faults come with 200 and with 500.
func (r *reply) read(name string, v any, now time.Time) error {
	switch r.status {
	case http.StatusOK:
		return decode(r.body, name, v)
	case http.StatusInternalServerError:
		err := decode(r.body, name, v)
		if err != nil && !errors.Is(err, errForeign) && !errors.Is(err, errMalformed) {
			return err
		}
	}
	return r.refusal(now)
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
