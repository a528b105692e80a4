package ews

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"time"

	ntlmssp "github.com/Azure/go-ntlmssp"

	"github.com/busyd/busyd/providers"
)

// handshake authenticates the connection that a request goes over (MS-NTHT).
//
// The library's own RoundTripper is not used: it sends the body three times,
// hides why a handshake failed, and knows no channel binding.
type handshake struct {
	pool               *pool
	now                func() time.Time
	scheme             scheme
	username, password string
}

var (
	errLoop    = &providers.Error{Code: "ntlm_loop", Err: errors.New("the server goes on challenging after the answer: Extended Protection refuses the channel binding")}
	errMessage = &providers.Error{Code: "ntlm_message", Err: errors.New("the server sent an NTLM message that is not understood")}
)

// RoundTrip implements [http.RoundTripper]. The caller sends one request at a
// time.
func (h *handshake) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := bodyOf(r)
	if err != nil {
		return nil, err
	}
	if h.pool.open(h.now()) {
		resp, err := h.send(r, body, nil)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusUnauthorized {
			h.pool.proven.Store(h.now().UnixNano())
			return resp, nil
		}
		drain(resp) // the connection was a new one after all
	}
	h.pool.proven.Store(0)
	hello, err := ntlmssp.NewNegotiateMessage("", "")
	if err != nil {
		return nil, errMessage
	}
	resp, err := h.send(r, nil, hello)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	asked, err := h.challenge(resp)
	if err != nil || asked == nil {
		return resp, err
	}
	drain(resp)
	answer, err := ntlmssp.NewAuthenticateMessage(bind(asked, resp.TLS), h.username, h.password, nil)
	if err != nil {
		return nil, errMessage
	}
	if resp, err = h.send(r, body, answer); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusUnauthorized {
		h.pool.proven.Store(h.now().UnixNano())
		return resp, nil
	}
	if again, _ := h.challenge(resp); again != nil {
		drain(resp)
		return nil, errLoop
	}
	return resp, nil
}

// challenge is the message of a 401; nil if it has none.
func (h *handshake) challenge(resp *http.Response) ([]byte, error) {
	token, _ := challenge(resp.Header, h.scheme)
	if token == "" {
		return nil, nil
	}
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		drain(resp)
		return nil, errMessage
	}
	return raw, nil
}

func (h *handshake) send(r *http.Request, body, message []byte) (*http.Response, error) {
	sent := r.Clone(r.Context())
	sent.Body, sent.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		sent.Body = http.NoBody
	}
	sent.GetBody = nil // net/http must not repeat a step on another connection
	sent.Header.Del("Authorization")
	if message != nil {
		sent.Header.Set("Authorization", h.scheme.label()+" "+base64.StdEncoding.EncodeToString(message))
	}
	return h.pool.base.RoundTrip(sent)
}

func bodyOf(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer func() { _ = r.Body.Close() }()
	return io.ReadAll(r.Body)
}

// drain reads a body to its end, so that the connection lives on.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
	_ = resp.Body.Close()
}
