package booking

import (
	"os"
	"strings"
	"testing"
	"time"
)

// transition is a moment at which the clocks of a zone were set.
type transition struct {
	zone string
	at   time.Time
}

// transitions are those of every zone of the tz database from 1970 to 2037. Of
// zones that set their clocks alike at the same moment there is one.
func transitions(t testing.TB) []transition {
	t.Helper()
	names, err := os.ReadFile("testdata/zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	type change struct {
		at            int64
		before, after time.Duration
	}
	seen := map[change]bool{}
	var all []transition
	for _, name := range strings.Fields(string(names)) {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		end := time.Date(2038, 1, 1, 0, 0, 0, 0, time.UTC)
		for at := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC); at.Before(end); {
			_, next := at.In(zone).ZoneBounds()
			if next.IsZero() || !next.Before(end) {
				break
			}
			c := change{next.Unix(), offset(next.Add(-time.Second), zone), offset(next, zone)}
			whole := c.before%time.Minute == 0 && c.after%time.Minute == 0 && c.at%60 == 0 // the grid is of minutes
			if c.before != c.after && whole && !seen[c] {
				seen[c] = true
				all = append(all, transition{name, next.UTC()})
			}
			at = next
		}
	}
	return all
}
