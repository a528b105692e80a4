package ewsfake

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	nsSOAP     = "http://schemas.xmlsoap.org/soap/envelope/"
	nsMessages = "http://schemas.microsoft.com/exchange/services/2006/messages"
	nsTypes    = "http://schemas.microsoft.com/exchange/services/2006/types"
)

// node is an element of a request.
type node struct {
	name       string // with the prefix s, m or t
	attributes map[string]string
	children   []*node
	text       string
}

func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// at follows child elements.
func (n *node) at(path ...string) *node {
	for _, name := range path {
		n = n.child(name)
	}
	return n
}

func (n *node) attribute(name string) string {
	if n == nil {
		return ""
	}
	return n.attributes[name]
}

func parse(body []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	top := &node{}
	open := []*node{top}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		last := open[len(open)-1]
		switch token := token.(type) {
		case xml.StartElement:
			n := &node{name: prefixed(token.Name), attributes: map[string]string{}}
			for _, a := range token.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					n.attributes[a.Name.Local] = a.Value
				}
			}
			last.children = append(last.children, n)
			open = append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			last.text += string(token)
		}
	}
	if len(top.children) != 1 {
		return nil, errors.New("not one element")
	}
	return top.children[0], nil
}

func prefixed(name xml.Name) string {
	switch name.Space {
	case nsSOAP:
		return "s:" + name.Local
	case nsMessages:
		return "m:" + name.Local
	case nsTypes:
		return "t:" + name.Local
	default:
		return name.Space + ":" + name.Local
	}
}

// grammar is the part of Exchange's schema that is served: the attributes of an
// element, then its children in order. A mark after a name tells how often: ?
// at most once, + at least once.
var grammar = map[string]string{
	"s:Envelope":              "| s:Header s:Body",
	"s:Header":                "| t:RequestServerVersion t:ExchangeImpersonation? t:TimeZoneContext",
	"t:RequestServerVersion":  "Version |",
	"t:ExchangeImpersonation": "| t:ConnectingSID",
	"t:ConnectingSID":         "| t:PrimarySmtpAddress",
	"t:PrimarySmtpAddress":    "|",
	"t:TimeZoneContext":       "| t:TimeZoneDefinition",
	"t:TimeZoneDefinition":    "Id |",

	"m:GetFolder":             "| m:FolderShape m:FolderIds",
	"m:FolderShape":           "| t:BaseShape t:AdditionalProperties?",
	"m:FolderIds":             "| t:FolderId|t:DistinguishedFolderId+",
	"t:FolderId":              "Id |",
	"t:DistinguishedFolderId": "Id | t:Mailbox?",
	"t:Mailbox":               "| t:EmailAddress",
	"t:EmailAddress":          "|",
	"t:BaseShape":             "|",
	"t:AdditionalProperties":  "| t:FieldURI+",
	"t:FieldURI":              "FieldURI |",

	"m:FindFolder":            "Traversal | m:FolderShape m:IndexedPageFolderView m:Restriction? m:ParentFolderIds",
	"m:IndexedPageFolderView": "MaxEntriesReturned Offset BasePoint |",
	"m:Restriction":           "| t:Contains",
	"t:Contains":              "ContainmentMode ContainmentComparison | t:FieldURI t:Constant",
	"t:Constant":              "Value |",
	"m:ParentFolderIds":       "| t:FolderId|t:DistinguishedFolderId+",

	"m:SyncFolderItems":    "| m:ItemShape m:SyncFolderId m:SyncState? m:MaxChangesReturned",
	"m:ItemShape":          "| t:BaseShape t:AdditionalProperties?",
	"m:SyncFolderId":       "| t:FolderId",
	"m:SyncState":          "|",
	"m:MaxChangesReturned": "|",

	"m:FindItem":     "Traversal | m:ItemShape m:CalendarView m:ParentFolderIds",
	"m:CalendarView": "MaxEntriesReturned StartDate EndDate |",
	"m:GetItem":      "| m:ItemShape m:ItemIds",
	"m:ItemIds":      "| t:ItemId+",
	"t:ItemId":       "Id |",

	"m:Subscribe":                    "| m:StreamingSubscriptionRequest",
	"m:StreamingSubscriptionRequest": "| t:FolderIds t:EventTypes",
	"t:FolderIds":                    "| t:FolderId|t:DistinguishedFolderId+",
	"t:EventTypes":                   "| t:EventType+",
	"t:EventType":                    "|",
	"m:Unsubscribe":                  "| m:SubscriptionId",
	"m:SubscriptionId":               "|",
	"m:GetStreamingEvents":           "| m:SubscriptionIds m:ConnectionTimeout",
	"m:SubscriptionIds":              "| t:SubscriptionId+",
	"t:SubscriptionId":               "|",
	"m:ConnectionTimeout":            "|",
}

// check holds a request against the grammar.
func check(n *node) error {
	if n.name == "s:Body" {
		if len(n.children) != 1 {
			return errors.New("the body has not one element")
		}
		return check(n.children[0])
	}
	rule, known := grammar[n.name]
	if !known {
		return fmt.Errorf("%s is unknown", n.name)
	}
	attributes, children, _ := strings.Cut(rule, "|")
	for _, name := range strings.Fields(attributes) {
		if _, ok := n.attributes[name]; !ok {
			return fmt.Errorf("%s lacks the attribute %s", n.name, name)
		}
	}
	for name := range n.attributes {
		if !slices.Contains(strings.Fields(attributes), name) {
			return fmt.Errorf("%s has the attribute %s", n.name, name)
		}
	}
	left := n.children
	for _, part := range strings.Fields(children) {
		names := strings.Split(strings.TrimRight(part, "?+"), "|")
		taken := 0
		for taken < len(left) && slices.Contains(names, left[taken].name) && (taken == 0 || strings.HasSuffix(part, "+")) {
			taken++
		}
		if taken == 0 && !strings.HasSuffix(part, "?") {
			return fmt.Errorf("%s lacks %s, or has it in the wrong place", n.name, part)
		}
		left = left[taken:]
	}
	if len(left) > 0 {
		return fmt.Errorf("%s has %s, or has it in the wrong place", n.name, left[0].name)
	}
	for _, c := range n.children {
		if err := check(c); err != nil {
			return err
		}
	}
	return nil
}
