package api

import (
	"errors"
	"net/http"

	"github.com/busyd/busyd/busy"
)

// callbackPath is where providers send browsers back to.
const callbackPath = "/oauth/callback"

// connectedPage says what was connected, and what busyd reads of it.
type connectedPage struct {
	Provider    string
	Reconnected bool
	Reading     []string // the names of calendars that block time
	Leaving     []string // and of those that do not
}

// failedPage says why an account was not connected, and what to do.
type failedPage struct {
	Title, Detail string
	AdminURL      string // where the organisation's administrator consents
	Request       string
}

// callback ends the consent that connect began. Whoever has the state may end
// it: it is known to the owner's browser alone, and good once.
func (a *api) callback(w http.ResponseWriter, r *http.Request) {
	done, err := a.Accounts.Finish(r.Context(), r.URL.Query())
	if err != nil {
		a.callbackFail(w, r, err)
		return
	}
	if done.Consented {
		a.render(w, r, http.StatusOK, "consented.html", "Consented", nil)
		return
	}
	page := connectedPage{Provider: providerName(done.Connection.Kind), Reconnected: done.Calendars == nil}
	for _, c := range done.Calendars {
		if c.Selected {
			page.Reading = append(page.Reading, c.Name)
		} else {
			page.Leaving = append(page.Leaving, c.Name)
		}
	}
	a.render(w, r, http.StatusOK, "connected.html", "Connected", page)
}

func (a *api) callbackFail(w http.ResponseWriter, r *http.Request, err error) {
	p := a.logged(r, err)
	page := failedPage{Title: "The calendar was not connected", Detail: p.detail, Request: requestID(r)}
	var wrong *busy.Violation
	if errors.As(err, &wrong) {
		page.Detail = "The " + wrong.Field + " " + wrong.Detail + "."
	}
	var provider *ProviderError
	if errors.As(err, &provider) {
		page.AdminURL = provider.AdminURL
	}
	a.render(w, r, p.status, "not-connected.html", page.Title, page)
}

func providerName(kind busy.Kind) string {
	switch kind {
	case busy.Google:
		return "Google Calendar"
	case busy.Graph:
		return "Outlook"
	case busy.Exchange:
		return "Exchange"
	case busy.CalDAV:
		return "CalDAV"
	case busy.Feed:
		return "calendar feed"
	default:
		return string(kind)
	}
}
