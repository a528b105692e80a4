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
	resp, err := post(ctx, c.rt, c.at, c.envelope(o), c.mailbox)
	if err != nil {
		return err
	}
	return answered(resp, o.name+"Response", v, c.now())
}

// answered reads an envelope. Faults come with 200 and with 500.
func answered(resp *http.Response, name string, v any, now time.Time) error {
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusInternalServerError {
		_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
		return refusal(resp, now)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return networkError(resp.Request.Context(), err)
	}
	if len(data) > maxAnswer {
		return errExcessive
	}
	err = decode(data, name, v)
	if resp.StatusCode == http.StatusInternalServerError && (err == nil || isForeign(err)) {
		return refusal(resp, now)
	}
	return err
}

func isForeign(err error) bool {
	return errors.Is(err, errForeign) || errors.Is(err, errMalformed)
}

// post sends an envelope. The anchor, if any, is the mailbox by which a farm of
// servers routes the request.
func post(ctx context.Context, rt http.RoundTripper, at *url.URL, envelope, anchor string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), strings.NewReader(envelope))
	if err != nil {
		return nil, &providers.Error{Fault: providers.Rejected, Code: "bad_address"}
	}
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("Accept", "text/xml")
	if anchor != "" {
		r.Header.Set("X-AnchorMailbox", anchor)
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return nil, networkError(ctx, err)
	}
	resp.Request = r
	return resp, nil
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
