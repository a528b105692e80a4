package ical

import (
	"fmt"
	"strings"
	"testing"

	"github.com/busyd/busyd/providers/subject"
)

// mark stands wherever a calendar may hold what busyd must not keep.
const mark = "CANARY"

// stuffed is a calendar with the mark in every property, parameter and component
// that is not needed, and a subject with an address and links.
const stuffed = `BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//CANARY//EN
X-WR-CALNAME:CANARY
X-WR-CALDESC:CANARY
X-OWNER;CN="CANARY":mailto:canary@example.com
NAME:CANARY
SOURCE;VALUE=URI:https://example.com/CANARY
BEGIN:VTIMEZONE
TZID:CANARY zone
TZURL:https://example.com/CANARY
COMMENT:CANARY
X-CANARY:CANARY
BEGIN:STANDARD
DTSTART;X-NOTE=CANARY:19700101T000000
TZOFFSETFROM:+0100
TZOFFSETTO:+0100
TZNAME:CANARY
COMMENT:CANARY
X-CANARY:CANARY
BEGIN:X-CANARY
DTSTART:CANARY
END:X-CANARY
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:canary@example.com
DTSTAMP;X-NOTE=CANARY:20260101T000000Z
SUMMARY;LANGUAGE=en;ALTREP="https://example.com/CANARY":Call canary@example.com via https:
 //meet.example.com/CANARY or CANARY.example.com/CANARY or www.CANARY.example or tel:CANARY
DTSTART;TZID="CANARY zone";X-NOTE="CANARY":20260301T090000
DTEND;TZID=CANARY zone;X-NOTE=CANARY:20260301T100000
RRULE;X-NOTE=CANARY:FREQ=DAILY;X-NOTE=CANARY
RRULE:CANARY;FREQ=DAILY
RRULE:FREQ=CANARY;BYDAY=1CANARY
EXRULE:FREQ=DAILY;NOTE=CANARY
EXDATE;TZID=CANARY zone;X-NOTE=CANARY:20260302T090000,CANARY
RDATE;X-NOTE=CANARY;VALUE=PERIOD:20260302T090000Z/CANARY,CANARY/PT1H
STATUS;X-NOTE=CANARY:CANARY
TRANSP:CANARY
CLASS:CANARY
X-MICROSOFT-CDO-BUSYSTATUS:CANARY
ORGANIZER;CN=CANARY;SENT-BY="mailto:canary@example.com":mailto:canary@example.com
ATTENDEE;CN=CANARY;PARTSTAT=CANARY;DELEGATED-TO="mailto:canary@example.com":mailto:me@example.com
ATTENDEE;CN=CANARY;PARTSTAT=DECLINED:mailto:canary@example.com
DESCRIPTION;ALTREP="https://example.com/CANARY":CANARY
LOCATION:CANARY
GEO:48.1;11.5
URL:https://example.com/CANARY
CONFERENCE;VALUE=URI;FEATURE=PHONE:tel:CANARY
ATTACH;FMTTYPE=text/plain;ENCODING=BASE64;VALUE=BINARY:CANARYCANARY
COMMENT:CANARY
CONTACT:CANARY
CATEGORIES:CANARY
RESOURCES:CANARY
RELATED-TO:CANARY
REQUEST-STATUS:2.0;CANARY
X-ALT-DESC;FMTTYPE=text/html:<a href="https://example.com/CANARY">CANARY</a>
X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-TITLE="CANARY":geo:48.1,11.5
X-GOOGLE-CONFERENCE:https://meet.example.com/CANARY
DTSTART:CANARY
BEGIN:VALARM
ACTION:EMAIL
ATTENDEE:mailto:canary@example.com
SUMMARY:CANARY
DESCRIPTION:CANARY
END:VALARM
END:VEVENT
BEGIN:VEVENT
UID:canary@example.com
RECURRENCE-ID;X-NOTE=CANARY:CANARY
DTSTART;TZID=CANARY nowhere:20260303T090000
DURATION:CANARY
SUMMARY:Fine
END:VEVENT
BEGIN:VTODO
UID:CANARY
SUMMARY:CANARY
DTSTART:20260303T090000Z
END:VTODO
END:VCALENDAR
`

// TestCanary: nothing that busyd must not keep leaves the reader, in any field
// of any value.
func TestCanary(t *testing.T) {
	for name, input := range map[string]string{
		"whole":      stuffed,
		"crlf":       strings.ReplaceAll(stuffed, "\n", "\r\n"),
		"cut":        stuffed[:len(stuffed)/2],
		"unreadable": strings.Replace(stuffed, "VERSION:2.0", "VERSION:1.0 CANARY", 1),
	} {
		c, err := Parse(strings.NewReader(input), Options{Key: "k", Self: []string{"me@example.com"}})
		if err == nil && len(c.Events) == 0 {
			t.Fatalf("%s: no events", name)
		}
		if all := fmt.Sprintf("%+v %#v %v", c, c, err); strings.Contains(strings.ToUpper(all), mark) {
			t.Errorf("%s: what must not be kept is in %s", name, all)
		}
	}
	c, err := ParseFeed(strings.NewReader(stuffed), Options{Self: []string{"me@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.ReplaceAll(fmt.Sprintf("%+v", c), "canary@example.com", "") // the UID is the key
	if strings.Contains(strings.ToUpper(all), mark) {
		t.Errorf("what must not be kept is in %s", all)
	}
}

func TestSubject(t *testing.T) {
	for _, c := range []struct{ summary, want string }{
		{"Lunch with Bob", "Lunch with Bob"},
		{"Mail bob.o'neil+x@mail.example.co.uk, then go", "Mail …, then go"},
		{"<bob@example.com>", "<…>"},
		{"bob@exa\u200bmple.com", "…"},
		{"bob%40example.com", "…"},
		{"mailto:bob@example.com", "…"},
		{"müller@bücher.example", "…"},
		{"Zoom https://zoom.us/j/123?pwd=abc#x now", "Zoom … now"},
		{"HTTPS://ZOOM.US", "…"},
		{"webcal://example.com/a.ics", "…"},
		{"zoom.us/j/123", "…"},
		{"meet.google.com/abc-defg-hij", "…"},
		{"example.com:8443/x", "…"},
		{"see www.example.com.", "see …"},
		{"tel:+4989123", "…"},
		{"Lunch @ Mario's", "Lunch @ Mario's"},
		{"Dinner@8", "Dinner@8"},
		{"1:1 Anna/Bob, 50% done", "1:1 Anna/Bob, 50% done"},
		{"Q1/Q2 v1.2 review at 9.30", "Q1/Q2 v1.2 review at 9.30"},
		{"Re: budget", "Re: budget"},
		{"Family 👨\u200d👩\u200d👧 day", "Family 👨\u200d👩\u200d👧 day"},
		{"a\u202eb\u0000c\u001b[31md\u2028e\tf", "ab c [31md e f"},
		{"\u200b", ""},
		{strings.Repeat("ü", 501), strings.Repeat("ü", 499) + "…"},
		{strings.Repeat("ü", 500), strings.Repeat("ü", 500)},
		{strings.Repeat("x", 495) + " bob@example.com", strings.Repeat("x", 495) + " …"},
		{`back\\slash\;semi\,comma\nline\Nend\`, `back\slash;semi,comma line end\`},
	} {
		if got := subject.Of(unescape(c.summary)); got != c.want {
			t.Errorf("the subject of %.40q is %.60q, want %.60q", c.summary, got, c.want)
		}
	}
}
