package caldav

import (
	"encoding/xml"
	"strings"
)

const (
	declaration = `<?xml version="1.0" encoding="utf-8"?>`
	namespaces  = ` xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:cs="http://calendarserver.org/ns/"`
)

func propfind(depth string, properties ...string) query {
	var b strings.Builder
	b.WriteString(declaration + `<d:propfind` + namespaces + `><d:prop>`)
	for _, p := range properties {
		b.WriteString("<" + p + "/>")
	}
	b.WriteString(`</d:prop></d:propfind>`)
	return query{method: "PROPFIND", depth: depth, body: b.String()}
}

var (
	// askPrincipal finds out who the user is (RFC 5397). The other properties
	// help where the address is already that of the principal or of a calendar.
	askPrincipal = propfind("0", "d:current-user-principal", "d:resourcetype",
		"c:calendar-home-set", "c:calendar-user-address-set")
	// askHomes finds where the user's calendars are (RFC 4791 §6.2.1) and the
	// addresses under which the user is invited (RFC 6638 §2.4.1).
	askHomes = propfind("0", "c:calendar-home-set", "c:calendar-user-address-set")
	// askCalendars lists a home-set.
	askCalendars = propfind("1", "d:resourcetype", "d:displayname", "d:current-user-privilege-set",
		"c:supported-calendar-component-set", "c:schedule-calendar-transp", "c:calendar-timezone",
		"c:calendar-timezone-id")
	// askState reads a collection's marks.
	askState = propfind("0", "d:resourcetype", "d:sync-token", "cs:getctag", "d:supported-report-set")
	// askTag reads only the one that costs no server anything.
	askTag = propfind("0", "d:resourcetype", "cs:getctag")
	// askMembers lists a collection.
	askMembers = propfind("1", "d:resourcetype", "d:getetag", "d:getcontenttype")
)

// askSince asks for what changed since the token (RFC 6578 §3.2). The depth is
// 0; sync-level counts the collection's own members.
func askSince(token string) query {
	return query{method: "REPORT", depth: "0", body: declaration + `<d:sync-collection` + namespaces + `>` +
		`<d:sync-token>` + escape(token) + `</d:sync-token><d:sync-level>1</d:sync-level>` +
		`<d:prop><d:getetag/></d:prop></d:sync-collection>`}
}

// wantedData is all that is ever asked for of an object (RFC 4791 §9.6). Many
// servers send everything regardless; providers/ical drops it.
const wantedData = `<c:calendar-data><c:comp name="VCALENDAR"><c:prop name="VERSION"/>` +
	`<c:comp name="VEVENT"><c:prop name="UID"/><c:prop name="RECURRENCE-ID"/>` +
	`<c:prop name="DTSTART"/><c:prop name="DTEND"/><c:prop name="DURATION"/>` +
	`<c:prop name="RRULE"/><c:prop name="RDATE"/><c:prop name="EXDATE"/><c:prop name="EXRULE"/>` +
	`<c:prop name="STATUS"/><c:prop name="TRANSP"/><c:prop name="SUMMARY"/><c:prop name="CLASS"/>` +
	`<c:prop name="SEQUENCE"/><c:prop name="DTSTAMP"/><c:prop name="ORGANIZER"/><c:prop name="ATTENDEE"/>` +
	`<c:prop name="X-MICROSOFT-CDO-BUSYSTATUS"/></c:comp>` +
	`<c:comp name="VTIMEZONE"><c:allprop/><c:allcomp/></c:comp></c:comp></c:calendar-data>`

// wholeData asks for objects as they are, for servers that stumble over the above.
const wholeData = `<c:calendar-data/>`

// askObjects fetches objects by their hrefs (RFC 4791 §7.9).
func askObjects(members []member, data string) query {
	var b strings.Builder
	b.WriteString(declaration + `<c:calendar-multiget` + namespaces + `><d:prop><d:getetag/>` + data + `</d:prop>`)
	for _, m := range members {
		b.WriteString("<d:href>" + escape(m.href) + "</d:href>")
	}
	b.WriteString(`</c:calendar-multiget>`)
	return query{method: "REPORT", depth: "1", body: b.String()}
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder does not fail
	return b.String()
}
