package ews

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// Autodiscover tells the address of a mailbox's Exchange Web Services: as SOAP
// (MS-OXWSADISC) or as plain XML, which is also called POX (MS-OXDSCLI).

var (
	errNowhere = &providers.Error{Code: "no_autodiscover", Err: errors.New("the domain tells nothing of its Exchange server")}
	errNoURL   = busy.Invalid("url", "is needed: the domain's Autodiscover does not tell where its Exchange Web Services are. Give their address, such as https://mail.example.com"+path)
	errNothing = busy.Invalid("url", "is needed: the domain has no Autodiscover over https. Give the address of its Exchange server, such as https://mail.example.com"+path)
	errNoWhere = busy.Invalid("url", "is needed, since the username is not an e-mail address: give the address of the Exchange server, such as https://mail.example.com"+path)
	errUnknown = busy.Invalid("username", "is not the e-mail address of a mailbox that the domain's Autodiscover knows: check it, or give the address of the Exchange server")
	errAway    = busy.Invalid("url", "is needed: the domain's Autodiscover points to another site, where the password is not sent unasked. Give the address of the Exchange server there if you trust it, or have the operator allow the host")
	errPlain   = busy.Invalid("url", "is needed: the domain's Autodiscover points to an address without encryption. Give the address of the Exchange server, beginning with https://")
)

// found is what an Autodiscover says: an address, or where to ask instead.
type found struct {
	external, internal string
	redirect           string // URL of another Autodiscover
	address            string // another e-mail address to ask for
}

// discover asks the domain and its host autodiscover, in both ways each. What is
// told of the reason is the most telling one.
func (p *Provider) discover(ctx context.Context, login providers.Login) (*url.URL, error) {
	address := login.Username
	if login.Mailbox != "" {
		address = login.Mailbox
	}
	domain := domainOf(address)
	if domain == "" {
		return nil, errNoWhere
	}
	if isOnline(domain) {
		return nil, errOnline
	}
	reason := errNothing
	for _, host := range []string{domain, "autodiscover." + domain} {
		for _, way := range []way{{"svc", askSOAP}, {"xml", askPOX}} {
			at := &url.URL{Scheme: "https", Host: host, Path: "/autodiscover/autodiscover." + way.suffix}
			ews, err := p.ask(ctx, at, domain, address, login, way)
			if err == nil {
				return ews, nil
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if tells(err) > tells(reason) {
				reason = err
			}
		}
	}
	return nil, reason
}

// tells ranks reasons: what the person can act upon comes first.
func tells(err error) int {
	code := providers.CodeOf(err)
	switch {
	case errors.Is(err, errOnline):
		return 5
	case code == codeUnauthorized, code == errLoop.Code:
		return 4
	case errors.Is(err, errAway), errors.Is(err, errPlain), errors.Is(err, errUnknown):
		return 3
	case errors.Is(err, errNoURL), code == codeForbidden, code == transport.CodeTLS, code == transport.CodeBlocked:
		return 2
	case providers.FaultOf(err) == providers.Throttled:
		return 1
	default:
		return 0
	}
}

// way is one of the two forms of the protocol.
type way struct {
	suffix string
	ask    func(ctx context.Context, rt http.RoundTripper, at *url.URL, address string, p *Provider) (found, error)
}

const maxRedirects = 5

// ask asks one Autodiscover, and those it points to.
func (p *Provider) ask(ctx context.Context, at *url.URL, domain, address string, login providers.Login, w way) (*url.URL, error) {
	for range maxRedirects + 1 {
		var told found
		err := p.signIn(ctx, at, login, func(_ grant, rt http.RoundTripper) error {
			var err error
			told, err = w.ask(ctx, rt, at, address, p)
			return err
		})
		if cause, ok := causeOf(err); ok && cause.status/100 == 3 {
			told, err = found{redirect: cause.to}, nil
		}
		switch {
		case err != nil:
			return nil, err
		case told.external != "":
			return p.permitted(at, domain, told.external)
		case told.internal != "":
			return p.permitted(at, domain, told.internal)
		case told.address != "" && isOnline(domainOf(told.address)):
			return nil, errOnline
		case told.address != "" && told.address != address && transport.SameSite(domainOf(told.address), domain):
			address = told.address
		case told.address != "":
			return nil, errAway
		case told.redirect == "":
			return nil, errNoURL
		default:
			if at, err = p.permitted(at, domain, told.redirect); err != nil {
				return nil, err
			}
		}
	}
	return nil, errNowhere
}

// permitted is where a reference leads, if the password may be sent there: over
// https, to the domain's own site or to a host that the operator trusts.
func (p *Provider) permitted(base *url.URL, domain, reference string) (*url.URL, error) {
	to, err := base.Parse(strings.TrimSpace(reference))
	if err != nil || to.Hostname() == "" {
		return nil, errNoURL
	}
	host := strings.ToLower(to.Hostname())
	switch {
	case isOnline(host):
		return nil, errOnline
	case to.Scheme != "https":
		return nil, errPlain
	case transport.SameSite(host, domain), slices.Contains(p.Trusted, host):
		to.User, to.Fragment = nil, ""
		return to, nil
	default:
		return nil, errAway
	}
}

const nsAutodiscover = "http://schemas.microsoft.com/exchange/2010/Autodiscover"

func askSOAP(ctx context.Context, rt http.RoundTripper, at *url.URL, address string, p *Provider) (found, error) {
	got, err := post(ctx, rt, at, declaration+`<s:Envelope xmlns:s="`+nsSOAP+`" xmlns:a="`+nsAutodiscover+`" xmlns:w="http://www.w3.org/2005/08/addressing">`+
		`<s:Header><a:RequestedServerVersion>Exchange2010</a:RequestedServerVersion>`+
		`<w:Action>`+nsAutodiscover+`/Autodiscover/GetUserSettings</w:Action><w:To>`+escape(at.String())+`</w:To></s:Header>`+
		`<s:Body><a:GetUserSettingsRequestMessage><a:Request><a:Users><a:User><a:Mailbox>`+escape(address)+`</a:Mailbox></a:User></a:Users>`+
		`<a:RequestedSettings><a:Setting>ExternalEwsUrl</a:Setting><a:Setting>InternalEwsUrl</a:Setting></a:RequestedSettings>`+
		`</a:Request></a:GetUserSettingsRequestMessage></s:Body></s:Envelope>`, "")
	if err != nil {
		return found{}, err
	}
	var told struct {
		Code  string `xml:"Response>ErrorCode"`
		Users []struct {
			Code     string `xml:"ErrorCode"`
			Target   string `xml:"RedirectTarget"`
			Settings []struct {
				Name  string `xml:"Name"`
				Value string `xml:"Value"`
			} `xml:"UserSettings>UserSetting"`
		} `xml:"Response>UserResponses>UserResponse"`
	}
	if err := got.read("GetUserSettingsResponseMessage", &told, p.Now()); err != nil {
		return found{}, err
	}
	if told.Code != "NoError" || len(told.Users) != 1 {
		return found{}, errNowhere
	}
	user := told.Users[0]
	switch user.Code {
	case "RedirectUrl":
		return found{redirect: user.Target}, nil
	case "RedirectAddress":
		return found{address: user.Target}, nil
	case "InvalidUser":
		return found{}, errUnknown
	case "NoError":
	default:
		return found{}, errNowhere
	}
	var where found
	for _, s := range user.Settings {
		switch s.Name {
		case "ExternalEwsUrl":
			where.external = s.Value
		case "InternalEwsUrl":
			where.internal = s.Value
		}
	}
	return where, nil
}

func askPOX(ctx context.Context, rt http.RoundTripper, at *url.URL, address string, p *Provider) (found, error) {
	got, err := post(ctx, rt, at, declaration+`<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>`+
		`<EMailAddress>`+escape(address)+`</EMailAddress>`+
		`<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>`+
		`</Request></Autodiscover>`, "")
	if err != nil {
		return found{}, err
	}
	if got.status != http.StatusOK {
		return found{}, got.refusal(p.Now())
	}
	var answer struct {
		XMLName xml.Name `xml:"Autodiscover"`
		Error   string   `xml:"Response>Error>ErrorCode"`
		Account struct {
			Redirect  string `xml:"RedirectUrl"`
			Address   string `xml:"RedirectAddr"`
			Protocols []struct {
				Type string `xml:"Type"`
				EWS  string `xml:"EwsUrl"`
			} `xml:"Protocol"`
		} `xml:"Response>Account"`
	}
	if err := xml.NewTokenDecoder(&plain{d: raw(got.body)}).Decode(&answer); err != nil {
		return found{}, errForeign
	}
	if answer.Error == "500" {
		return found{}, errUnknown
	}
	told := found{redirect: answer.Account.Redirect, address: answer.Account.Address}
	for _, protocol := range answer.Account.Protocols {
		switch {
		case protocol.EWS == "":
		case protocol.Type == "EXPR": // as seen from outside
			told.external = protocol.EWS
		default:
			told.internal = protocol.EWS
		}
	}
	return told, nil
}
