package ews

import (
	"strconv"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// operation is a request: the element in the SOAP body and its content.
type operation struct{ name, body string }

// reads reports whether an operation is one of those that busyd sends. An
// Exchange credential can do everything that its owner can; this cannot.
func reads(name string) bool {
	switch name {
	case "GetFolder", "FindFolder", "SyncFolderItems", "FindItem", "GetItem",
		"Subscribe", "Unsubscribe", "GetStreamingEvents":
		return true
	default:
		return false
	}
}

// versions of the protocol, the best first.
var versions = []string{"Exchange2016", "Exchange2013", "Exchange2010_SP2"}

const declaration = `<?xml version="1.0" encoding="utf-8"?>`

// envelope writes the operation with its headers. Times without a zone are UTC's.
func (c *client) envelope(o operation) string {
	var b strings.Builder
	b.WriteString(declaration + `<s:Envelope xmlns:s="` + nsSOAP + `" xmlns:m="` + nsMessages + `" xmlns:t="` + nsTypes + `"><s:Header>`)
	b.WriteString(`<t:RequestServerVersion Version="` + escape(c.version) + `"/>`)
	if c.impersonate {
		b.WriteString(`<t:ExchangeImpersonation><t:ConnectingSID><t:PrimarySmtpAddress>` + escape(c.mailbox) +
			`</t:PrimarySmtpAddress></t:ConnectingSID></t:ExchangeImpersonation>`)
	}
	b.WriteString(`<t:TimeZoneContext><t:TimeZoneDefinition Id="UTC"/></t:TimeZoneContext></s:Header><s:Body>`)
	b.WriteString(o.body)
	b.WriteString(`</s:Body></s:Envelope>`)
	return b.String()
}

// shape asks for the id and these properties, and for nothing else.
func shape(element string, properties ...string) string {
	var b strings.Builder
	b.WriteString("<m:" + element + "><t:BaseShape>IdOnly</t:BaseShape>")
	if len(properties) > 0 {
		b.WriteString("<t:AdditionalProperties>")
		for _, p := range properties {
			b.WriteString(`<t:FieldURI FieldURI="` + p + `"/>`)
		}
		b.WriteString("</t:AdditionalProperties>")
	}
	b.WriteString("</m:" + element + ">")
	return b.String()
}

// itemShape is all that is ever asked for of an event.
var itemShape = shape("ItemShape", "item:Subject", "item:Sensitivity", "calendar:Start", "calendar:End",
	"calendar:IsAllDayEvent", "calendar:LegacyFreeBusyStatus", "calendar:IsCancelled",
	"calendar:MyResponseType", "calendar:StartTimeZone")

// distinguished is the id of a well-known folder of the mailbox to read.
func (c *client) distinguished(name string) string {
	if c.mailbox == "" || c.impersonate {
		return `<t:DistinguishedFolderId Id="` + name + `"/>`
	}
	return `<t:DistinguishedFolderId Id="` + name + `"><t:Mailbox><t:EmailAddress>` + escape(c.mailbox) +
		`</t:EmailAddress></t:Mailbox></t:DistinguishedFolderId>`
}

func folderID(id string) string { return `<t:FolderId Id="` + escape(id) + `"/>` }

func getFolders(ids ...string) operation {
	return operation{"GetFolder", `<m:GetFolder>` + shape("FolderShape", "folder:DisplayName") +
		`<m:FolderIds>` + strings.Join(ids, "") + `</m:FolderIds></m:GetFolder>`}
}

// folderPage bounds the folders of one answer.
const folderPage = 100

// findCalendars lists the folders below a root that hold appointments.
func findCalendars(root string, offset int) operation {
	return operation{"FindFolder", `<m:FindFolder Traversal="Deep">` +
		shape("FolderShape", "folder:DisplayName", "folder:FolderClass", "folder:ParentFolderId") +
		`<m:IndexedPageFolderView MaxEntriesReturned="` + strconv.Itoa(folderPage) +
		`" Offset="` + strconv.Itoa(offset) + `" BasePoint="Beginning"/>` +
		`<m:Restriction><t:Contains ContainmentMode="Prefixed" ContainmentComparison="IgnoreCase">` +
		`<t:FieldURI FieldURI="folder:FolderClass"/><t:Constant Value="` + folderClass + `"/></t:Contains></m:Restriction>` +
		`<m:ParentFolderIds>` + root + `</m:ParentFolderIds></m:FindFolder>`}
}

// maxChanges bounds the changes of one answer; Exchange allows no more.
const maxChanges = 512

// syncItems asks which items of a folder changed since the state.
func syncItems(folder, state string) operation {
	if state != "" {
		state = `<m:SyncState>` + escape(state) + `</m:SyncState>`
	}
	return operation{"SyncFolderItems", `<m:SyncFolderItems>` + shape("ItemShape") +
		`<m:SyncFolderId>` + folderID(folder) + `</m:SyncFolderId>` + state +
		`<m:MaxChangesReturned>` + strconv.Itoa(maxChanges) + `</m:MaxChangesReturned></m:SyncFolderItems>`}
}

// viewItems asks for the occurrences of a folder that touch a span. A calendar
// view cannot be paged.
func viewItems(folder string, span busy.Span, most int) operation {
	return operation{"FindItem", `<m:FindItem Traversal="Shallow">` + itemShape +
		`<m:CalendarView MaxEntriesReturned="` + strconv.Itoa(most) +
		`" StartDate="` + instant(span.Start) + `" EndDate="` + instant(span.End) + `"/>` +
		`<m:ParentFolderIds>` + folderID(folder) + `</m:ParentFolderIds></m:FindItem>`}
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// getItems asks for items by their ids.
func getItems(ids []string) operation {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(`<t:ItemId Id="` + escape(id) + `"/>`)
	}
	return operation{"GetItem", `<m:GetItem>` + itemShape + `<m:ItemIds>` + b.String() + `</m:ItemIds></m:GetItem>`}
}

// subscribe asks to be told, over a connection of ours, of what happens in folders.
func subscribe(folders []string) operation {
	var b strings.Builder
	for _, id := range folders {
		b.WriteString(folderID(id))
	}
	return operation{"Subscribe", `<m:Subscribe><m:StreamingSubscriptionRequest><t:FolderIds>` + b.String() + `</t:FolderIds><t:EventTypes>` +
		`<t:EventType>CreatedEvent</t:EventType><t:EventType>DeletedEvent</t:EventType>` +
		`<t:EventType>ModifiedEvent</t:EventType><t:EventType>MovedEvent</t:EventType><t:EventType>CopiedEvent</t:EventType>` +
		`</t:EventTypes></m:StreamingSubscriptionRequest></m:Subscribe>`}
}

func unsubscribe(id string) operation {
	return operation{"Unsubscribe", `<m:Unsubscribe><m:SubscriptionId>` + escape(id) + `</m:SubscriptionId></m:Unsubscribe>`}
}

func streamEvents(id string) operation {
	return operation{"GetStreamingEvents", `<m:GetStreamingEvents><m:SubscriptionIds><t:SubscriptionId>` + escape(id) +
		`</t:SubscriptionId></m:SubscriptionIds><m:ConnectionTimeout>` + strconv.Itoa(int(streamFor/time.Minute)) +
		`</m:ConnectionTimeout></m:GetStreamingEvents>`}
}
