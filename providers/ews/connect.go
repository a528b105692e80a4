package ews

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// Connect implements [providers.Connector]. The URL is that of the server or of
// its Exchange Web Services; it may be empty where an e-mail address tells the
// domain to ask. Of a mailbox that is not the user's own, either its calendar is
// shared with the user, or the user may impersonate its owner.
func (p *Provider) Connect(ctx context.Context, login providers.Login) (busy.Secret, error) {
	if err := check(login); err != nil {
		return nil, err
	}
	at, err := serverOf(login.URL)
	if err != nil {
		return nil, err
	}
	if at == nil {
		if at, err = p.discover(ctx, login); err != nil {
			return nil, explain(err)
		}
	}
	var found grant
	err = p.signIn(ctx, at, login, func(g grant, rt http.RoundTripper) error {
		g, err := p.agree(ctx, at, g, rt)
		found = g
		return err
	})
	if err != nil {
		return nil, explain(err)
	}
	return found.secret(), nil
}

func check(login providers.Login) error {
	switch {
	case login.Username == "":
		return busy.Invalid("username", `is empty: give the name that you sign in with, such as name@example.com or DOMAIN\name`)
	case len(login.Password) == 0:
		return busy.Invalid("password", "is empty")
	case login.Mailbox != "" && domainOf(login.Mailbox) == "":
		return busy.Invalid("mailbox", "must be the e-mail address of a mailbox, such as room@example.com")
	default:
		return nil
	}
}

func domainOf(address string) string {
	at := strings.LastIndex(address, "@")
	if at < 1 || strings.ContainsAny(address[at+1:], `\/:?#@ `) {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(address[at+1:]))
}

// path is where Exchange Web Services are, on every server.
const path = "/EWS/Exchange.asmx"

var errURL = busy.Invalid("url", "must be the address of an Exchange server, such as https://mail.example.com"+path)

// serverOf reads what was typed as the server's address; nil if nothing was.
func serverOf(typed string) (*url.URL, error) {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		return nil, nil
	}
	if !strings.Contains(typed, "://") {
		typed = "https://" + typed
	}
	at, err := url.Parse(typed)
	switch {
	case err != nil || at.Hostname() == "" || at.Scheme != "https" && at.Scheme != "http":
		return nil, errURL
	case at.User != nil:
		return nil, busy.Invalid("url", "must not contain a username or a password: give them apart")
	case isOnline(at.Hostname()):
		return nil, errOnline
	}
	at.RawQuery, at.Fragment = "", ""
	switch strings.Trim(strings.ToLower(at.Path), "/") {
	case "", "owa", "ecp", "ews":
		at.Path = path
	}
	return at, nil
}

var errOnline = busy.Invalid("url", "leads to Exchange Online, where Microsoft ends Exchange Web Services on 1 April 2027 and refuses most of them already: connect this calendar as Outlook instead")

// isOnline reports whether a host is one of Microsoft's own.
func isOnline(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, domain := range []string{
		"office365.com", "office365.us", "office.com", "office.de", "outlook.com", "outlook.cn",
		"outlook.office.com", "onmicrosoft.com", "hotmail.com", "live.com", "msn.com", "microsoft.com",
	} {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}

var errNoScheme = &providers.Error{Code: "no_scheme", Err: errors.New("the server accepts no password")}

// signIn finds out how the server lets the user in: it tries what the server
// offers, best first, until one is not refused. A server that offers Basic may
// refuse NTLM from outside its network.
func (p *Provider) signIn(ctx context.Context, at *url.URL, login providers.Login, use func(grant, http.RoundTripper) error) error {
	schemes, err := p.offers(ctx, at)
	if err != nil {
		return err
	}
	err = errNoScheme
	for _, s := range schemes {
		g := grant{
			URL: at.String(), Scheme: s, Version: versions[0],
			Username: login.Username, Password: string(login.Password), Mailbox: login.Mailbox,
		}
		rt, openErr := p.authenticated(at, g, providers.Account{})
		if openErr != nil {
			return openErr
		}
		err = use(g, rt)
		if code := providers.CodeOf(err); code != codeUnauthorized && code != errLoop.Code {
			return err
		}
	}
	return err
}

// offers asks, without a credential, how to authenticate.
func (p *Provider) offers(ctx context.Context, at *url.URL) ([]scheme, error) {
	probe := p.pools.of("probe", at.Host)
	got, err := post(ctx, probe.base, at, "", "")
	switch {
	case err != nil:
		return nil, err
	case got.status == http.StatusUnauthorized:
		return offered(got.header), nil
	case got.status/100 == 2:
		return nil, errForeign
	default:
		return nil, got.refusal(p.Now())
	}
}

// agree finds a version that both sides speak, and how the mailbox opens.
func (p *Provider) agree(ctx context.Context, at *url.URL, g grant, rt http.RoundTripper) (grant, error) {
	var err error
	for _, g.Version = range versions {
		if err = p.look(ctx, at, &g, rt); err == nil {
			return g, nil
		}
		if code := providers.CodeOf(err); code != codeVersion && code != codeSchema {
			return g, err
		}
	}
	return g, err
}

// look opens the mailbox's calendar.
func (p *Provider) look(ctx context.Context, at *url.URL, g *grant, rt http.RoundTripper) error {
	g.Impersonate = false
	_, _, err := p.client(rt, at, *g).knownFolders(ctx)
	code := providers.CodeOf(err)
	if g.Mailbox == "" || code != codeMissing && code != codeDenied {
		return err
	}
	g.Impersonate = true
	_, _, refused := p.client(rt, at, *g).knownFolders(ctx)
	if code := providers.CodeOf(refused); code == "impersonation_denied" || code == codeDenied || code == codeMissing {
		return errShared
	}
	return refused
}

var errShared = busy.Invalid("mailbox", "cannot be opened by this user: share its calendar with the user (as a reviewer, at least), or grant the role ApplicationImpersonation")

// explain says what is wrong with a login, where that is what the error means.
func explain(err error) error {
	if errors.Is(err, busy.ErrInvalid) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if told := explainCode(providers.CodeOf(err)); told != nil {
		return told
	}
	if wrong := transport.Explain(err); wrong != nil {
		return wrong
	}
	if cause, ok := causeOf(err); ok && cause.status/100 == 4 && providers.FaultOf(err) != providers.Throttled {
		return errNotExchange
	}
	return err
}

var errNotExchange = busy.Invalid("url", "does not lead to Exchange Web Services: give their address, such as https://mail.example.com"+path)

func explainCode(code string) error {
	switch code {
	case codeUnauthorized:
		return busy.Invalid("password", `or username is refused by the server: check both, and try the username as name@example.com and as DOMAIN\name. If they are right, ask the administrator whether Extended Protection stands in the way, or a proxy that ends TLS before Exchange does`)
	case errLoop.Code:
		return busy.Invalid("url", "leads to a server that refuses NTLM because of Extended Protection: the channel binding does not match, as when a proxy ends TLS before Exchange does. The administrator can let Basic authentication in, or set Extended Protection for EWS to Allow")
	case errNoScheme.Code:
		return busy.Invalid("url", "leads to a server that accepts neither NTLM nor Basic authentication: the administrator must allow one of them for EWS")
	case codeForbidden:
		return busy.Invalid("username", "has no access to Exchange Web Services: the administrator must enable EWS for this mailbox, and allow busyd as an application")
	case codeVersion, codeSchema:
		return busy.Invalid("url", "leads to an Exchange server that is too old: 2010 with Service Pack 2 is the oldest that busyd reads")
	case "password_expired", "password_change_required":
		return busy.Invalid("password", "has expired: change it, and give the new one")
	case "account_disabled":
		return busy.Invalid("username", "belongs to an account that is disabled")
	case "no_mailbox", "not_primary_address", codeMissing:
		return busy.Invalid("username", "belongs to an account that has no mailbox on this server")
	case codeDenied, "impersonation_denied":
		return busy.Invalid("username", "has no right to read this mailbox's calendar")
	case transport.CodeTLS:
		return busy.Invalid("url", "names a server whose certificate is not trusted: it must be valid, be issued for this host and be sent with its intermediates; the operator can add the authority of an organisation of its own")
	case transport.CodeBlocked:
		return busy.Invalid("url", "leads to an address that is not public; the operator can list it in the setting network.allow, and must for plain http")
	case errForeign.Code, errMalformed.Code, codeRedirected, codeNotFound, "soap_fault":
		return errNotExchange
	default:
		return nil
	}
}
