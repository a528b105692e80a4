// Package zones finds the IANA name of a time zone that a calendar calls by
// another one: with a vendor's prefix, or as Windows and Exchange do.
package zones

import (
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // the same zones on every machine that has none
)

//go:generate go run ./generate $WINDOWS_ZONES table.go

// maxName bounds the names that are looked at; the longest that resolves is a
// Windows display name of some 70 bytes.
const maxName = 200

// Resolve returns the IANA name that tzid stands for, one that
// [time.LoadLocation] loads. It understands, in this order:
//
//   - an IANA name, in any case where CLDR knows it: Europe/Berlin;
//   - one behind a vendor's prefix: /mozilla.org/20050126_1/Europe/Berlin;
//   - a Windows name, in any case: W. Europe Standard Time;
//   - the name that Windows shows, with its offset or without: (UTC+01:00)
//     Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna.
//
// Each may stand in double quotes. The names of UTC, GMT among them, all resolve
// to UTC. It reads no more than a handful of files of the zone database, and
// nothing outside it.
func Resolve(tzid string) (iana string, ok bool) {
	if len(tzid) > maxName {
		return "", false
	}
	tzid = strings.TrimSpace(strings.Trim(strings.TrimSpace(tzid), `"`))
	if tzid == "" || strings.Contains(tzid, "..") {
		return "", false
	}
	lower := strings.ToLower(tzid)
	for _, find := range []func(string) (string, bool){spelled, onWindows, shown} {
		if name, known := find(lower); known {
			return canonical(name), true
		}
	}
	if name, ok := load(tzid); ok {
		return name, true
	}
	return unprefixed(tzid)
}

// utc are the names of the one zone that has no rules.
var utc = map[string]struct{}{
	"utc": {}, "z": {}, "gmt": {}, "uct": {}, "zulu": {}, "universal": {}, "greenwich": {},
	"etc/utc": {}, "etc/gmt": {}, "etc/uct": {}, "etc/zulu": {}, "etc/universal": {}, "etc/greenwich": {},
	"tzone://microsoft/utc": {}, "coordinated universal time": {},
}

func canonical(name string) string {
	if _, is := utc[strings.ToLower(name)]; is {
		return "UTC"
	}
	return name
}

// spelled and onWindows look into the generated tables. Their names are in the
// zone database that this package brings along, and need not be loaded to know.
func spelled(lower string) (string, bool)   { name, known := spelling[lower]; return name, known }
func onWindows(lower string) (string, bool) { name, known := windows[lower]; return name, known }

// unprefixed looks for an IANA name of three, two or one segments at the end of
// a path. One alone counts only below a vendor's root, for "Office/EST" is
// nobody's notation.
func unprefixed(tzid string) (string, bool) {
	segments := strings.Split(tzid, "/")
	shortest := 2
	if strings.HasPrefix(tzid, "/") || strings.Contains(tzid, "://") {
		shortest = 1
	}
	for n := min(3, len(segments)-1); n >= shortest; n-- {
		name := strings.Join(segments[len(segments)-n:], "/")
		if name, ok := load(name); ok {
			return name, true
		}
	}
	return "", false
}

// form is what every IANA name looks like. A directory separator at the start or
// a dot anywhere could lead out of the zone database.
var form = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`)

// notZones are what a zone database may hold besides the zones: "right" counts
// leap seconds, "posix" repeats all, "Factory" and "Local" are places without one.
var notZones = []string{"right/", "posix/", "Factory", "Local", "localtime", "posixrules"}

func load(name string) (string, bool) {
	if known, ok := spelled(strings.ToLower(name)); ok && known == name || canonical(name) == "UTC" {
		return canonical(name), true
	}
	if !form.MatchString(name) {
		return "", false
	}
	for _, not := range notZones {
		if strings.HasPrefix(name, not) {
			return "", false
		}
	}
	if _, err := time.LoadLocation(name); err != nil {
		return "", false
	}
	return name, true
}
