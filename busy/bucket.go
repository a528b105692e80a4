package busy

import "time"

// Bucket is a budget of requests to a provider that all daemons share. It fills
// evenly, and each request takes one token out.
type Bucket struct {
	// Key names the bucket. It goes to Redis: no personal data is in it.
	Key string
	Rate
}

// Rate allows Requests in each Per on the long run, and Burst of them at once. All
// are positive.
type Rate struct {
	Requests int
	Per      time.Duration
	Burst    int
}

// Interval is the time in which one token comes.
func (r Rate) Interval() time.Duration { return r.Per / time.Duration(r.Requests) }
