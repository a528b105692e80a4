package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

// browser is a page in headless Chromium, in which scripts are off, driven as a
// hand does: by keys.
type browser struct {
	t       *testing.T
	in      io.Writer
	out     *bufio.Reader
	session string
	last    int
	loads   int // pages that were loaded and not waited for
}

func newBrowser(t *testing.T, width int) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("the page is checked in Chromium: %v", err)
	}
	profile, err := os.MkdirTemp("", "busyd-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // processes of the browser may end after it
		for range 100 {
			if os.RemoveAll(profile) == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Errorf("%s is left behind", profile)
	})
	// The test's own context would end the browser before it is closed.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
		"--user-data-dir="+profile, "about:blank")
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.ExtraFiles = []*os.File{theirIn, theirOut}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirIn.Close(), theirOut.Close()
	b := &browser{t: t, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		b.send("", "Browser.close", nil)
		_ = c.Wait()
		_, _ = in.Close(), out.Close()
	})
	target := b.call("Target.createTarget", map[string]any{"url": "about:blank"})
	b.session = b.call("Target.attachToTarget", map[string]any{"targetId": target["targetId"], "flatten": true})["sessionId"].(string)
	b.call("Page.enable", nil)
	b.call("Log.enable", nil)
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true})
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false})
	return b
}

func (b *browser) send(session, method string, params any) {
	b.last++
	message := map[string]any{"id": b.last, "method": method, "params": params}
	if params == nil {
		message["params"] = map[string]any{}
	}
	if session != "" {
		message["sessionId"] = session
	}
	text, err := json.Marshal(message)
	if err == nil {
		_, err = b.in.Write(append(text, 0))
	}
	if err != nil {
		b.t.Errorf("tell the browser %s: %v", method, err)
	}
}

type told struct {
	ID     int
	Method string
	Params json.RawMessage
	Result map[string]any
	Error  json.RawMessage
}

// hear returns the browser's next message. It fails the test on a complaint, such
// as that a policy refuses something, but not on a status that is no success.
func (b *browser) hear() told {
	b.t.Helper()
	text, err := b.out.ReadBytes(0)
	if err != nil {
		b.t.Fatalf("hear the browser: %v", err)
	}
	var m told
	if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err != nil {
		b.t.Fatal(err)
	}
	if m.Method == "Page.loadEventFired" {
		b.loads++
	}
	if m.Method == "Log.entryAdded" && !strings.Contains(string(m.Params), "the server responded with a status of 4") {
		b.t.Errorf("the browser complains: %s", m.Params)
	}
	return m
}

func (b *browser) call(method string, params any) map[string]any {
	b.t.Helper()
	b.send(b.session, method, params)
	for {
		if m := b.hear(); m.ID == b.last {
			if m.Error != nil {
				b.t.Fatalf("%s: %s", method, m.Error)
			}
			return m.Result
		}
	}
}

// loaded waits for the page that something leads to.
func (b *browser) loaded(lead func()) {
	b.t.Helper()
	b.loads = 0
	lead()
	for b.loads == 0 {
		b.hear()
	}
}

func (b *browser) open(address string) {
	b.t.Helper()
	b.loaded(func() { b.call("Page.navigate", map[string]any{"url": address}) })
}

// look evaluates an expression of the test's own in the page.
func look[T any](b *browser, expression string) T {
	b.t.Helper()
	result := b.call("Runtime.evaluate", map[string]any{"expression": "JSON.stringify(" + expression + ")", "returnByValue": true})
	var out T
	value, _ := result["result"].(map[string]any)["value"].(string)
	if err := json.Unmarshal([]byte(value), &out); err != nil {
		b.t.Fatalf("%s: %v: %v", expression, err, result)
	}
	return out
}

func (b *browser) press(key string, code int, text string) {
	b.t.Helper()
	down := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
	b.call("Input.dispatchKeyEvent", down)
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code})
}

// focused is what has the focus, as a person hears it.
const focused = `(e => (e.getAttribute('aria-label') || (e.labels && e.labels[0] || e).textContent || '').trim())(document.activeElement)`

// tabTo presses Tab until what has this name has the focus, which must be seen.
func (b *browser) tabTo(name string) {
	b.t.Helper()
	var passed []string
	for range 120 {
		b.press("Tab", 9, "")
		at := look[string](b, focused)
		if shown := look[string](b, `getComputedStyle(document.activeElement).outlineStyle`); shown == "none" {
			b.t.Errorf("%q has the focus, which is not seen", at)
		}
		if strings.HasPrefix(at, name) {
			return
		}
		passed = append(passed, at)
	}
	b.t.Fatalf("Tab does not lead to %q but to %q", name, passed)
}

func (b *browser) enter(name string) {
	b.t.Helper()
	b.tabTo(name)
	b.loaded(func() { b.press("Enter", 13, "\r") })
}

func (b *browser) write(name, text string) {
	b.t.Helper()
	b.tabTo(name)
	b.call("Input.insertText", map[string]any{"text": text})
}

// says expects the page to have the texts, and to be one that everybody can use.
func (b *browser) says(width int, texts ...string) {
	b.t.Helper()
	page := look[struct {
		Text, Lang, Headings        string
		Width                       float64
		H1, Mains, Bare, Small, Ids int
	}](b, `(() => {
		const all = q => [...document.querySelectorAll(q)];
		const seen = e => e.getClientRects().length > 0;
		const ids = all('[id]').map(e => e.id);
		return {
			text: document.body.innerText, lang: document.documentElement.lang, width: document.documentElement.scrollWidth,
			headings: all('h1,h2,h3').map(e => e.tagName).join(' '), h1: all('h1').length, mains: all('main').length,
			bare: all('select,input:not([type=hidden])').filter(e => !e.labels.length).length
				+ all('a,button').filter(e => !(e.getAttribute('aria-label') || e.textContent).trim()).length,
			small: all('button,select,input:not([type=hidden]),.month a,.weeks a').filter(e => seen(e) && e.getBoundingClientRect().height < 44).length,
			ids: ids.length - new Set(ids).size,
		};
	})()`)
	for _, text := range texts {
		if !strings.Contains(page.Text, text) {
			b.t.Errorf("the page does not say %q: %s", text, page.Text)
		}
	}
	if page.Width > float64(width) || page.Lang != "en" || page.H1 != 1 || page.Mains != 1 || page.Bare > 0 || page.Small > 0 || page.Ids > 0 || !strings.HasPrefix(page.Headings, "H1") {
		b.t.Errorf("the page is not for everybody: %+v", page)
	}
}

// picture keeps what is painted in the folder that BUSYD_SCREENS names.
func (b *browser) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("BUSYD_SCREENS")
	if dir == "" {
		return
	}
	data := b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true})["data"].(string)
	painted, err := base64.StdEncoding.DecodeString(data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), painted, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestBookingByKeys walks the whole way without a mouse and without a script, on the
// nights on which the clocks are set.
func TestBookingByKeys(t *testing.T) {
	for _, c := range []struct {
		night             string
		now               time.Time
		day, time, booked string
		twice             []string
	}{
		{
			"forward", time.Date(2026, 3, 27, 8, 0, 0, 0, time.UTC), "Sunday 29 March, 46 free times", "03:00 UTC+2",
			"Sunday 29 March 2026, 03:00–03:30, UTC+2",
			[]string{"01:30 UTC+1", "03:00 UTC+2"},
		},
		{
			"back", time.Date(2026, 10, 23, 8, 0, 0, 0, time.UTC), "Sunday 25 October, 50 free times", "02:30 UTC+1",
			"Sunday 25 October 2026, 02:30–03:00, UTC+1",
			[]string{"02:30 UTC+2", "02:30 UTC+1"},
		},
	} {
		for _, width := range []int{360, 1280} {
			t.Run(fmt.Sprint(c.night, " ", width), func(t *testing.T) {
				s := newShop(t, c.now)
				server := httptest.NewServer(s.handler)
				t.Cleanup(server.Close)
				b := newBrowser(t, width)
				b.open(server.URL + s.link())
				b.says(width, "First visit", "Your time zone", "Next month")
				b.enter(c.day)
				b.says(width, append(c.twice, "The clocks are set on this day")...)
				if chosen := look[[]string](b, `[...document.querySelectorAll('[aria-current]')].map(e => e.getAttribute('aria-label'))`); !slices.Equal(chosen, []string{c.day}) {
					t.Errorf("the chosen day is %q", chosen)
				}
				b.picture(fmt.Sprintf("book-%s-%d-times", c.night, width))
				b.enter(c.time)
				b.says(width, c.booked, "kept for you until")
				b.write("Your name", "Vi Sitor")
				b.write("Your e-mail address", "vi@example.com")
				b.picture(fmt.Sprintf("book-%s-%d-details", c.night, width))
				b.enter("Book this time")
				b.says(width, "You are booked", c.booked)
				b.tabTo("Cancel this booking")
				b.press("Enter", 13, "\r")
				b.picture(fmt.Sprintf("book-%s-%d-booked", c.night, width))
				if n := len(s.bookings(busy.BookingConfirmed)); n != 1 {
					t.Errorf("%d are booked", n)
				}
				b.enter("Yes, cancel it")
				b.says(width, "Your booking is cancelled")
			})
		}
	}
}

// TestBookingTakenByKeys: what another visitor took is said, and a near time chosen.
func TestBookingTakenByKeys(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	server := httptest.NewServer(s.handler)
	t.Cleanup(server.Close)
	b := newBrowser(t, 360)
	b.open(server.URL + s.link() + "?day=2026-03-27")
	s.sent(s.link(), s.choice(at10))
	b.enter("10:00")
	b.says(360, "This time has just been taken.", "The nearest free times are:")
	b.picture("book-taken-360")
	b.enter("Friday 27 March 2026, 10:30–11:00, UTC+1")
	b.says(360, "Friday 27 March 2026, 10:30–11:00, UTC+1", "kept for you until")
	s.wait(bookHold)
	b.write("Your name", "Vi Sitor")
	b.write("Your e-mail address", "vi@example.com")
	b.enter("Book this time")
	b.says(360, "they are over. Nothing was booked.", "The nearest free times are:")
	b.picture("book-expired-360")
}

// TestBookingInAFrame: an origin that may frame the page does, and books in it.
func TestBookingInAFrame(t *testing.T) {
	s := newShop(t, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en"><title>o</title><link rel="icon" href="data:,"><iframe title="Book" src="%s?day=2026-03-27" width="360" height="2400"></iframe>`, server.URL+s.link())
	}))
	t.Cleanup(outside.Close)
	s.open(outside.URL)
	b := newBrowser(t, 500)
	b.open(outside.URL)
	within := func() string { return look[string](b, "document.activeElement.tagName") }
	for within() != "IFRAME" {
		b.press("Tab", 9, "")
	}
	// Tab leads through the frame and out of it: the last time of the day is one back.
	for within() == "IFRAME" {
		b.press("Tab", 9, "")
	}
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9, "modifiers": 8})
	b.press("Enter", 13, "\r")
	for {
		m := b.hear()
		if m.Method == "Page.frameNavigated" && strings.Contains(string(m.Params), "/page_") {
			break
		}
	}
	if held := s.bookings(busy.BookingHeld); len(held) != 1 || held[0].Span.Start.Format(time.RFC3339) != "2026-03-27T22:30:00Z" {
		t.Errorf("held %+v", held)
	}
}
