package ewsfake

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/providertest"
)

// call is an operation being answered.
type call struct {
	server  *Server
	as      string // the mailbox whose owner is impersonated
	request *node
	refused string
}

// refuse answers a request that Exchange would call wrong.
func (c *call) refuse(message, code, why string) string {
	c.refused = why
	return failure(message, code, "")
}

func failure(message, code, more string) string {
	return `<m:` + message + ` ResponseClass="Error"><m:MessageText>CANARY about ana@corp.test</m:MessageText><m:ResponseCode>` + code +
		`</m:ResponseCode><m:DescriptiveLinkKey>0</m:DescriptiveLinkKey>` + strings.ReplaceAll(strings.ReplaceAll(more, "<t:MessageXml", "<m:MessageXml"), "</t:MessageXml", "</m:MessageXml") + `</m:` + message + `>`
}

func success(message, body string) string {
	return `<m:` + message + ` ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>` + body + `</m:` + message + `>`
}

func (c *call) answer() string {
	switch c.request.name {
	case "m:GetFolder":
		var b strings.Builder
		for _, id := range c.request.child("m:FolderIds").children {
			b.WriteString(c.getFolder(id))
		}
		return b.String()
	case "m:FindFolder":
		return c.findFolders()
	case "m:SyncFolderItems":
		return c.syncItems()
	case "m:FindItem":
		return c.findItems()
	case "m:GetItem":
		var b strings.Builder
		for _, id := range c.request.child("m:ItemIds").children {
			b.WriteString(c.getItem(id.attribute("Id")))
		}
		return b.String()
	case "m:Subscribe":
		return success("SubscribeResponseMessage", `<m:SubscriptionId>`+base64.StdEncoding.EncodeToString([]byte("subscription"))+`</m:SubscriptionId>`)
	case "m:Unsubscribe":
		return success("UnsubscribeResponseMessage", "")
	default:
		return c.refuse("ResponseMessage", "ErrorInvalidRequest", "an operation that is not served")
	}
}

// find finds the folder that an id names, in the mailbox that it names.
func (c *call) find(id *node) (*folder, string) {
	mailbox := c.as
	if m := id.at("t:Mailbox", "t:EmailAddress"); m != nil {
		mailbox = m.text
	}
	if mailbox != "" && mailbox != c.as && mailbox != c.server.Shared {
		return nil, "ErrorFolderNotFound"
	}
	key := id.attribute("Id")
	if id.name == "t:DistinguishedFolderId" && mailbox != "" && mailbox != c.as && key != Calendar {
		return nil, "ErrorAccessDenied"
	}
	f := c.server.folder(key)
	if f == nil || id.name == "t:FolderId" && f.id != key {
		return nil, "ErrorItemNotFound"
	}
	return f, ""
}

func (c *call) getFolder(id *node) string {
	f, code := c.find(id)
	if f == nil {
		return failure("GetFolderResponseMessage", code, "")
	}
	return success("GetFolderResponseMessage", `<m:Folders>`+c.folder(f)+`</m:Folders>`)
}

func (c *call) folder(f *folder) string {
	element := "t:Folder"
	if strings.HasPrefix(f.class, "IPF.Appointment") {
		element = "t:CalendarFolder"
	}
	parent := ""
	if p := c.server.folder(f.parent); p != nil {
		parent = `<t:ParentFolderId Id="` + p.id + `" ChangeKey="AQ=="/>`
	}
	return `<` + element + `><t:FolderId Id="` + f.id + `" ChangeKey="AgAAAA=="/>` + parent +
		`<t:FolderClass>` + f.class + `</t:FolderClass><t:DisplayName>` + escape(f.name) + `</t:DisplayName></` + element + `>`
}

func (c *call) findFolders() string {
	const message = "FindFolderResponseMessage"
	root, code := c.find(c.request.child("m:ParentFolderIds").children[0])
	if root == nil {
		return failure(message, code, "")
	}
	prefix := c.request.at("m:Restriction", "t:Contains", "t:Constant").attribute("Value")
	var all []*folder
	for _, f := range c.server.folders {
		if f != root && strings.HasPrefix(f.class, prefix) {
			all = append(all, f)
		}
	}
	page := c.request.child("m:IndexedPageFolderView")
	offset, _ := strconv.Atoi(page.attribute("Offset"))
	most, _ := strconv.Atoi(page.attribute("MaxEntriesReturned"))
	end := min(offset+most, len(all))
	var b strings.Builder
	for _, f := range all[min(offset, end):end] {
		b.WriteString(c.folder(f))
	}
	return success(message, fmt.Sprintf(`<m:RootFolder IndexedPagingOffset="%d" TotalItemsInView="%d" IncludesLastItemInRange="%t"><t:Folders>%s</t:Folders></m:RootFolder>`,
		end, len(all), end == len(all), b.String()))
}

func (c *call) syncItems() string {
	const message = "SyncFolderItemsResponseMessage"
	f, code := c.find(c.request.child("m:SyncFolderId").children[0])
	if f == nil {
		if code == "ErrorItemNotFound" {
			code = "ErrorSyncFolderNotFound"
		}
		return failure(message, code, "")
	}
	most, err := strconv.Atoi(c.request.child("m:MaxChangesReturned").text)
	if err != nil || most < 1 || most > 512 {
		return c.refuse(message, "ErrorInvalidRequest", "more than 512 changes")
	}
	if c.server.MaxChanges > 0 {
		most = min(most, c.server.MaxChanges)
	}
	since := 0
	if state := c.request.child("m:SyncState"); state != nil {
		var ok bool
		if since, ok = c.server.since(f, state.text); !ok {
			return failure(message, "ErrorInvalidSyncStateData", "")
		}
	}
	end := min(since+most, len(f.log))
	var b strings.Builder
	for _, x := range f.log[since:end] {
		id := `<t:ItemId Id="` + x.id + `" ChangeKey="AA=="/>`
		switch x.kind {
		case "Delete":
			b.WriteString(`<t:Delete>` + id + `</t:Delete>`)
		case "ReadFlagChange":
			b.WriteString(`<t:ReadFlagChange>` + id + `<t:IsRead>true</t:IsRead></t:ReadFlagChange>`)
		default:
			b.WriteString(`<t:` + x.kind + `><t:CalendarItem>` + id + `</t:CalendarItem></t:` + x.kind + `>`)
		}
	}
	return success(message, `<m:SyncState>`+c.server.state(f, end)+`</m:SyncState><m:IncludesLastItemInRange>`+
		strconv.FormatBool(end == len(f.log))+`</m:IncludesLastItemInRange><m:Changes>`+b.String()+`</m:Changes>`)
}

func (s *Server) state(f *folder, at int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%d|%s|%d", s.epoch, f.id, at))
}

func (s *Server) since(f *folder, state string) (int, bool) {
	raw, err := base64.StdEncoding.DecodeString(state)
	parts := strings.Split(string(raw), "|")
	if err != nil || len(parts) != 3 || parts[0] != strconv.Itoa(s.epoch) || parts[1] != f.id {
		return 0, false
	}
	at, err := strconv.Atoi(parts[2])
	return at, err == nil && at <= len(f.log)
}

const maxRange = 2*366*24*time.Hour + 24*time.Hour

func (c *call) findItems() string {
	const message = "FindItemResponseMessage"
	f, code := c.find(c.request.child("m:ParentFolderIds").children[0])
	if f == nil {
		return failure(message, code, "")
	}
	asked := c.request.child("m:CalendarView")
	start, errS := time.Parse("2006-01-02T15:04:05Z", asked.attribute("StartDate"))
	end, errE := time.Parse("2006-01-02T15:04:05Z", asked.attribute("EndDate"))
	if errS != nil || errE != nil || end.Before(start) {
		return c.refuse(message, "ErrorInvalidRequest", "the dates of a view are not UTC, or the wrong way round")
	}
	if end.Sub(start) > maxRange {
		return failure(message, "ErrorCalendarViewRangeTooBig", "")
	}
	shown, failed := c.server.view(f, busy.Span{Start: start, End: end})
	if failed != "" {
		return failure(message, failed, "")
	}
	if len(shown) > c.server.MaxItems && c.server.Refuse {
		return failure(message, "ErrorExceededFindCountLimit", "")
	}
	most, _ := strconv.Atoi(asked.attribute("MaxEntriesReturned"))
	n := min(len(shown), most, c.server.MaxItems)
	var b strings.Builder
	for _, o := range shown[:n] {
		text, wrong := c.item(o, c.server.hidden)
		if wrong != "" {
			return c.refuse(message, "ErrorInvalidPropertyRequest", wrong)
		}
		b.WriteString(text)
	}
	return success(message, fmt.Sprintf(`<m:RootFolder TotalItemsInView="%d" IncludesLastItemInRange="%t"><t:Items>%s</t:Items></m:RootFolder>`,
		n, n == len(shown), b.String()))
}

// occurrence is one line of a view.
type occurrence struct {
	item       *item
	id         string
	subject    string
	start, end time.Time
}

// view computes what a folder shows in a span, by time.
func (s *Server) view(f *folder, span busy.Span) ([]occurrence, string) {
	var shown []occurrence
	for _, name := range slices.Sorted(maps.Keys(f.items)) {
		i := f.items[name]
		if i.unreadable {
			shown = append(shown, occurrence{item: i, id: i.id, subject: name})
			continue
		}
		found := s.expand(i, span)
		if i.broken && len(found) > 0 {
			return nil, "ErrorRecurrenceHasNoOccurrence"
		}
		shown = append(shown, found...)
	}
	slices.SortStableFunc(shown, func(a, b occurrence) int { return a.start.Compare(b.start) })
	return shown, ""
}

func (s *Server) expand(i *item, span busy.Span) []occurrence {
	e := i.entry
	series, originals := e.Series()
	found, err := s.Expand.Expand(context.Background(), series, span, i.location)
	if err != nil {
		panic(err)
	}
	shown := make([]occurrence, 0, len(found))
	for _, o := range found {
		x := occurrence{item: i, id: i.id, subject: series[o.Event].Subject, start: o.Start, end: o.End}
		if e.Rule != "" {
			original := o.Start.Format(time.RFC3339)
			if o.Event > 0 {
				original = originals[o.Event-1]
			}
			x.id = base64.StdEncoding.EncodeToString([]byte(i.id + "|" + original))
		}
		shown = append(shown, x)
	}
	return shown
}

func (c *call) getItem(id string) string {
	const message = "GetItemResponseMessage"
	wanted := id
	if raw, err := base64.StdEncoding.DecodeString(id); err == nil {
		if master, _, ok := strings.Cut(string(raw), "|"); ok {
			wanted = master
		}
	}
	for _, f := range c.server.folders {
		for _, i := range f.items {
			if i.id != wanted {
				continue
			}
			for _, o := range c.server.everywhere(i) {
				if o.id != id {
					continue
				}
				text, wrong := c.item(o, nil)
				if wrong != "" {
					return c.refuse(message, "ErrorInvalidPropertyRequest", wrong)
				}
				return success(message, `<m:Items>`+text+`</m:Items>`)
			}
		}
	}
	return failure(message, "ErrorItemNotFound", "")
}

func (s *Server) everywhere(i *item) []occurrence {
	if i.unreadable {
		return []occurrence{{item: i, id: i.id}}
	}
	return s.expand(i, busy.Span{Start: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2032, 1, 1, 0, 0, 0, 0, time.UTC)})
}

// item writes an item with the properties that were asked for, but the hidden
// ones, and with many that were not. It tells what cannot be asked for.
func (c *call) item(o occurrence, hide []string) (text, wrong string) {
	var b strings.Builder
	fmt.Fprintf(&b, `<t:CalendarItem><t:ItemId Id="%s" ChangeKey="DwAAAB%d"/>`, o.id, o.item.version)
	shape := c.request.child("m:ItemShape")
	if base := shape.child("t:BaseShape").text; base != "IdOnly" {
		return "", "the shape is " + base
	}
	if more := shape.child("t:AdditionalProperties"); more != nil {
		for _, field := range more.children {
			name := field.attribute("FieldURI")
			value, known := o.property(name)
			if !known {
				return "", "the property " + name
			}
			if !slices.Contains(hide, name) {
				b.WriteString(value)
			}
		}
	}
	mark := providertest.Mark
	b.WriteString(`<t:UID>` + mark + `</t:UID><t:Location>` + mark + ` room</t:Location><t:Organizer><t:Mailbox><t:Name>` + mark +
		`</t:Name><t:EmailAddress>` + mark + `@example.com</t:EmailAddress></t:Mailbox></t:Organizer>` +
		`<t:Body BodyType="HTML">` + mark + `</t:Body><t:Categories><t:String>` + mark + `</t:String></t:Categories>` +
		`<t:RequiredAttendees><t:Attendee><t:Mailbox><t:EmailAddress>` + mark + `@example.com</t:EmailAddress></t:Mailbox></t:Attendee></t:RequiredAttendees>`)
	b.WriteString(`</t:CalendarItem>`)
	return b.String(), ""
}

func (o occurrence) property(name string) (string, bool) {
	e := o.item.entry
	switch name {
	case "item:Subject":
		return tag("Subject", o.subject), true
	case "item:Sensitivity":
		if e.Private {
			return tag("Sensitivity", "Private"), true
		}
		return tag("Sensitivity", "Normal"), true
	case "calendar:Start":
		if o.item.unreadable {
			return tag("Start", providertest.Mark), true
		}
		return tag("Start", o.start.UTC().Format("2006-01-02T15:04:05Z")), true
	case "calendar:End":
		return tag("End", o.end.UTC().Format("2006-01-02T15:04:05Z")), true
	case "calendar:IsAllDayEvent":
		return tag("IsAllDayEvent", strconv.FormatBool(e.Start.Date)), true
	case "calendar:LegacyFreeBusyStatus":
		return tag("LegacyFreeBusyStatus", statusOf(e)), true
	case "calendar:IsCancelled":
		return tag("IsCancelled", strconv.FormatBool(e.Cancelled)), true
	case "calendar:MyResponseType":
		if e.Declined {
			return tag("MyResponseType", "Decline"), true
		}
		return tag("MyResponseType", "Accept"), true
	case "calendar:StartTimeZone":
		return o.item.zone.xml(), true
	default:
		return "", false
	}
}

func statusOf(e providertest.Entry) string {
	switch {
	case e.Free:
		return "Free"
	case e.Tentative:
		return "Tentative"
	default:
		return "Busy"
	}
}

func (z Zone) xml() string {
	periods := ""
	if len(z.Periods) > 0 {
		periods = "<t:Periods>"
		for _, bias := range z.Periods {
			periods += `<t:Period Bias="` + bias + `" Name="x" Id="x"/>`
		}
		periods += "</t:Periods>"
	}
	return `<t:StartTimeZone Id="` + escape(z.ID) + `" Name="` + escape(z.Name) + `">` + periods + `</t:StartTimeZone>`
}

func tag(name, text string) string { return "<t:" + name + ">" + escape(text) + "</t:" + name + ">" }

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder does not fail
	return b.String()
}
