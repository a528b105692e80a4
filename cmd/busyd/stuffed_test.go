package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/providertest/caldavfake"
)

// The account whose calendars are stuffed with marks.
const (
	stuffedUser     = nowhere + "user@" + nowhere + ".example"
	stuffedPassword = nowhere + "password"
)

// stuffing is every property that must not be kept, and marks in those that are
// read.
const stuffing = `DTSTAMP;X-NOTE=NOWHEREstamp:20260101T000000Z
SUMMARY;LANGUAGE=en;ALTREP="https://NOWHERE.example/altrep":SUBJECT with NOWHEREmail@NOWHERE.example at https://NOWHERE.e
 xample/link or NOWHERE.example/path or www.NOWHERE.example or mailto:NOWHERE or tel:NOWHERE
ORGANIZER;CN=NOWHEREorganizer;EMAIL=NOWHEREorganizer@NOWHERE.example;SENT-BY="mailto:NOWHEREsentby@NOWHERE.example":mailto:NOWHEREorganizer@NOWHERE.example
ATTENDEE;CN=NOWHEREattendee;EMAIL=NOWHEREattendee@NOWHERE.example;PARTSTAT=ACCEPTED;DIR="ldap://NOWHERE.example":mailto:NOWHEREattendee@NOWHERE.example
ATTENDEE;CN=NOWHEREself;PARTSTAT=ACCEPTED;DELEGATED-FROM="mailto:NOWHEREdelegate@NOWHERE.example":mailto:NOWHEREuser@NOWHERE.example
DESCRIPTION;ALTREP="https://NOWHERE.example/d":NOWHEREdescription
LOCATION;ALTREP="https://NOWHERE.example/l":NOWHERElocation
GEO;X-NOTE=NOWHEREgeo:48.1;11.5
URL:https://NOWHERE.example/url
CONFERENCE;VALUE=URI;LABEL=NOWHEREconference:tel:NOWHEREconference
ATTACH;FILENAME=NOWHEREfile:https://NOWHERE.example/attachment
ATTACH;FMTTYPE=text/plain;ENCODING=BASE64;VALUE=BINARY:NOWHEREbinary
IMAGE;VALUE=URI:https://NOWHERE.example/image
COMMENT:NOWHEREcomment
CONTACT:NOWHEREcontact
CATEGORIES:NOWHEREcategory
COLOR:NOWHEREcolor
RESOURCES:NOWHEREresources
RELATED-TO:NOWHERErelated@NOWHERE.example
REQUEST-STATUS:2.0;NOWHERErequeststatus
CLASS;X-NOTE=NOWHEREclass:PUBLIC
TRANSP;X-NOTE=NOWHEREtransp:OPAQUE
X-ALT-DESC;FMTTYPE=text/html:<a href="https://NOWHERE.example/html">NOWHEREhtml</a>
X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-TITLE="NOWHEREapple":geo:48.1,11.5
X-GOOGLE-CONFERENCE:https://NOWHERE.example/meet
X-MS-OLK-CONFTYPE:NOWHEREoutlook
X-NOWHERE:NOWHEREx
BEGIN:VALARM
ACTION:EMAIL
TRIGGER:-PT15M
ATTENDEE:mailto:NOWHEREalarm@NOWHERE.example
SUMMARY:NOWHEREalarm
DESCRIPTION:NOWHEREalarm
END:VALARM
`

// head is a calendar up to its events: a zone that has no other name, with marks
// beside what defines it.
const head = `BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//NOWHEREprodid//EN
X-WR-CALNAME:NOWHEREcalname
X-WR-CALDESC:NOWHEREcaldesc
NAME:NOWHEREname
SOURCE;VALUE=URI:https://NOWHERE.example/source
BEGIN:VTIMEZONE
TZID:NOWHEREtzid
TZURL:https://NOWHERE.example/zone
COMMENT:NOWHEREzone
X-NOWHERE:NOWHEREzone
BEGIN:STANDARD
DTSTART;X-NOTE=NOWHEREonset:19700101T000000
TZOFFSETFROM:+0330
TZOFFSETTO:+0330
TZNAME:NOWHEREtzname
COMMENT:NOWHEREobservance
X-NOWHERE:NOWHEREobservance
END:STANDARD
END:VTIMEZONE
`

// stuffed makes an object of events, in each of which STUFFING, and DAYn, the nth
// day of next week, are replaced.
func stuffed(events string) string {
	text := strings.ReplaceAll(head+events+"END:VCALENDAR\n", "STUFFING\n", stuffing)
	now := time.Now().UTC()
	for day := range 14 {
		date := time.Date(now.Year(), now.Month(), now.Day()+7-(int(now.Weekday())+6)%7+day, 0, 0, 0, 0, time.UTC)
		text = strings.ReplaceAll(text, fmt.Sprintf("DAY%d.", day), date.Format("20060102"))
	}
	return strings.NewReplacer("\n", "\r\n", "NOWHERE", nowhere, "SUBJECT", subject).Replace(text)
}

// stuffedObjects are what the calendar holds, by name.
func stuffedObjects() map[string]string {
	event := func(lines string) string {
		return "BEGIN:VEVENT\nUID:NOWHEREuid@NOWHERE.example\n" + lines + "END:VEVENT\n"
	}
	return map[string]string{
		nowhere + "href@" + nowhere + ".example.ics": stuffed(event("STUFFING\n"+
			"DTSTART;TZID=NOWHEREtzid;X-NOTE=NOWHEREstart:DAY0.T090000\nDTEND;TZID=NOWHEREtzid:DAY0.T100000\n"+
			"RRULE;X-NOTE=NOWHERErule:FREQ=DAILY;COUNT=5;X-NOTE=NOWHERErulepart\n"+
			"RDATE;X-NOTE=NOWHERErdate;VALUE=PERIOD:DAY9.T090000Z/PT1H\nEXDATE;TZID=NOWHEREtzid;X-NOTE=NOWHEREexdate:DAY2.T090000\n") +
			event("STUFFING\nRECURRENCE-ID;TZID=NOWHEREtzid;X-NOTE=NOWHEREoriginal:DAY1.T090000\n"+
				"DTSTART;TZID=NOWHEREtzid:DAY1.T120000\nDURATION;X-NOTE=NOWHEREduration:PT1H\n")),
		"single.ics":  stuffed(event("STUFFING\nDTSTART:DAY3.T140000Z\nDTEND:DAY3.T150000Z\n")),
		"day.ics":     stuffed(event("STUFFING\nDTSTART;VALUE=DATE:DAY5.\n")),
		"edited.ics":  stuffed(event("STUFFING\nDTSTART:DAY3.T160000Z\nDTEND:DAY3.T170000Z\n")),
		"removed.ics": stuffed(event("STUFFING\nDTSTART:DAY3.T180000Z\nDTEND:DAY3.T190000Z\n")),

		// What cannot be read, or not all of it.
		"words.ics":      nowhere + "words no calendar at all",
		"cut.ics":        stuffed(event("STUFFING\nDTSTART:DAY4.T140000Z\n"))[:700],
		"no-start.ics":   stuffed(event("STUFFING\nDTSTART:NOWHEREbadstart\n")),
		"rule.ics":       stuffed(event("STUFFING\nDTSTART:DAY4.T140000Z\nRRULE:FREQ=NOWHEREbadrule\n")),
		"lines.ics":      stuffed(event("STUFFING\nDTSTART:DAY4.T160000Z\nEXDATE:NOWHEREbadexdate\nRDATE:NOWHEREbadrdate\nRRULE:NOWHERE\n")),
		"zone.ics":       stuffed(event("STUFFING\nDTSTART;TZID=NOWHERE unknown zone:DAY4.T180000\n")),
		"exhausting.ics": stuffed(event("STUFFING\nDTSTART:20000101T000000Z\nRRULE:FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30\n")),
		"orphan.ics":     stuffed(event("STUFFING\nRECURRENCE-ID:NOWHEREbadoriginal\nDTSTART:DAY4.T200000Z\n")),
		"nested.ics":     stuffed(strings.Repeat("BEGIN:NOWHERE\n", 200) + "X:1\n" + strings.Repeat("END:NOWHERE\n", 200)),
		"large.ics":      stuffed(event("DTSTART:DAY4.T210000Z\nDESCRIPTION:" + strings.Repeat(nowhere, providers.MaxObject/len(nowhere)) + "\n")),
		"bytes.ics":      stuffed(event("SUMMARY:SUBJECT\xff\xfe\x00" + nowhere + "@" + nowhere + ".example\nDTSTART:DAY4.T220000Z\n")),
	}
}

// stuffedFeed is a published calendar with some of the same events. Its own name
// may be shown, as a calendar's.
func stuffedFeed() string {
	var events strings.Builder
	for i, lines := range []string{
		"DTSTART;TZID=NOWHEREtzid:DAY0.T090000\nDTEND;TZID=NOWHEREtzid:DAY0.T100000\nRRULE;X-NOTE=NOWHERErule:FREQ=DAILY;COUNT=5\n",
		"DTSTART:DAY3.T140000Z\nDTEND:DAY3.T150000Z\n", "DTSTART;VALUE=DATE:DAY5.\n",
		"DTSTART:NOWHEREbadstart\n", "DTSTART:DAY4.T140000Z\nRRULE:FREQ=NOWHEREbadrule\n",
	} {
		fmt.Fprintf(&events, "BEGIN:VEVENT\nUID:NOWHEREuid-%d@NOWHERE.example\nSTUFFING\n%sEND:VEVENT\n", i, lines)
	}
	return strings.ReplaceAll(stuffed(events.String()), "X-WR-CALNAME:"+nowhere+"calname", "X-WR-CALNAME:"+naming+" feed")
}

// stuffedServer is a CalDAV server with a feed beside it, whose every answer holds marks, also when it
// is in good health.
type stuffedServer struct {
	*unsteady
	fake *caldavfake.Server
}

const (
	stuffedCalendar = nowhere + "collection"
	stuffedFeedPath = "/" + nowhere + "secret/feed.ics" // whoever knows it may read the feed
)

func newStuffedServer(t *testing.T) *stuffedServer {
	fake := caldavfake.New(caldavfake.Options{
		Username: stuffedUser, Password: stuffedPassword,
		Addresses: []string{"mailto:" + stuffedUser, "mailto:" + nowhere + "alias@" + nowhere + ".example"},
	})
	fake.AddCalendar(stuffedCalendar, caldavfake.Properties{Title: naming + " work", Zone: "Europe/Berlin"})
	fake.AddCalendar(nowhere+"other", caldavfake.Properties{Title: naming + " other", Zone: nowhere + "zone", Transparent: true})
	for name, text := range stuffedObjects() {
		fake.Put(stuffedCalendar, name, text)
	}
	mux := http.NewServeMux()
	mux.Handle("/", fake)
	mux.HandleFunc("GET "+stuffedFeedPath, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, stuffedFeed()) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s := &stuffedServer{unsteady: newUnsteady(t, server.URL), fake: fake}
	s.heal()
	return s
}

func (s *stuffedServer) heal() { s.set(stuffs) }

var etag = regexp.MustCompile(`(&#34;|")(r\d+)(&#34;|")`)

// stuffs passes requests on, and puts marks into what a server may say beside
// the calendars: entity tags, sync-tokens, properties that nobody asked for.
func stuffs(w http.ResponseWriter, r *http.Request, server http.Handler) {
	const token = "https://" + nowhere + "token.example/sync/"
	body, _ := io.ReadAll(r.Body) // a caller that is gone gets no answer
	body = bytes.ReplaceAll(body, []byte(token), []byte("https://fake.test/sync/"))
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, r)
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	mark(w.Header())
	w.Header().Del("Content-Length")
	text := strings.ReplaceAll(answer.Body.String(), "https://fake.test/sync/", token)
	text = etag.ReplaceAllString(text, "${1}"+nowhere+"etag@"+nowhere+".example/${2}${3}")
	text = strings.ReplaceAll(text, "</d:prop>", "<d:owner><d:href>/"+nowhere+"owner/</d:href></d:owner>"+
		"<c:calendar-description>"+nowhere+"about</c:calendar-description></d:prop>")
	w.WriteHeader(answer.Code)
	_, _ = io.WriteString(w, text)
}

func mark(h http.Header) {
	h.Set("Server", nowhere+"server")
	h.Set("X-Debug", nowhere+"header")
	h.Add("Set-Cookie", "session="+nowhere+"cookie")
}

// stuffedTroubles are ways to fail, full of marks.
func stuffedTroubles() map[string]trouble {
	troubles := map[string]trouble{
		"a login page": says(200, "<html><form action='https://NOWHERE.example/login'>NOWHERElogin</form>"),
		"a redirection": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Location", "https://"+nowhere+".example/elsewhere")
			w.WriteHeader(http.StatusFound)
		},
		"a redirection to no address": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Location", "http://["+nowhere+"%zz")
			w.WriteHeader(http.StatusMovedPermanently)
		},
		"a malformed multistatus": says(207, `<multistatus xmlns="DAV:"><response><href>/NOWHERE</href><NOWHERE></nowhere>`),
		"an unknown entity":       says(207, `<multistatus xmlns="DAV:"><response>&NOWHERE;</response></multistatus>`),
		"an unknown charset":      says(207, `<?xml version="1.0" encoding="NOWHERE"?><multistatus xmlns="DAV:"/>`),
		"a foreign multistatus": says(207, `<multistatus xmlns="DAV:"><response><href>http://[NOWHERE%zz</href>`+
			`<status>HTTP/1.1 NOWHERE</status><error><NOWHERE/></error><responsedescription>NOWHERE</responsedescription></response></multistatus>`),
		"a refused token": says(403, `<error xmlns="DAV:"><valid-sync-token/><NOWHERE/></error>`),
		"no HTTP":         raw("NOWHERE is not HTTP\r\n\r\n"),
		"a bad status":    raw("HTTP/1.1 NOWHERE NOWHERE\r\n\r\n"),
		"a bad header":    raw("HTTP/1.1 200 OK\r\nNOWHERE NOWHERE\r\n\r\n"),
		"a bad length":    raw("HTTP/1.1 207 NOWHERE\r\nContent-Length: NOWHERE\r\n\r\n"),
		"bad chunks":      raw("HTTP/1.1 207 NOWHERE\r\nTransfer-Encoding: chunked\r\n\r\nNOWHERE\r\n"),
		"bytes left over": raw("HTTP/1.1 207 OK\r\nContent-Length: 2\r\n\r\nokNOWHERE"),
		"a bad encoding":  raw("HTTP/1.1 207 NOWHERE\r\nContent-Encoding: NOWHERE\r\nContent-Length: 7\r\n\r\nNOWHERE"),
	}
	for _, status := range []int{400, 403, 404, 410, 423, 429, 500, 502, 503, 507} {
		troubles[fmt.Sprint("status ", status)] = says(status, "<html><title>NOWHEREtitle</title>NOWHEREpage</html>")
	}
	return troubles
}

func says(status int, body string) trouble {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		mark(w.Header())
		w.Header().Set("WWW-Authenticate", `Basic realm="`+nowhere+`realm"`)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "NOWHERE", nowhere))
	}
}

// raw answers with bytes that net/http would not send.
func raw(answer string) trouble {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, strings.ReplaceAll(answer, "NOWHERE", nowhere))
		_ = conn.Close()
	}
}
