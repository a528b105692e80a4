package ews

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/busyd/busyd/providers"
)

const (
	nsSOAP     = "http://schemas.xmlsoap.org/soap/envelope/"
	nsMessages = "http://schemas.microsoft.com/exchange/services/2006/messages"
	nsTypes    = "http://schemas.microsoft.com/exchange/services/2006/types"
)

// Bounds of an answer.
const (
	maxAnswer = 32 << 20
	maxDepth  = 40
)

// Reasons why a body is not the answer to what was asked.
var (
	errMalformed  = &providers.Error{Code: "malformed_xml", Err: errors.New("the answer is not well-formed XML, or breaks off")}
	errForeign    = &providers.Error{Code: "not_ews", Err: errors.New("the answer is not one of Exchange Web Services")}
	errIncomplete = &providers.Error{Code: "incomplete_answer", Err: errors.New("the answer lacks a part that a complete one has")}
	errExcessive  = &providers.Error{Code: "excessive_xml", Err: errors.New("the answer is larger or nested deeper than is reasonable")}
)

// decode reads a SOAP 1.1 envelope whose body is the named element into v. A
// fault in its place is an error.
func decode(data []byte, name string, v any) error {
	d := xml.NewTokenDecoder(&plain{d: raw(data)})
	root, err := next(d)
	if errors.Is(err, io.EOF) {
		return errForeign
	}
	if err != nil {
		return err
	}
	if root.Name != (xml.Name{Space: nsSOAP, Local: "Envelope"}) {
		return errForeign
	}
	found := false
	for {
		part, err := next(d)
		switch {
		case errors.Is(err, io.EOF) && found:
			return nil
		case errors.Is(err, io.EOF):
			return errIncomplete
		case err != nil:
			return err
		case part.Name == xml.Name{Space: nsSOAP, Local: "Body"}: // its children are next
		case part.Name == xml.Name{Space: nsSOAP, Local: "Fault"}:
			return readFault(d, part)
		case part.Name.Local == name && !found:
			found = true
			if err := d.DecodeElement(v, &part); err != nil {
				return malformed(err)
			}
		default:
			if err := d.Skip(); err != nil {
				return malformed(err)
			}
		}
	}
}

// next returns the next element that starts; io.EOF after the whole document.
func next(d *xml.Decoder) (xml.StartElement, error) {
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return xml.StartElement{}, io.EOF
		}
		if err != nil {
			return xml.StartElement{}, malformed(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			return start, nil
		}
	}
}

func malformed(err error) error {
	if errors.Is(err, errExcessive) {
		return errExcessive
	}
	return errMalformed
}

// plain passes on tokens that a plain document has: no document type, so no
// entities, and no nesting without bound.
type plain struct {
	d     *xml.Decoder
	depth int
}

// Token implements [xml.TokenReader].
func (p *plain) Token() (xml.Token, error) {
	token, err := p.d.RawToken()
	if err != nil {
		return nil, err
	}
	switch token.(type) {
	case xml.StartElement:
		p.depth++
	case xml.EndElement:
		p.depth--
	case xml.Directive:
		return nil, errExcessive
	}
	if p.depth > maxDepth {
		return nil, errExcessive
	}
	return token, nil
}

func raw(data []byte) *xml.Decoder {
	return xml.NewDecoder(bytes.NewReader(legible(data)))
}

var reference = regexp.MustCompile(`&#(?:[xX][0-9a-fA-F]{1,8}|[0-9]{1,10});`)

// legible replaces what XML 1.0 and UTF-8 do not allow: Exchange passes control
// characters on that some client once put into a subject, and one of them would
// make a whole month unreadable.
func legible(data []byte) []byte {
	data = reference.ReplaceAllFunc(data, func(ref []byte) []byte {
		digits, base := string(ref[2:len(ref)-1]), 10
		if digits[0] == 'x' || digits[0] == 'X' {
			digits, base = digits[1:], 16
		}
		if n, err := strconv.ParseInt(digits, base, 64); err != nil || !allowed(n) {
			return []byte("\ufffd")
		}
		return ref
	})
	return bytes.Map(func(r rune) rune {
		if !allowed(int64(r)) {
			return '\ufffd'
		}
		return r
	}, data)
}

// allowed is the production Char of XML 1.0 §2.2.
func allowed(r int64) bool {
	return r == 0x9 || r == 0xa || r == 0xd || r >= 0x20 && r <= 0xd7ff ||
		r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= 0x10ffff
}

// message is what every response message begins with.
type message struct {
	Class  string  `xml:"ResponseClass,attr"`
	Code   string  `xml:"ResponseCode"`
	Values []value `xml:"MessageXml>Value"`
}

type value struct {
	Name string `xml:"Name,attr"`
	Text string `xml:",chardata"`
}

func (m message) response() message { return m }

// err is what the message says went wrong. A warning is not a success: the
// server left something out.
func (m message) err() error {
	if m.Class == "Success" && m.Code == "NoError" {
		return nil
	}
	if m.Class == "" || m.Code == "" || m.Code == "NoError" {
		return errIncomplete
	}
	return meant(m.Code, m.Values)
}

// answers are the response messages of an operation, one for each thing asked.
type answers[M interface{ response() message }] struct {
	List []M
}

// UnmarshalXML implements [xml.Unmarshaler]: the messages are named after their
// operation, and all are the same here.
func (a *answers[M]) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	var all struct {
		Messages struct {
			List []M `xml:",any"`
		} `xml:"ResponseMessages"`
	}
	if err := d.DecodeElement(&all, &start); err != nil {
		return err
	}
	a.List = all.Messages.List
	return nil
}

// only is the message of an operation on one thing, if it is a success.
func (a *answers[M]) only() (M, error) {
	var none M
	if len(a.List) != 1 {
		return none, errIncomplete
	}
	return a.List[0], a.List[0].response().err()
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder does not fail
	return b.String()
}
