package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

// zoneRegion is a group of zones in the list of the booking page.
type zoneRegion struct {
	Name  string
	Zones []zoneChoice
}

type zoneChoice struct {
	Name, Label string
	Chosen      bool
}

// zoneNames are those that the page offers: at least one for every clock that many
// people live by. Any other IANA name in the address is taken as well.
const zoneNames = `Europe/Amsterdam Europe/Athens Europe/Berlin Europe/Brussels Europe/Bucharest Europe/Budapest Europe/Copenhagen
Europe/Dublin Europe/Helsinki Europe/Istanbul Europe/Kyiv Europe/Lisbon Europe/London Europe/Madrid Europe/Moscow Europe/Oslo
Europe/Paris Europe/Prague Europe/Rome Europe/Sofia Europe/Stockholm Europe/Vienna Europe/Warsaw Europe/Zurich
America/Anchorage America/Argentina/Buenos_Aires America/Bogota America/Caracas America/Chicago America/Denver America/Halifax
America/Lima America/Los_Angeles America/Mexico_City America/New_York America/Phoenix America/Santiago America/Sao_Paulo
America/St_Johns America/Toronto America/Vancouver
Asia/Baghdad Asia/Bangkok Asia/Dhaka Asia/Dubai Asia/Ho_Chi_Minh Asia/Hong_Kong Asia/Jakarta Asia/Jerusalem Asia/Kabul Asia/Karachi
Asia/Kathmandu Asia/Kolkata Asia/Manila Asia/Riyadh Asia/Seoul Asia/Shanghai Asia/Singapore Asia/Taipei Asia/Tashkent Asia/Tehran
Asia/Tokyo Asia/Yangon
Africa/Cairo Africa/Casablanca Africa/Johannesburg Africa/Lagos Africa/Nairobi
Australia/Adelaide Australia/Brisbane Australia/Darwin Australia/Perth Australia/Sydney
Atlantic/Azores Atlantic/Reykjavik Pacific/Auckland Pacific/Fiji Pacific/Honolulu
UTC`

// zoneList is the list, with the chosen zone and another one in any case.
func zoneList(chosen, other string, at time.Time) []zoneRegion {
	names := strings.Fields(zoneNames)
	for _, name := range []string{other, chosen} {
		if !strings.Contains(" "+strings.Join(names, " ")+" ", " "+name+" ") {
			names = append([]string{name}, names...)
		}
	}
	var regions []zoneRegion
	for _, name := range names {
		zone, err := time.LoadLocation(name)
		if err != nil {
			continue // this machine's data are older than the list
		}
		region, _, divided := strings.Cut(name, "/")
		if !divided {
			region = "Other"
		}
		if len(regions) == 0 || regions[len(regions)-1].Name != region {
			regions = append(regions, zoneRegion{Name: region})
		}
		last := &regions[len(regions)-1]
		label := strings.ReplaceAll(name, "_", " ") + " (" + offset(at.In(zone)) + ")"
		last.Zones = append(last.Zones, zoneChoice{name, label, name == chosen})
	}
	return regions
}

// loadZone loads a zone that a visitor names.
func loadZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	// Other files beside the zones, and this machine's own, begin with a small letter.
	if err != nil || name == "Local" || name == "" || name[0] < 'A' || name[0] > 'Z' {
		return nil, violations{{"zone", "must be an IANA zone such as Europe/Berlin"}}
	}
	return zone, nil
}

// offset writes a local time's distance from UTC as UTC+1, UTC−3:30 or UTC.
func offset(local time.Time) string {
	_, seconds := local.Zone()
	sign := "+"
	if seconds < 0 {
		sign, seconds = "−", -seconds
	}
	minutes := seconds / 60
	switch {
	case minutes == 0:
		return "UTC"
	case minutes%60 == 0:
		return fmt.Sprintf("UTC%s%d", sign, minutes/60)
	default:
		return fmt.Sprintf("UTC%s%d:%02d", sign, minutes/60, minutes%60)
	}
}

// unsteady reports whether clocks are set on the date, so that a time of it needs
// its offset to be told from another.
func unsteady(date time.Time, zone *time.Location) bool {
	day := booking.Day(date, zone)
	return offset(day.Start.In(zone)) != offset(day.End.In(zone))
}

// clock writes a time, with its offset on a day on which that is needed.
func clock(t time.Time, zone *time.Location) string {
	local := t.In(zone)
	if unsteady(booking.Date(t, zone), zone) {
		return local.Format("15:04 ") + offset(local)
	}
	return local.Format("15:04")
}

// when writes a meeting as Sunday 25 October 2026, 02:30–03:00, UTC+1.
func when(span busy.Span, zone *time.Location) string {
	start, end := span.Start.In(zone), span.End.In(zone)
	day, date, until := start.Format("Monday 2 January 2006, "), booking.Date(span.Start, zone), end.Format("15:04")
	switch {
	case booking.Day(date, zone).End.Equal(span.End):
		until = "24:00"
	case !booking.Date(span.End, zone).Equal(date):
		until = end.Format("Monday 2 January 15:04")
	}
	if offset(start) != offset(end) {
		return day + start.Format("15:04 ") + offset(start) + " – " + until + " " + offset(end)
	}
	return day + start.Format("15:04") + "–" + until + ", " + offset(start)
}
