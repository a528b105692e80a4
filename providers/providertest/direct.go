package providertest

import (
	"io"
	"net/http"
	"net/http/httptest"
)

// Direct returns a RoundTripper that hands requests to the server without a
// network in between, one after the other as they come. A handler that panics
// with http.ErrAbortHandler breaks the connection within the body.
func Direct(server http.Handler) http.RoundTripper { return direct{server} }

type direct struct{ server http.Handler }

// RoundTrip implements [http.RoundTripper].
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	received := r.Clone(r.Context())
	received.Host = r.URL.Host
	if received.Body == nil {
		received.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	aborted := d.serve(w, received)
	_ = received.Body.Close()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := w.Result()
	resp.Request = r
	if aborted {
		resp.Body = io.NopCloser(io.MultiReader(resp.Body, broken{}))
	}
	return resp, nil
}

func (d direct) serve(w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer func() {
		switch failure := recover(); failure {
		case nil:
		case http.ErrAbortHandler:
			aborted = true
		default:
			panic(failure)
		}
	}()
	d.server.ServeHTTP(w, r)
	return false
}

// broken is the end of a connection within a body.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
