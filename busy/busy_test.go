package busy_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/busyd/busyd/busy"
)

func TestIDRoundTrip(t *testing.T) {
	id, err := busy.NewID[busy.Tenant](rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := id.String()
	if text[14] != '4' || !strings.ContainsRune("89ab", rune(text[19])) {
		t.Errorf("%s is no UUID of version 4", text)
	}
	for _, form := range []string{text, strings.ToUpper(text)} {
		if back, err := busy.ParseID[busy.Tenant](form); err != nil || back != id {
			t.Errorf("%s: %v, %v", form, back, err)
		}
	}
	for _, form := range []string{"", text[1:], text + "0", strings.Replace(text, "-", "_", 1), "g" + text[1:], "{" + text + "}"} {
		if _, err := busy.ParseID[busy.Tenant](form); !errors.Is(err, busy.ErrInvalid) || strings.Contains(err.Error(), "_") {
			t.Errorf("%q: %v", form, err)
		}
	}
}

func TestMomentRoundTrip(t *testing.T) {
	for _, text := range []string{
		"", "2026-03-01", "2026-03-01T09:00:00", "2026-03-01T09:00:00Z", "2026-03-01T09:00:00[Europe/Berlin]",
		"2026-03-01T09:00:00[BEGIN:VTIMEZONE\nTZID:x\nEND:VTIMEZONE]",
	} {
		m, err := busy.ParseMoment(text)
		if err != nil || m.String() != text {
			t.Errorf("%q: %q, %v", text, m, err)
		}
	}
	for _, text := range []string{"x", "2026-13-01", "2026-03-01T", "2026-03-01T09:00:00+01:00", "2026-03-01T09:00:00[", "2026-03-01T25:00:00"} {
		if _, err := busy.ParseMoment(text); !errors.Is(err, busy.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
	at := time.Date(2026, 3, 1, 9, 0, 0, 7, time.FixedZone("", 3600))
	if got := busy.InstantOf(at).String(); got != "2026-03-01T08:00:00Z" {
		t.Errorf("an instant is %s", got)
	}
}

// Merge and Subtract against sets of minutes.
func TestSpansAreSets(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	spans := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) busy.Span {
		from, length := rapid.IntRange(0, 50).Draw(t, "from"), rapid.IntRange(-2, 12).Draw(t, "length")
		return busy.Span{Start: start.Add(time.Duration(from) * time.Minute), End: start.Add(time.Duration(from+length) * time.Minute)}
	}), 0, 12)
	minutes := func(spans []busy.Span) (set [70]bool) {
		for i := range set {
			at := start.Add(time.Duration(i) * time.Minute)
			set[i] = slices.ContainsFunc(spans, func(s busy.Span) bool { return !at.Before(s.Start) && at.Before(s.End) })
		}
		return set
	}
	tidy := func(t *rapid.T, spans []busy.Span) {
		for i, s := range spans {
			if s.Empty() || i > 0 && !spans[i-1].End.Before(s.Start) {
				t.Fatalf("not merged: %v", spans)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := spans.Draw(t, "a"), spans.Draw(t, "b")
		inA, inB := minutes(a), minutes(b)
		a, b = busy.Merge(a), busy.Merge(b)
		tidy(t, a)
		left := busy.Subtract(a, b)
		tidy(t, left)
		inLeft := minutes(left)
		for i := range inLeft {
			if got := minutes(a)[i]; got != inA[i] {
				t.Fatalf("merged: minute %d is %t", i, got)
			}
			if inLeft[i] != (inA[i] && !inB[i]) {
				t.Fatalf("subtracted: minute %d is %t", i, inLeft[i])
			}
		}
	})
}

func TestHours(t *testing.T) {
	for text, want := range map[string]string{
		"mon-fri 09:00-17:00":                   "mon 09:00-17:00; tue 09:00-17:00; wed 09:00-17:00; thu 09:00-17:00; fri 09:00-17:00",
		"Mon 13:00-17:00 09:00-12:00":           "mon 09:00-12:00 13:00-17:00",
		"sat-mon 22:00-02:00":                   "mon 22:00-02:00; sat 22:00-02:00; sun 22:00-02:00",
		"sun 00:00-24:00;":                      "sun 00:00-24:00",
		"":                                      "",
		"always":                                busy.AlwaysOpen().String(),
		"tue 09:00-12:00; tue 12:00-13:00; wed": "tue 09:00-12:00 12:00-13:00",
	} {
		h, err := busy.ParseHours(text)
		if err != nil || h.String() != want {
			t.Errorf("%q: %q, %v", text, h, err)
		}
		if again, err := busy.ParseHours(h.String()); err != nil || again.String() != want {
			t.Errorf("%q does not read back: %q, %v", want, again, err)
		}
	}
	for _, text := range []string{"mo 09:00-17:00", "mon 9-17", "mon 09:00", "mon 09:00-09:00", "mon 24:00-25:00", "mon 09:00-12:00 11:00-13:00", "mon-xyz 09:00-10:00"} {
		if _, err := busy.ParseHours(text); !errors.Is(err, busy.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// No way of printing prints a secret.
func TestSecretIsNotPrinted(t *testing.T) {
	type holder struct{ Password busy.Secret }
	h := holder{busy.Secret("open sesame")}
	asJSON, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", h.Password, "holder", h)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", h.Password, "holder", h)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		log.WriteString(fmt.Sprintf(verb, h.Password) + fmt.Sprintf(verb, h) + fmt.Sprintf(verb, &h) + fmt.Sprintf(verb, []busy.Secret{h.Password}))
	}
	all := log.String() + string(asJSON) + fmt.Errorf("failed: %v", h.Password).Error()
	for _, form := range []string{"open", "6f70656e", "111 112", "b3Blbi"} {
		if strings.Contains(all, form) {
			t.Errorf("%q is printed: %s", form, all)
		}
	}
}

func TestStateFor(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	span := busy.Span{Start: now, End: now.Add(time.Hour)}
	good := busy.Calendar{Connected: busy.ConnectionActive, Freshness: busy.Freshness{
		AsOf: now.Add(-time.Minute), Covered: busy.Span{Start: now.Add(-time.Hour), End: now.Add(2 * time.Hour)},
	}}
	for want, change := range map[busy.CalendarState]func(*busy.Calendar){
		busy.StateFresh:          func(*busy.Calendar) {},
		busy.StateStale:          func(c *busy.Calendar) { c.AsOf = now.Add(-2 * time.Hour) },
		busy.StateDegraded:       func(c *busy.Calendar) { c.Problems, c.AsOf = 1, now.Add(-2*time.Hour) },
		busy.StateUncovered:      func(c *busy.Calendar) { c.Covered.End = now.Add(time.Minute) },
		busy.StateNeedsReconnect: func(c *busy.Calendar) { c.Connected = busy.ConnectionNeedsReconnect },
		busy.StatePaused:         func(c *busy.Calendar) { c.Connected = busy.ConnectionPaused },
		busy.StatePending:        func(c *busy.Calendar) { c.AsOf = time.Time{} },
	} {
		c := good
		change(&c)
		if got := c.StateFor(span, now, time.Hour); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if want != busy.StateFresh && (busy.StateFresh.Worse(want) != want || want.Worse(busy.StateFresh) != want || busy.CalendarState("").Worse(want) != want) {
			t.Errorf("%s is not worse than fresh", want)
		}
	}
}

func TestJitterIsAQuarterEitherWay(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 45 * time.Second, 0.5: time.Minute, 1: 75 * time.Second} {
		if got := busy.Jitter(time.Minute, random); got != want {
			t.Errorf("Jitter(1m, %v) = %v, want %v", random, got, want)
		}
	}
}
