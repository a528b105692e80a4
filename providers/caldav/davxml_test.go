package caldav

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/busyd/busyd/providers"
)

const sampleAnswer = `<?xml version="1.0" encoding="UTF-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:S="http://calendarserver.org/ns/">
 <!-- a comment -->
 <D:response>
  <D:href> /cal/ </D:href>
  <D:propstat><D:prop>
   <D:resourcetype><D:collection/><C:calendar/></D:resourcetype>
   <S:getctag>c1</S:getctag><D:sync-token>t1</D:sync-token>
   <D:displayname>A &amp; B &#228; <![CDATA[<c>]]></D:displayname>
   <C:supported-calendar-component-set><C:comp name="VTODO"/><C:comp name="vevent"/></C:supported-calendar-component-set>
   <C:schedule-calendar-transp><C:transparent/></C:schedule-calendar-transp>
  </D:prop><D:status>HTTP/1.1 200</D:status></D:propstat>
  <D:propstat><D:prop><D:displayname/><S:getctag/><D:getetag/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>
 </D:response>
 <D:response>
  <D:href>/cal/a.ics</D:href>
  <D:propstat><D:prop><D:getetag>"1"</D:getetag><C:calendar-data>BEGIN:VCALENDAR&#13;
END</C:calendar-data></D:prop><D:status>HTTP/2 200 OK</D:status></D:propstat>
  <D:propstat><D:prop><C:calendar-data>nothing</C:calendar-data></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>
 </D:response>
 <D:response><D:href>/cal/b.ics</D:href><D:href>/cal/c.ics</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>
 <D:sync-token>t2</D:sync-token>
</D:multistatus>
`

// read renders what multistatus hands on.
func read(document string) (string, error) {
	var b strings.Builder
	token, err := multistatus(strings.NewReader(document), func(a *answer) error {
		fmt.Fprintf(&b, "%s %d types=%d name=%q etag=%q ctag=%q token=%q events=%t free=%t data=%q\n",
			a.href, a.status, a.types, a.name, a.etag, a.ctag, a.token, a.events, a.transparent, a.data)
		return nil
	})
	return b.String() + "token=" + token, err
}

func TestMultistatus(t *testing.T) {
	got, err := read(sampleAnswer)
	want := `/cal/ 0 types=3 name="A & B ä <c>" etag="" ctag="c1" token="t1" events=true free=true data=""
/cal/a.ics 0 types=0 name="" etag="\"1\"" ctag="" token="" events=false free=false data="BEGIN:VCALENDAR\r\nEND"
/cal/b.ics 404 types=0 name="" etag="" ctag="" token="" events=false free=false data=""
/cal/c.ics 404 types=0 name="" etag="" ctag="" token="" events=false free=false data=""
token=t2`
	if err != nil || got != want {
		t.Fatalf("%v\n%s", err, got)
	}
}

// Whatever is cut off is an error, wherever the cut is.
func TestEveryPrefixIsIncomplete(t *testing.T) {
	end := strings.LastIndex(sampleAnswer, ">")
	for n := range end {
		if got, err := read(sampleAnswer[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are taken for complete:\n%s", n, len(sampleAnswer), got)
		}
	}
}

func TestMultistatusIsBounded(t *testing.T) {
	wrap := func(inner string) string {
		return `<d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:response>` + inner + `</d:response></d:multistatus>`
	}
	for name, c := range map[string]struct{ document, code string }{
		"nested":          {wrap(strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000)), errExcessive.Code},
		"many elements":   {wrap(strings.Repeat("<a/>", maxElements+1)), errExcessive.Code},
		"long property":   {wrap("<d:href>" + strings.Repeat("a", maxText+1) + "</d:href>"), errExcessive.Code},
		"document type":   {`<!DOCTYPE x [<!ENTITY a "aaaa">]>` + wrap("<d:href>&a;</d:href>"), errForeign.Code},
		"unknown entity":  {wrap("<d:href>&a;</d:href>"), errMalformed.Code},
		"another root":    {`<d:error xmlns:d="DAV:"/>`, errForeign.Code},
		"no namespace":    {`<multistatus/>`, errForeign.Code},
		"a web page":      {`<!DOCTYPE html><html><body><br></body></html>`, errForeign.Code},
		"crossed tags":    {wrap("<a><b></a></b>"), errMalformed.Code},
		"a control":       {wrap("<d:href>\x0b</d:href>"), errMalformed.Code},
		"not UTF-8":       {wrap("<d:href>\xff</d:href>"), errMalformed.Code},
		"unknown charset": {`<?xml version="1.0" encoding="utf-7"?>` + wrap(""), ""},
		"nothing":         {"", errCutOff.Code},
		"text":            {"hello", errCutOff.Code},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(c.document)
			if err == nil || c.code != "" && providers.CodeOf(err) != c.code {
				t.Fatalf("error: %v, want %s", err, c.code)
			}
			if len(err.Error()) > 100 {
				t.Errorf("the error may quote the document: %v", err)
			}
		})
	}
	large := wrap("<d:href>/a</d:href><d:propstat><d:prop><c:calendar-data>" + strings.Repeat("a", providers.MaxObject+1) +
		"</c:calendar-data></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>")
	_, err := multistatus(strings.NewReader(large), func(a *answer) error {
		if !a.dataOversized || len(a.data) > providers.MaxObject {
			t.Errorf("an object beyond the bound: %d bytes, oversized %t", len(a.data), a.dataOversized)
		}
		return nil
	})
	if err != nil {
		t.Errorf("one large object failed the rest: %v", err)
	}
}

func TestLatin1(t *testing.T) {
	document := `<?xml version="1.0" encoding="ISO-8859-1"?><multistatus xmlns="DAV:"><response><href>/a</href><propstat><prop><displayname>` +
		strings.Repeat("B\xfcro ", 400) + `</displayname></prop><status>HTTP/1.1 200 OK</status></propstat></response></multistatus>`
	_, err := multistatus(strings.NewReader(document), func(a *answer) error {
		if want := strings.TrimSpace(strings.Repeat("Büro ", 400)); a.name != want {
			t.Errorf("name: %q", a.name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStatusLines(t *testing.T) {
	for line, want := range map[string]int{
		"HTTP/1.1 200 OK": 200, "HTTP/1.1 404": 404, "HTTP/2 207 Multi-Status": 207,
		"": 500, "200": 500, "HTTP/1.1 OK": 500,
	} {
		if got := statusOf(line); got != want {
			t.Errorf("%q is %d, want %d", line, got, want)
		}
	}
}

func TestPreconditions(t *testing.T) {
	found := preconditions(strings.NewReader(`<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns"><s:exception>X</s:exception><d:valid-sync-token/></d:error>`))
	if !found["valid-sync-token"] {
		t.Errorf("preconditions: %v", found)
	}
	for _, body := range []string{"", "no XML", "<html/>", `<error xmlns="DAV:"`} {
		if found := preconditions(strings.NewReader(body)); found["valid-sync-token"] {
			t.Errorf("%q: %v", body, found)
		}
	}
}

func TestAnErrorOfTheReaderIsKept(t *testing.T) {
	failure := &providers.Error{Code: "too_large"}
	_, err := multistatus(failing{failure}, func(*answer) error { return nil })
	if !errors.Is(err, failure) {
		t.Fatalf("error: %v", err)
	}
	stop := errors.New("stop")
	if _, err := multistatus(strings.NewReader(sampleAnswer), func(*answer) error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("error: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzMultistatus(f *testing.F) {
	f.Add(sampleAnswer)
	f.Add(`<multistatus xmlns="DAV:"><sync-token>1</sync-token></multistatus>`)
	f.Add(`<d:multistatus xmlns:d="DAV:"><d:response><d:href>/</d:href><d:propstat/></d:response></d:multistatus>`)
	f.Fuzz(func(t *testing.T, document string) {
		once, err := read(document)
		if err != nil {
			return
		}
		if again, err := read(document); err != nil || again != once {
			t.Errorf("read twice: %v\n%s\n%s", err, once, again)
		}
		if end := strings.LastIndex(document, "<"); end > 0 && strings.TrimSpace(document[end:]) == "</d:multistatus>" {
			if _, err := read(document[:end]); err == nil {
				t.Error("a document without its end is taken for complete")
			}
		}
	})
}
