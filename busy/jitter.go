package busy

import "time"

// Jitter moves d by up to a quarter either way, so that what began together drifts
// apart. Random is in [0, 1).
func Jitter(d time.Duration, random float64) time.Duration {
	return time.Duration(float64(d) * (0.75 + random/2))
}
