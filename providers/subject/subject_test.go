package subject

import (
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	for title, want := range map[string]string{
		"Standup":                            "Standup",
		"  Two \t lines\r\nof it ":           "Two lines of it",
		"Call ana@example.com, now":          "Call …, now",
		"Ana%40example.com":                  "…",
		"Join https://meet.example/a?b=c ok": "Join … ok",
		"Dial tel:+4930123456":               "Dial …",
		"zoom.us/j/123456 at nine":           "… at nine",
		"ana\u200b@example.com":              "…",
		"\u202eevil":                         "evil",
		"9:30 / 10:30 review":                "9:30 / 10:30 review",
	} {
		if got := Of(title); got != want {
			t.Errorf("Of(%q) = %q, want %q", title, got, want)
		}
	}
	if got := []rune(Of(strings.Repeat("ä", 600))); len(got) != MaxRunes || string(got[MaxRunes-1]) != withheld {
		t.Errorf("a long title has %d runes", len(got))
	}
}
