package feedfake

import (
	"io"
	"net/http"
	"net/http/httptest"
)

// Transport reaches the server without a socket: each request is answered before
// RoundTrip returns, in the goroutine that sends it.
func (s *Server) Transport() http.RoundTripper { return direct{s} }

type direct struct{ server *Server }

// RoundTrip implements [http.RoundTripper].
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	received := r.Clone(r.Context())
	received.Host = r.URL.Host
	w := httptest.NewRecorder()
	aborted := d.serve(w, received)
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
