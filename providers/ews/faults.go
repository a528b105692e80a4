package ews

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// meaning is what a response code calls for.
type meaning struct {
	fault providers.Fault
	code  string
}

// Codes that decide what is done next, beside their fault.
const (
	codeMissing      = "not_found"
	codeDenied       = "access_denied"
	codeTooBig       = "view_too_big"
	codeNoOccurrence = "recurrence_has_no_occurrence"
	codeVersion      = "version_refused"
	codeSchema       = "schema"
	codeUnsubscribed = "subscription_lost"
	codeUnauthorized = "unauthorized"
	codeForbidden    = "forbidden"
	codeNotFound     = "no_such_page"
	codeRedirected   = "redirected"
	codeUnknown      = "ews_error"
)

// meanings of the response codes of Exchange. One that is not here is a
// transient failure: it disconnects nobody.
var meanings = map[string]meaning{
	"ErrorServerBusy":                {providers.Throttled, "server_busy"},
	"ErrorExceededConnectionCount":   {providers.Throttled, "too_many_connections"},
	"ErrorExceededSubscriptionCount": {providers.Throttled, "too_many_subscriptions"},
	"ErrorTooManyObjectsOpened":      {providers.Throttled, "too_many_objects"},

	"ErrorInvalidSyncStateData": {providers.CursorExpired, "sync_state_refused"},

	"ErrorPasswordExpired":          {providers.Revoked, "password_expired"},
	"ErrorPasswordChangeRequired":   {providers.Revoked, "password_change_required"},
	"ErrorAccountDisabled":          {providers.Revoked, "account_disabled"},
	"ErrorNonExistentMailbox":       {providers.Revoked, "no_mailbox"},
	"ErrorImpersonateUserDenied":    {providers.Revoked, "impersonation_denied"},
	"ErrorImpersonationDenied":      {providers.Revoked, "impersonation_denied"},
	"ErrorUserNotAllowedByPolicy":   {providers.Revoked, "policy"},
	"ErrorNonPrimarySmtpAddress":    {providers.Revoked, "not_primary_address"},
	"ErrorMissingEmailAddress":      {providers.Revoked, "no_mailbox"},
	"ErrorNoPublicFolderReplicaYet": {providers.Transient, "unavailable"},

	// What these mean, another look decides.
	"ErrorAccessDenied":                          {providers.Transient, codeDenied},
	"ErrorSyncFolderNotFound":                    {providers.Transient, codeMissing},
	"ErrorFolderNotFound":                        {providers.Transient, codeMissing},
	"ErrorItemNotFound":                          {providers.Transient, codeMissing},
	"ErrorParentFolderNotFound":                  {providers.Transient, codeMissing},
	"ErrorInvalidFolderId":                       {providers.Transient, codeMissing},
	"ErrorCannotOpenFileFolder":                  {providers.Transient, codeMissing},
	"ErrorInvalidServerVersion":                  {providers.Rejected, codeVersion},
	"ErrorIncorrectSchemaVersion":                {providers.Rejected, codeVersion},
	"ErrorInvalidSchemaVersionForMailboxVersion": {providers.Rejected, codeVersion},
	"ErrorInvalidIdMalformed":                    {providers.Rejected, "bad_address"},
	"ErrorInvalidIdEmpty":                        {providers.Rejected, "bad_address"},
	"ErrorInvalidId":                             {providers.Rejected, "bad_address"},
	"ErrorSchemaValidation":                      {providers.Rejected, codeSchema},
	"ErrorInvalidRequest":                        {providers.Rejected, "request_refused"},
	"ErrorInvalidArgument":                       {providers.Rejected, "request_refused"},
	"ErrorInvalidOperation":                      {providers.Rejected, "request_refused"},
	"ErrorUnsupportedPathForQuery":               {providers.Rejected, "request_refused"},
	"ErrorInvalidPropertyRequest":                {providers.Rejected, "request_refused"},

	"ErrorCalendarViewRangeTooBig":   {providers.Rejected, codeTooBig},
	"ErrorExceededFindCountLimit":    {providers.Rejected, codeTooBig},
	"ErrorRecurrenceHasNoOccurrence": {providers.Transient, codeNoOccurrence},

	"ErrorSubscriptionNotFound":     {providers.Transient, codeUnsubscribed},
	"ErrorExpiredSubscription":      {providers.Transient, codeUnsubscribed},
	"ErrorInvalidSubscription":      {providers.Transient, codeUnsubscribed},
	"ErrorInvalidWatermark":         {providers.Transient, codeUnsubscribed},
	"ErrorMissedNotificationEvents": {providers.Transient, codeUnsubscribed},

	"ErrorInternalServerError":          {providers.Transient, "server_error"},
	"ErrorInternalServerTransientError": {providers.Transient, "server_error"},
	"ErrorMailboxStoreUnavailable":      {providers.Transient, "store_unavailable"},
	"ErrorMailboxMoveInProgress":        {providers.Transient, "mailbox_moving"},
	"ErrorMailboxFailover":              {providers.Transient, "mailbox_moving"},
	"ErrorTimeoutExpired":               {providers.Transient, "server_timeout"},
	"ErrorConnectionFailed":             {providers.Transient, "store_unavailable"},
	"ErrorADUnavailable":                {providers.Transient, "directory_unavailable"},
	"ErrorADOperation":                  {providers.Transient, "directory_unavailable"},
}

// meant turns a response code into an error that holds nothing else of the
// answer than how long to wait.
func meant(code string, values []value) error {
	m, known := meanings[code]
	if !known {
		m = meaning{providers.Transient, codeUnknown}
	}
	e := &providers.Error{Fault: m.fault, Code: m.code}
	for _, v := range values {
		if v.Name != "BackOffMilliseconds" {
			continue
		}
		if ms, err := strconv.ParseUint(strings.TrimSpace(v.Text), 10, 32); err == nil {
			e.After = min(time.Duration(ms)*time.Millisecond, transport.MaxRetryAfter)
		}
	}
	return e
}

// readFault reads a SOAP fault. Exchange puts a response code into its detail;
// other software is not Exchange.
func readFault(d *xml.Decoder, start xml.StartElement) error {
	var f struct {
		FaultCode string  `xml:"faultcode"`
		Code      string  `xml:"detail>ResponseCode"`
		Values    []value `xml:"detail>MessageXml>Value"`
	}
	if err := d.DecodeElement(&f, &start); err != nil {
		return malformed(err)
	}
	if f.Code == "" {
		_, f.Code, _ = strings.Cut(f.FaultCode, ":")
	}
	if !strings.HasPrefix(f.Code, "Error") {
		return &providers.Error{Code: "soap_fault"}
	}
	return meant(f.Code, f.Values)
}

// httpError is the cause of an error that an HTTP status led to.
type httpError struct {
	status  int
	offered []scheme // by a 401
	to      string   // of a redirection: where it leads
}

func (e *httpError) Error() string { return fmt.Sprintf("the server answered %d", e.status) }

func causeOf(err error) (cause *httpError, ok bool) {
	ok = errors.As(err, &cause)
	return cause, ok
}

// refusal turns an answer that is no envelope into an error. What a 401 means is
// for the session to find out.
func (r *reply) refusal(now time.Time) error {
	cause := &httpError{status: r.status, offered: offered(r.header), to: r.header.Get("Location")}
	e := &providers.Error{Err: cause, After: transport.RetryAfter(r.header, now)}
	switch status := r.status; {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		e.Fault, e.Code = providers.Throttled, "throttled"
	case status/100 == 5:
		e.Code = "server_error"
	case status == http.StatusUnauthorized:
		e.Code = codeUnauthorized
	case status == http.StatusForbidden:
		e.Code = codeForbidden
	case status == http.StatusNotFound, status == http.StatusGone, status == http.StatusMethodNotAllowed:
		e.Code = codeNotFound
	case status/100 == 3:
		e.Code = codeRedirected
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnsupportedMediaType:
		e.Fault, e.Code = providers.Rejected, "request_refused"
	default:
		e.Code = "refused_for_now"
	}
	return e
}
