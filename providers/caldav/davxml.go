package caldav

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/busyd/busyd/providers"
)

// The namespaces of WebDAV, CalDAV and Apple's calendar server.
const (
	nsDAV    = "DAV:"
	nsCalDAV = "urn:ietf:params:xml:ns:caldav"
	nsCS     = "http://calendarserver.org/ns/"
)

// Bounds of a multistatus. The transport bounds the body as a whole.
const (
	maxDepth     = 24
	maxElements  = 4096 // in one response element
	maxResponses = 250_000
	maxText      = 64 << 10 // of a property other than calendar-data
)

// Reasons why a body is not the multistatus that was asked for.
var (
	errMalformed = &providers.Error{Code: "malformed_xml", Err: errors.New("the answer is not well-formed XML")}
	errCutOff    = &providers.Error{Code: "truncated", Err: errors.New("the answer ends too early")}
	errForeign   = &providers.Error{Code: "not_caldav", Err: errors.New("the answer is not a WebDAV multistatus")}
	errExcessive = &providers.Error{Code: "excessive_xml", Err: errors.New("the answer is nested or repeated beyond reason")}
)

// resourceType is a set of the types that matter here.
type resourceType uint8

const (
	isCollection resourceType = 1 << iota
	isCalendar
	isOther // a scheduling inbox or outbox, a notification or a subscribed collection
)

// answer is one href of a DAV:response with the properties whose propstat says
// success. It is valid only while it is being handled.
type answer struct {
	href   string
	status int // of the response as a whole; zero: propstats have their own
	props
}

type props struct {
	typed       bool // resourcetype was given
	types       resourceType
	name        string
	contentType string
	etag        string
	ctag        string
	token       string
	zone        string // calendar-timezone: an iCalendar object
	zoneID      string // calendar-timezone-id (RFC 7809)
	principal   string
	homes       []string
	addresses   []string
	transparent bool

	components, events     bool // a component set was given; it has VEVENT
	privileges, readable   bool // privileges were given; read is among them
	reports, reportsSync   bool // reports were given; sync-collection is among them
	hasData, dataOversized bool
	dataRefused            bool   // calendar-data came with another status than success
	data                   []byte // reused by the next answer
}

// multistatus reads a DAV:multistatus (RFC 4918 §13) as it arrives and hands
// each response to the function. It returns the sync-token (RFC 6578 §6.2). An
// error means that the answer is incomplete, whatever was handed on before.
func multistatus(from io.Reader, each func(*answer) error) (token string, err error) {
	r := &xmlReader{d: xml.NewDecoder(from)}
	r.d.CharsetReader = charset
	root, err := r.root()
	if err != nil {
		return "", err
	}
	if root.Name != (xml.Name{Space: nsDAV, Local: "multistatus"}) {
		return "", errForeign
	}
	responses := 0
	var data []byte
	err = r.children(func(e xml.StartElement) error {
		switch e.Name {
		case xml.Name{Space: nsDAV, Local: "response"}:
			if responses++; responses > maxResponses {
				return errExcessive
			}
			r.elements = 0
			return r.response(&data, each)
		case xml.Name{Space: nsDAV, Local: "sync-token"}:
			token, err = r.text(maxText)
			return err
		default:
			return r.skip()
		}
	})
	return token, err
}

func (r *xmlReader) response(data *[]byte, each func(*answer) error) error {
	var a answer
	var hrefs []string
	a.data = (*data)[:0]
	err := r.children(func(e xml.StartElement) error {
		switch e.Name {
		case xml.Name{Space: nsDAV, Local: "href"}:
			href, err := r.text(maxText)
			hrefs = append(hrefs, href)
			return err
		case xml.Name{Space: nsDAV, Local: "status"}:
			line, err := r.text(maxText)
			a.status = statusOf(line)
			return err
		case xml.Name{Space: nsDAV, Local: "propstat"}:
			return r.propstat(&a.props)
		default:
			return r.skip()
		}
	})
	*data = a.data
	if err != nil {
		return err
	}
	for _, a.href = range hrefs {
		if err := each(&a); err != nil {
			return err
		}
	}
	return nil
}

// propstat adds the properties if the status, which comes after them, is a
// success. iCloud sends a second propstat, 404 with empty values.
func (r *xmlReader) propstat(p *props) error {
	before, status := *p, 0
	err := r.children(func(e xml.StartElement) error {
		switch e.Name {
		case xml.Name{Space: nsDAV, Local: "prop"}:
			return r.children(func(e xml.StartElement) error { return r.prop(e.Name, p) })
		case xml.Name{Space: nsDAV, Local: "status"}:
			line, err := r.text(maxText)
			status = statusOf(line)
			return err
		default:
			return r.skip()
		}
	})
	if status/100 != 2 {
		data, refused := p.data, p.hasData && !before.hasData
		*p = before
		p.data = data[:len(before.data)]
		p.dataRefused = before.dataRefused || refused
	}
	return err
}

func (r *xmlReader) prop(name xml.Name, p *props) (err error) {
	switch name.Space {
	case nsDAV:
		return r.davProp(name.Local, p)
	case nsCalDAV:
		return r.caldavProp(name.Local, p)
	case nsCS:
		if name.Local == "getctag" {
			p.ctag, err = r.text(maxText)
			return err
		}
	}
	return r.skip()
}

func (r *xmlReader) davProp(name string, p *props) (err error) {
	switch name {
	case "resourcetype":
		p.typed = true
		return r.children(func(e xml.StartElement) error {
			p.types |= typeOf(e.Name)
			return r.skip()
		})
	case "displayname":
		p.name, err = r.text(maxText)
	case "getcontenttype":
		p.contentType, err = r.text(maxText)
	case "getetag":
		p.etag, err = r.text(maxText)
	case "sync-token":
		p.token, err = r.text(maxText)
	case "current-user-principal":
		var hrefs []string
		if hrefs, err = r.hrefs(); len(hrefs) > 0 {
			p.principal = hrefs[0]
		}
	case "current-user-privilege-set":
		return r.descendants(func(e xml.StartElement) {
			p.privileges = p.privileges || e.Name.Local == "privilege"
			p.readable = p.readable || e.Name.Space == nsDAV && (e.Name.Local == "read" || e.Name.Local == "all")
		})
	case "supported-report-set":
		return r.descendants(func(e xml.StartElement) {
			p.reports = true
			p.reportsSync = p.reportsSync || e.Name == xml.Name{Space: nsDAV, Local: "sync-collection"}
		})
	default:
		return r.skip()
	}
	return err
}

func (r *xmlReader) caldavProp(name string, p *props) (err error) {
	switch name {
	case "calendar-home-set":
		p.homes, err = r.hrefs()
	case "calendar-user-address-set":
		p.addresses, err = r.hrefs()
	case "calendar-timezone":
		p.zone, err = r.text(maxText)
	case "calendar-timezone-id":
		p.zoneID, err = r.text(maxText)
	case "supported-calendar-component-set":
		return r.children(func(e xml.StartElement) error {
			p.components = true
			for _, a := range e.Attr {
				p.events = p.events || a.Name.Local == "name" && strings.EqualFold(a.Value, "VEVENT")
			}
			return r.skip()
		})
	case "schedule-calendar-transp":
		return r.descendants(func(e xml.StartElement) {
			p.transparent = p.transparent || e.Name.Local == "transparent"
		})
	case "calendar-data":
		p.hasData = true
		p.data, p.dataOversized, err = r.appendText(p.data, providers.MaxObject)
	default:
		return r.skip()
	}
	return err
}

func typeOf(n xml.Name) resourceType {
	switch n {
	case xml.Name{Space: nsDAV, Local: "collection"}:
		return isCollection
	case xml.Name{Space: nsCalDAV, Local: "calendar"}:
		return isCalendar
	case xml.Name{Space: nsCalDAV, Local: "schedule-inbox"}, xml.Name{Space: nsCalDAV, Local: "schedule-outbox"},
		xml.Name{Space: nsCS, Local: "subscribed"}, xml.Name{Space: nsCS, Local: "notification"},
		xml.Name{Space: nsDAV, Local: "principal"}:
		return isOther
	default:
		return 0
	}
}

// statusOf reads "HTTP/1.1 404 Not Found"; the reason may be missing. An
// unreadable line is 500: neither success nor proof that something is gone.
func statusOf(line string) int {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return 500
	}
	status, err := strconv.Atoi(fields[1])
	if err != nil {
		return 500
	}
	return status
}

// preconditions reads the element names of a DAV:error body (RFC 4918 §16). A
// body that is none has no preconditions.
func preconditions(from io.Reader) map[string]bool {
	r := &xmlReader{d: xml.NewDecoder(from)}
	r.d.CharsetReader = charset
	root, err := r.root()
	if err != nil || root.Name != (xml.Name{Space: nsDAV, Local: "error"}) {
		return nil
	}
	found := map[string]bool{}
	_ = r.descendants(func(e xml.StartElement) { found[e.Name.Local] = true })
	return found
}

// xmlReader walks a document without building it. encoding/xml expands no
// entities but the predefined ones; a document type is refused all the same.
type xmlReader struct {
	d        *xml.Decoder
	depth    int
	elements int
}

func (r *xmlReader) token() (xml.Token, error) {
	t, err := r.d.Token()
	if err != nil {
		return nil, xmlError(err)
	}
	switch t.(type) {
	case xml.StartElement:
		r.depth++
		r.elements++
		if r.depth > maxDepth || r.elements > maxElements {
			return nil, errExcessive
		}
	case xml.EndElement:
		r.depth--
	case xml.Directive:
		return nil, errForeign
	}
	return t, nil
}

// xmlError keeps what the transport says and drops what encoding/xml says: its
// messages quote the document.
func xmlError(err error) error {
	var known *providers.Error
	var syntax *xml.SyntaxError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
		return errCutOff
	case errors.As(err, &syntax):
		return errMalformed
	default:
		return fmt.Errorf("read the answer: %w", err)
	}
}

func (r *xmlReader) root() (xml.StartElement, error) {
	for {
		t, err := r.token()
		if err != nil {
			return xml.StartElement{}, err
		}
		if e, ok := t.(xml.StartElement); ok {
			return e, nil
		}
	}
}

// children calls each for the child elements of the current element, up to its
// end; each must read the child to its end.
func (r *xmlReader) children(each func(xml.StartElement) error) error {
	for {
		t, err := r.token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if err := each(t); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

func (r *xmlReader) descendants(each func(xml.StartElement)) error {
	return r.children(func(e xml.StartElement) error {
		each(e)
		return r.descendants(each)
	})
}

func (r *xmlReader) skip() error {
	return r.children(func(xml.StartElement) error { return r.skip() })
}

// hrefs returns the DAV:href elements of the current element.
func (r *xmlReader) hrefs() ([]string, error) {
	var found []string
	err := r.children(func(e xml.StartElement) error {
		if e.Name != (xml.Name{Space: nsDAV, Local: "href"}) {
			return r.skip()
		}
		href, err := r.text(maxText)
		if href != "" {
			found = append(found, href)
		}
		return err
	})
	return found, err
}

// text returns the text of the current element, trimmed.
func (r *xmlReader) text(limit int) (string, error) {
	text, oversized, err := r.appendText(nil, limit)
	if oversized {
		return "", errExcessive
	}
	return string(bytes.TrimSpace(text)), err
}

// appendText appends the text of the current element, of which limit bytes are
// allowed, and leaves what was there before untouched.
func (r *xmlReader) appendText(to []byte, limit int) (_ []byte, oversized bool, _ error) {
	limit += len(to)
	for {
		t, err := r.token()
		if err != nil {
			return to, oversized, err
		}
		switch t := t.(type) {
		case xml.CharData:
			if len(to)+len(t) > limit {
				oversized = true
				continue
			}
			to = append(to, t...)
		case xml.StartElement:
			if err := r.skip(); err != nil {
				return to, oversized, err
			}
		case xml.EndElement:
			return to, oversized, nil
		}
	}
}

// charset decodes the two declarations other than UTF-8 that occur.
func charset(label string, from io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "us-ascii", "ascii", "utf8":
		return from, nil
	case "iso-8859-1", "latin1":
		return &latin1{from: from}, nil
	default:
		return nil, errMalformed
	}
}

// latin1 turns ISO 8859-1 into UTF-8.
type latin1 struct {
	from io.Reader
	rest []byte
}

func (l *latin1) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		var raw [512]byte
		n, err := l.from.Read(raw[:])
		if n == 0 {
			return 0, err
		}
		for _, b := range raw[:n] {
			l.rest = append(l.rest, string(rune(b))...)
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}
