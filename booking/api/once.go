package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/busyd/busyd/busy"
)

// OnceStore keeps what requests were answered that must not be carried out twice.
type OnceStore interface {
	// Reserve returns the request with the attempt that may carry it out, or the
	// answer that it was given. busy.ErrInFlight while another attempt is under way,
	// busy.ErrOtherRequest if the key was sent with something else.
	Reserve(ctx context.Context, tenant busy.TenantID, once busy.Once, now time.Time) (busy.Once, *busy.Answer, error)
	// Answer keeps the answer of a request that changed nothing.
	Answer(ctx context.Context, tenant busy.TenantID, once busy.Once, now time.Time) error
}

var keyParam = param{
	name: "Idempotency-Key", in: "header", required: true,
	about: "Names this request, so that it is carried out once however often it is sent: 1 to 255 printable ASCII characters, " +
		"with or without quotes, such as a UUID. Answers are kept for 24 hours.",
	schema: huma.Schema{Type: "string", Examples: []any{`"8e03978e-40d5-43e8-bc93-6894a57f9324"`}},
}

// replayed tells that an answer was given before.
const replayed = "Idempotency-Replayed"

func onceRoute() []problem { return []problem{keyMissing, keyInFlight, keyReused} }

// onceOf reads what makes a request the same as another: key, method, path, the
// headers that matter, and body.
func onceOf(rt route, r *http.Request, body []byte) (busy.Once, error) {
	keys := r.Header.Values(keyParam.name)
	if len(keys) == 0 || keys[0] == "" {
		return busy.Once{}, keyMissing
	}
	key, _ := strings.CutPrefix(keys[0], `"`)
	key, _ = strings.CutSuffix(key, `"`)
	printable := strings.IndexFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) < 0
	if len(keys) > 1 || key == "" || len(key) > 255 || !printable {
		return busy.Once{}, violations{{keyParam.name, "must be given once, with 1 to 255 printable ASCII characters"}}
	}
	digest := sha256.New()
	_, _ = fmt.Fprintf(digest, "%s %s\n", r.Method, r.URL.Path)
	for _, p := range rt.params {
		if p.in == "header" {
			_, _ = fmt.Fprintf(digest, "%q\n", r.Header.Get(p.name))
		}
	}
	_, _ = digest.Write(body)
	return busy.Once{Key: key, Request: digest.Sum(nil)}, nil
}

// once carries the request out, unless it was before: then the answer is what it
// was, byte for byte. A refusal is an answer too. A failure of ours is none, and
// the key can be used again when the attempt's lease has ended.
func (a *api) once(r *request, do func(once busy.Once) (busy.Answer, error)) (any, error) {
	once, given, err := a.Store.Reserve(r.ctx, r.tenant, r.once, r.now)
	if err != nil {
		return nil, err
	}
	if given != nil {
		return again{*given}, nil
	}
	answer, err := do(once)
	if err == nil {
		return answer, nil
	}
	refusal, ok := a.refusal(r, err)
	if !ok {
		return nil, err
	}
	once.Answer = &refusal
	if err := a.Store.Answer(r.ctx, r.tenant, once, r.now); err != nil {
		return nil, errors.Join(err, fmt.Errorf("keep the refusal: %w", err))
	}
	return refusal, nil
}

// again is an answer that was given before.
type again struct{ busy.Answer }

// refusal is the answer that an error is, if it is the caller's to mend.
func (a *api) refusal(r *request, err error) (busy.Answer, bool) {
	p := problemOf(err)
	return problemAnswer(p, err, r.id), p.status < http.StatusInternalServerError
}

// success is the answer of a status with a JSON body, or with none.
func success(status int, body any, header map[string]string) (busy.Answer, error) {
	answer := busy.Answer{Status: status, Header: map[string]string{}}
	for name, value := range header {
		answer.Header[name] = value
	}
	if body == nil {
		return answer, nil
	}
	encoded, err := encode(body)
	if err != nil {
		return busy.Answer{}, err
	}
	answer.Header["Content-Type"], answer.Body = "application/json", encoded
	return answer, nil
}

func send(w http.ResponseWriter, answer busy.Answer) {
	for name, value := range answer.Header {
		w.Header().Set(name, value)
	}
	if len(answer.Body) > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(answer.Body)))
	}
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body)
}

// problemAnswer is the answer to an error.
func problemAnswer(p problem, err error, request string) busy.Answer {
	body := problemBody(p, err, request)
	encoded, err := json.Marshal(body)
	if err != nil { // strings and numbers always encode
		encoded = []byte("{}")
	}
	return busy.Answer{Status: p.status, Header: map[string]string{"Content-Type": "application/problem+json"}, Body: encoded}
}
