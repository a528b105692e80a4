package webhook

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

const (
	// RequestFor bounds one request, from dialling to the end of the answer.
	RequestFor = 15 * time.Second
	// roundFor is after how long a round begins no further request, so that
	// endpoints take turns.
	roundFor = 20 * time.Second
	// lease is longer than any round. When a worker dies, its endpoint waits for so
	// long.
	lease = time.Minute

	// A message that failed waits firstPause, then four times as long each time, at
	// most longestPause: MostAttempts take three days.
	firstPause   = 10 * time.Second
	longestPause = 8 * time.Hour
	// longestRest bounds how long nothing is sent to an endpoint that is away.
	longestRest = time.Hour
	// longestAsked bounds the pause that an endpoint can ask for.
	longestAsked = 24 * time.Hour

	// MostAttempts is how often one message is tried; after that it is sent only if
	// somebody asks for a replay.
	MostAttempts = 16
	// DisableAfter is for how long an endpoint may fail without a message arriving.
	DisableAfter = 5 * 24 * time.Hour

	// inARow is how many messages may fail one after another until the fault is
	// taken to be the endpoint's.
	inARow = 3
)

// The reasons for which an endpoint is disabled.
const (
	ReasonGone    = "gone"    // it answered 410
	ReasonFailing = "failing" // nothing arrived for DisableAfter
)

// pause is how long to wait after so many failures, with a quarter of jitter
// either way: random is in [0, 1).
func pause(failures int, most time.Duration, random float64) time.Duration {
	d := firstPause
	for range min(failures, MostAttempts) - 1 {
		d = min(4*d, most)
	}
	return busy.Jitter(d, random)
}

// asked reads the header Retry-After (RFC 9110 §10.2.3), seconds or a date, as a
// pause from now on; zero if there is none that can be read.
func asked(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, longestAsked)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, min(at.Sub(now), longestAsked))
}
