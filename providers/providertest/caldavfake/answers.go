package caldavfake

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// properties of a resource, as inner XML. The prefixes d, c and cs are declared
// on the root.
type properties map[xml.Name]string

func (s *Server) propfind(w http.ResponseWriter, r *http.Request, b body) string {
	deep := r.Header.Get("Depth") == "1"
	m := s.multistatus()
	home := s.homeAt(r.URL.Path)
	name, object, inCalendar := s.find(r.URL.Path)
	switch {
	case r.URL.Path == "/" || r.URL.Path == principalPath:
		m.found(r.URL.Path, s.ofUser(r.URL.Path), b)
	case home >= 0:
		m.found(r.URL.Path, properties{{Space: nsDAV, Local: "resourcetype"}: "<d:collection/>"}, b)
		for _, name := range s.order {
			if deep && s.calendars[name].home == home {
				m.found(s.path(name, ""), s.ofCalendar(s.calendars[name]), b)
			}
		}
	case inCalendar && object == "":
		c := s.calendars[name]
		m.found(r.URL.Path, s.ofCalendar(c), b)
		for _, object := range c.names() {
			if deep {
				m.found(s.path(name, object), s.ofObject(c.objects[object]), b)
			}
		}
	default:
		w.WriteHeader(http.StatusNotFound)
		return ""
	}
	m.write(w, "")
	return ""
}

func (s *Server) homeAt(path string) int {
	for i := range s.o.Homes {
		if path == s.homePath(i) {
			return i
		}
	}
	return -1
}

func (s *Server) ofUser(path string) properties {
	p := properties{
		{Space: nsDAV, Local: "current-user-principal"}: "<d:href>" + principalPath + "</d:href>",
		{Space: nsDAV, Local: "resourcetype"}:           "<d:collection/>",
	}
	if path != principalPath {
		return p
	}
	var homes, addresses string
	for i := range s.o.Homes {
		home := s.homePath(i)
		if s.o.HomeHost != s.o.Host {
			home = "https://" + s.o.HomeHost + ":443" + home
		}
		homes += "<d:href>" + home + "</d:href>"
	}
	for _, a := range s.o.Addresses {
		addresses += "<d:href>" + escape(a) + "</d:href>"
	}
	p[xml.Name{Space: nsCalDAV, Local: "calendar-home-set"}] = homes
	p[xml.Name{Space: nsCalDAV, Local: "calendar-user-address-set"}] = addresses + "<d:href>" + principalPath + "</d:href>"
	return p
}

func (s *Server) ofCalendar(c *calendar) properties {
	types, components := "<d:collection/><c:calendar/>", ""
	for _, t := range c.Types {
		types += "<" + t + "/>"
	}
	names := c.Components
	if names == nil {
		names = []string{"VEVENT"}
	}
	for _, name := range names {
		components += `<c:comp name="` + name + `"/>`
	}
	transparency := "<c:opaque/>"
	if c.Transparent {
		transparency = "<c:transparent/>"
	}
	p := properties{
		{Space: nsDAV, Local: "resourcetype"}:                        types,
		{Space: nsDAV, Local: "displayname"}:                         escape(c.Title),
		{Space: nsDAV, Local: "current-user-privilege-set"}:          "<d:privilege><d:read/></d:privilege>",
		{Space: nsCalDAV, Local: "supported-calendar-component-set"}: components,
		{Space: nsCalDAV, Local: "schedule-calendar-transp"}:         transparency,
	}
	if c.Zone != "" {
		p[xml.Name{Space: nsCalDAV, Local: "calendar-timezone"}] = escape("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTIMEZONE\r\nTZID:" +
			c.Zone + "\r\nEND:VTIMEZONE\r\nEND:VCALENDAR\r\n")
	}
	if !s.o.NoTags {
		p[xml.Name{Space: nsCS, Local: "getctag"}] = s.tag(c)
	}
	if !s.o.NoTokens {
		p[xml.Name{Space: nsDAV, Local: "sync-token"}] = s.token()
		p[xml.Name{Space: nsDAV, Local: "supported-report-set"}] = "<d:supported-report><d:report><d:sync-collection/></d:report></d:supported-report>"
	}
	return p
}

func (s *Server) ofObject(o object) properties {
	p := properties{
		{Space: nsDAV, Local: "resourcetype"}:   "",
		{Space: nsDAV, Local: "getcontenttype"}: "text/calendar; charset=utf-8",
	}
	if strings.Contains(o.text, "BEGIN:VTODO") {
		p[xml.Name{Space: nsDAV, Local: "getcontenttype"}] = "text/calendar; charset=utf-8; component=vtodo"
	}
	if etag := s.etag(o); etag != "" {
		p[xml.Name{Space: nsDAV, Local: "getetag"}] = escape(etag)
	}
	return p
}

func (s *Server) multiget(w http.ResponseWriter, name string, b body) {
	m := s.multistatus()
	for _, href := range b.Hrefs {
		u, err := url.Parse(href)
		if err != nil {
			u = &url.URL{Path: href}
		}
		of, object, _ := s.find(u.Path)
		o, ok := objectOf(s.calendars[of], object)
		if !ok || of != name {
			m.status(u.Path, http.StatusNotFound)
			continue
		}
		p := s.ofObject(o)
		p[xml.Name{Space: nsCalDAV, Local: "calendar-data"}] = escape(o.text)
		m.found(u.Path, p, b)
	}
	m.write(w, "")
}

func objectOf(c *calendar, name string) (object, bool) {
	if c == nil {
		return object{}, false
	}
	o, ok := c.objects[name]
	return o, ok
}

// syncCollection answers the report of RFC 6578 §3.2.
func (s *Server) syncCollection(w http.ResponseWriter, r *http.Request, name string, b body, refuse func(int, string) string) string {
	c := s.calendars[name]
	switch {
	case s.o.NoTokens:
		return refuse(http.StatusForbidden, "an unsupported report")
	case r.Header.Get("Depth") != "0":
		return refuse(http.StatusBadRequest, "sync-collection with a depth other than 0")
	case b.Level != "1":
		return refuse(http.StatusBadRequest, "sync-collection without sync-level 1")
	case b.Token == nil:
		return refuse(http.StatusBadRequest, "sync-collection without a sync-token element")
	case *b.Token == "" && b.Limit != nil:
		return refuse(http.StatusInsufficientStorage, "a limit on an initial sync")
	}
	since, ok := 0, true
	if *b.Token != "" {
		since, ok = s.readToken(*b.Token)
	}
	if !ok {
		writeError(w, http.StatusForbidden, "<d:valid-sync-token/>")
		return ""
	}
	names := c.changedSince(since)
	token := s.token()
	m := s.multistatus()
	if s.o.Truncate > 0 && len(names) > s.o.Truncate {
		names = names[:s.o.Truncate]
		token = fmt.Sprintf("https://fake.test/sync/%d/%d", s.epoch, c.changed[names[len(names)-1]])
		m.status(r.URL.Path, http.StatusInsufficientStorage)
	}
	for _, object := range names {
		if o, ok := c.objects[object]; ok {
			m.found(s.path(name, object), s.ofObject(o), b)
		} else {
			m.status(s.path(name, object), http.StatusNotFound)
		}
	}
	m.write(w, "<d:sync-token>"+token+"</d:sync-token>")
	return ""
}

// changedSince returns the names of the objects that changed after a revision,
// in the order of their last change.
func (c *calendar) changedSince(revision int) []string {
	var names []string
	for name, at := range c.changed {
		if at > revision {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(c.changed[a], c.changed[b]) })
	return names
}

// multistatus is an answer being written.
type multistatus struct {
	server *Server
	b      strings.Builder
}

func (s *Server) multistatus() *multistatus { return &multistatus{server: s} }

const root = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
	`<d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:cs="http://calendarserver.org/ns/">`

// found answers the properties asked for: those there are, and, as iCloud does,
// the others in a second propstat, 404 with empty values.
func (m *multistatus) found(path string, p properties, asked body) {
	var known, unknown strings.Builder
	for _, any := range asked.Prop.Any {
		prefix := map[string]string{nsDAV: "d:", nsCalDAV: "c:", nsCS: "cs:"}[any.XMLName.Space]
		name := prefix + any.XMLName.Local
		if inner, ok := p[any.XMLName]; ok {
			known.WriteString("<" + name + ">" + inner + "</" + name + ">")
		} else {
			unknown.WriteString("<" + name + "/>")
		}
	}
	m.b.WriteString("<d:response><d:href>" + m.href(path) + "</d:href>")
	m.b.WriteString("<d:propstat><d:prop>" + known.String() + "</d:prop><d:status>" + m.line(http.StatusOK) + "</d:status></d:propstat>")
	if unknown.Len() > 0 {
		m.b.WriteString("<d:propstat><d:prop>" + unknown.String() + "</d:prop><d:status>" + m.line(http.StatusNotFound) + "</d:status></d:propstat>")
	}
	m.b.WriteString("</d:response>\n")
}

func (m *multistatus) status(path string, status int) {
	m.b.WriteString("<d:response><d:href>" + m.href(path) + "</d:href><d:status>" + m.line(status) + "</d:status></d:response>\n")
}

func (m *multistatus) href(path string) string {
	href := (&url.URL{Path: path}).EscapedPath()
	if m.server.o.Unescaped {
		href = path
	}
	if m.server.o.Absolute {
		href = "https://" + m.server.o.HomeHost + href
	}
	return escape(href)
}

func (m *multistatus) line(status int) string {
	if m.server.o.Bare {
		return fmt.Sprintf("HTTP/1.1 %d", status)
	}
	return fmt.Sprintf("HTTP/1.1 %d %s", status, http.StatusText(status))
}

func (m *multistatus) write(w http.ResponseWriter, tail string) {
	w.Header().Set("Content-Type", `application/xml; charset="utf-8"`)
	w.WriteHeader(http.StatusMultiStatus)
	_, _ = w.Write([]byte(root + m.b.String() + tail + "</d:multistatus>"))
}

func writeError(w http.ResponseWriter, status int, inner string) {
	w.Header().Set("Content-Type", `application/xml; charset="utf-8"`)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`<?xml version="1.0"?><d:error xmlns:d="DAV:">` + inner + `</d:error>`))
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder does not fail
	return b.String()
}
