package api

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

// newWeekHouse has everything that the page can show: two people in two zones in the
// week in which Berlin's clocks go forward, each state of a block, an all-day
// trip, and calendars that are not fresh.
func newWeekHouse(t testing.TB, change ...func(*Config)) *house {
	h := newHouse(t, change...)
	h.now = time.Date(2026, 3, 25, 9, 20, 0, 0, time.UTC)
	ten := &tenant{id: h.tenants[0].id, keys: h.tenants[0].keys, blocks: map[busy.ResourceID][]busy.Block{}}
	h.tenants[0] = ten
	ada := ten.addResource(h, "Ada Lovelace", "Europe/Berlin", "mon-fri 09:00-17:00; sun 01:00-04:00")
	bo := ten.addResource(h, "Bo Sørensen", "America/New_York", "mon-thu 08:30-12:00 13:00-17:30; fri 08:30-12:00")
	ten.addResource(h, "Room Curie", "Europe/Berlin", "mon-fri 08:00-18:00")
	ten.calendars[0].Name = "Work"
	home := ten.addCalendar(h, ten.connections[0], "Home")
	home.AsOf = h.now.Add(-3 * time.Minute)
	ten.calendars[1].Name, ten.calendars[1].Connected = "Bo's calendar", busy.ConnectionNeedsReconnect
	ten.calendars[1].AsOf = h.now.Add(-26 * time.Hour)
	ten.calendars[2].Name, ten.calendars[2].Freshness = "Bookings", busy.Freshness{DueAt: h.now.Add(20 * time.Second)}
	ten.blocks = map[busy.ResourceID][]busy.Block{}
	berlin, newYork := zone(t, "Europe/Berlin"), zone(t, "America/New_York")
	at := func(who busy.ResourceID, in *time.Location, day, h1, m1, h2, m2 int, state busy.State) {
		ten.blocks[who] = append(ten.blocks[who], busy.Block{
			Start: time.Date(2026, 3, day, h1, m1, 0, 0, in).UTC(), End: time.Date(2026, 3, day, h2, m2, 0, 0, in).UTC(), State: state,
		})
	}
	for day := 23; day <= 27; day++ {
		at(ada, berlin, day, 9, 30, 10, 0, busy.Busy)
	}
	at(ada, berlin, 23, 11, 0, 12, 30, busy.Busy)
	at(ada, berlin, 24, 13, 0, 15, 0, busy.Tentative)
	at(ada, berlin, 24, 14, 30, 16, 0, busy.Busy)
	at(ada, berlin, 25, 13, 0, 14, 0, busy.Busy)
	at(ada, berlin, 26, 15, 0, 17, 0, busy.OutOfOffice)
	at(ada, berlin, 29, 1, 30, 3, 30, busy.Busy)
	at(ada, berlin, 25, 18, 0, 19, 15, busy.Busy)
	ten.blocks[ada] = append(ten.blocks[ada], busy.Block{
		Start: time.Date(2026, 3, 27, 0, 0, 0, 0, berlin).UTC(), End: time.Date(2026, 3, 28, 0, 0, 0, 0, berlin).UTC(), AllDay: true, State: busy.OutOfOffice,
	})
	for day := 23; day <= 26; day++ {
		at(bo, newYork, day, 10, 0, 11, 0, busy.Busy)
	}
	at(bo, newYork, 25, 14, 0, 16, 30, busy.Busy)
	return h
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// browse opens an address in headless Chromium and returns what it prints.
func browse(t *testing.T, address string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("the page is checked in Chromium: %v", err)
	}
	args = append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--user-data-dir=" + t.TempDir(),
	}, append(args, address)...)
	out, err := exec.CommandContext(t.Context(), path, args...).Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return out
}

func TestScreens(t *testing.T) {
	h := newWeekHouse(t, func(c *Config) { c.DevKey = readToken + "_one" })
	s := httptest.NewServer(h.handler)
	defer s.Close()
	dir := os.Getenv("BUSYD_SCREENS")
	if dir == "" {
		dir = t.TempDir()
	}
	for name, size := range map[string]string{"phone": "500,2600", "desktop": "1280,2100"} {
		browse(t, s.URL+"/week", "--screenshot="+filepath.Join(dir, name+".png"), "--window-size="+size)
		browse(t, s.URL+"/week", "--screenshot="+filepath.Join(dir, name+"-dark.png"), "--window-size="+size, "--blink-settings=preferredColorScheme=0", "--force-dark-mode")
	}
}
