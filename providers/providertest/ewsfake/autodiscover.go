package ewsfake

import (
	"net/http"
	"strings"
)

// Discovery is what the Autodiscover of a host says.
type Discovery struct {
	// Status answers with nothing else, before any challenge; with Location as a
	// redirection.
	Status   int
	Location string
	// NoSOAP: only plain XML is served.
	NoSOAP             bool
	External, Internal string
	RedirectURL        string
	RedirectAddress    string
	Unknown            bool // the mailbox is not known
}

func (s *Server) autodiscover(w http.ResponseWriter, r *http.Request, seen Request, body []byte) {
	d, ok := s.Discover[seen.Host]
	if s.Discover == nil {
		d, ok = Discovery{External: URL}, seen.Host == Domain || seen.Host == "autodiscover."+Domain
	}
	soap := strings.HasSuffix(strings.ToLower(seen.Path), ".svc")
	switch {
	case !ok || d.NoSOAP && soap:
		w.WriteHeader(http.StatusNotFound)
	case d.Status != 0:
		if d.Location != "" {
			w.Header().Set("Location", d.Location)
		}
		w.WriteHeader(d.Status)
	case !s.authenticate(w, r):
	case soap && !strings.Contains(string(body), "<a:GetUserSettingsRequestMessage>"):
		w.WriteHeader(http.StatusBadRequest)
	case soap:
		writeEnvelope(w, http.StatusOK, d.soap())
	default:
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		_, _ = w.Write([]byte(d.pox()))
	}
}

func (d Discovery) soap() string {
	code, target, settings := "NoError", "", ""
	switch {
	case d.Unknown:
		code = "InvalidUser"
	case d.RedirectURL != "":
		code, target = "RedirectUrl", d.RedirectURL
	case d.RedirectAddress != "":
		code, target = "RedirectAddress", d.RedirectAddress
	}
	for name, value := range map[string]string{"ExternalEwsUrl": d.External, "InternalEwsUrl": d.Internal} {
		if value != "" {
			settings += `<UserSetting xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="StringSetting"><Name>` + name + `</Name><Value>` + value + `</Value></UserSetting>`
		}
	}
	return `<GetUserSettingsResponseMessage xmlns="http://schemas.microsoft.com/exchange/2010/Autodiscover"><Response><ErrorCode>NoError</ErrorCode><ErrorMessage/>` +
		`<UserResponses><UserResponse><ErrorCode>` + code + `</ErrorCode><ErrorMessage>No error.</ErrorMessage><RedirectTarget>` + target + `</RedirectTarget>` +
		`<UserSettingErrors/><UserSettings>` + settings + `</UserSettings></UserResponse></UserResponses></Response></GetUserSettingsResponseMessage>`
}

func (d Discovery) pox() string {
	const open = `<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">`
	if d.Unknown {
		return open + `<Response><Error Time="12:00:00" Id="1"><ErrorCode>500</ErrorCode><Message>CANARY</Message></Error></Response></Autodiscover>`
	}
	account := `<AccountType>email</AccountType>`
	switch {
	case d.RedirectURL != "":
		account += `<Action>redirectUrl</Action><RedirectUrl>` + d.RedirectURL + `</RedirectUrl>`
	case d.RedirectAddress != "":
		account += `<Action>redirectAddr</Action><RedirectAddr>` + d.RedirectAddress + `</RedirectAddr>`
	default:
		account += `<Action>settings</Action>` + protocol("EXCH", d.Internal) + protocol("EXPR", d.External)
	}
	return open + `<Response xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a">` +
		`<User><DisplayName>CANARY</DisplayName></User><Account>` + account + `</Account></Response></Autodiscover>`
}

func protocol(kind, address string) string {
	if address == "" {
		return ""
	}
	return `<Protocol><Type>` + kind + `</Type><Server>CANARY</Server><EwsUrl>` + address + `</EwsUrl></Protocol>`
}
