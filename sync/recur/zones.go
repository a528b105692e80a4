package recur

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/busyd/busyd/busy"
)

// ErrZone is the [busy.ErrRule] of an event whose zone is unknown. The zone given
// to Expand was used in its place.
var ErrZone = fmt.Errorf("a time zone is unknown, the calendar's was used: %w", busy.ErrRule)

// Bounds of what is remembered. The zone database has about 600 names of some 20
// bytes; a VTIMEZONE is named by its text, of some 500.
const (
	maxZones    = 1024
	maxZoneText = 64 << 10
	maxZoneSize = 4 << 20 // of all names together
)

// zones remembers zones by what a [busy.Moment] calls them; reading one from the
// zone database costs as much as expanding a series. It is safe for concurrent
// use.
type zones struct {
	mu    sync.Mutex
	known map[string]zone // nil: there is no such zone
	size  int             // of the names
}

// find returns nil for a zone that does not exist, or that takes more than the
// budget to read.
func (z *zones) find(name string, b *budget) zone {
	z.mu.Lock()
	defer z.mu.Unlock()
	if found, known := z.known[name]; known {
		return found
	}
	found := load(name, b)
	if b.err != nil {
		return nil
	}
	z.size += len(name)
	if z.known == nil || len(z.known) >= maxZones || z.size > maxZoneSize {
		z.known, z.size = make(map[string]zone), len(name)
	}
	z.known[name] = found
	return found
}

func load(name string, b *budget) zone {
	if len(name) > maxZoneText || name == "Local" {
		return nil
	}
	if strings.HasPrefix(name, vtimezoneBegin) {
		v, err := parseVTimezone(name, b)
		if err != nil {
			return nil
		}
		return v
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return location{l}
}
