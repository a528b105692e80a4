package feedfake

import (
	"net/http"

	"github.com/busyd/busyd/providers/providertest"
)

// Transport reaches the server without a socket: each request is answered before
// RoundTrip returns, in the goroutine that sends it.
func (s *Server) Transport() http.RoundTripper { return providertest.Direct(s) }
