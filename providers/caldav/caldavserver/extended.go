package caldavserver

import (
	"bytes"
	"encoding/xml"
	"html"
	"net/http"
	"strings"
)

// extended answers, in go-webdav's answers to PROPFIND, the properties that it
// does not know.
type extended struct {
	server *Server
	next   http.Handler
}

type multistatus struct {
	XMLName   xml.Name   `xml:"DAV: multistatus"`
	Responses []response `xml:"DAV: response"`
}

type response struct {
	Hrefs    []string   `xml:"DAV: href"`
	Propstat []propstat `xml:"DAV: propstat"`
	Status   string     `xml:"DAV: status,omitempty"`
}

type propstat struct {
	Prop   prop   `xml:"DAV: prop"`
	Status string `xml:"DAV: status"`
}

type prop struct {
	Values []value `xml:",any"`
}

type value struct {
	XMLName xml.Name
	Inner   string `xml:",innerxml"`
}

const statusOK = "HTTP/1.1 200 OK"

func (e *extended) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != "PROPFIND" {
		e.next.ServeHTTP(w, r)
		return
	}
	answer := &buffered{header: w.Header(), status: http.StatusOK}
	e.next.ServeHTTP(answer, r)
	var parsed multistatus
	if answer.status != http.StatusMultiStatus || xml.Unmarshal(answer.body.Bytes(), &parsed) != nil {
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.body.Bytes())
		return
	}
	user, _ := r.Context().Value(userKey{}).(string)
	for i := range parsed.Responses {
		e.extend(user, &parsed.Responses[i])
	}
	w.WriteHeader(http.StatusMultiStatus)
	_, _ = w.Write([]byte(xml.Header))
	_ = xml.NewEncoder(w).Encode(parsed) // the client is gone
}

// extend moves what is known from the properties that are not found to those
// that are.
func (e *extended) extend(user string, r *response) {
	if len(r.Hrefs) == 0 {
		return
	}
	var known []value
	for i := range r.Propstat {
		if strings.Contains(r.Propstat[i].Status, " 200") {
			continue
		}
		var unknown []value
		for _, v := range r.Propstat[i].Prop.Values {
			if inner, ok := e.property(user, r.Hrefs[0], v.XMLName); ok {
				known = append(known, value{XMLName: v.XMLName, Inner: inner})
			} else {
				unknown = append(unknown, v)
			}
		}
		r.Propstat[i].Prop.Values = unknown
	}
	if len(known) > 0 {
		r.Propstat = append(r.Propstat, propstat{Prop: prop{Values: known}, Status: statusOK})
	}
}

const (
	nsCalDAV = "urn:ietf:params:xml:ns:caldav"
	nsCS     = "http://calendarserver.org/ns/"
)

// property returns the inner XML of a property of a resource.
func (e *extended) property(user, path string, name xml.Name) (inner string, ok bool) {
	e.server.mu.RLock()
	defer e.server.mu.RUnlock()
	account := e.server.users[user]
	if path == principalPath(user) && name == (xml.Name{Space: nsCalDAV, Local: "calendar-user-address-set"}) {
		for _, a := range account.Addresses {
			inner += `<href xmlns="DAV:">` + html.EscapeString("mailto:"+a) + `</href>`
		}
		return inner, true
	}
	calendar, object := split(path)
	c := account.calendars[calendar]
	if c == nil || object != "" {
		return "", false
	}
	switch name {
	case xml.Name{Space: nsCS, Local: "getctag"}:
		return c.tag(), true
	case xml.Name{Space: nsCalDAV, Local: "schedule-calendar-transp"}:
		if c.Transparent {
			return `<transparent xmlns="` + nsCalDAV + `"/>`, true
		}
		return `<opaque xmlns="` + nsCalDAV + `"/>`, true
	case xml.Name{Space: nsCalDAV, Local: "calendar-timezone-id"}:
		return html.EscapeString(c.Zone), c.Zone != ""
	default:
		return "", false
	}
}

// buffered is a ResponseWriter that holds the answer back.
type buffered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header         { return b.header }
func (b *buffered) WriteHeader(status int)      { b.status = status }
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }
