package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// request is a call of a route by a key that may make it.
type request struct {
	ctx    context.Context
	id     string // the request's own
	token  string // the key's
	tenant busy.TenantID
	now    time.Time
	params *params
	query  string    // as it was sent
	body   []byte    // nil: the route takes none
	once   busy.Once // where the route takes a key
}

// endpoint serves one route: who calls, with what, and the answer.
func (a *api) endpoint(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tenant, err := a.authorize(w, r, rt.scope)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		token, _ := bearer(r)
		in := &request{ctx: r.Context(), id: requestID(r), token: token, tenant: tenant, now: a.Now(), params: readParams(rt.params, r), query: r.URL.RawQuery}
		if rt.body != nil {
			if in.body, err = readBody(w, r); err != nil {
				a.fail(w, r, err)
				return
			}
		}
		if rt.once {
			if in.once, err = onceOf(rt, r, in.body); err != nil {
				a.fail(w, r, err)
				return
			}
		}
		out, err := rt.serve(a, in)
		if err == nil {
			err = write(w, rt.status, out)
		}
		if err != nil {
			a.fail(w, r, err)
		}
	})
}

// authorize finds the tenant of the request's key. Whatever is wrong with a key,
// the answer is the same.
func (a *api) authorize(w http.ResponseWriter, r *http.Request, scope busy.Scope) (busy.TenantID, error) {
	token, ok := bearer(r)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="busyd"`)
		return busy.TenantID{}, unauthorized
	}
	tenant, key, err := a.authenticate(r.Context(), token)
	if errors.Is(err, busy.ErrNotFound) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="busyd", error="invalid_token"`)
		return busy.TenantID{}, unauthorized
	}
	if err != nil {
		return busy.TenantID{}, fmt.Errorf("authenticate: %w", err)
	}
	if !key.Allows(scope) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="busyd", error="insufficient_scope", scope=%q`, scope))
		p := missingScope
		p.detail = fmt.Sprintf("Use a key that has the scope %s.", scope)
		return busy.TenantID{}, p
	}
	return tenant, nil
}

// authenticate returns busy.ErrNotFound for a token that is not good.
func (a *api) authenticate(ctx context.Context, token string) (busy.TenantID, busy.APIKey, error) {
	now := a.Now()
	if known, is := a.admissions.find(token, now); is {
		return known.tenant, known.key, nil
	}
	tenant, key, err := a.Store.Authenticate(ctx, token, now)
	if err == nil {
		a.admissions.remember(token, tenant, key, now)
	}
	return tenant, key, err
}

func bearer(r *http.Request) (string, bool) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var slow net.Error
	switch {
	case errors.As(err, &slow) && slow.Timeout():
		return nil, slowRequest
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, violations{{"body", "must be as long as Content-Length says"}}
	case err != nil:
		return nil, err
	case len(body) == 0:
		return []byte("{}"), nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" && media != "application/merge-patch+json" {
		return nil, wrongMedia
	}
	return body, nil
}

// decode reads a JSON object into a struct and tells which field is wrong.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		return violations{{"body", "must be one JSON object"}}
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return violations{{strings.ReplaceAll(wrong.Field, "Rules.", ""), "must be a " + jsonType(wrong.Type.Kind().String())}}
	}
	// There is no type for this error; encoding/json promises no text either, so
	// that only a field's name is taken from it.
	if name, ok := strings.CutPrefix(err.Error(), `json: unknown field "`); ok {
		return violations{{short(strings.TrimSuffix(name, `"`)), "is not a field of this request"}}
	}
	return violations{{"body", "must be one JSON object"}}
}

func jsonType(kind string) string {
	if kind == "bool" {
		return "boolean"
	}
	return kind
}

// short bounds what of a caller's own words is said back.
func short(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

// write sends an answer. An error means that nothing was sent.
func write(w http.ResponseWriter, status int, out any) error {
	switch given := out.(type) {
	case busy.Answer:
		send(w, given)
		return nil
	case parts:
		sendParts(w, status, given)
		return nil
	case stream:
		given(w)
		return nil
	case again:
		w.Header().Set(replayed, "true")
		send(w, given.Answer)
		return nil
	}
	answer, err := success(status, out, nil)
	if err != nil {
		return err
	}
	send(w, answer)
	return nil
}

func encode(body any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return b.Bytes(), nil
}
