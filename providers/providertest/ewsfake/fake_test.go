package ewsfake

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	ntlmssp "github.com/Azure/go-ntlmssp"

	"github.com/busyd/busyd/sync/recur"
)

func send(t *testing.T, rt http.RoundTripper, authorization, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

const (
	open = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><s:Header><t:RequestServerVersion Version="Exchange2016"/><t:TimeZoneContext><t:TimeZoneDefinition Id="UTC"/></t:TimeZoneContext></s:Header><s:Body>`
	done = `</s:Body></s:Envelope>`
	find = `<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape><m:CalendarView MaxEntriesReturned="10" StartDate="2026-03-01T00:00:00Z" EndDate="2026-04-01T00:00:00Z"/><m:ParentFolderIds><t:DistinguishedFolderId Id="calendar"/></m:ParentFolderIds></m:FindItem>`
	get  = `<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:FolderIds><t:DistinguishedFolderId Id="calendar"/></m:FolderIds></m:GetFolder>`
)

func TestStrict(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"fine":                  {open + find + done, "NoError"},
		"fine, too":             {open + get + done, "NoError"},
		"not XML":               {"hello", "ErrorSchemaValidation"},
		"no body":               {open + done, "ErrorSchemaValidation"},
		"two operations":        {open + get + get + done, "ErrorSchemaValidation"},
		"an unknown operation":  {open + `<m:DeleteItem/>` + done, "ErrorSchemaValidation"},
		"an unknown element":    {open + strings.Replace(get, "<m:FolderIds>", "<m:Other/><m:FolderIds>", 1) + done, "ErrorSchemaValidation"},
		"another namespace":     {open + strings.Replace(get, "t:BaseShape", "m:BaseShape", 2) + done, "ErrorSchemaValidation"},
		"the wrong order":       {open + strings.Replace(find, "</m:ItemShape>", `</m:ItemShape><m:ParentFolderIds><t:DistinguishedFolderId Id="calendar"/></m:ParentFolderIds>`, 1) + done, "ErrorSchemaValidation"},
		"a missing attribute":   {open + strings.Replace(find, ` Traversal="Shallow"`, "", 1) + done, "ErrorSchemaValidation"},
		"an attribute too many": {open + strings.Replace(get, "<m:GetFolder>", `<m:GetFolder x="y">`, 1) + done, "ErrorSchemaValidation"},
		"no version":            {strings.Replace(open, `<t:RequestServerVersion Version="Exchange2016"/>`, "", 1) + get + done, "ErrorSchemaValidation"},
		"another version":       {strings.Replace(open, "Exchange2016", "Exchange2019", 1) + get + done, "ErrorInvalidServerVersion"},
		"another zone":          {strings.Replace(open, `Id="UTC"`, `Id="W. Europe Standard Time"`, 1) + get + done, "ErrorTimeZone"},
		"local dates":           {open + strings.Replace(find, "00:00:00Z", "00:00:00", 2) + done, "ErrorInvalidRequest"},
		"dates turned round":    {open + strings.Replace(find, "2026-04-01", "2026-02-01", 1) + done, "ErrorInvalidRequest"},
		"three years":           {open + strings.Replace(find, "2026-04-01", "2029-04-01", 1) + done, "ErrorCalendarViewRangeTooBig"},
		"everything of an item": {open + strings.Replace(find, "IdOnly", "AllProperties", 1) + done, "ErrorInvalidPropertyRequest"},
		"another's calendar":    {open + strings.Replace(get, `Id="calendar"/>`, `Id="calendar"><t:Mailbox><t:EmailAddress>eva@corp.test</t:EmailAddress></t:Mailbox></t:DistinguishedFolderId>`, 1) + done, "ErrorFolderNotFound"},
		"as another":            {strings.Replace(open, "<t:TimeZoneContext>", "<t:ExchangeImpersonation><t:ConnectingSID><t:PrimarySmtpAddress>eva@corp.test</t:PrimarySmtpAddress></t:ConnectingSID></t:ExchangeImpersonation><t:TimeZoneContext>", 1) + get + done, "ErrorImpersonateUserDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			server := New(Options{Expand: recur.New()})
			server.PutUnreadable(Calendar, "a")
			resp := send(t, server.Transport(), "Basic "+base64.StdEncoding.EncodeToString([]byte(Username+":"+Password)), c.body)
			body, err := io.ReadAll(resp.Body)
			if err != nil || !strings.Contains(string(body), "ResponseCode") || !strings.Contains(string(body), ">"+c.want+"<") {
				t.Errorf("%d: %s", resp.StatusCode, body)
			}
		})
	}
}

func TestHandshake(t *testing.T) {
	server := New(Options{Expand: recur.New()})
	one, other := server.Transport(), server.Transport()
	status := func(rt http.RoundTripper, authorization string, want int) *http.Response {
		t.Helper()
		resp := send(t, rt, authorization, open+get+done)
		if resp.StatusCode != want {
			t.Fatalf("the status is %d, want %d", resp.StatusCode, want)
		}
		return resp
	}
	answer := func(resp *http.Response, password string) string {
		t.Helper()
		_, token, _ := strings.Cut(resp.Header.Get("WWW-Authenticate"), " ")
		raw, err := base64.StdEncoding.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ntlmssp.NewAuthenticateMessage(raw, Username, password, nil)
		if err != nil {
			t.Fatal(err)
		}
		return "NTLM " + base64.StdEncoding.EncodeToString(m)
	}
	m, err := ntlmssp.NewNegotiateMessage("", "")
	if err != nil {
		t.Fatal(err)
	}
	hello := "NTLM " + base64.StdEncoding.EncodeToString(m)

	status(one, "", http.StatusUnauthorized)
	good := answer(status(one, hello, http.StatusUnauthorized), Password)
	status(other, good, http.StatusUnauthorized) // another connection
	status(one, good, http.StatusOK)
	status(one, "", http.StatusOK)
	status(other, "", http.StatusUnauthorized)
	status(one, good, http.StatusUnauthorized) // it was good once
	status(one, "", http.StatusUnauthorized)
	status(one, answer(status(one, hello, http.StatusUnauthorized), "wrong"), http.StatusUnauthorized)
	server.Binding = make([]byte, 16)
	status(one, answer(status(one, hello, http.StatusUnauthorized), Password), http.StatusUnauthorized)
}
