package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"image/color"
	"image/png"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
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

// browse opens an address in headless Chromium. It returns what the browser
// prints, and fails the test if a page of ours asks for what its policy refuses.
func browse(t *testing.T, address string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("the page is checked in Chromium: %v", err)
	}
	args = append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr", "--virtual-time-budget=3000",
		"--user-data-dir=" + t.TempDir(),
	}, append(args, address)...)
	var complaints bytes.Buffer
	c := exec.CommandContext(t.Context(), path, args...)
	c.Stderr = &complaints
	out, err := c.Output()
	if err != nil {
		t.Fatalf("chromium: %v: %s", err, complaints.String())
	}
	for line := range strings.Lines(complaints.String()) {
		if strings.Contains(line, "CONSOLE") {
			t.Errorf("the browser complains: %s", line)
		}
	}
	return out
}

// The narrowest window of Chromium is wider than a phone, so that the page is
// looked at in a frame, by a page of the test that measures it.
const measuring = `<!doctype html><title>m</title><style>body{margin:0}iframe{border:0;display:block}</style>
<iframe id=f src="/week%s" width=%d height=%d></iframe><pre id=out></pre><script>
f.onload = () => {
  const d = f.contentDocument, all = q => [...d.querySelectorAll(q)];
  const box = e => { const r = e.getBoundingClientRect(); return {x: r.x, y: r.y, w: r.width, h: r.height} };
  const ada = d.querySelector('.person');
  out.textContent = 'MEASURED' + btoa(unescape(encodeURIComponent(JSON.stringify({
    width: d.documentElement.scrollWidth,
    text: d.body.innerText,
    days: all('svg[role=img]').map(e => e.getAttribute('aria-label')),
    unnamed: all('svg:not([role=img]):not([aria-hidden=true] *):not([aria-hidden=true])').length,
    headings: all('h1,h2,h3').map(e => e.tagName).join(' '),
    landmarks: all('main,nav,body>header').map(e => e.tagName).join(' '),
    unlabelled: all('select,input:not([type=hidden])').filter(e => !e.labels.length).length,
    targets: all('a,button,select').map(e => box(e).h),
    overflowing: all('.free-days dt,.date,button,.weeks a').filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent),
    ticks: [...ada.querySelectorAll('.axis text')].map(e => ({label: e.textContent, ...box(e)})),
    wednesday: [...ada.querySelectorAll('.day:nth-child(3) rect.busy')].map(box),
    times: getComputedStyle(d.querySelector('text.times')).display,
    scripts: all('script').length,
  }))));
};
</script>`

type measured struct {
	Width               float64
	Text                string
	Days                []string
	Unnamed             int
	Headings, Landmarks string
	Unlabelled          int
	Targets             []float64
	Overflowing         []string
	Ticks               []box
	Wednesday           []box
	Times               string
	Scripts             int
}

type box struct {
	Label      string
	X, Y, W, H float64
}

func measure(t *testing.T, base, query string, width, height int) measured {
	t.Helper()
	address := fmt.Sprintf("%s/measure?width=%d&height=%d&query=%s", base, width, height, url.QueryEscape(query))
	dom := browse(t, address, "--dump-dom", fmt.Sprintf("--window-size=%d,%d", width, height))
	_, found, ok := strings.Cut(string(dom), ">MEASURED")
	encoded, _, _ := strings.Cut(found, "<")
	text, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		t.Fatalf("nothing was measured: %v: %.500s", err, dom)
	}
	var m measured
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// serveFramed serves the house, and a page that may frame it.
func serveFramed(t *testing.T, h *house) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/measure" {
			q := r.URL.Query()
			width, _ := strconv.Atoi(q.Get("width"))
			height, _ := strconv.Atoi(q.Get("height"))
			_, _ = fmt.Fprintf(w, measuring, html.EscapeString(q.Get("query")), width, height)
			return
		}
		answer := httptest.NewRecorder()
		h.handler.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("X-Frame-Options")
		w.Header().Set("Content-Security-Policy", strings.ReplaceAll(answer.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'", "frame-ancestors 'self'"))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestPageInABrowser(t *testing.T) {
	h := newWeekHouse(t, func(c *Config) { c.DevKey = one })
	base := serveFramed(t, h)
	for _, width := range []int{375, 1280} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			m := measure(t, base, "", width, 2400)
			if m.Width > float64(width) {
				t.Errorf("the page is %v wide", m.Width)
			}
			if len(m.Overflowing) > 0 {
				t.Errorf("text overflows: %q", m.Overflowing)
			}
			for _, want := range []string{
				"23 – 29 March 2026", "Ada Lovelace", "Europe/Berlin", "Both calendars are fresh.", "Fresh, read 40 s ago.", "Fresh, read 3 min ago.",
				"Bo Sørensen", "America/New_York", "Needs reconnect: the provider refuses the credential. Last read 26 h ago.",
				"Room Curie", "Waiting to be read for the first time. The next attempt is in 20 s.",
				"10:20–13:00", "14:00–17:00", "No time is offered while a calendar is not fresh.", "Sunday 29 March: Clocks go forward 1 h.",
			} {
				if !strings.Contains(m.Text, want) {
					t.Errorf("the page does not say %q", want)
				}
			}
			if len(m.Days) != 21 || m.Unnamed > 0 || m.Unlabelled > 0 || m.Scripts > 0 {
				t.Errorf("%d days, %d pictures without a name, %d fields without a label, %d scripts", len(m.Days), m.Unnamed, m.Unlabelled, m.Scripts)
			}
			want := "Wednesday 25 March: busy 09:30–10:00, busy 13:00–14:00, busy 18:00–19:15, free 10:20–13:00, free 14:00–17:00."
			if !slices.Contains(m.Days, want) {
				t.Errorf("no day reads %q: %q", want, m.Days)
			}
			if m.Headings != "H1 H2 H3 H3 H2 H3 H3 H2 H3 H3" || m.Landmarks != "HEADER NAV MAIN" {
				t.Errorf("headings %q, landmarks %q", m.Headings, m.Landmarks)
			}
			for _, height := range m.Targets {
				if height < 36 {
					t.Errorf("something to tap is %v high", height)
				}
			}
			m.checkWednesday(t)
			if shown := m.Times != "none"; shown != (width > 760) {
				t.Errorf("at this width the blocks' times are %q", m.Times)
			}
		})
	}
}

// checkWednesday holds Ada's meeting at 13:00 against the hours at the side.
func (m measured) checkWednesday(t *testing.T) {
	t.Helper()
	middle := map[string]float64{}
	for _, tick := range m.Ticks {
		middle[tick.Label] = tick.Y + tick.H/2
	}
	for _, b := range m.Wednesday {
		if math.Abs(b.Y-middle["13:00"]) < 3 && math.Abs(b.Y+b.H-middle["14:00"]) < 3 {
			return
		}
	}
	t.Errorf("no block stands from 13:00 to 14:00: blocks %v, hours %v", m.Wednesday, middle)
}

// TestScreenshot looks at the page as it is painted. BUSYD_SCREENS names a
// folder to keep the pictures in.
func TestScreenshot(t *testing.T) {
	h := newWeekHouse(t, func(c *Config) { c.DevKey = one })
	base := serveFramed(t, h)
	dir := os.Getenv("BUSYD_SCREENS")
	if dir == "" {
		dir = t.TempDir()
	}
	for name, size := range map[string][2]int{"phone": {375, 2300}, "desktop": {1280, 2000}} {
		file := filepath.Join(dir, name+".png")
		address := fmt.Sprintf("%s/measure?width=%d&height=%d", base, size[0], size[1])
		browse(t, address, "--screenshot="+file, fmt.Sprintf("--window-size=%d,%d", size[0], size[1]))
		painted := colours(t, file)
		for what, colour := range map[string]color.RGBA{
			"busy": {0x3f, 0x4f, 0x86, 255}, "out of office": {0x94, 0x53, 0x2f, 255}, "free": {0xe3, 0xf1, 0xe6, 255},
			"all-day": {0xd9, 0xde, 0xf0, 255}, "the time of day": {0xc8, 0x40, 0x2a, 255}, "closed": {0xf1, 0xef, 0xea, 255},
		} {
			if painted[colour] < 60 {
				t.Errorf("%s: there are %d pixels of %s", name, painted[colour], what)
			}
		}
	}
}

func colours(t *testing.T, file string) map[color.RGBA]int {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	painted := map[color.RGBA]int{}
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			painted[color.RGBAModel.Convert(picture.At(x, y)).(color.RGBA)]++
		}
	}
	return painted
}

// TestContrast holds the style sheet's colours, light and dark, against WCAG 2.2
// (1.4.3 for text, 1.4.11 for what is drawn).
func TestContrast(t *testing.T) {
	sheet, err := pages.ReadFile("pages/style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, rest, _ := strings.Cut(string(sheet), "@media")
	dark, _, _ := strings.Cut(rest, "* {")
	for name, block := range map[string]string{"light": light, "dark": dark} {
		colour := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{3,6})`).FindAllStringSubmatch(block, -1) {
			colour[m[1]] = luminance(t, m[2])
		}
		for pair, least := range map[string]float64{
			"ink/ground": 4.5, "ink/card": 4.5, "dim/ground": 4.5, "dim/card": 4.5, "accent/card": 4.5, "accent/ground": 4.5, "card/accent": 4.5,
			"busy-ink/busy": 4.5, "busy-ink/away": 4.5, "free-ink/free": 4.5, "ink/maybe": 4.5, "ink/alert": 4.5,
			"busy/card": 3, "away/card": 3, "busy/closed": 3, "away/closed": 3, "busy/free": 3, "now/card": 3, "now/free": 3, "good/card": 3, "warn/card": 3, "bad/card": 3,
		} {
			a, b, _ := strings.Cut(pair, "/")
			high, low := max(colour[a], colour[b]), min(colour[a], colour[b])
			if got := (high + .05) / (low + .05); got < least {
				t.Errorf("%s: %s has a contrast of %.2f, want %v", name, pair, got, least)
			}
		}
	}
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 4 {
		hex = string([]byte{'#', hex[1], hex[1], hex[2], hex[2], hex[3], hex[3]})
	}
	sum := 0.0
	for i, weight := range []float64{.2126, .7152, .0722} {
		v, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(v) / 255
		if c <= .04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
