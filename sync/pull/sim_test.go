package pull_test

import (
	"flag"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/busyd/busyd/store/storetest"
	"github.com/busyd/busyd/sync/pull"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var (
	seeds    = flag.Uint64("sim.seeds", 50, "how many seeds the simulation runs")
	onlySeed = flag.Uint64("sim.seed", 0, "run this seed alone, and print its trace")
)

// perDatabase is how many seeds share a database: making one costs as much as a
// seed, and the dead rows of many seeds slow it down.
const perDatabase = 50

// rare is what the default number of seeds, which are the same ones each time, does
// not meet.
var rare = []string{
	"caldav fails: cut-off body", "caldav fails: broken connection", "google fails: the access token expires",
	"google fails: answers are somebody's else, such as a login page", "ews fails: a page",
}

// TestSimulation lets an owner edit a calendar while workers that die, stall and
// meet failures mirror it. After each step that had an effect, no time that the
// mirror claims to know may be shown free while the owner has it busy; and when
// the trouble ends, the mirror must be the truth. A seed gives one trace.
func TestSimulation(t *testing.T) {
	if *onlySeed != 0 {
		w := newWorld(t, newTown(t), worldOf(*onlySeed), *onlySeed)
		err := w.live()
		t.Log("\n" + strings.Join(w.trace, "\n"))
		must(t, err)
		return
	}
	var all census
	var failed atomic.Bool
	t.Run("seeds", func(t *testing.T) {
		for first := uint64(1); first <= *seeds; first += perDatabase {
			last := min(first+perDatabase-1, *seeds)
			t.Run(fmt.Sprint(first, " to ", last), func(t *testing.T) {
				t.Parallel()
				town := newTown(t)
				for seed := first; seed <= last && !failed.Load(); seed++ {
					w := newWorld(t, town, worldOf(seed), seed)
					if err := w.live(); err != nil {
						failed.Store(true)
						t.Fatalf("seed %d (run it alone with -sim.seed %d): %v\n%s", seed, seed, err, strings.Join(w.trace, "\n"))
					}
					w.leave()
					all.add(w.seen.n)
				}
			})
		}
	})
	t.Log(all.String())
	if !failed.Load() {
		if *seeds < 200 {
			for _, what := range rare {
				all.count(what)
			}
		}
		all.demand(t, max(1, int(*seeds)/200))
	}
}

// TestSimulationReplays: a seed gives one trace, whatever ran before it.
func TestSimulationReplays(t *testing.T) {
	town := newTown(t)
	for seed := range uint64(2 * len(serverKinds)) {
		var traces [2][]string
		for i := range traces {
			w := newWorld(t, town, worldOf(seed+1), seed+1)
			must(t, w.live())
			w.leave()
			traces[i] = w.trace
		}
		if diff := cmp.Diff(traces[0], traces[1]); diff != "" {
			t.Errorf("seed %d, run twice:\n%s", seed+1, diff)
		}
	}
}

// TestSimulationCatches proves that the simulation can fail: it runs workers with
// a known bug until a seed gives each away.
func TestSimulationCatches(t *testing.T) {
	for name, c := range map[string]struct {
		bug     bug
		fates   []fateKind // that bring it out
		servers []serverOf // that can
	}{
		"cursor saved before the rows": {
			inStore(func(s pull.Store) pull.Store { return cursorFirst{s} }),
			[]fateKind{lucky, killed},
			[]serverOf{newDAV, newGoogle, newGraph, newEWS, newFeed},
		},
		"an expired cursor answered by deleting first": {
			deleteFirst, []fateKind{lucky}, []serverOf{newDAV, newGoogle, newGraph, newEWS},
		},
		"exceptions dropped": {
			inStore(func(s pull.Store) pull.Store { return unexceptional{s} }),
			[]fateKind{lucky},
			[]serverOf{newDAV, newGoogle, newFeed}, // the others deliver occurrences
		},
		"a sweep for every page": {
			inStore(func(s pull.Store) pull.Store { return sweepAlways{s} }), []fateKind{lucky}, []serverOf{newDAV, newGoogle},
		},
		"empty listings believed": {
			inStore(func(s pull.Store) pull.Store { return credulous{s} }), []fateKind{lucky}, []serverOf{newDAV, newFeed},
		},
	} {
		for _, serverOf := range c.servers {
			town := newTown(t)
			kind := newWorld(t, town, serverOf, 1).server.kind()
			t.Run(fmt.Sprint(name, " by ", kind), func(t *testing.T) {
				for seed := range uint64(400) {
					w := newWorld(t, town, serverOf, seed+1)
					w.bug, w.fates = c.bug, c.fates
					if err := w.live(); err != nil {
						t.Logf("given away by seed %d: %v", seed+1, err)
						return
					}
					w.leave()
				}
				t.Error("no seed gave the bug away")
			})
		}
	}
}
