package transport

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter bounds the pause that a server can ask for.
const MaxRetryAfter = time.Hour

// RetryAfter reads the header Retry-After (RFC 9110 §10.2.3), seconds or a
// date, as a pause from now on. It is zero where the header is missing, cannot
// be read or lies in the past, and at most MaxRetryAfter.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, MaxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, min(at.Sub(now), MaxRetryAfter))
}
