package zones

import (
	"strings"
	"testing"
	"time"
)

func TestResolve(t *testing.T) {
	for _, c := range []struct{ tzid, want string }{
		{"Europe/Berlin", "Europe/Berlin"},
		{" Europe/Berlin ", "Europe/Berlin"},
		{`"Europe/Berlin"`, "Europe/Berlin"},
		{"europe/berlin", "Europe/Berlin"},
		{"America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"},
		{"America/Port-au-Prince", "America/Port-au-Prince"},
		{"US/Eastern", "US/Eastern"},
		{"Etc/GMT+5", "Etc/GMT+5"},
		{"EST5EDT", "EST5EDT"},
		{"UTC", "UTC"},
		{"utc", "UTC"},
		{"Etc/UTC", "UTC"},
		{"GMT", "UTC"},
		{"tzone://Microsoft/Utc", "UTC"},
		{"/freeassociation.sourceforge.net/Europe/Berlin", "Europe/Berlin"},
		{"/freeassociation.sourceforge.net/Tzfile/America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"},
		{"/mozilla.org/20050126_1/Europe/Berlin", "Europe/Berlin"},
		{"/mozilla.org/20070129_1/America/Indiana/Indianapolis", "America/Indiana/Indianapolis"},
		{"/softwarestudio.org/Olson_20011030_5/America/New_York", "America/New_York"},
		{"/citadel.org/20190914_1/Asia/Tokyo", "Asia/Tokyo"},
		{"/example.com/UTC", "UTC"},
		{"http://tzurl.org/zoneinfo/Pacific/Auckland", "Pacific/Auckland"},
		{"right/Europe/Berlin", "Europe/Berlin"}, // which does not count leap seconds
		{"W. Europe Standard Time", "Europe/Berlin"},
		{"w. europe standard time", "Europe/Berlin"},
		{`"Pacific Standard Time"`, "America/Los_Angeles"},
		{"Eastern Standard Time", "America/New_York"},
		{"India Standard Time", "Asia/Calcutta"},
		{"UTC-11", "Etc/GMT+11"},
		{"(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", "Europe/Berlin"},
		{"(GMT+01.00) Amsterdam / Berlin / Bern / Rome / Stockholm / Vienna", "Europe/Berlin"},
		{"(UTC-05:00) Eastern Time (US & Canada)", "America/New_York"},
		{"Eastern Time (US & Canada)", "America/New_York"},
		{"(UTC) Dublin, Edinburgh, Lisbon, London", "Europe/London"},
		{"(UTC) Coordinated Universal Time", "UTC"},
	} {
		got, ok := Resolve(c.tzid)
		if !ok || got != c.want {
			t.Errorf("Resolve(%q) = %q, %v; want %q", c.tzid, got, ok, c.want)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	for _, tzid := range []string{
		"", " ", `""`, "/", "//", "Local", "Factory", "localtime", "Customized Time Zone", "Europe", "Europe/",
		"Europe/Atlantis", "../../../etc/passwd", "/etc/passwd", "Europe/../Europe/Berlin", "right/UTC", "posix/EST",
		"/x/right/Local", `..\..\Europe\Berlin`, "Office/EST", "zone.tab", "Europe/Berlin\x00",
		"(UTC+01:00) Atlantis", "(UTC+01:00)", "tzone://Microsoft/Custom",
		strings.Repeat("a/", 100) + "Europe/Berlin", strings.Repeat("x", 1<<20),
	} {
		if got, ok := Resolve(tzid); ok {
			t.Errorf("Resolve(%.40q) = %q, want none", tzid, got)
		}
	}
}

func TestTables(t *testing.T) {
	if len(windows) < 139 {
		t.Errorf("%d Windows zones, want at least 139", len(windows))
	}
	for name := range windows {
		if iana, ok := Resolve(name); !ok {
			t.Errorf("Resolve(%q) = %q, want a zone", name, iana)
		}
	}
	for lower, name := range spelling {
		if _, err := time.LoadLocation(name); err != nil || strings.ToLower(name) != lower {
			t.Errorf("%q is spelled %q: %v", lower, name, err)
		}
	}
	for cities, name := range display {
		if _, known := windows[name]; !known {
			t.Errorf("%q is displayed for %q, which CLDR does not have", cities, name)
		}
		if iana, ok := Resolve("(UTC+00:00) " + cities); !ok {
			t.Errorf("(UTC+00:00) %s = %q, want a zone", cities, iana)
		}
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("/mozilla.org/20050126_1/Europe/Berlin")
	f.Add("(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna")
	f.Add("../Europe/Berlin")
	f.Fuzz(func(t *testing.T, tzid string) {
		iana, ok := Resolve(tzid)
		if !ok {
			return
		}
		if _, err := time.LoadLocation(iana); err != nil {
			t.Fatalf("Resolve(%q) = %q, which does not load", tzid, iana)
		}
		if again, ok := Resolve(iana); !ok || again != iana {
			t.Fatalf("Resolve(%q) = %q, but that resolves to %q", tzid, iana, again)
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	for _, tzid := range []string{"Europe/Berlin", "W. Europe Standard Time", "/mozilla.org/20050126_1/Europe/Berlin", "Customized Time Zone"} {
		b.Run(tzid, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Resolve(tzid)
			}
		})
	}
}
