package google_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"testing"
)

// BenchmarkPage reads the largest page that Google sends.
func BenchmarkPage(b *testing.B) {
	var body bytes.Buffer
	body.WriteString(`{"nextSyncToken":"t","timeZone":"Europe/Berlin","accessRole":"owner","items":[`)
	for i := range 2500 {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"id":"ev%04d","etag":"\"3181161784712%03d\"","status":"confirmed","summary":"Weekly review %d",`+
			`"start":{"dateTime":"2026-03-20T09:00:00+01:00","timeZone":"Europe/Berlin"},`+
			`"end":{"dateTime":"2026-03-20T10:00:00+01:00","timeZone":"Europe/Berlin"},`+
			`"recurrence":["RRULE:FREQ=WEEKLY;BYDAY=MO,WE"],"eventType":"default",`+
			`"attendees":[{"self":true,"responseStatus":"accepted"}]}`, i, i%1000, i)
	}
	body.WriteString(`]}`)
	session := answered(b, http.StatusOK, body.Bytes())
	b.SetBytes(int64(body.Len()))
	b.ReportAllocs()
	for b.Loop() {
		page, err := session.Changes(context.Background(), query("primary", nil))
		if err != nil || len(page.Events) != 2500 {
			b.Fatal(len(page.Events), err)
		}
	}
}
